"""The planner is a pure function of the history: it opens one round at a time, for weak categories, and ends."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sedi_dagster.feedback.plan import PlanRequest, Stop, plan_round
from sedi_dagster.records import CategoryOutcome, RoundOutcome, RoundPlan

KNOWN = ("math", "coding", "open_qa", "reasoning")
REQUEST = PlanRequest("test")
Decision = Literal["weak", "fine", "not enough evidence"]


def category(name: str, score: float, decision: Decision = "weak", target: float = 0.8) -> CategoryOutcome:
    return CategoryOutcome(
        name, 100, round(100 * score), 0.0, 1.0, target, 0.01, 0.02, decision, f"{name} is {decision}"
    )


def outcome(plan: RoundPlan, *categories: CategoryOutcome, score: float = 0.5, tokens: int = 100) -> RoundOutcome:
    return RoundOutcome(plan.round, 10, 20, tokens, score, True, categories)


def planned(decided: RoundPlan | Stop) -> RoundPlan:
    assert isinstance(decided, RoundPlan), decided
    return decided


def stopped(decided: RoundPlan | Stop) -> str:
    assert isinstance(decided, Stop), decided
    return decided.reason


FIRST = planned(plan_round(REQUEST, KNOWN, [], []))


def test_the_first_round_asks_for_every_category() -> None:
    assert FIRST.category_ids == list(KNOWN) and FIRST.parent is None and FIRST.round == "round-0001"
    assert {c.candidates for c in FIRST.categories} == {REQUEST.candidates_per_category}


def test_a_later_round_asks_for_weak_categories_only_the_widest_gap_first_and_most() -> None:
    after = outcome(
        FIRST,
        category("math", 0.6),
        category("coding", 0.2),
        category("open_qa", 0.2, "not enough evidence"),
        category("reasoning", 0.9, "fine"),
    )
    plan = planned(plan_round(REQUEST, KNOWN, [FIRST], [after]))
    assert plan.category_ids == ["coding", "math"] and plan.parent == "round-0001"
    assert plan.candidates_for("coding") == 15 and plan.candidates_for("math") == 5
    assert [c.reason for c in plan.categories] == ["coding is weak", "math is weak"]


def test_a_weak_category_that_is_no_longer_known_is_not_asked_for() -> None:
    after = outcome(FIRST, category("poetry", 0.1))
    assert stopped(plan_round(REQUEST, KNOWN, [FIRST], [after])) == "no category is weak after round-0001"


def test_a_category_at_its_target_is_planned_without_dividing_by_its_gap() -> None:
    after = outcome(FIRST, category("math", 0.8))
    assert planned(plan_round(REQUEST, KNOWN, [FIRST], [after])).candidates_for("math") == 10


def test_a_person_may_ask_for_categories_weak_or_not_and_each_counts_once() -> None:
    request = replace(REQUEST, categories=("math", "coding", "math"), candidates_per_category=3)
    after = outcome(FIRST, category("math", 0.9, "fine"))
    plan = planned(plan_round(request, KNOWN, [FIRST], [after]))
    assert [(c.category, c.candidates) for c in plan.categories] == [("math", 3), ("coding", 3)]


def test_nothing_asked_for_is_no_round() -> None:
    assert stopped(plan_round(replace(REQUEST, categories=()), KNOWN, [], [])) == "no category is asked for"
    assert stopped(plan_round(REQUEST, (), [], [])) == "no category is asked for"


def test_the_number_of_a_round_is_never_used_again() -> None:
    third = replace(FIRST, round="round-0003")
    history = [outcome(FIRST, category("math", 0.1)), outcome(third, category("math", 0.1))]
    assert planned(plan_round(REQUEST, KNOWN, [FIRST, third], history)).round == "round-0004"


@pytest.mark.parametrize(
    ("request_", "tokens", "scores", "reason"),
    [
        (replace(REQUEST, max_rounds=2), 100, [0.1, 0.2], "the limit of 2 rounds is reached (SEDI_LOOP_MAX_ROUNDS)"),
        (
            replace(REQUEST, max_tokens=2_000),
            1_000,
            [0.1, 0.2],
            "the budget is spent: 2,000 of 2,000 teacher tokens (SEDI_LOOP_MAX_TOKENS)",
        ),
        (
            replace(REQUEST, plateau_rounds=2),
            100,
            [0.5, 0.4, 0.5],
            "no better score for 2 rounds (SEDI_LOOP_PLATEAU_ROUNDS)",
        ),
    ],
)
def test_every_stop_gives_its_reason(request_: PlanRequest, tokens: int, scores: list[float], reason: str) -> None:
    plans = [replace(FIRST, round=f"round-{i + 1:04d}") for i in range(len(scores))]
    finished = [
        outcome(plan, category("math", 0.1), score=score, tokens=tokens)
        for plan, score in zip(plans, scores, strict=True)
    ]
    assert stopped(plan_round(request_, KNOWN, plans, finished)) == reason


def test_no_weak_category_ends_the_loop() -> None:
    after = outcome(FIRST, category("math", 0.9, "fine"), category("coding", 0.5, "not enough evidence"))
    assert stopped(plan_round(REQUEST, KNOWN, [FIRST], [after])) == "no category is weak after round-0001"


def test_an_open_round_is_named_also_if_a_later_one_is_finished() -> None:
    second = replace(FIRST, round="round-0002")
    assert stopped(plan_round(REQUEST, KNOWN, [FIRST], [])) == "round-0001 is still open"
    reason = stopped(plan_round(REQUEST, KNOWN, [FIRST, second], [outcome(second)]))
    assert reason == "round-0001 is still open"


def test_a_person_may_go_on_after_a_plateau() -> None:
    request = replace(REQUEST, plateau_rounds=1, categories=("math",))
    plans = [FIRST, replace(FIRST, round="round-0002")]
    assert planned(plan_round(request, KNOWN, plans, [outcome(plan) for plan in plans])).round == "round-0003"


def test_the_smaller_of_the_round_cap_and_what_is_left_is_the_cap_of_a_round() -> None:
    after = [outcome(FIRST, category("math", 0.1), tokens=700)]
    request = replace(REQUEST, max_tokens=1_000, max_tokens_per_round=500)
    assert planned(plan_round(request, KNOWN, [], [])).max_tokens == 500
    assert planned(plan_round(request, KNOWN, [FIRST], after)).max_tokens == 300
    assert planned(plan_round(REQUEST, KNOWN, [FIRST], after)).max_tokens is None


CATEGORY_OUTCOMES = st.builds(
    category,
    st.sampled_from([*KNOWN, "gone"]),
    st.floats(0, 1),
    st.sampled_from(["weak", "fine", "not enough evidence"]),
)
WHAT_HAPPENS = st.tuples(
    st.lists(CATEGORY_OUTCOMES, max_size=5, unique_by=lambda o: o.category), st.floats(0, 1), st.floats(0, 1)
)
REQUESTS = st.builds(
    PlanRequest,
    st.just("test"),
    categories=st.one_of(st.none(), st.lists(st.sampled_from(KNOWN), max_size=4).map(tuple)),
    candidates_per_category=st.integers(1, 50),
    target_round=st.integers(0, 10),
    max_rounds=st.integers(1, 12),
    max_tokens=st.one_of(st.none(), st.integers(1, 10_000)),
    max_tokens_per_round=st.one_of(st.none(), st.integers(1, 3_000)),
    plateau_rounds=st.integers(1, 4),
)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(REQUESTS, st.lists(WHAT_HAPPENS, min_size=12, max_size=12))
def test_whatever_happens_the_loop_keeps_its_promises(
    request: PlanRequest, happens: list[tuple[list[CategoryOutcome], float, float]]
) -> None:
    plans: list[RoundPlan] = []
    finished: list[RoundOutcome] = []
    for categories, score, share in happens:
        decided = plan_round(request, KNOWN, plans, finished)
        assert decided == plan_round(request, KNOWN, plans, finished), "the same history, the same decision"
        if isinstance(decided, Stop):
            assert decided.reason
            break
        weak = {o.category for o in finished[-1].categories if o.decision == "weak"} if finished else set(KNOWN)
        assert decided.categories and len(set(decided.category_ids)) == len(decided.categories)
        assert set(decided.category_ids) <= (set(request.categories) if request.categories is not None else weak)
        assert all(1 <= c.candidates <= 2 * request.candidates_per_category for c in decided.categories)
        plans.append(decided)
        assert isinstance(plan_round(request, KNOWN, plans, finished), Stop), "never two open rounds"
        most = 5_000 if decided.max_tokens is None else decided.max_tokens
        finished.append(outcome(decided, *categories, score=score, tokens=int(share * most)))
    else:
        assert isinstance(plan_round(request, KNOWN, plans, finished), Stop), "the loop ends"
    assert len(plans) <= request.max_rounds and len({plan.round for plan in plans}) == len(plans)
    if request.max_tokens is not None:
        assert sum(o.tokens for o in finished) <= request.max_tokens
