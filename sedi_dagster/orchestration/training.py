"""Training: selecting rows that fit the student, running the workload, and training on the human seed tasks alone."""

from pathlib import Path

import dagster as dg
import numpy as np
import polars as pl

from sedi_dagster.batching.composition import compose, training_rows
from sedi_dagster.batching.replay import ReplayRules, held_out_seeds, seed_rows
from sedi_dagster.errors import StorageError
from sedi_dagster.orchestration.resources import SediResource
from sedi_dagster.orchestration.workloads import rows_file, run_workload
from sedi_dagster.records import Tables, derived_seed, task_prompts
from sedi_dagster.settings import Settings, TrainingSettings
from sedi_dagster.storage.files import file_sha256, folder_hashes
from sedi_dagster.storage.rounds import SEED_TASKS, table_of
from sedi_dagster.storage.store import tables_version
from sedi_dagster.student.loading import student_source, token_counter

CHECKPOINT_FILES = ("*.safetensors", "*.json", "*.jinja")
"""Files of a checkpoint that are hashed; not its card, which is rewritten after the evaluation."""


def replay_rules(settings: Settings) -> ReplayRules:
    """Return the replay shares. A round that starts from the untrained student trains on everything."""
    batching = settings.batching
    if settings.training.start == "base":
        return ReplayRules(1.0, 1.0, batching.batch_size)
    return ReplayRules(batching.human_replay, batching.earlier_replay, batching.batch_size)


def fitting(sedi: SediResource, rows: pl.DataFrame) -> pl.DataFrame:
    """Return the rows (`instruction`, `input`, `output`, ...) that are not longer than the training's `max_length`."""
    settings = sedi.settings()
    count_tokens = token_counter(student_source(settings.training.student, settings.path(settings.cache)))
    tokens = count_tokens(rows.select(task_prompts()).to_series().to_list(), rows["output"].to_list())
    return rows.filter(pl.Series(tokens, dtype=pl.Int64) <= settings.training.max_length)


def as_prompts(seeds: pl.DataFrame) -> pl.DataFrame:
    """Return seed tasks as the student sees them: example_id, category, prompt, output."""
    return seeds.select(pl.col("seed_id").alias("example_id"), "category", task_prompts(), "output")


def train_student(
    context: dg.AssetExecutionContext,
    sedi: SediResource,
    name: str,
    batches: pl.DataFrame,
    heldout: pl.DataFrame,
    training: TrainingSettings,
    parent: str | None = None,
    held_out_every: int = 0,
    ifd: bool = False,
) -> Path:
    """Train the student in a separate process. A training that was killed resumes from its last saved state.

    Args:
        name: name of the new checkpoint: a round, or `SEED_TASKS`.
        batches: rows in training order (`training_rows`).
        heldout: rows that are never trained on and whose loss is measured.
        parent: checkpoint to start from; None: the untrained student.
        held_out_every: steps between two measurements of the held-out loss; 0: only before and after the training.
        ifd: also measure each answer's loss without its instruction.

    Returns:
        The folder with `checkpoint/`, `steps.parquet`, `examples.parquet`, `heldout.parquet` and `summary.json`.

    Raises:
        WorkloadError: training failed. The data of the round is kept.
    """
    settings = sedi.settings()
    cache = settings.path(settings.cache)
    start = verified_checkpoint(sedi, parent) if parent else None
    return run_workload(
        context,
        "sedi_dagster.training",
        settings,
        f"train-{name}",
        {
            "student": student_source(training.student, cache),
            "checkpoint": str(start) if start else None,
            "rows": rows_file(settings, f"rows-{name}/batches", batches),
            "held_out": rows_file(settings, f"rows-{name}/heldout", heldout),
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
                "data_version": tables_version({"batches": batches, "heldout": heldout}),
                "location": f"checkpoints/{name}",  # relative, because the card should not reveal local paths
            },
        },
        launcher=training.launcher,
        resume=True,
    )


def verified_checkpoint(sedi: SediResource, name: str) -> Path:
    """Return a local folder with a checkpoint, after verifying the hash of every file.

    Raises:
        StorageError: a file is missing or was changed.
    """
    settings, store = sedi.settings(), sedi.store()
    folder = store.local_copy(settings.path(settings.cache), "checkpoints", name)
    table, *asset = table_of(name, "files")
    for file, sha256 in store.read_table(table, *asset).iter_rows():
        if not (folder / file).is_file() or file_sha256(folder / file) != sha256:
            raise StorageError(
                f"{store.path('checkpoints', name, file)} is missing or was changed since training.",
                f"Restore checkpoints/{name} from a backup, or materialize {'/'.join(asset)} again.",
            )
    return folder


def train_on_seed_tasks(context: dg.AssetExecutionContext, sedi: SediResource, seeds: pl.DataFrame) -> Tables:
    """Train on all human seed tasks except the held-out ones, and store the checkpoint as `SEED_TASKS`.

    Rounds are compared with it, to show what the teacher's examples add. The first round starts from it if it is better
    than the untrained student.

    Returns:
        `seed_steps`, `seed_heldout` (as in `sft_checkpoint`) and `seed_files` (SHA-256 of each file).

    Raises:
        WorkloadError: training failed.
    """
    settings, store = sedi.settings(), sedi.store()
    training = settings.training.model_copy(update={"epochs": settings.training.seed_epochs, "example_losses": False})
    human = fitting(sedi, seeds)
    heldout = held_out_seeds(human, training.held_out_share, settings.project_seed)
    rows = seed_rows(human.filter(~pl.col("seed_id").is_in(heldout["seed_id"].implode())))
    batches = compose(
        np.empty((rows.height, 0)), settings.batching.batch_size, "random", settings.project_seed, SEED_TASKS
    )
    output = train_student(context, sedi, SEED_TASKS, training_rows(rows, batches), as_prompts(heldout), training)
    store.upload(output / "checkpoint", "checkpoints", SEED_TASKS)
    files = folder_hashes(output / "checkpoint", CHECKPOINT_FILES)
    return {
        "seed_steps": pl.read_parquet(output / "steps.parquet"),
        "seed_heldout": pl.read_parquet(output / "heldout.parquet"),
        "seed_files": pl.DataFrame({"file": list(files), "sha256": list(files.values())}),
    }
