"""Where the next tokens gain most: rates of learning from the history, and shares that follow from them."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sedi_dagster.feedback.expected_gain import CEILINGS, RATES, LearningCurve, learning_curve, shared_by_gain
from sedi_dagster.feedback.plan import PlanRequest, Stop, plan_round
from sedi_dagster.records import CategoryOutcome, Decision, RoundOutcome, RoundPlan

KNOWN = ("learns", "known", "never")
START = {"learns": 0.1, "known": 0.8, "never": 0.0}
REQUEST = PlanRequest("test")


def measured(name: str, passed: int, kept: int = 20, decision: Decision = "fine") -> CategoryOutcome:
    return CategoryOutcome(
        name, 20, passed, 0.0, 1.0, 0.6, 0.1, 0.1, decision, "", candidates=2 * kept, kept=kept, tokens=100 * kept
    )


def after(number: int, *categories: CategoryOutcome) -> RoundOutcome:
    kept, candidates, tokens = (sum(getattr(c, name) for c in categories) for name in ("kept", "candidates", "tokens"))
    score = sum(c.passed for c in categories) / sum(c.items for c in categories)
    return RoundOutcome(f"round-{number:04d}", kept, candidates, tokens, score, True, categories)


FIRST = after(1, measured("learns", 8), measured("known", 17), measured("never", 0))


def first_plan() -> RoundPlan:
    plan = plan_round(REQUEST, KNOWN, [], [])
    assert isinstance(plan, RoundPlan)
    return plan


def next_plan(*finished: RoundOutcome, **changes: object) -> RoundPlan | Stop:
    plans = [replace(first_plan(), round=outcome.round) for outcome in finished]
    return plan_round(replace(REQUEST, **changes), KNOWN, plans, finished, START)  # type: ignore[arg-type]


def test_the_more_was_gained_for_the_examples_so_far_the_more_is_expected_of_the_next() -> None:
    expected = {c: learning_curve(c, [FIRST], START[c]).gain(20) for c in KNOWN}
    assert expected["learns"] > 2 * expected["never"] > 0, "one round does not prove that nothing will ever be learnt"
    assert expected["learns"] > 2 * expected["known"]


def test_what_stood_still_for_rounds_is_expected_to_stand_still() -> None:
    stands = [after(n, measured("learns", 8)) for n in range(1, 5)]
    rises = [after(n, measured("learns", 2 + 2 * n)) for n in range(1, 4)] + [after(4, measured("learns", 8))]
    assert learning_curve("learns", stands, 0.1).gain(20) < 0.6 * learning_curve("learns", rises[:3], 0.1).gain(20)


def test_many_items_leave_less_open_than_few() -> None:
    few, many = (replace(measured("never", 0), items=n) for n in (4, 400))
    gains = [learning_curve("never", [after(1, seen), after(2, seen)], 0.0).gain(20) for seen in (few, many)]
    assert gains[1] < gains[0] / 3


def test_a_category_that_was_never_measured_is_expected_to_gain_something() -> None:
    assert learning_curve("new", [FIRST], 0.0).gain(20) > 0.1


def test_tokens_go_where_they_gain_not_where_the_gap_is() -> None:
    plan = next_plan(FIRST)
    assert isinstance(plan, RoundPlan)
    asked = {c.category: c.candidates for c in plan.categories}
    assert asked["learns"] > 2 * asked["never"] > 0 and asked["learns"] > 2 * asked.get("known", 0)
    assert "8 of 20 passed, target 60%; expected to gain" in plan.categories[0].reason


def test_a_met_target_does_not_stop_what_still_gains_unless_the_targets_are_the_goal() -> None:
    fine = after(1, measured("learns", 13), measured("known", 17), measured("never", 13))
    assert isinstance(next_plan(fine), RoundPlan)
    decided = next_plan(fine, goal="targets")
    assert isinstance(decided, Stop) and "no category is weak" in decided.reason


def test_with_targets_as_the_goal_only_what_is_below_its_target_is_asked_for() -> None:
    weak = after(
        1, measured("learns", 6, decision="weak"), measured("known", 17), measured("never", 0, decision="stuck")
    )
    plan = next_plan(weak, goal="targets")
    assert isinstance(plan, RoundPlan) and plan.category_ids == ["learns"]


def test_every_weak_category_gets_a_call_where_half_of_the_round_pays_for_it() -> None:
    never = replace(measured("never", 0, kept=100), items=400)
    learns = [replace(measured("learns", 20 + 30 * n), items=200) for n in (1, 2, 3)]
    for decision, asked_for in (("weak", True), ("fine", False)):
        before = [after(n, seen, replace(never, decision=decision)) for n, seen in enumerate(learns, 1)]
        plan = next_plan(*before, floor_share=0, per_call=5)
        assert isinstance(plan, RoundPlan)
        assert ("never" in plan.category_ids) == asked_for, "however little is expected of it"


def test_else_the_floor_goes_to_those_that_were_left_alone_longest() -> None:
    weak = [replace(measured(c, 0, kept=300, decision="weak"), items=4000) for c in ("known", "never")]
    learns = [replace(measured("learns", 20 + 30 * n, decision="weak"), items=200) for n in (1, 2, 3)]
    alone = [replace(c, candidates=0, kept=0, tokens=0) for c in weak]
    for first in (0, 1):
        before = [
            after(1, learns[0], *weak),
            after(2, learns[1], weak[first], alone[1 - first]),
            after(3, learns[2], *alone),
        ]
        plan = next_plan(*before, floor_share=0.2, per_call=5, candidates_per_category=5, most_per_category=3)
        assert isinstance(plan, RoundPlan)
        assert {"known", "never"} & set(plan.category_ids) == {weak[1 - first].category}


def test_a_floor_that_takes_the_whole_round_takes_nothing_away_again() -> None:
    known = tuple(f"c{n:02d}" for n in range(12))
    before = after(1, *(measured(c, 8) for c in known))
    for cost in range(100, 2_000, 100):
        dear = replace(before, categories=(replace(before.categories[0], tokens=cost), *before.categories[1:]))
        request = replace(REQUEST, floor_share=1.0, per_call=10, candidates_per_category=8)
        plan = plan_round(request, known, [first_plan()], [dear], dict.fromkeys(known, 0.1))
        assert isinstance(plan, RoundPlan)
        assert all(c.wanted and 1 <= c.wanted <= c.candidates for c in plan.categories)
        assert all(c.candidates % 10 == 0 for c in plan.categories), "the floor is whole calls"


@pytest.mark.parametrize("per_call", [1, 4, 6])
def test_a_category_is_asked_for_in_whole_calls_or_not_at_all(per_call: int) -> None:
    plan = next_plan(FIRST, per_call=per_call, candidates_per_category=8)
    assert isinstance(plan, RoundPlan)
    parts = [c.candidates % per_call for c in plan.categories]
    assert sum(part > 0 for part in parts) <= 1, "the tokens' last call alone may be a partial one"
    assert all(part == 0 or part >= per_call // 2 for part in parts)


def test_rounds_that_taught_nothing_end_the_loop_and_say_so() -> None:
    nothing = [replace(measured(c, round(100 * START[c]), kept=100), items=100) for c in KNOWN]
    assert isinstance(next_plan(after(1, *nothing)), RoundPlan), "one round is not enough to give up"
    decided = next_plan(*(after(n, *nothing) for n in range(1, 5)))
    assert isinstance(decided, Stop) and "of 300 items, less than 1" in decided.reason


CURVES = len(RATES) * len(CEILINGS)


def _curve(seed: int) -> LearningCurve:
    rng = np.random.default_rng(seed)
    return LearningCurve(rng.uniform(0, 0.9), rng.uniform(0, 100), rng.dirichlet(np.full(CURVES, 0.05)))


@settings(max_examples=40, deadline=None, derandomize=True)
@given(st.lists(st.integers(0, 10**6), min_size=2, max_size=6), st.floats(100, 1e5), st.floats(0.5, 500))
def test_no_other_sharing_of_the_tokens_gains_more(seeds: list[int], tokens: float, most: float) -> None:
    named = {str(i): _curve(seed) for i, seed in enumerate(seeds)}
    prices = {c: 10.0 + 37 * i for i, c in enumerate(named)}
    shared = shared_by_gain(named, prices, tokens, dict.fromkeys(named, most), dict.fromkeys(named, 0.01))
    assert sum(n * prices[c] for c, n in shared.items()) <= tokens * (1 + 1e-9)
    assert all(0 <= n <= most for n in shared.values())
    gained = sum(named[c].gain(n) for c, n in shared.items())
    rng = np.random.default_rng(0)
    for _ in range(20):
        other = dict(zip(named, rng.dirichlet(np.full(len(named), 0.5)) * tokens, strict=True))
        assert gained >= sum(named[c].gain(min(most, part / prices[c])) for c, part in other.items()) - 0.005


def test_in_made_up_loops_the_expected_gain_beats_equal_shares() -> None:
    """Twelve categories that learn at rates from 0 to 0.08 an example, measured on 24 noisy items each."""
    known = tuple(f"c{n:02d}" for n in range(12))
    hazards = dict(zip(known, (0, 0.002, 0.004, 0.006, 0.01, 0.015, 0.02, 0.03, 0.04, 0.05, 0.06, 0.08), strict=True))
    scores: dict[str, list[float]] = {"expected_gain": [], "even": []}
    for allocation, found in scores.items():
        for seed in range(12):
            found.append(_made_up_loop(known, hazards, allocation, np.random.default_rng(seed)))
    gains = np.array(scores["expected_gain"]) - np.array(scores["even"])
    assert gains.mean() > 0.015 and (gains > 0).sum() >= 10


def _made_up_loop(
    known: tuple[str, ...], hazards: dict[str, float], allocation: str, rng: np.random.Generator
) -> float:
    """The true mean share passed after four rounds of 12 x 10 candidates, all kept."""
    true = dict.fromkeys(known, 0.05)
    request = replace(REQUEST, allocation=allocation, candidates_per_category=10, plateau_rounds=20)  # type: ignore[arg-type]
    plans: list[RoundPlan] = []
    finished: list[RoundOutcome] = []
    for _ in range(4):
        plan = plan_round(request, known, plans, finished, dict.fromkeys(known, 0.05))
        assert isinstance(plan, RoundPlan)
        kept = {c.category: c.wanted or c.candidates for c in plan.categories}
        true = {c: 1 - (1 - p) * math.exp(-hazards[c] * kept.get(c, 0)) for c, p in true.items()}
        outcomes = [
            CategoryOutcome(
                c, 24, int(rng.binomial(24, true[c])), 0, 1, 0.6, 0.1, 0.1, "fine", "",
                candidates=kept.get(c, 0), kept=kept.get(c, 0), tokens=100 * kept.get(c, 0),
            )
            for c in known
        ]  # fmt: skip
        score = sum(o.score for o in outcomes) / len(outcomes)
        total = sum(kept.values())
        plans.append(plan)
        finished.append(RoundOutcome(plan.round, total, total, 100 * total, score, True, tuple(outcomes)))
    return float(np.mean(list(true.values())))
