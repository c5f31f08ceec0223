"""The planner is a pure function of the history: it opens one round at a time, for weak categories, and ends."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sedi_dagster.feedback.plan import PlanRequest, Stop, plan_round
from sedi_dagster.records import CategoryOutcome, Decision, RoundOutcome, RoundPlan

KNOWN = ("math", "coding", "open_qa", "reasoning")
REQUEST = PlanRequest("test", goal="targets")


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


AFTER_FIRST = outcome(
    FIRST,
    category("math", 0.6),
    category("coding", 0.2),
    category("open_qa", 0.2, "not enough evidence"),
    category("reasoning", 0.9, "fine"),
)


def candidates(plan: RoundPlan) -> dict[str, int]:
    return {c.category: c.candidates for c in plan.categories}


def wanted(plan: RoundPlan) -> dict[str, int | None]:
    return {c.category: c.wanted for c in plan.categories}


def test_a_later_round_asks_for_weak_categories_where_most_is_expected_first() -> None:
    plan = planned(plan_round(REQUEST, KNOWN, [FIRST], [AFTER_FIRST]))
    assert set(plan.category_ids) == {"coding", "math"} and plan.parent == "round-0001"
    shares = [c.wanted or 0 for c in plan.categories]
    assert shares == sorted(shares, reverse=True) and shares[-1] > 0
    assert all(f"{c.category} is weak; expected to gain" in c.reason for c in plan.categories)


def test_a_plan_names_kept_examples_and_the_candidates_that_they_take_at_the_keep_rate_so_far() -> None:
    kept_all = replace(AFTER_FIRST, kept=20, categories=_counted(AFTER_FIRST, candidates=10, kept=10))
    kept_few = replace(AFTER_FIRST, kept=4, categories=_counted(AFTER_FIRST, candidates=10, kept=2))
    many, few = (planned(plan_round(REQUEST, KNOWN, [FIRST], [after])) for after in (kept_all, kept_few))
    for plan, rate in ((many, 1.0), (few, 0.2)):
        for c in plan.categories:
            assert c.wanted is not None and c.wanted <= c.candidates
            assert c.candidates == pytest.approx(c.wanted / rate, abs=0.3 * c.wanted / rate + 1)
    assert sum(n or 0 for n in wanted(few).values()) < sum(n or 0 for n in wanted(many).values())


def _counted(after: RoundOutcome, candidates: int, kept: int) -> tuple[CategoryOutcome, ...]:
    return tuple(replace(c, candidates=candidates, kept=kept) for c in after.categories)


def test_a_share_of_the_round_goes_to_every_category_that_may_gain() -> None:
    request = replace(REQUEST, goal="score", candidates_per_category=100, floor_share=0.2)
    plan = planned(plan_round(request, KNOWN, [FIRST], [AFTER_FIRST]))
    assert set(plan.category_ids) == set(KNOWN)
    least, total = min(wanted(plan).values(), key=lambda n: n or 0), sum(n or 0 for n in wanted(plan).values())
    assert (least or 0) >= 0.2 * total / 4 - 1


def test_where_half_of_the_round_just_pays_for_a_call_to_every_weak_category_each_gets_one() -> None:
    """As in a round of few candidates, whatever the tokens that they took: rounding decides nothing."""
    request, known = replace(REQUEST, candidates_per_category=4, per_call=2), ("math", "open_qa")
    first = planned(plan_round(request, known, [], []))
    for tokens in range(300, 900, 3):
        seen = [
            replace(category(name, score), candidates=5, kept=kept, tokens=tokens)
            for name, score, kept in (("math", 0.0, 2), ("open_qa", 0.6, 5))
        ]
        decided = planned(plan_round(request, known, [first], [outcome(first, *seen, tokens=2 * tokens)]))
        assert sorted(decided.category_ids) == sorted(known), tokens


def test_what_the_student_gets_wrong_and_how_hard_it_may_be_travels_in_the_plan() -> None:
    weak = replace(category("math", 0.2), errors=("wrong number", "cut off"), difficulty="easy")
    plan = planned(plan_round(REQUEST, KNOWN, [FIRST], [outcome(FIRST, weak)]))
    assert (plan.categories[0].errors, plan.categories[0].difficulty) == (("wrong number", "cut off"), "easy")


@pytest.mark.parametrize("decision", ["stuck", "cooling"])
def test_a_stuck_or_cooling_category_gets_nothing_not_even_the_floor(decision: Decision) -> None:
    request = replace(REQUEST, candidates_per_category=100, floor_share=0.5)
    after = outcome(FIRST, category("math", 0.1, decision), category("coding", 0.2))
    assert planned(plan_round(request, KNOWN, [FIRST], [after])).category_ids == ["coding"]


def test_when_only_stuck_ones_are_left_the_loop_ends_and_names_them_to_a_person() -> None:
    after = outcome(FIRST, category("math", 0.1, "stuck"), category("coding", 0.9, "fine"))
    reason = stopped(plan_round(REQUEST, KNOWN, [FIRST], [after]))
    assert "math" in reason and "You need to act" in reason and "coding" not in reason
    by_name = replace(REQUEST, categories=("math",))
    assert planned(plan_round(by_name, KNOWN, [FIRST], [after])).category_ids == ["math"]


def test_after_a_checkpoint_that_was_not_promoted_the_scores_of_the_one_built_on_count() -> None:
    second = replace(FIRST, round="round-0002")
    good = outcome(FIRST, category("math", 0.3), category("coding", 0.9, "fine"))
    bad = replace(outcome(second, category("math", 0.3), category("coding", 0.1)), promoted=False)
    plan = planned(plan_round(replace(REQUEST, floor_share=0), KNOWN, [FIRST, second], [good, bad]))
    assert plan.category_ids == ["math"], "coding is weak only in the checkpoint that nobody builds on"
    given_up = replace(bad, categories=(category("math", 0.3, "stuck"), category("coding", 0.1)))
    assert "math" in stopped(plan_round(REQUEST, KNOWN, [FIRST, second], [good, given_up]))


def test_what_is_left_of_the_budget_cuts_every_category_alike() -> None:
    spent = replace(
        AFTER_FIRST,
        tokens=2_000,
        categories=tuple(replace(c, candidates=5, tokens=500) for c in AFTER_FIRST.categories),
    )
    free = planned(plan_round(REQUEST, KNOWN, [FIRST], [spent]))
    tight = planned(plan_round(replace(REQUEST, max_tokens=3_000), KNOWN, [FIRST], [spent]))
    assert tight.max_tokens == 1_000
    assert 100 * sum(c.candidates for c in tight.categories) <= 1_000 < 100 * sum(c.candidates for c in free.categories)
    assert tight.category_ids == free.category_ids
    nothing = stopped(plan_round(replace(REQUEST, max_tokens=2_010), KNOWN, [FIRST], [spent]))
    assert "does not cover one candidate" in nothing


def test_a_budget_in_money_is_kept_at_what_a_token_cost_so_far() -> None:
    spent = replace(
        AFTER_FIRST,
        tokens=2_000,
        cost_usd=0.2,
        categories=tuple(replace(c, candidates=5, tokens=500) for c in AFTER_FIRST.categories),
    )
    tight = planned(plan_round(replace(REQUEST, max_usd=0.3), KNOWN, [FIRST], [spent]))
    assert 0 < 100 * sum(c.candidates for c in tight.categories) <= 1_000
    assert "SEDI_BUDGET_MAX_USD" in stopped(plan_round(replace(REQUEST, max_usd=0.2), KNOWN, [FIRST], [spent]))


def test_a_weak_category_that_is_no_longer_known_is_not_asked_for() -> None:
    after = outcome(FIRST, category("poetry", 0.1))
    assert stopped(plan_round(REQUEST, KNOWN, [FIRST], [after])) == "no category is weak after round-0001"


def test_a_weak_category_at_its_target_has_nothing_to_gain() -> None:
    after = outcome(FIRST, category("math", 0.8))
    assert stopped(plan_round(REQUEST, KNOWN, [FIRST], [after])) == "no category is requested"


def test_a_person_may_ask_for_categories_weak_or_not_and_each_counts_once() -> None:
    request = replace(REQUEST, categories=("math", "coding", "math"), candidates_per_category=3)
    after = outcome(FIRST, category("math", 0.9, "fine"))
    plan = planned(plan_round(request, KNOWN, [FIRST], [after]))
    assert [(c.category, c.candidates) for c in plan.categories] == [("math", 3), ("coding", 3)]


def test_nothing_asked_for_is_no_round() -> None:
    assert stopped(plan_round(replace(REQUEST, categories=()), KNOWN, [], [])) == "no category is requested"
    assert stopped(plan_round(REQUEST, (), [], [])) == "no category is requested"


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


def test_a_person_may_go_on_after_a_plateau_until_the_next_one() -> None:
    request = replace(REQUEST, plateau_rounds=1, categories=("math",))
    plans = [FIRST, replace(FIRST, round="round-0002")]
    assert planned(plan_round(request, KNOWN, plans, [outcome(plan) for plan in plans])).round == "round-0003"
    twenty = replace(request, plateau_rounds=2, target_round=22)
    opened: list[RoundPlan] = []
    while isinstance(
        decided := plan_round(twenty, KNOWN, [*plans, *opened], [*map(outcome, [*plans, *opened])]), RoundPlan
    ):
        opened.append(decided)
    assert len(opened) == 2 and "no better score for 2 rounds" in decided.reason


def test_the_smaller_of_the_round_cap_and_what_is_left_is_the_cap_of_a_round() -> None:
    after = [outcome(FIRST, category("math", 0.1), tokens=700)]
    request = replace(REQUEST, max_tokens=1_000, max_tokens_per_round=500)
    assert planned(plan_round(request, KNOWN, [], [])).max_tokens == 500
    assert planned(plan_round(request, KNOWN, [FIRST], after)).max_tokens == 300
    assert planned(plan_round(REQUEST, KNOWN, [FIRST], after)).max_tokens is None
