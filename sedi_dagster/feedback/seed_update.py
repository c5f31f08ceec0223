"""The seed set of the next round (SeDi-Instruct, arXiv 2502.04774): training says which examples become seeds.

Of every window of optimiser steps, the batch with the highest gradient norm promotes its machine-made
instructions to seeds, within a cap by category. Human seeds always stay in the pool. Known weakness: a high
gradient norm also marks noise, so what it promotes had to pass every filter first.
"""

from __future__ import annotations

from typing import Any

import polars as pl

SEED_SET_SCHEMA: dict[str, Any] = {
    "seed_id": pl.String,
    "category": pl.String,
    "instruction": pl.String,
    "input": pl.String,
    "output": pl.String,
    "is_classification": pl.Boolean,
    "origin": pl.String,  # human, machine
    "since_round": pl.String,
    "signal": pl.Float64,
}
CHANGE_SCHEMA: dict[str, Any] = {
    "seed_id": pl.String,
    "category": pl.String,
    "change": pl.String,  # promoted, retired
    "signal": pl.Float64,
    "reason": pl.String,
    "instruction": pl.String,
}


def seed_set(human: pl.DataFrame, machine: pl.DataFrame | None) -> pl.DataFrame:
    """All seeds a round may show: every human one, and the machine-made ones that earlier rounds promoted."""
    pool = human.with_columns(since_round=pl.lit(None, pl.String), signal=pl.lit(None, pl.Float64)).select(
        *SEED_SET_SCHEMA
    )
    return pool if machine is None else pl.concat([pool, machine.filter(pl.col("origin") == "machine")])


def highest_norm_examples(steps: pl.DataFrame, window: int) -> dict[str, tuple[float, int]]:
    """Examples of each window's highest-norm batch: id to (gradient norm, step).

    Args:
        steps: training signals with `step`, `grad_norm`, `example_ids`.
        window: optimiser steps of which one batch is taken (SeDi-Instruct: 10). A step whose norm is not finite
            (training overflowed) is never taken: it would win every window.
    """
    chosen: dict[str, tuple[float, int]] = {}
    in_order = steps.sort("step")
    for start in range(0, steps.height, window):
        finite = in_order.slice(start, window).filter(pl.col("grad_norm").is_finite())
        for best in finite.sort("grad_norm", descending=True, maintain_order=True).head(1).iter_rows(named=True):
            for example_id in best["example_ids"]:
                chosen.setdefault(example_id, (best["grad_norm"], best["step"]))
    return chosen


def update_seeds(
    round_key: str,
    seeds: pl.DataFrame,
    examples: pl.DataFrame,
    steps: pl.DataFrame,
    window: int,
    promote_per_category: int,
    max_machine_per_category: int,
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Promote and retire machine-made seeds.

    Args:
        seeds: the set this round showed (`SEED_SET_SCHEMA`).
        examples: the round's kept examples, with `example_id`.
        steps: its training signals.

    Returns:
        The next round's set (`SEED_SET_SCHEMA`) and the changes (`CHANGE_SCHEMA`), each with its reason.
    """
    chosen = highest_norm_examples(steps, window)
    candidates = [
        {**row, "signal": chosen[row["example_id"]][0], "step": chosen[row["example_id"]][1]}
        for row in examples.iter_rows(named=True)
        if row["example_id"] in chosen
    ]
    candidates.sort(key=lambda row: (-row["signal"], row["example_id"]))
    promoted: list[dict[str, Any]] = []
    changes: list[dict[str, Any]] = []
    for row in candidates:
        if sum(p["category"] == row["category"] for p in promoted) < promote_per_category:
            promoted.append(_as_seed(row, round_key))
            reason = f"in its window's batch of highest gradient norm ({row['signal']:.2f}, step {row['step']})"
            changes.append(_change(promoted[-1], "promoted", reason))
    after = pl.concat([seeds, pl.DataFrame(promoted, schema=SEED_SET_SCHEMA)]).unique(
        "seed_id", keep="first", maintain_order=True
    )
    ranked = after.filter(pl.col("origin") == "machine").with_columns(
        rank=pl.col("signal").rank("ordinal", descending=True).over("category")
    )
    for row in ranked.filter(pl.col("rank") > max_machine_per_category).iter_rows(named=True):
        reason = (
            f"over {max_machine_per_category} machine-made seeds in {row['category']}, and its signal is the lowest"
        )
        changes.append(_change(row, "retired", reason))
    gone = {change["seed_id"] for change in changes if change["change"] == "retired"}
    no_change = gone - set(seeds["seed_id"])  # promoted and retired at once: never a seed
    changes = [change for change in changes if change["seed_id"] not in no_change]
    return after.filter(~pl.col("seed_id").is_in(list(gone))), pl.DataFrame(changes, schema=CHANGE_SCHEMA)


def _as_seed(row: dict[str, Any], round_key: str) -> dict[str, Any]:
    return {
        "seed_id": row["example_id"],
        **{name: row[name] for name in ("category", "instruction", "input", "output", "is_classification", "signal")},
        "origin": "machine",
        "since_round": round_key,
    }


def _change(seed: dict[str, Any], change: str, reason: str) -> dict[str, Any]:
    return {
        **{name: seed[name] for name in ("seed_id", "category", "signal", "instruction")},
        "change": change,
        "reason": reason,
    }
