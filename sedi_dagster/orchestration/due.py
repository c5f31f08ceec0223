"""What to do next: one pure function, shared by the sensors and `sedi run`.

`round_ready_sensor` submits the result as runs, `sedi run` executes it in its own process, and `weak_category_sensor`
opens rounds. The function depends only on the state (`state.read_state`), so missed ticks, restarts and lost cursors do
no harm.

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
    """Maximum number of attempts for one cause, with a pause that doubles from `first_s` up to `max_s` seconds."""

    attempts: int
    first_s: float
    max_s: float = 3600.0

    def pause_s(self, failures: int) -> float:
        """Return the pause before the next attempt, in seconds, after `failures` (at least 1) failures."""
        return min(self.max_s, self.first_s * 2.0 ** (failures - 1))


RETRY_POLICIES: dict[Cause, RetryPolicy] = {
    "lost": RetryPolicy(6, 10),
    "outage": RetryPolicy(10, 30),  # about three hours
    "user error": RetryPolicy(3, 300),  # a change of settings or files resets the count
    "failed check": RetryPolicy(2, 60),
    "defect": RetryPolicy(3, 60),
    "vanished": RetryPolicy(3, 10),
}
"""Cancelled runs have no policy: the user decides when to resume."""


@dataclass(frozen=True)
class Work:
    """The work of one run. `key` identifies it in run keys and tags; empty `assets` means all assets of the job."""

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
        """Return the run, the cause and the error message as text."""
        return f"run {self.run_id[:8]} ({self.cause})" + (f": {self.message}" if self.message else "")


@dataclass(frozen=True)
class PendingWork:
    """Work that is not done yet, with its attempts so far.

    Attributes:
        active: id of the run in progress; empty if there is none.
        attempts: runs that failed with the current settings and files, oldest first.
        runs: number of all runs so far; the next run's number is one more.
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
        pending: work that the open round needs next, or that the last finished round still lacks.
        next: the planner's decision, if no round is open.
        inputs: hash of the current settings and files, with which new runs are tagged.
        other_driver: another process that drives the loop; empty if there is none.
        now: seconds since the epoch.
    """

    open: RoundPlan | None
    pending: tuple[PendingWork, ...]
    next: RoundPlan | Stop
    now: float
    inputs: str = ""
    other_driver: str = ""


@dataclass(frozen=True)
class Launch:
    """Start this work. Its runs are numbered from 1."""

    work: Work
    number: int

    @property
    def run_key(self) -> str:
        return f"{self.work.key}|{self.number}"


@dataclass(frozen=True)
class Wait:
    """Nothing can be started now.

    Attributes:
        until: time of the next attempt, in seconds since the epoch; None if no attempt is scheduled.
        needs_user: nothing happens until the user acts.
        work: the work that waits.
        attempt: the failed or cancelled run of that work.
    """

    reason: str
    until: float | None = None
    needs_user: bool = False
    work: Work | None = None
    attempt: Attempt | None = None


Step = Launch | RoundPlan | Wait | Stop
"""`RoundPlan`: open this round, unless another plan was saved in the meantime. `Stop`: the loop has stopped."""


def due(state: LoopState) -> list[Step]:
    """Return the next steps, work to start first. There is at least one."""
    if state.other_driver:
        return [Wait(f"{state.other_driver} drives the loop.")]
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
            needs_user=True,
            work=work,
            attempt=last,
        )
    policy, failures = RETRY_POLICIES[last.cause], sum(a.cause == last.cause for a in pending.attempts)
    if failures >= policy.attempts:
        return Wait(
            f"{work.name}: given up after {failures} attempts; the last was {last.describe()}. Fix the cause, then "
            "re-execute that run in the UI, or finish the round with `sedi run --rounds 1`. Changed settings or "
            "files are detected automatically.",
            needs_user=True,
            work=work,
            attempt=last,
        )
    retry_at = last.ended_at + policy.pause_s(failures)
    if now >= retry_at:
        return Launch(work, pending.runs + 1)
    return Wait(f"{work.name}: {last.describe()}.", retry_at, work=work, attempt=last)


def describe_waits(steps: Sequence[Step], now: float | None = None) -> str:
    """Return why nothing is started, as one paragraph; given `now`, also when the next attempts are due."""
    messages = []
    for step in steps:
        if isinstance(step, Stop):
            messages.append(step.reason)
        if isinstance(step, Wait):
            messages.append(step.reason)
            if step.until is not None and now is not None:
                messages.append(f"Next attempt in {step.until - now:.0f} s.")
    return " ".join(messages)
