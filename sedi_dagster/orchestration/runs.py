"""The loop's runs in Dagster's records: active, failed (with the cause), and dead ones.

Runs launched by the loop have the tags `WORK` (key of their work) and `INPUTS` (hash of the settings and files at that
time). Runs launched by a user are identified by their assets and partition.
"""

import os
import time
from collections.abc import Iterable, Iterator
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
"""Tag for the cause of a run's end, set where Dagster's records do not show it."""
PROCESS = "sedi/process"
"""`host:pid` of the `sedi run` that executes the run."""

HOST = "sedi/host"
"""The machine whose sensor requested the run. With the default launcher, it also executes it."""

MAX_ATTEMPTS_READ = 30
DAEMON_TIMEOUT_S = 60.0
SUBMIT_TIMEOUT_S = 300.0  # long enough for a restarted daemon to resume a submission that was interrupted
_OUTAGES = {"TeacherUnavailable", "StorageUnavailable", "ComputeUnavailable"}


def active_run(work: Work, runs: Iterable[dg.DagsterRun]) -> str:
    """Return the id of the run that does this work, whoever launched it; empty if there is none."""
    for run in runs:
        if run.tags.get(WORK) == work.key:
            return run.run_id
        selected = {key.path[-1] for key in run.asset_selection or ()} or set(JOB_ASSETS.get(run.job_name, ()))
        needed = set(work.assets or JOB_ASSETS[work.job])
        if _partition(run) == work.partition and selected & needed:
            return run.run_id
    return ""


def _partition(run: dg.DagsterRun) -> str | None:
    """The partition that a run makes. A backfill names it as a range of one."""
    return run.tags.get("dagster/partition") or run.tags.get("dagster/asset_partition_range_start")


def count_runs(instance: dg.DagsterInstance, work: Work) -> int:
    """Return how many runs were ever launched for this work."""
    return int(instance.get_runs_count(dg.RunsFilter(tags={WORK: work.key})))


def ended_runs(instance: dg.DagsterInstance, work: Work, inputs: str, since: float) -> tuple[Attempt, ...]:
    """Return the runs with the current inputs that ended without completing the work, oldest first.

    Args:
        inputs: hash of the current settings and files.
        since: ignore runs created before, in seconds since the epoch.
    """
    attempts = []
    for record in reversed(instance.get_run_records(dg.RunsFilter(tags={WORK: work.key}), limit=MAX_ATTEMPTS_READ)):
        run = record.dagster_run
        if run.is_finished and run.tags.get(INPUTS) == inputs and record.create_timestamp.timestamp() >= since:
            cause, message = end_cause(instance, run)
            ended_at = record.end_time or record.update_timestamp.timestamp()
            attempts.append(Attempt(run.run_id, cause, ended_at, message))
    return tuple(attempts)


def end_cause(instance: dg.DagsterInstance, run: dg.DagsterRun) -> tuple[Cause, str]:
    """Return why a finished run did not complete its work: the cause, and the error message in one line."""
    tag = run.tags.get(CAUSE)
    if tag in get_args(Cause):
        return cast("Cause", tag), ""
    if run.status == dg.DagsterRunStatus.CANCELED:
        return "canceled", ""
    if run.status == dg.DagsterRunStatus.SUCCESS:
        return "vanished", "it succeeded, but its output is not in this data folder"
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
    return "lost", "its process ended without an error message"


def close_dead_runs(instance: dg.DagsterInstance, *, alone: bool) -> list[str]:
    """Mark runs whose process is gone as failed, free their concurrency slots, and return their ids.

    Dagster does so only for launchers that monitor their workers. The default launcher does not, and nothing monitors a
    run of `sedi run`.

    Args:
        alone: no other process drives the loop (`ownership`), so a `sedi run` of another machine must be gone.
            Otherwise only processes of this machine are checked.
    """
    dead = [(run, message) for run, message in _unfinished(instance, alone) if message]
    for run, message in dead:
        instance.add_run_tags(run.run_id, {CAUSE: "lost"})
        if run.status == dg.DagsterRunStatus.CANCELING:
            instance.report_run_canceled(run, message)
        else:
            instance.report_run_failed(run, message)
        instance.event_log_storage.free_concurrency_slots_for_run(run.run_id)
    return [run.run_id for run, _ in dead]


def live_runs(instance: dg.DagsterInstance) -> list[dg.DagsterRun]:
    """Return the unfinished runs, without those whose process on this machine is gone."""
    return [run for run, message in _unfinished(instance, alone=False) if not message]


def _unfinished(instance: dg.DagsterInstance, alone: bool) -> Iterator[tuple[dg.DagsterRun, str]]:
    """Each unfinished run, and why it cannot be in progress any more (empty if it may be)."""
    for record in instance.get_run_records(dg.RunsFilter(statuses=NOT_FINISHED_STATUSES)):
        run = record.dagster_run
        yield run, _why_dead(instance, run, record.create_timestamp.timestamp(), alone)


def _why_dead(instance: dg.DagsterInstance, run: dg.DagsterRun, created: float, alone: bool) -> str:
    """Why a run cannot be in progress any more; empty if it may be."""
    if PROCESS in run.tags:
        host, _, pid = run.tags[PROCESS].rpartition(":")
        gone = not lives(int(pid), created) if host == os.uname().nodename else alone
        return "The `sedi run` that executed this run has ended; the next one resumes the work." if gone else ""
    if run.status == dg.DagsterRunStatus.NOT_STARTED and time.time() - created > SUBMIT_TIMEOUT_S:
        return "The run was never submitted; the work will be launched again."
    in_progress = (dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING)
    if run.status not in in_progress or not _on_this_machine(instance, run):
        return ""
    process = _process(instance, run.run_id)
    if process is None or lives(*process):
        return ""
    return f"The run's process {process[0]} is gone; the work will be launched again."


def _on_this_machine(instance: dg.DagsterInstance, run: dg.DagsterRun) -> bool:
    """Whether a run is a process of this machine.

    With the default launcher it is, if the run was requested here or no other machine shares Dagster's records.
    """
    if not isinstance(instance.run_launcher, dg.DefaultRunLauncher):
        return False
    return "Sqlite" in type(instance.run_storage).__name__ or run.tags.get(HOST) == os.uname().nodename


def _process(instance: dg.DagsterInstance, run_id: str) -> tuple[int, float] | None:
    """The process id of a run's worker, and the time at which it was reported."""
    for entry in instance.all_logs(run_id, of_type=dg.DagsterEventType.ENGINE_EVENT):
        event = entry.dagster_event
        if event is not None and event.step_key is None and "pid" in event.engine_event_data.metadata:
            return int(str(event.engine_event_data.metadata["pid"].value)), entry.timestamp
    return None


def daemon_is_down(instance: dg.DagsterInstance) -> bool:
    """Return whether no daemon sent a heartbeat in the last minute, so that queued runs would wait forever."""
    heartbeats = instance.get_daemon_heartbeats().values()
    return all(time.time() - heartbeat.timestamp > DAEMON_TIMEOUT_S for heartbeat in heartbeats)


def cancel_queued_runs(instance: dg.DagsterInstance) -> None:
    """Cancel the loop's runs that have not started. Without a daemon, `sedi run` does their work itself."""
    waiting = [dg.DagsterRunStatus.QUEUED, dg.DagsterRunStatus.NOT_STARTED, dg.DagsterRunStatus.STARTING]
    for run in instance.get_runs(dg.RunsFilter(statuses=waiting)):
        if WORK in run.tags and PROCESS not in run.tags:
            instance.add_run_tags(run.run_id, {CAUSE: "lost"})
            instance.report_run_canceled(run, "The daemon is not running; `sedi run` does this work itself.")
