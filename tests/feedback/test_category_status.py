"""What a category's evidence means after the rounds before: hysteresis, cool-down, stuck."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sedi_dagster.feedback.category_status import StatusRules, status_over_rounds, stuck
from sedi_dagster.records import CategoryOutcome, Decision

RULES = StatusRules(alpha=0.05, cool_down_rounds=1, stuck_after=2)


def judged(passed: int, decision: Decision = "not enough evidence", gain_p: float | None = None) -> CategoryOutcome:
    return CategoryOutcome(
        "math", 20, passed, 0.0, 1.0, 0.6, 0.2, 0.4, decision, f"{passed} of 20 passed: as judged", gain_p=gain_p
    )


def history(*steps: tuple[CategoryOutcome, bool], rules: StatusRules = RULES) -> list[CategoryOutcome]:
    """Outcomes of rounds 1, 2, ...; each step is what was judged and whether the round asked for it."""
    outcomes: list[CategoryOutcome] = []
    for number, (outcome, asked_for) in enumerate(steps, start=1):
        before = outcomes[-1] if outcomes else None
        outcomes.append(status_over_rounds(outcome, before, asked_for, f"round-{number:04d}", rules))
    return outcomes


def decisions(*steps: tuple[CategoryOutcome, bool], rules: StatusRules = RULES) -> list[str]:
    return [outcome.decision for outcome in history(*steps, rules=rules)]


def test_a_weak_category_stays_weak_until_its_target_is_reached() -> None:
    unsure = judged(10)
    assert decisions((judged(4, "weak"), True), (unsure, True)) == ["weak", "weak"]
    assert decisions((judged(10), True), (unsure, True)) == ["not enough evidence"] * 2, (
        "but it does not become weak so"
    )
    assert decisions((judged(4, "weak"), True), (judged(12, "fine"), True))[-1] == "cooling"


def test_one_that_left_weakness_is_left_alone_and_may_come_back_later() -> None:
    steps = [(judged(4, "weak"), True), (judged(12, "fine"), True), (judged(4, "weak"), False)]
    assert decisions(*steps) == ["weak", "cooling", "weak"]
    longer = replace(RULES, cool_down_rounds=2)
    again = (judged(4, "weak"), False)
    assert decisions(*steps, again, rules=longer) == ["weak", "cooling", "cooling", "weak"]
    assert decisions(*steps[:2], rules=replace(RULES, cool_down_rounds=0)) == ["weak", "fine"]


def test_two_rounds_that_asked_for_it_without_a_significant_gain_are_enough() -> None:
    in_vain = judged(4, "weak", gain_p=0.4)
    outcomes = history((judged(4, "weak"), True), (in_vain, True), (in_vain, True))
    assert [o.decision for o in outcomes] == ["weak", "weak", "stuck"]
    assert "no significant gain since round-0001 in 2 rounds that targeted it" in outcomes[-1].reason
    assert stuck(outcomes[-1:]) == ["math"]


def test_the_round_that_found_it_and_rounds_that_did_not_ask_for_it_do_not_count() -> None:
    in_vain = judged(4, "weak", gain_p=0.4)
    assert decisions((judged(4, "weak"), True), *[(in_vain, False)] * 5) == ["weak"] * 6


def test_a_significant_gain_starts_the_count_again_from_where_it_is() -> None:
    in_vain, gained = judged(4, "weak", gain_p=0.4), judged(8, "weak", gain_p=0.01)
    outcomes = history((judged(2, "weak"), True), (in_vain, True), (gained, True), (in_vain, True))
    assert [o.decision for o in outcomes] == ["weak"] * 4
    assert [(o.since, o.targeted) for o in outcomes[1:]] == [("round-0001", 1), ("round-0003", 0), ("round-0003", 1)]


def test_stuck_stays_stuck_until_a_person_asks_it_gains_or_it_reaches_its_target() -> None:
    in_vain = judged(4, "weak", gain_p=0.4)
    given_up = [(judged(4, "weak"), True), (in_vain, True), (in_vain, True)]
    assert decisions(*given_up, (in_vain, False), (in_vain, False))[3:] == ["stuck", "stuck"]
    assert decisions(*given_up, (in_vain, True), (in_vain, True))[3:] == ["weak", "stuck"], "one more try for a person"
    assert decisions(*given_up, (judged(9, gain_p=0.01), False))[-1] == "weak"
    assert decisions(*given_up, (judged(13, "fine"), False))[-1] == "cooling"


@pytest.mark.parametrize("decision", ["fine", "not enough evidence", "weak"])
def test_the_first_round_is_as_judged(decision: Decision) -> None:
    (outcome,) = history((judged(5, decision), True))
    assert outcome.decision == decision and outcome.since == "round-0001" and outcome.targeted == 0
