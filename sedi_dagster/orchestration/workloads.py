"""Running a heavy workload (training, evaluation) in its own process through Dagster Pipes."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import dagster as dg
from dagster._core.errors import DagsterPipesExecutionError  # not exported

from sedi_dagster.errors import WorkloadError
from sedi_dagster.settings import PROJECT_ROOT, Settings
from sedi_dagster.student import is_local
from sedi_dagster.workload import ERROR_FILE

KEYS = ("SEDI_TEACHER_API_KEY", "SEDI_EVALUATION_API_KEY", "SEDI_EVALUATION_JUDGE_API_KEY")


def run_workload(
    context: dg.AssetExecutionContext,
    pipes: dg.PipesSubprocessClient,
    module: str,
    settings: Settings,
    name: str,
    job: Mapping[str, Any],
) -> Path:
    """Run `python -m <module>` on a job and return its output folder in the cache.

    Raises:
        WorkloadError: it failed; with its own words if it had any.
    """
    output = settings.path(settings.cache) / "work" / name
    shutil.rmtree(output, ignore_errors=True)
    output.mkdir(parents=True)
    job_file = output / "job.json"
    offline = is_local(settings.training.student)
    job_file.write_text(json.dumps({**job, "output": str(output), "offline": offline}), encoding="utf-8")
    command = [settings.training.python or sys.executable, "-m", module, "--job", str(job_file)]
    try:
        # The keys of the endpoints are nobody's business there.
        pipes.run(command=command, context=context, cwd=str(PROJECT_ROOT), env=dict.fromkeys(KEYS, ""))
    except DagsterPipesExecutionError as error:
        told = output / ERROR_FILE
        if told.exists():
            raise WorkloadError(**json.loads(told.read_text())) from None
        raise WorkloadError(
            f"{module} ended without saying why ({error}).",
            "See its stderr. Out of memory: lower SEDI_TRAINING_MICRO_BATCH_SIZE, SEDI_EVALUATION_BATCH_SIZE.",
        ) from None
    return output
