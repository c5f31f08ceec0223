"""Starting the training workload, for a round and for the seed-only student."""

from __future__ import annotations

from pathlib import Path

import dagster as dg
import polars as pl

from sedi_dagster.errors import StorageError
from sedi_dagster.orchestration.resources import SediResource
from sedi_dagster.orchestration.workloads import run_workload
from sedi_dagster.records import derived_seed
from sedi_dagster.settings import TrainingSettings
from sedi_dagster.storage.rounds import SEED_TASKS
from sedi_dagster.storage.store import file_sha256, folder_hashes, tables_version
from sedi_dagster.student.loading import student_source

CHECKPOINT_FILES = ("*.safetensors", "*.json", "*.jinja")
"""Files of a checkpoint that are hashed. Not its card, which is written again once it is evaluated."""


def train_student(
    context: dg.AssetExecutionContext,
    sedi: SediResource,
    pipes: dg.PipesSubprocessClient,
    name: str,
    batches: pl.DataFrame,
    heldout: pl.DataFrame,
    training: TrainingSettings,
    parent: str | None = None,
    held_out_every: int = 0,
    ifd: bool = False,
) -> Path:
    """Train in a process of its own; a run that was killed goes on from its last saved state.

    Args:
        name: of the checkpoint: a round, or `SEED_TASKS`.
        batches: rows in training order (`training_rows`).
        heldout: rows whose loss is measured and which are never trained on.
        parent: checkpoint to go on from; None: the untrained student.
        held_out_every: steps between two measurements of the held-out loss; 0: before and after only.
        ifd: measure each answer's loss without its instruction too.

    Returns:
        The folder with `checkpoint/`, `steps.parquet`, `examples.parquet`, `heldout.parquet` and `summary.json`.

    Raises:
        WorkloadError: training failed; what was paid for is kept.
    """
    settings = sedi.settings()
    cache = settings.path(settings.cache)
    start = verified_checkpoint(sedi, parent) if parent else None
    inputs = cache / "work" / f"rows-{name}"
    inputs.mkdir(parents=True, exist_ok=True)
    tables = {"batches": batches, "heldout": heldout}
    for table, rows in tables.items():
        rows.write_parquet(inputs / f"{table}.parquet")
    return run_workload(
        context,
        pipes,
        "sedi_dagster.training",
        settings,
        f"train-{name}",
        {
            "student": student_source(training.student, cache),
            "checkpoint": str(start) if start else None,
            "rows": str(inputs / "batches.parquet"),
            "held_out": str(inputs / "heldout.parquet"),
            "settings": training.model_dump(mode="json"),
            "batch_size": settings.batching.batch_size,
            "seed": derived_seed(settings.project_seed, name, "training"),
            "held_out_every": held_out_every,
            "ifd": ifd,
            "about": {
                "round": name,
                "student": training.student,
                "parent": parent,
                "parent_files": folder_hashes(start, ["*.safetensors"]) if start else {},
                "data_version": tables_version(tables),
                "location": f"checkpoints/{name}",  # under the data folder: a card names no path of this machine
            },
        },
        launcher=training.launcher,
        resume=True,
    )


def verified_checkpoint(sedi: SediResource, name: str) -> Path:
    """A checkpoint's weights as a local folder, once every file is what training wrote.

    Raises:
        StorageError: a file is missing or was changed since.
    """
    settings, store = sedi.settings(), sedi.store()
    folder = store.local_copy(settings.path(settings.cache), "checkpoints", name)
    asset, table = (("baseline_scores",), "seed_files") if name == SEED_TASKS else (("sft_checkpoint", name), "files")
    for file, sha256 in store.read_tables(*asset)[table].iter_rows():
        if not (folder / file).is_file() or file_sha256(folder / file) != sha256:
            raise StorageError(
                f"{store.path('checkpoints', name, file)} is missing, or not what training wrote.",
                f"Restore checkpoints/{name} from a backup, or materialize {'/'.join(asset)} again.",
            )
    return folder
