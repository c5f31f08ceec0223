"""Running a heavy workload as a Ray job (`SEDI_COMPUTE=ray`), with rows and results in the data folder.

On the worker, `workloads.remote` runs the same module as locally. Ray and dagster-ray are imported inside functions, as
they are only installed with the extra `ray`.
"""

from __future__ import annotations

import json
import shlex
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg
from dagster._core.errors import DagsterPipesExecutionError  # not exported

from sedi_dagster.errors import (
    ComputeUnavailable,
    SediError,
    SettingsError,
    StorageUnavailable,
    WorkloadDied,
    WorkloadError,
)
from sedi_dagster.models import BUNDLED_STUDENT
from sedi_dagster.settings import Settings
from sedi_dagster.storage.store import Store
from sedi_dagster.training.state import FOLDER as STATE
from sedi_dagster.workloads.process import ERROR_FILE
from sedi_dagster.workloads.remote import JOB, RESULTS, STORE_UNAVAILABLE, WORK

if TYPE_CHECKING:
    from ray.job_submission import JobSubmissionClient

KEY = "sedi/work"
"""Key of a Ray job's metadata that names the data folder and the work, by which orphaned jobs are found."""
FILES = ("checkpoint", "adapter", "rows", "held_out")
"""Fields of a workload's job that name files or folders which the worker needs."""
STOP_TIMEOUT_S = 150.0
ANSWER_TIMEOUT_S = 10.0
_UNSCHEDULABLE = ("JOB_SUPERVISOR_ACTOR_START_TIMEOUT", "JOB_SUPERVISOR_ACTOR_UNSCHEDULABLE")
"""Ray's error types of a job that no node has the resources for."""
_FIX = "Start the cluster, or correct SEDI_RAY_ADDRESS (the address of Ray's dashboard, http://host:8265)."


def run_on_ray(
    context: dg.AssetExecutionContext,
    settings: Settings,
    module: str,
    name: str,
    job: Mapping[str, Any],
    command: Sequence[str],
    output: Path,
    resume: bool,
) -> None:
    """Run a module as a Ray job, and copy its results to `output`.

    Args:
        module: module of the workload, which reads `job`.
        name: name of the work, such as `train-round-0001`.
        command: command that starts the module on the worker; empty: the worker's interpreter.
        resume: keep what an earlier run of the identical job wrote, so that the workload can continue from it.

    Raises:
        WorkloadError: the workload failed; with its own error message if it reported one.
        WorkloadDied: the worker was lost.
        ComputeUnavailable: the cluster is temporarily unavailable.
        StorageUnavailable: the worker temporarily cannot reach the data folder.
    """
    store, cache = Store(settings.data_root), settings.path(settings.cache)
    client = check_ray(settings)
    with _reachable(settings):
        _stop_orphans(client.client, settings, name)
    _upload(store, cache, name, {"module": module, "command": list(command), "job": dict(job)}, resume)
    submission = _submission(settings, module, name)
    failure: SediError | None = None
    try:
        with _reachable(settings):
            client.run(context=context, submit_job_params=submission)
    except (RuntimeError, DagsterPipesExecutionError) as error:
        if "Request failed with status code 5" in str(error):  # the dashboard is starting, or has no agent yet
            raise ComputeUnavailable(f"Ray at {settings.ray.address} accepts no jobs now ({error}).", _FIX) from None
        with _reachable(settings):
            failure = _failure(client.client, submission["submission_id"], module, str(error))
    _download(store, name, job, output)
    error_file = output / ERROR_FILE
    if failure is not None and error_file.exists():
        raise WorkloadError(**json.loads(error_file.read_text(encoding="utf-8")))
    if failure is not None:
        raise failure


def check_ray(settings: Settings) -> Any:
    """Return dagster-ray's Pipes client for a cluster that answers.

    Raises:
        SettingsError: Ray is not installed, or another service answers at the address.
        ComputeUnavailable: nothing answers.
    """
    address = settings.ray.address.rstrip("/")
    try:
        from dagster_ray.core.pipes import PipesRayJobClient
        from ray.job_submission import JobSubmissionClient  # noqa: F401 - `ray` without [default] has none
    except ImportError as error:
        raise SettingsError(
            f"SEDI_COMPUTE=ray needs the package {error.name}.", "Run `pip install 'sedi-dagster[ray]'`."
        ) from None
    client = PipesRayJobClient(address=address)
    with _reachable(settings):
        try:
            _check_version(address)
            _ = client.client
        except (RuntimeError, ValueError, KeyError) as error:
            raise SettingsError(
                f"SEDI_RAY_ADDRESS={address} is not the dashboard of a Ray cluster ({_line(error)}).",
                "Correct it (http://host:8265).",
            ) from None
    return client


def _check_version(address: str) -> None:
    """Raise `OSError` if nothing answers in time (Ray's client would wait forever), `ValueError` if it is not JSON."""
    try:
        with urllib.request.urlopen(f"{address}/api/version", timeout=ANSWER_TIMEOUT_S) as answer:
            json.load(answer)
    except urllib.error.HTTPError as error:
        error.close()  # left to Ray's client, which interprets the status


@contextmanager
def _reachable(settings: Settings) -> Iterator[None]:
    """Turn connection errors in the block into `ComputeUnavailable`."""
    try:
        yield
    except OSError as error:  # base class of the connection errors of requests and of Python
        raise ComputeUnavailable(f"Ray at {settings.ray.address} cannot be reached ({_line(error)}).", _FIX) from None


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]


def _submission(settings: Settings, module: str, name: str) -> dict[str, Any]:
    stage = "embedding" if module.endswith(".embed_rows") else module.rpartition(".")[2]
    resources: dict[str, float] = dict(settings.ray.resources.get(stage, {"num_cpus": 1}))
    named: dict[str, Any] = {f"entrypoint_{n}": resources.pop(n) for n in ("num_cpus", "num_gpus") if n in resources}
    if "memory" in resources:
        named["entrypoint_memory"] = int(resources.pop("memory"))  # Ray accepts only integers
    command = [*shlex.split(settings.ray.python), "-m", "sedi_dagster.workloads.remote"]
    arguments = ["--data", settings.data_root, "--name", name]
    return {
        "submission_id": f"sedi-{name}-{uuid.uuid4().hex[:8]}",
        "entrypoint": f"exec {shlex.join([*command, *arguments])}",  # without a shell in between, signals reach it
        "metadata": {KEY: _work(settings, name)},
        **named,
        **({"entrypoint_resources": resources} if resources else {}),
    }


def _work(settings: Settings, name: str) -> str:
    return f"{settings.data_root} {name}"


def _stop_orphans(client: JobSubmissionClient, settings: Settings, name: str) -> None:
    """Stop jobs for the same work, whose runs are gone. Two jobs would write the same files."""
    end = time.monotonic() + STOP_TIMEOUT_S
    while True:
        orphans = [
            job.submission_id
            for job in client.list_jobs()
            if job.submission_id
            and not job.status.is_terminal()
            and (job.metadata or {}).get(KEY) == _work(settings, name)
        ]
        if not orphans:
            return
        if time.monotonic() > end:
            raise WorkloadError(f"Ray job {orphans[0]} for the same work does not stop.", "Stop it: `ray job stop`.")
        for submission in orphans:
            client.stop_job(submission)
        time.sleep(1)


def _upload(store: Store, cache: Path, name: str, remote: dict[str, Any], resume: bool) -> None:
    """Write the job and its files to the data folder. Folders that are already there are referenced, not copied."""
    arguments, files, uploads = remote["job"], dict[str, list[str]](), dict[Path, tuple[str, ...]]()
    for field in FILES:
        if arguments.get(field):
            local = Path(arguments.pop(field))
            parts = store.parts_of(local, cache) if local.is_dir() else None
            files[field] = list(parts or (WORK, name, "in", local.name))
            if parts is None:
                uploads[local] = (WORK, name, "in", local.name)
    del arguments["output"]
    if str(arguments.get("student", "")).startswith(str((cache / "models").resolve())):
        arguments["student"] = BUNDLED_STUDENT  # the worker has its own converted copy
    remote["files"] = files
    if not (resume and store.read_json(WORK, name, JOB) == json.loads(json.dumps(remote))):
        store.remove(WORK, name)
    store.remove_file(WORK, name, "out", ERROR_FILE)
    store.put_files(uploads)
    store.write_json(remote, WORK, name, JOB)


def _download(store: Store, name: str, job: Mapping[str, Any], output: Path) -> None:
    """Copy the workload's results, without its saved states. Answers are appended to those already known."""
    output.mkdir(parents=True, exist_ok=True)
    store.get(output, WORK, name, "out", without=(STATE,))
    answers = output / RESULTS
    if "results" in job and answers.exists():
        results = Path(str(job["results"]))
        results.parent.mkdir(parents=True, exist_ok=True)
        with results.open("ab") as known:
            known.write(answers.read_bytes())


def _failure(client: JobSubmissionClient, submission: str, module: str, pipes_error: str) -> SediError | None:
    """The error of a job that the Pipes client reported as failed; None if the job succeeded after all."""
    try:
        info = client.get_job_info(submission)
    except RuntimeError:
        info = None  # the cluster was restarted and has no record of the job
    if info is not None and info.status.value == "SUCCEEDED":
        return None
    code = getattr(info, "driver_exit_code", None)
    message = " ".join(str(getattr(info, "message", "") or pipes_error).split())
    if len(message) > 600:
        message = f"{message[:150]} ... {message[-450:]}"  # the end of a traceback names the error
    if code == STORE_UNAVAILABLE:
        return StorageUnavailable(f"The worker of {module} cannot reach the data folder at the moment ({message}).")
    if getattr(info, "error_type", None) in _UNSCHEDULABLE:
        return ComputeUnavailable(
            f"No Ray node has the resources for {module} ({message}).",
            "Correct SEDI_RAY_RESOURCES, or add a node that has these resources: `ray status` shows both.",
        )
    lost = code is None or code < 0 or code > 128
    return (WorkloadDied if lost else WorkloadError)(
        f"{module} ended without an error message ({message}).",
        f"See the job {submission} in Ray's dashboard. If it ran out of memory, lower SEDI_TRAINING_MICRO_BATCH_SIZE "
        "or SEDI_EVALUATION_BATCH_SIZE, or give its stage more memory in SEDI_RAY_RESOURCES.",
    )
