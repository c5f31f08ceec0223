"""`sedi run`: executes in its own process whatever is due, with the same jobs and instance as the sensors.

The state is read anew before every step, so an interrupted driver resumes where it stopped.
"""

import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import dagster as dg

from sedi_dagster.errors import SediError, WorkloadError
from sedi_dagster.feedback.plan import Stop
from sedi_dagster.orchestration.checking import job_subset
from sedi_dagster.orchestration.due import Attempt, Launch, LoopState, Wait, Work, describe_waits, due
from sedi_dagster.orchestration.home import restore
from sedi_dagster.orchestration.outputs import step_failures, user_error
from sedi_dagster.orchestration.ownership import claim_loop, hold_lease
from sedi_dagster.orchestration.planning import BY_SEDI_RUN, add_partitions, check_categories, start_round
from sedi_dagster.orchestration.preflight import preflight
from sedi_dagster.orchestration.resources import SediResource
from sedi_dagster.orchestration.runs import (
    INPUTS,
    PROCESS,
    ROUND,
    WORK,
    cancel_queued_runs,
    close_dead_runs,
    daemon_is_down,
)
from sedi_dagster.orchestration.state import ROUND_STAGE, read_state
from sedi_dagster.orchestration.workloads import warm_worker
from sedi_dagster.records import RoundPlan
from sedi_dagster.storage.rounds import cut_short
from sedi_dagster.workloads.progress import ProgressLine, parse_progress

POLL_S = 0.5
POLL_WAITING_S = 2.0
TRANSIENT_CAUSES = ("lost", "outage", "vanished")
"""Causes after which `sedi run` retries as the sensors do; any other ends it at once with an error."""
REPOSITORY = {".dagster/repository": "__repository__@sedi_dagster"}
"""The tag by which the UI finds a job's runs. `dg dev` and workspace.yaml give the code location this name."""


@dataclass(frozen=True)
class Stage:
    """The work in progress, for the display. Stages of a round that run one after another are numbered from 0."""

    round: str
    name: str
    number: int
    of: int


Watch = Callable[[Stage, ProgressLine | None], None]
"""Called when a stage begins (with None) and with each of its progress lines."""


class Driver:
    """Drives the loop on a Dagster instance."""

    def __init__(self, defs: dg.Definitions, instance: dg.DagsterInstance, sedi: SediResource, watch: Watch) -> None:
        self._defs, self._instance, self._sedi, self._watch = defs, instance, sedi, watch
        self._home = Path(instance.root_directory)
        self._began = time.time()
        self._interrupted: Callable[[], bool] = lambda: False

    def run(self, rounds: int, categories: Sequence[str] | None, candidates_per_category: int | None) -> str:
        """Run until `rounds` more rounds are finished or the planner stops, and return the reason.

        An open round is finished first, whoever opened it, and counts as one of them. If an interrupted `sedi run` left
        it open, only the rounds missing from that run's target are done, but never more than `rounds`.

        Raises:
            SediError: something that the user can fix. Finished work is kept.
        """
        check_categories(self._sedi, categories)
        preflight(self._sedi)
        settings = self._sedi.settings()
        with hold_lease(settings, self._home), warm_worker(settings), record_interrupts() as self._interrupted:
            return self._run(rounds, categories, candidates_per_category)

    def _run(self, rounds: int, categories: Sequence[str] | None, candidates_per_category: int | None) -> str:
        close_dead_runs(self._instance, alone=not self._other_driver())
        restore(self._instance, self._sedi)
        target = self._target(rounds)
        last_message = ""
        while True:
            add_partitions(self._sedi, self._instance)
            state = read_state(
                self._sedi,
                self._instance,
                BY_SEDI_RUN,
                categories,
                candidates_per_category,
                target,
                since=self._began,
                other_driver=self._other_driver(),
            )
            if state.open is None and not state.pending and len(self._sedi.history().finished) >= target:
                ended = "1 round is finished" if target == 1 else f"{target} rounds are finished"
                ended += " in total" if target > rounds else ""
                return f"{ended}{self._cut_short()}"
            steps = due(state)
            first = steps[0]
            if isinstance(first, Launch):
                self._execute(state, first)
            elif isinstance(first, RoundPlan):
                start_round(self._sedi, self._instance, first)
            elif isinstance(first, Stop):
                return f"{first.reason}{self._cut_short()}"
            else:
                last_message = self._wait(state, [step for step in steps if isinstance(step, Wait)], last_message)

    def _other_driver(self) -> str:
        return claim_loop(self._sedi.settings(), self._home)

    def _cut_short(self) -> str:
        """The end of a sentence that names the batches of the last round that a budget cut short."""
        finished = self._sedi.history().finished
        if not finished:
            return ""
        plan = self._sedi.plan(finished[-1].round)
        cut = [category for category in plan.category_ids if cut_short(self._sedi.store(), plan.round, category)]
        return f"; the budget cut {', '.join(cut)} of {plan.round} short" if cut else ""

    def _target(self, rounds: int) -> int:
        history = self._sedi.history()
        target = len(history.finished) + rounds
        interrupted = history.open_round
        if interrupted is not None and interrupted.trigger == BY_SEDI_RUN:
            return min(target, interrupted.target_round)
        return target

    def _wait(self, state: LoopState, waits: Sequence[Wait], last_message: str) -> str:
        """Wait for a run of the daemon or the next attempt. Return the message shown, so that it is not repeated."""
        for wait in waits:
            if wait.attempt and (wait.needs_user or wait.attempt.cause not in TRANSIENT_CAUSES):
                raise self._failure(wait, wait.attempt)
        message = describe_waits(waits)
        if message != last_message:
            self._watch(Stage(state.open.round if state.open else "", f"waiting. {message}", 0, 1), None)
        close_dead_runs(self._instance, alone=not self._other_driver())
        if daemon_is_down(self._instance):
            cancel_queued_runs(self._instance)
        time.sleep(POLL_WAITING_S)
        return message

    def _execute(self, state: LoopState, step: Launch) -> None:
        """Execute a job in this process, and show the progress that it reports to the event log."""
        work, stage = step.work, _stage(state, step.work)
        self._watch(stage, None)
        run_id = str(uuid4())
        tags = {
            WORK: work.key,
            ROUND: work.round,
            INPUTS: state.inputs,
            PROCESS: f"{os.uname().nodename}:{os.getpid()}",
            **REPOSITORY,
        }
        with _follow_progress(self._instance, run_id, lambda line: self._watch(stage, line)):
            result = job_subset(self._defs.resolve_job_def(work.job), work.assets).execute_in_process(
                instance=self._instance,
                partition_key=work.partition,
                tags=tags,
                run_config={"loggers": {"console": {"config": {"log_level": "ERROR"}}}},
                raise_on_error=False,
                run_id=run_id,
            )
        if self._interrupted() or (not result.success and was_interrupted(result)):
            raise KeyboardInterrupt

    def _failure(self, wait: Wait, attempt: Attempt) -> SediError:
        """The error that failed the attempt, with its original message if it has one."""
        for failure in step_failures(self._instance, attempt.run_id):
            if found := user_error(failure):
                return found[1]
        name = wait.work.name if wait.work else "A run"
        return WorkloadError(
            f"{name} failed: {attempt.message or attempt.cause}.", "See the run in the UI (`make ui`) for details."
        )


def _stage(state: LoopState, work: Work) -> Stage:
    if state.open is not None and work.partition and "|" in work.partition:
        categories = state.open.category_ids
        return Stage(work.round, work.name, categories.index(work.partition.split("|")[0]), len(categories))
    return Stage(work.round if work.name == ROUND_STAGE else "", work.name, 0, 1)


def was_interrupted(result: dg.ExecuteInProcessResult) -> bool:
    """Return whether Ctrl-C ended a run.

    The interrupt may be the cause of another error, such as one raised while a workload was stopped, and it may come
    outside of any step, while resources are set up.
    """

    def interrupted(error: object) -> bool:
        if error is None:
            return False
        text = f"{getattr(error, 'cls_name', '')} {getattr(error, 'message', '')}"
        inner = (getattr(error, "cause", None), getattr(error, "context", None))
        return "ExecutionInterrupted" in text or any(map(interrupted, inner))

    return any(interrupted(getattr(event.event_specific_data, "error", None)) for event in result.all_events)


@contextmanager
def record_interrupts() -> Iterator[Callable[[], bool]]:
    """Yield a function that returns whether Ctrl-C was pressed since its last call, even if nothing was raised.

    Dagster drops an interrupt that comes after the last step of a job, and Python cannot raise in every callback.
    """
    receiver, sender = socket.socketpair()
    with receiver, sender:
        receiver.setblocking(False)
        sender.setblocking(False)
        previous = signal.set_wakeup_fd(sender.fileno(), warn_on_full_buffer=False)

        def interrupted() -> bool:
            try:
                return signal.SIGINT in receiver.recv(4096)
            except BlockingIOError:
                return False

        try:
            yield interrupted
        finally:
            signal.set_wakeup_fd(previous)


@contextmanager
def _follow_progress(
    instance: dg.DagsterInstance, run_id: str, report: Callable[[ProgressLine], None]
) -> Iterator[None]:
    """Pass on the progress lines in a run's event log."""
    stop = threading.Event()

    def follow() -> None:
        cursor = None
        while not stop.wait(POLL_S):
            connection = instance.get_records_for_run(run_id, cursor=cursor)
            cursor = connection.cursor
            for record in connection.records:
                line = parse_progress(record.event_log_entry.user_message)
                if line is not None:
                    report(line)

    follower = threading.Thread(target=follow, daemon=True)
    follower.start()
    try:
        yield
    finally:
        stop.set()
        follower.join()
