"""The student trained on the human seed tasks alone, as a baseline without a teacher.

Every score is compared with it, to separate the contribution of the teacher's tokens from that of the user's seed
tasks. The first round starts from it if it is better than the untrained student.
"""

from __future__ import annotations

import dagster as dg
import numpy as np
import polars as pl

from sedi_dagster.batching.composition import compose, training_rows
from sedi_dagster.batching.replay import held_out_seeds, seed_rows
from sedi_dagster.orchestration.resources import SediResource
from sedi_dagster.orchestration.rows import as_prompts, fitting
from sedi_dagster.orchestration.training import CHECKPOINT_FILES, train_student
from sedi_dagster.records import Tables
from sedi_dagster.storage.rounds import SEED_TASKS
from sedi_dagster.storage.store import folder_hashes


def train_on_seed_tasks(
    context: dg.AssetExecutionContext, sedi: SediResource, pipes: dg.PipesSubprocessClient, seeds: pl.DataFrame
) -> Tables:
    """Train on all human seed tasks but the held-out ones, and store the checkpoint as `SEED_TASKS`.

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
    output = train_student(
        context, sedi, pipes, SEED_TASKS, training_rows(rows, batches), as_prompts(heldout), training
    )
    store.upload(output / "checkpoint", "checkpoints", SEED_TASKS)
    files = folder_hashes(output / "checkpoint", CHECKPOINT_FILES)
    return {
        "seed_steps": pl.read_parquet(output / "steps.parquet"),
        "seed_heldout": pl.read_parquet(output / "heldout.parquet"),
        "seed_files": pl.DataFrame({"file": list(files), "sha256": list(files.values())}),
    }
