"""What each seed earned by its children: the candidates whose prompt showed it.

A prompt shows several seeds and yields several candidates, so a child counts a share for each of its parents (one over
their number), and a call's tokens are shared by its candidates in the same way. Accounts add up over rounds.
"""

from __future__ import annotations

from typing import Any

import polars as pl

EARNING_SCHEMA: dict[str, Any] = {
    "seed_id": pl.String,
    "children": pl.Int64,  # candidates that saw it
    "kept": pl.Int64,  # of these, kept by all filters
    "measured": pl.Int64,  # of these, with a loss before and after
    "loss_drop": pl.Float64,  # sum over the measured ones
    "tokens": pl.Float64,  # its share of what they cost
}
NUMBERS = tuple(name for name in EARNING_SCHEMA if name != "seed_id")


def children_of(candidates: pl.DataFrame, calls: pl.DataFrame, kept: pl.Series, examples: pl.DataFrame) -> pl.DataFrame:
    """One round's account of each seed that a prompt showed, as `EARNING_SCHEMA`.

    Args:
        candidates: `candidate_id`, `demonstration_ids`, `instruction_key`, `answer_key`.
        calls: `request_key`, `prompt_tokens`, `completion_tokens`.
        kept: ids of the candidates that all filters kept.
        examples: `example_id`, `loss_before`, `loss_after`.
    """
    cost = calls.group_by("request_key").agg(
        tokens=(pl.col("prompt_tokens") + pl.col("completion_tokens")).first().cast(pl.Float64)
    )
    priced = candidates.select("candidate_id", "demonstration_ids", "instruction_key", "answer_key").with_columns(
        parents=pl.col("demonstration_ids").list.len(),
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
        .explode("demonstration_ids")
        .rename({"demonstration_ids": "seed_id"})
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
        .select(*EARNING_SCHEMA)
    )


def added(seeds: pl.DataFrame, earned: pl.DataFrame) -> pl.DataFrame:
    """The seeds with this round's account added to theirs."""
    joined = seeds.join(earned, on="seed_id", how="left", suffix="_now", maintain_order="left")
    sums = [(pl.col(name) + pl.col(f"{name}_now").fill_null(0)).alias(name) for name in NUMBERS]
    return joined.with_columns(sums).select(seeds.columns)
