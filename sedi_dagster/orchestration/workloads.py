"""Running a heavy workload (training, evaluation) in its own process through Dagster Pipes.

If possible, the process is forked from a warm worker, which has already imported the libraries (`warm_worker/`).
"""

import json
import re
import shlex
import shutil
import sys
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
from dagster._core.errors import DagsterPipesExecutionError  # not exported

from sedi_dagster.errors import WorkloadDied, WorkloadError
from sedi_dagster.orchestration.ray_jobs import run_on_ray
from sedi_dagster.settings import PROJECT_ROOT, Settings, TrainingSettings
from sedi_dagster.storage.store import Store
from sedi_dagster.student.loading import is_local
from sedi_dagster.workloads.process import CALLER, ERROR_FILE, KEYS, this_process
from sedi_dagster.workloads.remote import WORK
from sedi_dagster.workloads.warm_worker.address import is_possible, warm_worker_ready

CLIENT = "sedi_dagster.workloads.warm_worker.client"
PIPES = dg.PipesSubprocessClient(termination_timeout_seconds=120)
"""The timeout lets a cancelled training finish its step and save its state."""


def run_workload(
    context: dg.AssetExecutionContext,
    module: str,
    settings: Settings,
    name: str,
    job: Mapping[str, Any],
    launcher: str = "",
    resume: bool = False,
) -> Path:
    """Run a module with a job file, as `python -m <module>` does, and return its output folder in the cache.

    Args:
        name: name of the work, such as `train-round-0001`.
        job: arguments of the workload, as JSON.
        launcher: command that starts the module in several processes, such as `accelerate launch --num_processes 2`.
        resume: keep what an earlier run of the identical job wrote, so that the workload can continue from it.

    Raises:
        WorkloadError: the workload failed; with its own error message if it reported one.
        WorkloadDied: its process was killed.
    """
    output = _folder(settings, name)
    job_file = output / "job.json"
    offline = is_local(str(job.get("student", settings.training.student)))
    content = json.dumps({**job, "output": str(output), "offline": offline})
    if not (resume and job_file.exists() and job_file.read_text(encoding="utf-8") == content):
        shutil.rmtree(output, ignore_errors=True)
        output.mkdir(parents=True)
        job_file.write_text(content, encoding="utf-8")
    (output / ERROR_FILE).unlink(missing_ok=True)
    if settings.compute == "ray":
        command = _remote_command(settings.training, launcher)
        run_on_ray(context, settings, module, name, json.loads(content), command, output, resume)
        return output
    command = [*_interpreter(settings.training, launcher), module, "--job", str(job_file)]
    try:
        # Workloads must not see the API keys.
        environment = {**dict.fromkeys(KEYS, ""), CALLER: this_process()}
        PIPES.run(command=command, context=context, cwd=str(PROJECT_ROOT), env=environment)
    except DagsterPipesExecutionError as error:
        error_file = output / ERROR_FILE
        if error_file.exists():
            raise WorkloadError(**json.loads(error_file.read_text())) from None
        kind = WorkloadDied if _was_killed(str(error)) else WorkloadError
        raise kind(
            f"{module} ended without an error message ({error}).",
            "See its stderr. If it ran out of memory, lower SEDI_TRAINING_MICRO_BATCH_SIZE or "
            "SEDI_EVALUATION_BATCH_SIZE.",
        ) from None
    return output


def rows_file(settings: Settings, name: str, rows: pl.DataFrame) -> str:
    """Write the input rows of a workload, and return the path for its job."""
    file = _folder(settings, f"{name}.parquet")
    file.parent.mkdir(parents=True, exist_ok=True)
    rows.write_parquet(file)
    return str(file)


def _was_killed(message: str) -> bool:
    """Whether a signal ended the process: its exit code is negative, or above 128 if a shell reported it."""
    code = re.search(r"code (-?\d+)", message)
    return code is not None and (int(code[1]) < 0 or int(code[1]) > 128)


def clear_workload(settings: Settings, name: str) -> None:
    """Delete a workload's results and saved state, after the results were stored."""
    shutil.rmtree(_folder(settings, name), ignore_errors=True)
    if settings.compute == "ray":
        Store(settings.data_root).remove(WORK, name)


def _folder(settings: Settings, name: str) -> Path:
    return settings.path(settings.cache) / "work" / name


def warm_worker(settings: Settings) -> AbstractContextManager[None]:
    """Run a warm worker within the block, if possible. It imports the libraries while candidates are generated."""
    if settings.compute == "local" and _uses_warm_worker(settings.training, ""):
        return warm_worker_ready(is_local(settings.training.student), PROJECT_ROOT)
    return nullcontext()


def _uses_warm_worker(training: TrainingSettings, launcher: str) -> bool:
    return training.warm_worker and not training.python and not launcher and is_possible()


def _interpreter(training: TrainingSettings, launcher: str) -> list[str]:
    """The command before the module. `accelerate` is run by the interpreter of the workload."""
    interpreter = training.python or sys.executable
    if _uses_warm_worker(training, launcher):
        return [interpreter, "-m", CLIENT]
    if not launcher:
        return [interpreter, "-m"]
    first, *options = shlex.split(launcher)
    if first == "accelerate":
        return [interpreter, "-m", "accelerate.commands.accelerate_cli", *options, "-m"]
    return [first, *options, "-m"]


def _remote_command(training: TrainingSettings, launcher: str) -> list[str]:
    """The same on a Ray worker, where there is no warm worker; empty: the worker's interpreter."""
    if training.python:
        return _interpreter(training.model_copy(update={"warm_worker": False}), launcher)
    return [*shlex.split(launcher), "-m"] if launcher else []
