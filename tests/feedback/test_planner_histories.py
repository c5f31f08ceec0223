"""Whatever happens to a loop, its planner keeps its promises: thousands of histories, made up step by step."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from sedi_dagster.feedback.category_status import StatusRules, status_over_rounds
from sedi_dagster.feedback.plan import PlanRequest, Stop, plan_round
from sedi_dagster.records import CategoryOutcome, Decision, RoundOutcome, RoundPlan

KNOWN = ("math", "coding", "open_qa", "reasoning", "extraction")
ITEMS = 40
TARGET = 0.6
RULES = StatusRules()
REQUESTS = st.builds(
    PlanRequest,
    st.just("test"),
    candidates_per_category=st.integers(1, 50),
    target_round=st.integers(0, 10),
    max_rounds=st.integers(1, 12),
    max_tokens=st.one_of(st.none(), st.integers(1, 10_000)),
    max_tokens_per_round=st.one_of(st.none(), st.integers(1, 3_000)),
    max_usd=st.one_of(st.none(), st.floats(0.01, 1)),
    plateau_rounds=st.integers(1, 4),
    floor_share=st.floats(0, 1),
    most_per_category=st.floats(1, 4),
    per_call=st.integers(1, 20),
    allocation=st.sampled_from(["expected_gain", "even"]),
    goal=st.sampled_from(["score", "targets"]),
)
TRIGGERS = st.sampled_from(["weak_category_sensor", "nightly_regeneration", "person", "sedi run"])
MEASURED = st.lists(
    st.tuples(
        st.integers(0, ITEMS),
        st.sampled_from(["weak", "fine", "not enough evidence"]),
        st.one_of(st.none(), st.floats(0, 1)),
        st.floats(0, 1),
    ),
    min_size=len(KNOWN),
    max_size=len(KNOWN),
)


def candidates_of(plan: RoundPlan, category: str) -> int:
    return next((c.candidates for c in plan.categories if c.category == category), 0)


class Loop(RuleBasedStateMachine):
    """A loop: rounds are asked for by anyone, opened or lost on the way, and finished with any outcome."""

    def __init__(self) -> None:
        super().__init__()
        self.plans: list[RoundPlan] = []
        self.finished: dict[str, RoundOutcome] = {}

    @initialize(request=REQUESTS)
    def begin(self, request: PlanRequest) -> None:
        self.request = request

    @property
    def outcomes(self) -> list[RoundOutcome]:
        return [self.finished[plan.round] for plan in self.plans if plan.round in self.finished]

    def ask(self, trigger: str = "test", categories: tuple[str, ...] | None = None) -> RoundPlan | Stop:
        request = replace(self.request, trigger=trigger, categories=categories)
        decided = plan_round(request, KNOWN, self.plans, self.outcomes)
        assert decided == plan_round(request, KNOWN, tuple(self.plans), tuple(self.outcomes)), "same input, same output"
        return decided

    @rule(trigger=TRIGGERS, lost=st.booleans())
    def somebody_asks(self, trigger: str, lost: bool) -> None:
        """An event may be lost after it was decided on: then nothing has happened, and the next one finds the same."""
        decided = self.ask(trigger)
        if isinstance(decided, Stop):
            assert decided.reason
            return
        last = self.outcomes[-1] if self.outcomes else None
        rests = {c.category for c in last.categories if c.decision in ("stuck", "cooling")} if last else set()
        if (self.request.allocation, self.request.goal) == ("expected_gain", "targets"):
            assert not rests & set(decided.category_ids), "a stuck or cooling category is never planned"
        assert decided.categories and len(set(decided.category_ids)) == len(decided.categories)
        calls = int(self.request.candidates_per_category * self.request.most_per_category) / self.request.per_call
        most = math.ceil(calls) * self.request.per_call
        for planned in decided.categories:
            assert 1 <= planned.candidates <= most
            assert planned.wanted is None or 1 <= planned.wanted <= planned.candidates
            assert planned.reason and planned.category in KNOWN
        if not lost:
            self.plans.append(decided)

    @precondition(lambda self: not self.open_rounds())
    @rule(category=st.sampled_from(KNOWN))
    def a_person_names_a_category(self, category: str) -> None:
        decided = self.ask("person", (category,))
        if isinstance(decided, RoundPlan):
            assert decided.category_ids == [category]
            self.plans.append(decided)

    @precondition(lambda self: self.open_rounds())
    @rule(measured=MEASURED, share=st.floats(0, 1), promoted=st.booleans(), priced=st.booleans())
    def the_round_ends(
        self, measured: list[tuple[int, Decision, float | None, float]], share: float, promoted: bool, priced: bool
    ) -> None:
        plan = self.open_rounds()[0]
        before = self.outcomes[-1] if self.outcomes else None
        tokens = int(share * (5_000 if plan.max_tokens is None else plan.max_tokens))  # the client holds the cap
        categories = []
        for name, (passed, decision, gain_p, kept) in zip(KNOWN, measured, strict=True):
            candidates = candidates_of(plan, name)
            judged = CategoryOutcome(
                name, ITEMS, passed, 0.0, 1.0, TARGET, 0.01, 0.02, decision, "as drawn", gain_p=gain_p,
                candidates=candidates, kept=int(kept * candidates),
                tokens=tokens // len(plan.categories) * bool(candidates),
            )  # fmt: skip
            seen = before.of(name) if before else None
            categories.append(status_over_rounds(judged, seen, bool(candidates), plan.round, RULES))
        self.finished[plan.round] = RoundOutcome(
            round=plan.round,
            kept=sum(c.kept for c in categories),
            candidates=sum(c.candidates for c in categories),
            tokens=tokens,
            score=sum(c.passed for c in categories) / (ITEMS * len(KNOWN)),
            promoted=promoted,
            categories=tuple(categories),
            cost_usd=tokens * 1e-5 if priced else None,
        )

    @precondition(lambda self: self.finished)
    @rule()
    def an_event_is_repeated(self) -> None:
        """The same plan and outcome are written down once more."""
        decided = self.ask()
        for outcome in self.outcomes:
            self.finished[outcome.round] = RoundOutcome.from_json(outcome.to_json())
        self.plans = [RoundPlan.from_json(plan.to_json()) for plan in self.plans]
        assert self.ask() == decided

    def open_rounds(self) -> list[RoundPlan]:
        return [plan for plan in self.plans if plan.round not in self.finished]

    @invariant()
    def never_two_rounds_are_open(self) -> None:
        assert len(self.open_rounds()) <= 1
        assert len({plan.round for plan in self.plans}) == len(self.plans)
        if self.open_rounds():
            assert isinstance(self.ask(), Stop)

    @invariant()
    def the_budget_is_kept_and_the_loop_ends(self) -> None:
        if not self.plans:
            return
        assert len(self.plans) <= self.request.max_rounds
        if self.request.max_tokens is not None:
            promised = sum(plan.max_tokens or 0 for plan in self.open_rounds())
            assert sum(o.tokens for o in self.outcomes) + promised <= self.request.max_tokens
        if self.request.max_tokens_per_round is not None:
            assert all(plan.max_tokens is not None for plan in self.plans)
            assert all(o.tokens <= self.request.max_tokens_per_round for o in self.outcomes)

    @invariant()
    def no_category_is_paid_for_in_vain_for_ever(self) -> None:
        for outcome in self.outcomes:
            for c in outcome.categories:
                assert c.decision != "weak" or c.targeted < RULES.stuck_after


def _histories(count: int) -> None:
    run_state_machine_as_test(
        Loop,
        settings=settings(
            max_examples=count,
            stateful_step_count=30,
            deadline=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_in_hundreds_of_histories_the_planner_keeps_its_promises() -> None:
    _histories(150)


@pytest.mark.slow
def test_in_thousands_of_histories_the_planner_keeps_its_promises() -> None:
    _histories(4_000)
