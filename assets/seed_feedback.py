"""The seed set of the next round: who was promoted, who was retired, why.

The batches with the highest gradient norm of every ten steps promote their machine-made instructions, within caps;
human seeds always stay.
Tables: `seeds` (the set), `changes` (each with its reason).
"""

import dagster as dg
import polars as pl

from sedi_dagster.feedback.seed_update import seed_set, update_seeds
from sedi_dagster.orchestration.failures import told_plainly
from sedi_dagster.orchestration.partitions import ROUNDS
from sedi_dagster.orchestration.resources import SediResource
from sedi_dagster.orchestration.rounds import machine_seeds
from sedi_dagster.records import Tables


@dg.asset(
    partitions_def=ROUNDS,
    ins={"seed_pool": dg.AssetIn(), "filtered_batches": dg.AssetIn(), "sft_checkpoint": dg.AssetIn()},
    kinds={"polars"},
    code_version="1",
    description=__doc__,
)
def seed_feedback(
    context: dg.AssetExecutionContext,
    sedi: SediResource,
    seed_pool: Tables,
    filtered_batches: Tables,
    sft_checkpoint: Tables,
) -> dg.Output[Tables]:
    with told_plainly():
        feedback = sedi.settings().feedback
        seeds, changes = update_seeds(
            context.partition_key,
            seed_set(seed_pool["seeds"], machine_seeds(sedi, context.partition_key)),
            filtered_batches["examples"],
            sft_checkpoint["steps"],
            feedback.window_steps,
            feedback.promote_per_category,
            feedback.max_machine_seeds_per_category,
        )
    return dg.Output(
        {"seeds": seeds, "changes": changes},
        metadata={
            "promoted": changes.filter(pl.col("change") == "promoted").height,
            "retired": changes.filter(pl.col("change") == "retired").height,
            "human_seeds": seeds.filter(pl.col("origin") == "human").height,
            "machine_seeds": seeds.filter(pl.col("origin") == "machine").height,
        },
    )
