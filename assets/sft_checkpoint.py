"""The student after the round, and what training told about each step.

TRL fine-tunes it in its own process, in exactly the composed order, from the last promoted checkpoint (or from the
base model). The checkpoint lies in `checkpoints/<round>/` as safetensors.
Tables: `steps` (loss, gradient norm before clipping, learning rate, example ids), `files` (SHA-256 of each file).
"""

import dagster as dg
import polars as pl

from sedi_dagster.orchestration.failures import told_plainly
from sedi_dagster.orchestration.metadata import picture
from sedi_dagster.orchestration.partitions import ROUNDS
from sedi_dagster.orchestration.resources import SediResource
from sedi_dagster.orchestration.rounds import promoted_checkpoint
from sedi_dagster.orchestration.workloads import run_workload
from sedi_dagster.records import Tables, derived_seed
from sedi_dagster.reporting.report import plot_training
from sedi_dagster.store import folder_hashes
from sedi_dagster.student import student_source


@dg.asset(
    partitions_def=ROUNDS,
    ins={"filtered_batches": dg.AssetIn()},
    kinds={"pytorch", "huggingface"},
    pool="student",
    code_version="1",
    description=__doc__,
)
def sft_checkpoint(
    context: dg.AssetExecutionContext,
    sedi: SediResource,
    pipes: dg.PipesSubprocessClient,
    filtered_batches: Tables,
) -> dg.Output[Tables]:
    round_key = context.partition_key
    with told_plainly():
        settings, store = sedi.settings(), sedi.store()
        cache = settings.path(settings.cache)
        parent = promoted_checkpoint(sedi, round_key) if settings.training.start == "previous" else None
        rows = cache / "work" / f"rows-{round_key}.parquet"
        rows.parent.mkdir(parents=True, exist_ok=True)
        filtered_batches["batches"].write_parquet(rows)
        output = run_workload(
            context,
            pipes,
            "sedi_dagster.training",
            settings,
            f"train-{round_key}",
            {
                "student": student_source(settings.training.student, cache),
                "adapter": str(store.local_copy(cache, "checkpoints", parent)) if parent else None,
                "rows": str(rows),
                "settings": settings.training.model_dump(mode="json"),
                "batch_size": settings.batching.batch_size,
                "seed": derived_seed(settings.project_seed, round_key, "training"),
            },
        )
        store.upload(output / "checkpoint", "checkpoints", round_key)
    steps = pl.read_parquet(output / "steps.parquet")
    files = folder_hashes(output / "checkpoint")
    return dg.Output(
        {
            "steps": steps,
            "files": pl.DataFrame(
                {"file": list(files), "sha256": list(files.values())},
                schema={"file": pl.String, "sha256": pl.String},
            ),
            "origin": pl.DataFrame(
                {"student": [settings.training.student], "parent": [parent]},
                schema={"student": pl.String, "parent": pl.String},
            ),
        },
        metadata={
            "trained_from": parent or "the untrained student",
            "steps": steps.height,
            "first_loss": float(steps["loss"][0]),
            "last_loss": steps.tail(5).select(pl.mean("loss")).item(),
            "completion_tokens": int(steps["completion_tokens"].sum()),
            "path": str(store.path("checkpoints", round_key)),
            "loss_and_gradient_norm": picture(plot_training(steps)),
        },
    )
