"""The seed set of the next round: seeds that were promoted, rested or returned, with reasons.

A training signal ranks the round's examples. Those that pass the promotion rules become seeds, up to the limits. Each
seed is judged by its children (the candidates prompted with it); unproductive seeds rest for some rounds. Human seeds
always stay in the pool, and enough of them in the prompts of every category.
Tables: `seeds` (the set, with weight, depth and statistics of each), `changes` (each with its reason), `considered`
(every example with a signal, and why it was refused), `seed_statistics` (of each seed in this round).
"""

from collections import Counter

import dagster as dg
import polars as pl

from sedi_dagster.feedback.gate import GateRules, depths
from sedi_dagster.feedback.retirement import RestRules
from sedi_dagster.feedback.seed_statistics import seed_statistics
from sedi_dagster.feedback.seed_update import change_table, seed_set, seed_table, update_seeds
from sedi_dagster.feedback.signals import SIGNALS, Training
from sedi_dagster.filtering.novelty import near_duplicates
from sedi_dagster.orchestration.outputs import as_dagster_failure, table_output
from sedi_dagster.orchestration.partitions import MANY, ONE_BY_ONE, ROUNDS
from sedi_dagster.orchestration.resources import SediResource
from sedi_dagster.orchestration.round_inputs import earlier_depths, machine_seeds, shared_instructions
from sedi_dagster.records import Tables


@dg.asset(
    partitions_def=ROUNDS,
    backfill_policy=ONE_BY_ONE,
    ins={"generated_batches": dg.AssetIn(metadata={MANY: True})},
    kinds={"polars"},
    code_version="2",
    description=__doc__,
)
def seed_feedback(
    context: dg.AssetExecutionContext,
    sedi: SediResource,
    seed_pool: Tables,
    generated_batches: dict[str, Tables],
    filtered_batches: Tables,
    sft_checkpoint: Tables,
) -> dg.Output[Tables]:
    with as_dagster_failure():
        settings = sedi.settings()
        feedback = settings.feedback
        plan = sedi.plan(context.partition_key)
        candidates, calls = (sedi.concat_batches(name, plan, generated_batches) for name in ("candidates", "calls"))
        measured = sft_checkpoint["examples"]
        seeds = seed_set(seed_pool["seeds"], machine_seeds(sedi, plan.round))
        shared = shared_instructions(seeds)
        kept = filtered_batches["verdicts"].filter(pl.col("state") == "kept")["candidate_id"]
        known = {**earlier_depths(sedi, plan.round), **dict(seeds.select("seed_id", "depth").iter_rows())}
        generations = depths(candidates, known)
        statistics = seed_statistics(candidates, calls, kept, measured)
        scores = SIGNALS[feedback.signal](
            Training(
                sft_checkpoint["steps"],
                measured,
                sft_checkpoint["heldout"],
                feedback.window_steps,
                feedback.window_batches,
                (settings.project_seed, plan.round),
            )
        )
        updated = update_seeds(
            plan.round,
            seeds,
            filtered_batches["examples"]
            .join(_known_ifd(measured, filtered_batches["ifd"]), on="example_id", how="left")
            .with_columns(
                depth=pl.col("example_id").replace_strict(generations, default=1, return_dtype=pl.Int64),
                kept=pl.col("example_id").is_in(kept.implode()),
            ),
            scores,
            statistics,
            GateRules(
                feedback.max_ifd,
                feedback.max_depth,
                feedback.promote_per_category,
                feedback.max_entering,
                feedback.duplicate_threshold,
                shared.compared,
            ),
            RestRules(
                feedback.min_children,
                feedback.rest_alpha,
                feedback.rest_rounds,
                feedback.max_leaving,
                feedback.min_human_seeds_per_category,
                feedback.max_machine_seeds_per_category,
            ),
            near_duplicates,
        )
    after, changes = updated.seeds, updated.changes
    if scores.is_empty():
        context.log.warning(f"No example is promoted: the signal {feedback.signal} has no values for this round.")
    count = Counter(changes["change"])
    return table_output(
        {"seeds": after, "changes": changes, "considered": updated.considered, "seed_statistics": statistics},
        metadata={
            "signal": feedback.signal,
            **{change: count[change] for change in ("promoted", "retired", "returned")},
            "considered": updated.considered.height,
            "refused": updated.considered.filter(pl.col("refused").is_not_null()).height,
            "human_seeds": after.filter(pl.col("origin") == "human").height,
            "machine_seeds": after.filter(pl.col("origin") == "machine").height,
            "resting_seeds": after.filter(pl.col("weight") == 0).height,
            "seed_changes": dg.MetadataValue.md(change_table(changes)),
            "seed_set": dg.MetadataValue.md(seed_table(after)),
        },
    )


def _known_ifd(measured: pl.DataFrame, filtered: pl.DataFrame) -> pl.DataFrame:
    """`example_id` and `ifd`: the loss ratio measured in training, otherwise that of the filter, otherwise null."""
    by_filter = filtered.select(example_id="candidate_id", by_filter="ifd_loss_ratio").unique("example_id")
    by_training = measured.select("example_id", ifd="ifd_loss_ratio").unique("example_id")
    both = by_training.join(by_filter, on="example_id", how="left")
    return both.select("example_id", ifd=pl.coalesce("ifd", "by_filter"))
