"""The engine: what is due in every state, as one pure function."""

from __future__ import annotations

from typing import Any

import pytest

from sedi_dagster.feedback.plan import Stop
from sedi_dagster.orchestration.due import (
    RETRY_POLICIES,
    Attempt,
    Cause,
    Launch,
    LoopState,
    PendingWork,
    Wait,
    Work,
    describe_waits,
    due,
)
from sedi_dagster.records import CategoryPlan, RoundPlan

PLAN = RoundPlan("round-0002", "round-0001", "test", (CategoryPlan("math", 4, "weak"),), 2)
WORK = Work("generate|round-0002|math", "generate math", "generate_batch", "round-0002", "math|round-0002")
NOW = 1_000_000.0


def state(*pending: PendingWork, **changed: Any) -> LoopState:
    return LoopState(**{"open": PLAN, "pending": pending, "next": Stop("a round is open"), "now": NOW, **changed})


def failed(cause: Cause, *ages_s: float) -> tuple[Attempt, ...]:
    return tuple(Attempt(f"run{n}xxxxxxxx", cause, NOW - age, "it broke") for n, age in enumerate(ages_s))


def test_work_that_was_never_asked_for_is_started_as_its_first_run() -> None:
    (step,) = due(state(PendingWork(WORK)))
    assert isinstance(step, Launch) and step.run_key == "generate|round-0002|math|1"


def test_work_that_a_run_is_at_is_waited_for() -> None:
    (step,) = due(state(PendingWork(WORK, active="abcdef0123")))
    assert isinstance(step, Wait) and "abcdef01" in step.reason and not step.needs_user


@pytest.mark.parametrize("cause", RETRY_POLICIES)
def test_a_failed_run_is_asked_for_again_under_a_key_of_its_own_after_a_pause(cause: Cause) -> None:
    pause = RETRY_POLICIES[cause].pause_s(1)
    (early,) = due(state(PendingWork(WORK, attempts=failed(cause, pause - 1), runs=1)))
    assert isinstance(early, Wait) and early.until == NOW + 1 and "it broke" in early.reason and "run0" in early.reason
    (later,) = due(state(PendingWork(WORK, attempts=failed(cause, pause), runs=1)))
    assert isinstance(later, Launch) and later.number == 2


@pytest.mark.parametrize("cause", RETRY_POLICIES)
def test_attempts_are_bounded_and_then_a_person_is_told_what_to_do(cause: Cause) -> None:
    tries = RETRY_POLICIES[cause].attempts
    (step,) = due(state(PendingWork(WORK, attempts=failed(cause, *[9e9] * tries), runs=tries)))
    assert isinstance(step, Wait) and step.needs_user
    assert f"run{tries - 1}" in step.reason and "re-execute" in step.reason


def test_causes_are_counted_apart() -> None:
    many = failed("outage", *[9e9] * (RETRY_POLICIES["outage"].attempts - 1)) + failed("lost", 9e9)
    (step,) = due(state(PendingWork(WORK, attempts=many, runs=len(many))))
    assert isinstance(step, Launch)


def test_a_cancelled_run_is_left_to_who_cancelled_it() -> None:
    (step,) = due(state(PendingWork(WORK, attempts=failed("canceled", 9e9), runs=1)))
    assert isinstance(step, Wait) and step.needs_user and "cancelled" in step.reason and "Re-execute" in step.reason


def test_a_run_after_the_cancelled_one_decides() -> None:
    (step,) = due(state(PendingWork(WORK, attempts=failed("canceled", 9e9) + failed("lost", 9e8), runs=2)))
    assert isinstance(step, Launch) and step.number == 3


def test_what_can_start_comes_before_what_waits() -> None:
    waits, starts = (
        PendingWork(WORK, active="x" * 8),
        PendingWork(Work("k", "generate b", "generate_batch", PLAN.round)),
    )
    first, second = due(state(waits, starts))
    assert isinstance(first, Launch) and isinstance(second, Wait)


def test_pauses_grow_up_to_a_limit() -> None:
    patience = RETRY_POLICIES["outage"]
    pauses = [patience.pause_s(n) for n in range(1, patience.attempts)]
    assert pauses == sorted(pauses) and pauses[-1] <= patience.max_s and pauses[1] == 2 * pauses[0]


def test_nothing_is_started_while_somebody_else_drives() -> None:
    (step,) = due(state(PendingWork(WORK), other_driver="`sedi run`"))
    assert isinstance(step, Wait) and "sedi run" in step.reason


def test_without_an_open_round_the_planners_answer_is_due() -> None:
    assert due(state(open=None, next=PLAN)) == [PLAN]
    assert due(state(open=None, next=Stop("no category is weak"))) == [Stop("no category is weak")]


def test_what_a_finished_round_lacks_comes_before_the_next_round() -> None:
    (step,) = due(state(PendingWork(Work("round|r", "report", "train_round", "r")), open=None, next=PLAN))
    assert isinstance(step, Launch)


def test_the_reason_to_wait_says_when_the_next_attempt_is_due() -> None:
    steps = due(state(PendingWork(WORK, attempts=failed("lost", 4), runs=1)))
    assert "Next attempt in 6 s" in describe_waits(steps, NOW)
