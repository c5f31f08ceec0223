"""What to do next: one pure function, shared by the sensors and `sedi run`.

`round_ready_sensor` submits the result as runs, `sedi run` executes it in its own process, and `weak_category_sensor`
opens rounds. The function depends only on the state (`state.look`), so missed ticks, restarts and lost cursors do no
harm.

    prepare what is stale ─► generate each planned category ─► train, evaluate, report ─► open the next round, or stop
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from sedi_dagster.feedback.plan import Stop
from sedi_dagster.records import RoundPlan

Cause = Literal["lost", "outage", "user error", "failed check", "defect", "vanished", "canceled"]
"""Why a run did not do its work. lost: its process died. outage: the teacher or a store is temporarily unavailable.
user error: a file, a setting or a machine that the user must fix. failed check: a blocking check failed. defect: any
other exception. vanished: the run succeeded but its data is missing. canceled: the user cancelled it."""


@dataclass(frozen=True)
class RetryPolicy:
    """How often work is retried after one cause, with backoff doubling from `first_s` to `most_s`."""

    attempts: int
    first_s: float
    most_s: float = 3600.0

    def pause_s(self, failures: int) -> float:
        """Seconds between the last of so many failures (1 or more) and the next attempt."""
        return min(self.most_s, self.first_s * 2.0 ** (failures - 1))


RETRY_POLICIES: dict[Cause, RetryPolicy] = {
    "lost": RetryPolicy(6, 10),
    "outage": RetryPolicy(10, 30),  # about three hours
    "user error": RetryPolicy(3, 300),  # a change of settings or files is noticed at once and begins the count anew
    "failed check": RetryPolicy(2, 60),
    "defect": RetryPolicy(3, 60),
    "vanished": RetryPolicy(3, 10),
}
"""Cancelled runs have no policy: the user decides when to resume."""


@dataclass(frozen=True)
class Work:
    """Something that one run does. `key` names it in run keys and tags; `assets` is all of the job if empty."""

    key: str
    name: str
    job: str
    round: str
    partition: str | None = None
    assets: tuple[str, ...] = ()


@dataclass(frozen=True)
class Attempt:
    """A run that ended without completing its work."""

    run_id: str
    cause: Cause
    ended_at: float
    message: str = ""

    def describe(self) -> str:
        """The run, the cause and the message, as messages show them."""
        return f"run {self.run_id[:8]} ({self.cause})" + (f": {self.message}" if self.message else "")


@dataclass(frozen=True)
class PendingWork:
    """Work that is not done yet, with its attempts so far.

    Attributes:
        active: the run in progress, empty if there is none.
        attempts: runs that failed on the present settings and files, oldest first.
        runs: number of runs so far, from which the next run's number follows.
    """

    work: Work
    active: str = ""
    attempts: tuple[Attempt, ...] = ()
    runs: int = 0


@dataclass(frozen=True)
class LoopState:
    """Everything that the decision depends on.

    Attributes:
        open: the open round.
        pending: what it needs next, or what the last finished round still lacks.
        next: the planner's answer, if no round is open.
        inputs: hash of the settings and files as they are now; runs that are started are tagged with it.
        elsewhere: what else drives this loop; empty if nothing does.
        now: seconds since the epoch.
    """

    open: RoundPlan | None
    pending: tuple[PendingWork, ...]
    next: RoundPlan | Stop
    now: float
    inputs: str = ""
    elsewhere: str = ""


@dataclass(frozen=True)
class Launch:
    """Start this work; `number` counts its runs from 1."""

    work: Work
    number: int

    @property
    def run_key(self) -> str:
        return f"{self.work.key}|{self.number}"


@dataclass(frozen=True)
class Wait:
    """Nothing to start now.

    Attributes:
        until: when its next attempt is due; None: not by the clock.
        person: nothing happens until the user acts.
        work, attempt: what waits, and the run that it failed in.
    """

    why: str
    until: float | None = None
    person: bool = False
    work: Work | None = None
    attempt: Attempt | None = None


Step = Launch | RoundPlan | Wait | Stop
"""A plan: open this round, unless another plan was written in the meantime. Stop: the loop has stopped, and why."""


def due(state: LoopState) -> list[Step]:
    """What is due, most urgent first: work to start, or why there is none."""
    if state.elsewhere:
        return [Wait(f"{state.elsewhere} drives the loop.")]
    steps = [_next_step(pending, state.now) for pending in state.pending]
    return sorted(steps, key=lambda step: not isinstance(step, Launch)) or [state.next]


def _next_step(pending: PendingWork, now: float) -> Step:
    work = pending.work
    if pending.active:
        return Wait(f"{work.name}: run {pending.active[:8]} is in progress.", work=work)
    if not pending.attempts:
        return Launch(work, pending.runs + 1)
    last = pending.attempts[-1]
    if last.cause == "canceled":
        return Wait(
            f"{work.name}: run {last.run_id[:8]} was cancelled. Re-execute it in the UI, or finish the "
            "round with `sedi run --rounds 1`.",
            person=True,
            work=work,
            attempt=last,
        )
    policy, failures = RETRY_POLICIES[last.cause], sum(a.cause == last.cause for a in pending.attempts)
    if failures >= policy.attempts:
        return Wait(
            f"{work.name}: given up after {failures} attempts; the last was {last.describe()}. Fix the cause, then "
            "re-execute that run in the UI, or finish the round with `sedi run --rounds 1`. Changed settings or "
            "files are detected automatically.",
            person=True,
            work=work,
            attempt=last,
        )
    again = last.ended_at + policy.pause_s(failures)
    if now >= again:
        return Launch(work, pending.runs + 1)
    return Wait(f"{work.name}: {last.describe()}.", again, work=work, attempt=last)


def waiting(steps: Sequence[Step], now: float | None = None) -> str:
    """Why nothing is started, as one paragraph; with `now`, also when the next attempts are due."""
    messages = []
    for step in steps:
        if isinstance(step, Stop):
            messages.append(step.reason)
        if isinstance(step, Wait):
            messages.append(step.why)
            if step.until is not None and now is not None:
                messages.append(f"Next attempt in {step.until - now:.0f} s.")
    return " ".join(messages)
