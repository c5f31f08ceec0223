"""Statistics of each seed. Its children are the candidates prompted with it or evolved from it.

A prompt shows several seeds and yields several candidates: a call's tokens are divided among its candidates, and a
candidate's tokens among its parents. Statistics accumulate over rounds.
"""

from __future__ import annotations

from typing import Any

import polars as pl

STATISTICS_SCHEMA: dict[str, Any] = {
    "seed_id": pl.String,
    "children": pl.Int64,  # candidates prompted with it or evolved from it
    "kept": pl.Int64,  # children kept by all filters
    "measured": pl.Int64,  # children with a loss before and after training
    "loss_drop": pl.Float64,  # sum over the measured children
    "tokens": pl.Float64,  # its share of its children's tokens
}
STATISTICS = tuple(name for name in STATISTICS_SCHEMA if name != "seed_id")


def seed_statistics(
    candidates: pl.DataFrame, calls: pl.DataFrame, kept: pl.Series, examples: pl.DataFrame
) -> pl.DataFrame:
    """Compute one round's statistics of the seeds shown in prompts, as `STATISTICS_SCHEMA`.

    Args:
        candidates: with `candidate_id`, `demonstration_ids`, `instruction_key`, `answer_key`, and optionally
            `parent_id`.
        calls: with `request_key`, `prompt_tokens`, `completion_tokens`.
        kept: ids of the candidates that all filters kept.
        examples: with `example_id`, `loss_before`, `loss_after`.
    """
    cost = calls.group_by("request_key").agg(
        tokens=(pl.col("prompt_tokens") + pl.col("completion_tokens")).first().cast(pl.Float64)
    )
    parents = pl.col("demonstration_ids").fill_null([])
    if "parent_id" in candidates.columns:  # evolved from an example rather than prompted with several
        parents = pl.concat_list(parents, pl.col("parent_id")).list.drop_nulls().list.unique(maintain_order=True)
    priced = candidates.select("candidate_id", parents.alias("seed_id"), "instruction_key", "answer_key").with_columns(
        parents=pl.col("seed_id").list.len(),
    )
    for key in ("instruction_key", "answer_key"):
        siblings = pl.len().over(key)
        priced = priced.join(cost, left_on=key, right_on="request_key", how="left", maintain_order="left")
        share = pl.when(pl.col(key).is_null()).then(0.0).otherwise(pl.col("tokens").fill_null(0.0) / siblings)
        priced = priced.with_columns(share.alias(f"cost_{key}")).drop("tokens")
    drop = pl.col("loss_before") - pl.col("loss_after")
    losses = examples.select("example_id", drop=pl.when(drop.is_finite()).then(drop)).unique("example_id")
    shown = (
        priced.join(losses, left_on="candidate_id", right_on="example_id", how="left")
        .with_columns(
            kept=pl.col("candidate_id").is_in(kept.implode()),
            tokens=(pl.col("cost_instruction_key") + pl.col("cost_answer_key")) / pl.col("parents"),
        )
        .explode("seed_id")
        .filter(pl.col("seed_id").is_not_null())
    )
    return (
        shown.group_by("seed_id")
        .agg(
            children=pl.len().cast(pl.Int64),
            kept=pl.col("kept").sum().cast(pl.Int64),
            measured=pl.col("drop").is_not_null().sum().cast(pl.Int64),
            loss_drop=pl.col("drop").sum(),
            tokens=pl.col("tokens").sum(),
        )
        .sort("seed_id")
        .select(*STATISTICS_SCHEMA)
    )


def add_statistics(seeds: pl.DataFrame, statistics: pl.DataFrame) -> pl.DataFrame:
    """Add this round's statistics to those of the seeds."""
    joined = seeds.join(statistics, on="seed_id", how="left", suffix="_now", maintain_order="left")
    sums = [(pl.col(name) + pl.col(f"{name}_now").fill_null(0)).alias(name) for name in STATISTICS]
    return joined.with_columns(sums).select(seeds.columns)
