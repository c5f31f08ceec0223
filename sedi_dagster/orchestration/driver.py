"""`sedi run`: executes in its own process what is due, with the same jobs and instance as the sensors.

Every step reads the state again, so an interrupted driver resumes where it stopped.
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
from sedi_dagster.orchestration.checking import part_of
from sedi_dagster.orchestration.due import Launch, LoopState, Wait, Work, due, waiting
from sedi_dagster.orchestration.home import restore
from sedi_dagster.orchestration.outputs import step_failures, user_error
from sedi_dagster.orchestration.ownership import claim_loop, lease_held
from sedi_dagster.orchestration.planning import BY_SEDI_RUN, add_partitions, check_categories, start_round
from sedi_dagster.orchestration.preflight import preflight
from sedi_dagster.orchestration.resources import SediResource
from sedi_dagster.orchestration.runs import (
    INPUTS,
    PROCESS,
    ROUND,
    WORK,
    close_dead_runs,
    nobody_dequeues,
    take_over_queue,
)
from sedi_dagster.orchestration.state import ROUND_STAGE, read_state
from sedi_dagster.orchestration.workloads import ready_for_workloads
from sedi_dagster.records import RoundPlan
from sedi_dagster.storage.rounds import cut_short
from sedi_dagster.workloads.progress import ProgressLine, parse_progress

POLL_S = 0.5
POLL_WAITING_S = 2.0
PASSING = ("lost", "outage", "vanished")
"""Causes after which `sedi run` retries as the sensors do; any other ends it at once with an error."""
REPOSITORY = {".dagster/repository": "__repository__@sedi_dagster"}
"""The tag by which the UI finds a job's runs: `dg dev` and workspace.yaml name the code location so."""


@dataclass(frozen=True)
class Stage:
    """What is being worked on: for the display."""

    round: str
    name: str
    number: int
    of: int


Watch = Callable[[Stage, ProgressLine | None], None]
"""Called when a stage begins (no progress yet) and with each progress line of it."""


class Driver:
    """Drives the loop on a Dagster instance."""

    def __init__(self, defs: dg.Definitions, instance: dg.DagsterInstance, sedi: SediResource, watch: Watch) -> None:
        self._defs, self._instance, self._sedi, self._watch = defs, instance, sedi, watch
        self._home = Path(instance.root_directory)
        self._began = time.time()
        self._interrupted: Callable[[], bool] = lambda: False

    def run(self, rounds: int, categories: Sequence[str] | None, candidates_per_category: int | None) -> str:
        """Go on until `rounds` more rounds are finished, or the planner says stop. Returns why it ended.

        A round that is open is finished first, whoever opened it, and is one of them. Of a target that an interrupted
        `sedi run` left, what is missing is done, but never more than `rounds`.

        Raises:
            SediError: what the user can fix. Everything finished so far stays.
        """
        check_categories(self._sedi, categories)
        preflight(self._sedi)
        settings = self._sedi.settings()
        with lease_held(settings, self._home), ready_for_workloads(settings), noted_interrupts() as self._interrupted:
            return self._run(rounds, categories, candidates_per_category)

    def _run(self, rounds: int, categories: Sequence[str] | None, candidates_per_category: int | None) -> str:
        close_dead_runs(self._instance, alone=not self._elsewhere())
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
                elsewhere=self._elsewhere(),
            )
            if state.open is None and not state.pending and len(self._sedi.history().finished) >= target:
                ended = "1 round is finished" if target == 1 else f"{target} rounds are finished"
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

    def _elsewhere(self) -> str:
        return claim_loop(self._sedi.settings(), self._home)

    def _cut_short(self) -> str:
        """Which batches of the last round a budget cut short, as the end of a sentence."""
        finished = self._sedi.history().finished
        if not finished:
            return ""
        plan = self._sedi.plan(finished[-1].round)
        cut = [category for category in plan.category_ids if cut_short(self._sedi.store(), plan.round, category)]
        return f"; the budget cut {', '.join(cut)} of {plan.round} short" if cut else ""

    def _target(self, rounds: int) -> int:
        history = self._sedi.history()
        wanted = len(history.finished) + rounds
        interrupted = history.open_round
        if interrupted is not None and interrupted.trigger == BY_SEDI_RUN:
            return min(wanted, interrupted.target_round)
        return wanted

    def _wait(self, state: LoopState, waits: Sequence[Wait], last_message: str) -> str:
        """Wait for a run of the daemon, or for the next attempt. Returns the message shown, to show it once."""
        failed = [wait for wait in waits if wait.attempt and (wait.person or wait.attempt.cause not in PASSING)]
        if failed:
            raise self._failure(failed[0])
        why = waiting(waits)
        if why != last_message:
            self._watch(Stage(state.open.round if state.open else "", f"waiting. {why}", 0, 1), None)
        close_dead_runs(self._instance, alone=not self._elsewhere())
        if nobody_dequeues(self._instance):
            take_over_queue(self._instance)
        time.sleep(POLL_WAITING_S)
        return why

    def _execute(self, state: LoopState, step: Launch) -> None:
        """Execute a job in this process, watched through the event log that the UI shows too."""
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
        with _watching(self._instance, run_id, lambda line: self._watch(stage, line)):
            result = part_of(self._defs.resolve_job_def(work.job), work.assets).execute_in_process(
                instance=self._instance,
                partition_key=work.partition,
                tags=tags,
                run_config={"loggers": {"console": {"config": {"log_level": "ERROR"}}}},
                raise_on_error=False,
                run_id=run_id,
            )
        if self._interrupted() or (not result.success and was_interrupted(result)):
            raise KeyboardInterrupt

    def _failure(self, wait: Wait) -> SediError:
        """The error that ended the last run, in its own words."""
        attempt = wait.attempt
        if attempt is None:
            return SediError(wait.why)
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
    """Whether Ctrl-C is what ended a run, also where stopping a workload then failed.

    It may also come where no step is under way: while resources are set up.
    """

    def interrupted(error: object) -> bool:
        if error is None:
            return False
        text = f"{getattr(error, 'cls_name', '')} {getattr(error, 'message', '')}"
        inner = (getattr(error, "cause", None), getattr(error, "context", None))
        return "ExecutionInterrupted" in text or any(map(interrupted, inner))

    return any(interrupted(getattr(event.event_specific_data, "error", None)) for event in result.all_events)


@contextmanager
def noted_interrupts() -> Iterator[Callable[[], bool]]:
    """Gives a function that says whether Ctrl-C was pressed, even if nothing was raised.

    Dagster forgets one that comes behind the last step of a job, and Python cannot raise in every callback.
    """
    noted, written = socket.socketpair()
    with noted, written:
        noted.setblocking(False)
        written.setblocking(False)
        before = signal.set_wakeup_fd(written.fileno(), warn_on_full_buffer=False)

        def came() -> bool:
            try:
                return signal.SIGINT in noted.recv(4096)
            except BlockingIOError:
                return False

        try:
            yield came
        finally:
            signal.set_wakeup_fd(before)


@contextmanager
def _watching(instance: dg.DagsterInstance, run_id: str, tell: Callable[[ProgressLine], None]) -> Iterator[None]:
    """Follow a run's event log and pass on its progress lines."""
    stop = threading.Event()

    def follow() -> None:
        cursor = None
        while not stop.wait(POLL_S):
            connection = instance.get_records_for_run(run_id, cursor=cursor)
            cursor = connection.cursor
            for record in connection.records:
                line = parse_progress(record.event_log_entry.user_message)
                if line is not None:
                    tell(line)

    follower = threading.Thread(target=follow, daemon=True)
    follower.start()
    try:
        yield
    finally:
        stop.set()
        follower.join()
