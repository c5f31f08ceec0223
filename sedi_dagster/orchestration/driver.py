"""`sedi run`: the loop without UI or daemon. Same jobs, same instance, same planner as the sensors.

Every stage is a Dagster run that is skipped if its partition is there, so a driver that was stopped at any point
goes on where it was when it is started again.
"""

from __future__ import annotations

import fcntl
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
from dagster._core.utils import make_new_run_id  # not exported
from dagster_shared.error import SerializableErrorInfo

from sedi_dagster.errors import SediError, WorkloadError
from sedi_dagster.feedback.plan import Stop
from sedi_dagster.orchestration.failures import USER_ERROR
from sedi_dagster.orchestration.home import is_materialized, restore
from sedi_dagster.orchestration.jobs import ROUND_ASSETS
from sedi_dagster.orchestration.partitions import batch_key
from sedi_dagster.orchestration.planning import (
    BY_SEDI_RUN,
    check_categories,
    missing_batches,
    needs_preparation,
    next_plan,
    open_round,
)
from sedi_dagster.orchestration.preflight import preflight
from sedi_dagster.orchestration.resources import SediResource
from sedi_dagster.orchestration.workloads import ready_for_workloads
from sedi_dagster.progress import ProgressLine, parse_progress
from sedi_dagster.records import RoundPlan

DRIVER_TAG = "sedi/driver"
POLL_S = 0.5


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

    def run(self, rounds: int, categories: Sequence[str] | None, candidates_per_category: int | None) -> str:
        """Go on until `rounds` more rounds are finished, or the planner says stop. Returns why it ended.

        An unfinished target of an interrupted driver is taken up instead of a new one.

        Raises:
            SediError: what the user can mend. Everything finished so far stays.
        """
        check_categories(self._sedi, categories)
        preflight(self._sedi)
        with ready_for_workloads(self._sedi.settings()):
            return self._run(rounds, categories, candidates_per_category)

    def _run(self, rounds: int, categories: Sequence[str] | None, candidates_per_category: int | None) -> str:
        self._close_orphans()
        restore(self._instance, self._sedi.store())
        self._prepare()
        self._complete_reports()
        target = self._target(rounds)
        while True:
            history = self._sedi.history()
            plan = history.open_round
            if plan is None and len(history.finished) >= target:
                return f"{target} rounds are finished"
            if plan is None:
                decided = next_plan(self._sedi, BY_SEDI_RUN, categories, candidates_per_category, target)
                if isinstance(decided, Stop):
                    return decided.reason
                plan = decided
            elif plan.trigger != BY_SEDI_RUN:
                raise SediError(
                    f"{plan.round} is open, started by {plan.trigger}.",
                    "Let the daemon finish it (`sedi ui`), then run again.",
                )
            open_round(self._sedi, self._instance, plan)
            self._carry_through(plan)

    def _target(self, rounds: int) -> int:
        history = self._sedi.history()
        finished = len(history.finished)
        last = history.plans[-1] if history.plans else None
        if last is not None and last.trigger == BY_SEDI_RUN and last.target_round > finished:
            return last.target_round
        return finished + rounds

    def _prepare(self) -> None:
        stale = needs_preparation(self._sedi)
        for number, asset in enumerate(stale):
            self._launch("prepare", Stage("", asset, number, len(stale)), assets=[asset])

    def _carry_through(self, plan: RoundPlan) -> None:
        for category in missing_batches(self._sedi, self._instance, plan):
            number = plan.category_ids.index(category)
            stage = Stage(plan.round, f"generate {category}", number, len(plan.categories))
            self._launch("generate_batch", stage, partition=str(batch_key(category, plan.round)))
        self._finish(plan.round)

    def _finish(self, round_key: str) -> None:
        missing = [asset for asset in ROUND_ASSETS if asset != "sft_dataset" and not self._is_there(asset, round_key)]
        if missing:
            stage = Stage(round_key, "train and evaluate", len(ROUND_ASSETS) - 1 - len(missing), len(ROUND_ASSETS))
            self._launch("train_round", stage, partition=round_key, assets=[*missing, "sft_dataset"])

    def _complete_reports(self) -> None:
        """A driver that was stopped between the manifest and the report has a finished round without a report."""
        for outcome in self._sedi.history().finished[-1:]:
            self._finish(outcome.round)

    def _is_there(self, asset: str, round_key: str) -> bool:
        marker = self._sedi.store().tables_marker(asset, round_key)
        return marker is not None and is_materialized(self._instance, asset, round_key)

    def _launch(
        self, job_name: str, stage: Stage, partition: str | None = None, assets: Sequence[str] | None = None
    ) -> None:
        """Execute a job in this process, watched through the event log that the UI shows too."""
        self._watch(stage, None)
        run_id = make_new_run_id()
        with _watching(self._instance, run_id, lambda line: self._watch(stage, line)):
            result = self._defs.resolve_job_def(job_name).execute_in_process(
                instance=self._instance,
                partition_key=partition,
                asset_selection=None if assets is None else [dg.AssetKey(asset) for asset in assets],
                tags={DRIVER_TAG: str(os.getpid()), **({"sedi/round": stage.round} if stage.round else {})},
                run_config={"loggers": {"console": {"config": {"log_level": "ERROR"}}}},
                raise_on_error=False,
                run_id=run_id,
            )
        if not result.success:
            raise _failure(result, stage)

    def _close_orphans(self) -> None:
        """Runs of a driver that was killed are still shown as started; say what became of them."""
        unfinished = [
            dg.DagsterRunStatus.STARTED,
            dg.DagsterRunStatus.STARTING,
            dg.DagsterRunStatus.NOT_STARTED,
        ]
        for run in self._instance.get_runs(dg.RunsFilter(statuses=unfinished)):
            if DRIVER_TAG in run.tags:
                self._instance.report_run_failed(run, "`sedi run` was stopped; a later run goes on from here.")
                # A step that was killed still holds its pool; the next step of that pool would wait for ever.
                self._instance.event_log_storage.free_concurrency_slots_for_run(run.run_id)


def _failure(result: dg.ExecuteInProcessResult, stage: Stage) -> SediError:
    """The error that ended a run, in its own words."""
    # Ctrl-C may also come where no step is under way: while resources are set up.
    if any(_was_interrupted(getattr(event.event_specific_data, "error", None)) for event in result.all_events):
        raise KeyboardInterrupt
    for event in result.all_events:
        data: Any = event.event_specific_data
        if event.is_step_failure and data.user_failure_data is not None:
            told = data.user_failure_data.metadata
            if USER_ERROR in told:
                return SediError(str(told["problem"].value), str(told["mend"].value))
            return SediError(data.user_failure_data.description or f"{stage.name} failed.")
    for event in result.all_events:
        data = event.event_specific_data
        if event.is_step_failure and data.error is not None:
            cause = data.error.cause or data.error
            return WorkloadError(
                f"{event.step_key} failed: {cause.message.strip()}",
                "The run's page in the UI (`make ui`) has the whole story.",
            )
    return WorkloadError(f"{stage.name} did not succeed.", "The run's page in the UI (`make ui`) has the whole story.")


def _was_interrupted(error: SerializableErrorInfo | None) -> bool:
    """Whether Ctrl-C is what it comes from, also where stopping a workload then failed."""
    if error is None:
        return False
    named = "ExecutionInterrupted" in (error.cls_name or "") or "ExecutionInterrupted" in error.message
    return named or _was_interrupted(error.cause) or _was_interrupted(error.context)


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


@contextmanager
def only_driver(home: Path) -> Iterator[None]:
    """At most one driver on a DAGSTER_HOME. The lock goes with the process, also after kill -9.

    Raises:
        SediError: another `sedi run` is at work.
    """
    with (home / "sedi-run.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise SediError(
                "Another `sedi run` is at work on this DAGSTER_HOME.", "Wait for it, or stop it first."
            ) from None
        yield
