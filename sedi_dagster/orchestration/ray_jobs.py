"""Running a heavy workload as a Ray job (`SEDI_COMPUTE=ray`), with rows and results in the data folder.

On the worker, `workloads.remote` runs the same module as locally. Ray and dagster-ray are imported inside functions, so
they are needed only with the extra `ray`.
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
"""Metadata of a job: the data folder and the work, so that a job that was left behind is found."""
FILES = ("checkpoint", "adapter", "rows", "held_out")
"""Fields of a job that name files or folders which the worker needs."""
SECONDS_TO_STOP = 150.0
SECONDS_TO_ANSWER = 10.0
_NO_ROOM = ("JOB_SUPERVISOR_ACTOR_START_TIMEOUT", "JOB_SUPERVISOR_ACTOR_UNSCHEDULABLE")
"""What Ray says of a job that no node had room for."""
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
    """Run a module on a job, and copy what it wrote into `output`.

    Args:
        command: what starts the module on the worker; empty: its own interpreter.
        resume: leave what an earlier run of the very same job wrote, so that the workload can go on from it.

    Raises:
        WorkloadError: it failed; with its own words if it had any.
        WorkloadDied: its worker was lost.
        ComputeUnavailable, StorageUnavailable: the cluster, or the data folder from there, cannot be reached for now.
    """
    store, cache = Store(settings.data_root), settings.path(settings.cache)
    client = check_ray(settings)
    with _reached(settings):
        _stop_left_behind(client.client, settings, name)
    _send(store, cache, name, {"module": module, "command": list(command), "job": dict(job)}, resume)
    submission = _submission(settings, module, name)
    failed: SediError | None = None
    try:
        with _reached(settings):
            client.run(context=context, submit_job_params=submission)
    except (RuntimeError, DagsterPipesExecutionError) as error:
        if "Request failed with status code 5" in str(error):  # of the dashboard: it starts, or has no agent yet
            raise ComputeUnavailable(f"Ray at {settings.ray.address} takes no job for now ({error}).", _FIX) from None
        with _reached(settings):
            failed = _failure(client.client, submission["submission_id"], module, str(error))
    _fetch(store, name, job, output)
    report = output / ERROR_FILE
    if failed is not None and report.exists():
        raise WorkloadError(**json.loads(report.read_text(encoding="utf-8")))
    if failed is not None:
        raise failed


def check_ray(settings: Settings) -> Any:
    """dagster-ray's Pipes client, once the cluster has answered.

    Raises:
        SettingsError: Ray is not installed, or another service answers.
        ComputeUnavailable: none does.
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
    with _reached(settings):
        try:
            _ask_version(address)
            _ = client.client
        except (RuntimeError, ValueError, KeyError) as error:
            raise SettingsError(
                f"SEDI_RAY_ADDRESS={address} is not the dashboard of a Ray cluster ({_line(error)}).",
                "Correct it (http://host:8265).",
            ) from None
    return client


def _ask_version(address: str) -> None:
    """Whether somebody answers at all: Ray's own client waits forever. Raise `ValueError` for what is no answer."""
    try:
        with urllib.request.urlopen(f"{address}/api/version", timeout=SECONDS_TO_ANSWER) as answer:
            json.load(answer)
    except urllib.error.HTTPError as error:
        error.close()  # the client knows what it means


@contextmanager
def _reached(settings: Settings) -> Iterator[None]:
    """Turn an unreachable address into one clear error."""
    try:
        yield
    except OSError as error:  # requests' and Python's own errors of connections
        raise ComputeUnavailable(f"Ray at {settings.ray.address} cannot be reached ({_line(error)}).", _FIX) from None


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]


def _submission(settings: Settings, module: str, name: str) -> dict[str, Any]:
    stage = "embedding" if module.endswith(".embed_rows") else module.rpartition(".")[2]
    wanted: dict[str, float] = dict(settings.ray.resources.get(stage, {"num_cpus": 1}))
    known: dict[str, Any] = {f"entrypoint_{n}": wanted.pop(n) for n in ("num_cpus", "num_gpus") if n in wanted}
    if "memory" in wanted:
        known["entrypoint_memory"] = int(wanted.pop("memory"))  # Ray takes no other type
    command = [*shlex.split(settings.ray.python), "-m", "sedi_dagster.workloads.remote"]
    arguments = ["--data", settings.data_root, "--name", name]
    return {
        "submission_id": f"sedi-{name}-{uuid.uuid4().hex[:8]}",
        "entrypoint": f"exec {shlex.join([*command, *arguments])}",  # no shell between: a signal reaches it
        "metadata": {KEY: _work(settings, name)},
        **known,
        **({"entrypoint_resources": wanted} if wanted else {}),
    }


def _work(settings: Settings, name: str) -> str:
    return f"{settings.data_root} {name}"


def _stop_left_behind(client: JobSubmissionClient, settings: Settings, name: str) -> None:
    """End jobs at the same work whose run is gone: two would write the same files."""
    end = time.monotonic() + SECONDS_TO_STOP
    while True:
        left = [
            job.submission_id
            for job in client.list_jobs()
            if job.submission_id
            and not job.status.is_terminal()
            and (job.metadata or {}).get(KEY) == _work(settings, name)
        ]
        if not left:
            return
        if time.monotonic() > end:
            raise WorkloadError(f"The Ray job {left[0]} for the same work does not stop.", "Stop it: `ray job stop`.")
        for submission in left:
            client.stop_job(submission)
        time.sleep(1)


def _send(store: Store, cache: Path, name: str, asked: dict[str, Any], resume: bool) -> None:
    """Put the job and its rows below the data folder; what lies there already is named and not sent."""
    arguments, files, sent = asked["job"], dict[str, list[str]](), dict[Path, tuple[str, ...]]()
    for field in FILES:
        if arguments.get(field):
            local = Path(arguments.pop(field))
            parts = store.parts_of(local, cache) if local.is_dir() else None
            files[field] = list(parts or (WORK, name, "in", local.name))
            if parts is None:
                sent[local] = (WORK, name, "in", local.name)
    del arguments["output"]
    if str(arguments.get("student", "")).startswith(str((cache / "models").resolve())):
        arguments["student"] = BUNDLED_STUDENT  # the worker converts it for itself
    asked["files"] = files
    if not (resume and store.read_json(WORK, name, JOB) == json.loads(json.dumps(asked))):
        store.remove(WORK, name)
    store.remove_file(WORK, name, "out", ERROR_FILE)
    store.put_files(sent)
    store.write_json(asked, WORK, name, JOB)


def _fetch(store: Store, name: str, job: Mapping[str, Any], output: Path) -> None:
    """Copy what the workload wrote, but for its saved states; answers are put behind those that are known."""
    output.mkdir(parents=True, exist_ok=True)
    store.get(output, WORK, name, "out", without=(STATE,))
    answers = output / RESULTS
    if "results" in job and answers.exists():
        results = Path(str(job["results"]))
        results.parent.mkdir(parents=True, exist_ok=True)
        with results.open("ab") as known:
            known.write(answers.read_bytes())


def _failure(client: JobSubmissionClient, submission: str, module: str, said: str) -> SediError | None:
    """What became of a job that the Pipes client gave up: an error, or None if it succeeded after all."""
    try:
        info = client.get_job_info(submission)
    except RuntimeError:
        info = None  # a new head knows nothing of it
    if info is not None and info.status.value == "SUCCEEDED":
        return None
    code = getattr(info, "driver_exit_code", None)
    message = " ".join(str(getattr(info, "message", "") or said).split())
    message = message if len(message) <= 600 else f"{message[:150]} ... {message[-450:]}"  # a traceback ends with why
    if code == STORE_UNAVAILABLE:
        return StorageUnavailable(f"The worker of {module} cannot reach the data folder for now ({message}).")
    if getattr(info, "error_type", None) in _NO_ROOM:
        return ComputeUnavailable(
            f"Ray had no room for {module} ({message}).",
            "Correct SEDI_RAY_RESOURCES, or add a node that has what it asks for: `ray status` shows both.",
        )
    lost = code is None or code < 0 or code > 128
    return (WorkloadDied if lost else WorkloadError)(
        f"{module} ended without an error message ({message}).",
        f"See the job {submission} in Ray's dashboard. Out of memory: lower SEDI_TRAINING_MICRO_BATCH_SIZE, "
        "SEDI_EVALUATION_BATCH_SIZE, or give its stage more in SEDI_RAY_RESOURCES.",
    )
