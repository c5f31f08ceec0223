"""Running a heavy workload (training, evaluation) in its own process through Dagster Pipes.

If possible, the process is a fork of a warm worker with its libraries already imported (`warm_worker/`).
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
"""A cancelled training ends its step and saves its state before it stops."""


def run_workload(
    context: dg.AssetExecutionContext,
    module: str,
    settings: Settings,
    name: str,
    job: Mapping[str, Any],
    launcher: str = "",
    resume: bool = False,
) -> Path:
    """Run a module on a job, as `python -m <module>` does, and return its output folder in the cache.

    Args:
        launcher: command that starts the module in several processes, such as `accelerate launch --num_processes 2`.
        resume: leave what an earlier run of the very same job wrote, so that the workload can go on from it.

    Raises:
        WorkloadError: it failed; with its own words if it had any.
    """
    output = _folder(settings, name)
    job_file = output / "job.json"
    asked = json.dumps(
        {**job, "output": str(output), "offline": is_local(str(job.get("student", settings.training.student)))}
    )
    if not (resume and job_file.exists() and job_file.read_text(encoding="utf-8") == asked):
        shutil.rmtree(output, ignore_errors=True)
        output.mkdir(parents=True)
        job_file.write_text(asked, encoding="utf-8")
    (output / ERROR_FILE).unlink(missing_ok=True)
    if settings.compute == "ray":
        command = _remote_command(settings.training, launcher)
        run_on_ray(context, settings, module, name, json.loads(asked), command, output, resume)
        return output
    command = [*_interpreter(settings.training, launcher), module, "--job", str(job_file)]
    try:
        # Workloads do not get the keys of the endpoints.
        environment = {**dict.fromkeys(KEYS, ""), CALLER: this_process()}
        PIPES.run(command=command, context=context, cwd=str(PROJECT_ROOT), env=environment)
    except DagsterPipesExecutionError as error:
        error_file = output / ERROR_FILE
        if error_file.exists():
            raise WorkloadError(**json.loads(error_file.read_text())) from None
        kind = WorkloadDied if _was_killed(str(error)) else WorkloadError
        raise kind(
            f"{module} ended without an error message ({error}).",
            "See its stderr. Out of memory: lower SEDI_TRAINING_MICRO_BATCH_SIZE, SEDI_EVALUATION_BATCH_SIZE.",
        ) from None
    return output


def rows_file(settings: Settings, name: str, rows: pl.DataFrame) -> str:
    """Write the rows that a workload is to read; returns the path for its job."""
    file = _folder(settings, f"{name}.parquet")
    file.parent.mkdir(parents=True, exist_ok=True)
    rows.write_parquet(file)
    return str(file)


def _was_killed(message: str) -> bool:
    """Whether a signal ended it: its code is negative, or 128 and the signal where a shell tells it."""
    code = re.search(r"code (-?\d+)", message)
    return code is not None and (int(code[1]) < 0 or int(code[1]) > 128)


def clear_workload(settings: Settings, name: str) -> None:
    """Forget a workload's results and saved state; for when they are stored."""
    shutil.rmtree(_folder(settings, name), ignore_errors=True)
    if settings.compute == "ray":
        Store(settings.data_root).remove(WORK, name)


def _folder(settings: Settings, name: str) -> Path:
    return settings.path(settings.cache) / "work" / name


def ready_for_workloads(settings: Settings) -> AbstractContextManager[None]:
    """A warm worker that imports its libraries while generation is under way, and ends with the block."""
    if settings.compute == "local" and _forks(settings.training, ""):
        return warm_worker_ready(is_local(settings.training.student), PROJECT_ROOT)
    return nullcontext()


def _forks(training: TrainingSettings, launcher: str) -> bool:
    return training.warm_worker and not training.python and not launcher and is_possible()


def _interpreter(training: TrainingSettings, launcher: str) -> list[str]:
    """The command before the module. `accelerate` is run by the workload's interpreter, wherever that is."""
    interpreter = training.python or sys.executable
    if _forks(training, launcher):
        return [interpreter, "-m", CLIENT]
    if not launcher:
        return [interpreter, "-m"]
    first, *options = shlex.split(launcher)
    if first == "accelerate":
        return [interpreter, "-m", "accelerate.commands.accelerate_cli", *options, "-m"]
    return [first, *options, "-m"]


def _remote_command(training: TrainingSettings, launcher: str) -> list[str]:
    """The same on a worker elsewhere, which has no warm worker; empty: the interpreter that it has."""
    if training.python:
        return _interpreter(training.model_copy(update={"warm_worker": False}), launcher)
    return [*shlex.split(launcher), "-m"] if launcher else []
