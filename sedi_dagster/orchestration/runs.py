"""The loop's runs in Dagster's records: active, failed (with the cause), and dead ones.

Runs launched by the loop have the tags `WORK` (what they do) and `INPUTS` (hash of the settings and files at the time);
runs launched by a user are identified by their partition.
"""

import os
import time
from collections.abc import Iterable
from typing import cast, get_args

import dagster as dg
from dagster._core.storage.dagster_run import NOT_FINISHED_STATUSES  # not exported

from sedi_dagster.orchestration.due import Attempt, Cause, Work
from sedi_dagster.orchestration.jobs import JOB_ASSETS
from sedi_dagster.orchestration.outputs import step_failures, user_error
from sedi_dagster.workloads.process import lives

WORK = "sedi/work"
ROUND = "sedi/round"
INPUTS = "sedi/inputs"
CAUSE = "sedi/cause"
"""Put on a run whose end Dagster's records cannot explain."""
PROCESS = "sedi/process"
"""`host:pid` of the `sedi run` that executes it."""

HOST = "sedi/host"
"""The machine whose sensor asked for the run: with the default launcher the run is a process of it."""

UNFINISHED = dg.RunsFilter(statuses=NOT_FINISHED_STATUSES)
NEWEST = 30  # runs of one work that are looked at
SECONDS_WITHOUT_DAEMON = 60.0
SECONDS_TO_SUBMIT = 300.0  # who made a run and was killed before it was queued has had time to come back to it
_OUTAGES = {"TeacherUnavailable", "StorageUnavailable", "ComputeUnavailable"}


def run_at(work: Work, runs: Iterable[dg.DagsterRun]) -> str:
    """Of these runs, the one that is at this work, whoever launched it; empty if there is none."""
    for run in runs:
        if run.tags.get(WORK) == work.key:
            return run.run_id
        chosen = {key.path[-1] for key in run.asset_selection or ()} or set(JOB_ASSETS.get(run.job_name, ()))
        wanted = set(work.assets or JOB_ASSETS[work.job])
        if _partition(run) == work.partition and chosen & wanted:
            return run.run_id
    return ""


def _partition(run: dg.DagsterRun) -> str | None:
    """The partition that a run makes. A backfill names it as a range of one."""
    return run.tags.get("dagster/partition") or run.tags.get("dagster/asset_partition_range_start")


def runs_of(instance: dg.DagsterInstance, work: Work) -> int:
    """How many runs were asked for, ever."""
    return int(instance.get_runs_count(dg.RunsFilter(tags={WORK: work.key})))


def attempts_at(instance: dg.DagsterInstance, work: Work, inputs: str, since: float) -> tuple[Attempt, ...]:
    """Runs that ended without the work being done, on the present inputs, oldest first.

    Args:
        since: runs that were made before are forgotten (seconds since the epoch).
    """
    found = []
    for record in reversed(instance.get_run_records(dg.RunsFilter(tags={WORK: work.key}), limit=NEWEST)):
        run = record.dagster_run
        if run.is_finished and run.tags.get(INPUTS) == inputs and record.create_timestamp.timestamp() >= since:
            cause, message = why_it_ended(instance, run)
            ended_at = record.end_time or record.update_timestamp.timestamp()
            found.append(Attempt(run.run_id, cause, ended_at, message))
    return tuple(found)


def why_it_ended(instance: dg.DagsterInstance, run: dg.DagsterRun) -> tuple[Cause, str]:
    """The cause, and the error in its own words (one line)."""
    tag = run.tags.get(CAUSE)
    if tag in get_args(Cause):
        return cast("Cause", tag), ""
    if run.status == dg.DagsterRunStatus.CANCELED:
        return "canceled", ""
    if run.status == dg.DagsterRunStatus.SUCCESS:
        return "vanished", "it succeeded, but what it made is not in this data folder"
    for failure in step_failures(instance, run.run_id):
        if found := user_error(failure):
            kind, error = found
            cause: Cause = "outage" if kind in _OUTAGES else "lost" if kind == "WorkloadDied" else "user error"
            return cause, error.problem
        if failure.error is not None:
            name = failure.error.cls_name or ""
            message = " ".join(failure.error.message.split())[:300]
            if "AssetCheckFailed" in name:
                return "failed check", message
            if "Interrupted" in name or "Interrupted" in message:
                return "lost", "it was interrupted"
            inner = failure.error.cause or failure.error
            return "defect", " ".join(inner.message.split())[:300]
    return "lost", "its process ended without a word"


def close_dead_runs(instance: dg.DagsterInstance, *, alone: bool) -> list[str]:
    """Say of runs whose process is gone that they failed, and free what they held. Returns their ids.

    Dagster notices this only of launchers that watch their workers; the default one does not, and nobody watches a run
    of `sedi run`.

    Args:
        alone: the loop is this DAGSTER_HOME's and machine's (`ownership`), so a `sedi run` of another machine is gone.
            Else only processes of this machine are judged.
    """
    closed = []
    for record in instance.get_run_records(UNFINISHED):
        run = record.dagster_run
        why = _death(instance, run, record.create_timestamp.timestamp(), alone)
        if why:
            instance.add_run_tags(run.run_id, {CAUSE: "lost"})
            if run.status == dg.DagsterRunStatus.CANCELING:
                instance.report_run_canceled(run, why)
            else:
                instance.report_run_failed(run, why)
            instance.event_log_storage.free_concurrency_slots_for_run(run.run_id)
            closed.append(run.run_id)
    return closed


def _death(instance: dg.DagsterInstance, run: dg.DagsterRun, created: float, alone: bool) -> str:
    """Why a run cannot be at work any more; empty if it may be."""
    if PROCESS in run.tags:
        host, _, pid = run.tags[PROCESS].rpartition(":")
        gone = not lives(int(pid), created) if host == os.uname().nodename else alone
        return "The `sedi run` that executed it ended; the next one goes on from here." if gone else ""
    if run.status == dg.DagsterRunStatus.NOT_STARTED and time.time() - created > SECONDS_TO_SUBMIT:
        return "It was never handed over to be started; the work is asked for again."
    at_work = (dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING)
    if run.status not in at_work or not _on_this_machine(instance, run):
        return ""
    began = _process(instance, run.run_id)
    if began is None or lives(*began):
        return ""
    return f"Its process {began[0]} is gone; the work is asked for again."


def _on_this_machine(instance: dg.DagsterInstance, run: dg.DagsterRun) -> bool:
    """Whether a run is a process of this machine: the default launcher, and records that no other machine shares; or
    it was asked for here."""
    if not isinstance(instance.run_launcher, dg.DefaultRunLauncher):
        return False
    return "Sqlite" in type(instance.run_storage).__name__ or run.tags.get(HOST) == os.uname().nodename


def _process(instance: dg.DagsterInstance, run_id: str) -> tuple[int, float] | None:
    """Process id of the run's worker and when it was reported, from the run's first event."""
    for entry in instance.all_logs(run_id, of_type=dg.DagsterEventType.ENGINE_EVENT):
        event = entry.dagster_event
        if event is not None and event.step_key is None and "pid" in event.engine_event_data.metadata:
            return int(str(event.engine_event_data.metadata["pid"].value)), entry.timestamp
    return None


def nobody_dequeues(instance: dg.DagsterInstance) -> bool:
    """Whether no daemon has sent a heartbeat for a minute, so that queued runs would wait forever."""
    beats = instance.get_daemon_heartbeats().values()
    return all(time.time() - beat.timestamp > SECONDS_WITHOUT_DAEMON for beat in beats)


def take_over_queue(instance: dg.DagsterInstance) -> None:
    """Cancel runs of the loop that no daemon will start: `sedi run` does their work itself."""
    waiting = [dg.DagsterRunStatus.QUEUED, dg.DagsterRunStatus.NOT_STARTED, dg.DagsterRunStatus.STARTING]
    for run in instance.get_runs(dg.RunsFilter(statuses=waiting)):
        if WORK in run.tags and PROCESS not in run.tags:
            instance.add_run_tags(run.run_id, {CAUSE: "lost"})
            instance.report_run_canceled(run, "No daemon runs; `sedi run` does this work itself.")
