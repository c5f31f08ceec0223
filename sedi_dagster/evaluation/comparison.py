"""Two checkpoints on the same items: what got better or worse, and whether the new one may be built on.

Pass or fail is compared by the exact McNemar test; graded scores and losses by a paired bootstrap that draws whole
clusters, because items of one template rise and fall together. A loss is compared between checkpoints only: between
categories it says more about the texts than about the student.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from sedi_dagster.evaluation.statistics import holm
from sedi_dagster.records import derived_seed

RESAMPLES = 2000
ALL = "all"
"""Stands for all categories together in a table of comparisons."""

COMPARISON_SCHEMA = {
    "against": pl.String,
    "category": pl.String,
    "items": pl.Int64,
    "won": pl.Int64,
    "lost": pl.Int64,
    "p_gain": pl.Float64,
    "p_drop": pl.Float64,
    "score_change": pl.Float64,
    "score_low": pl.Float64,
    "score_high": pl.Float64,
    "loss_change": pl.Float64,
    "loss_low": pl.Float64,
    "loss_high": pl.Float64,
}


@dataclass(frozen=True)
class Change:
    """A mean paired change with its 95 % percentile interval."""

    mean: float
    low: float
    high: float


def mcnemar(won: int, lost: int) -> float:
    """P(so many losses or fewer) if a change in either direction is as likely: small if wins outnumber losses.

    One-sided exact McNemar test (McNemar 1947; exact: binomial with p = 1/2 over the items that differ). Swap the
    arguments to test for a drop. 1 if no item differs.
    """
    from scipy.stats import binomtest

    return float(binomtest(lost, won + lost, 0.5, alternative="less").pvalue) if won + lost else 1.0


def paired_bootstrap(changes: NDArray[Any], clusters: NDArray[Any], seed: int, resamples: int = RESAMPLES) -> Change:
    """Mean of paired changes, resampling clusters with all their items (Davison and Hinkley 1997, section 3.8).

    Args:
        changes: after minus before, one an item.
        clusters: the cluster of each item.
    """
    _, cluster = np.unique(clusters, return_inverse=True)
    sums, sizes = np.bincount(cluster, changes), np.bincount(cluster)
    drawn = np.random.default_rng(seed).multinomial(len(sums), np.full(len(sums), 1 / len(sums)), size=resamples)
    means = (drawn @ sums) / (drawn @ sizes)
    low, high = np.quantile(means, [0.025, 0.975])
    return Change(float(np.mean(changes)), float(low), float(high))


def shared_items(before: pl.DataFrame, after: pl.DataFrame) -> pl.DataFrame:
    """The items that both answered, with `passed_before`, `score_before` and `reference_loss_before` beside."""
    earlier = before.select("item_id", *(pl.col(c).alias(f"{c}_before") for c in ("passed", "score", "reference_loss")))
    return after.join(earlier, on="item_id")


def swaps(pairs: pl.DataFrame) -> tuple[int, int]:
    """(won, lost): items that failed before and pass now, and the other way round."""
    won = pairs.filter(~pl.col("passed_before") & pl.col("passed")).height
    return won, pairs.filter(pl.col("passed_before") & ~pl.col("passed")).height


def compare(against: str, before: pl.DataFrame, after: pl.DataFrame) -> pl.DataFrame:
    """One row a category and one for all (`COMPARISON_SCHEMA`): the change from `before` to `after`.

    Loss columns are null where a student was not asked for its loss (one that is served elsewhere).
    """
    pairs = shared_items(before, after)
    rows = [_row(against, ALL, pairs)] if pairs.height else []
    rows += [
        _row(against, category, pairs.filter(pl.col("category") == category))
        for category in pairs["category"].unique().sort()
    ]
    return pl.DataFrame(rows, schema=COMPARISON_SCHEMA)


def _row(against: str, category: str, pairs: pl.DataFrame) -> dict[str, Any]:
    won, lost = swaps(pairs)
    row = {
        "against": against,
        "category": category,
        "items": pairs.height,
        "won": won,
        "lost": lost,
        "p_gain": mcnemar(won, lost),
        "p_drop": mcnemar(lost, won),
    }
    for name, column in (("score", "score"), ("loss", "reference_loss")):
        known = pairs.drop_nulls([column, f"{column}_before"])
        if known.height:
            changes = (known[column] - known[f"{column}_before"]).to_numpy()
            seed = derived_seed("bootstrap", against, category, name)
            change = paired_bootstrap(changes, known["cluster"].to_numpy(), seed)
            row |= {f"{name}_change": change.mean, f"{name}_low": change.low, f"{name}_high": change.high}
    return row


def gain_p_value(before: pl.DataFrame, after: pl.DataFrame, category: str) -> float:
    """How surely a category gained, pass for pass: the one-sided exact McNemar test on the shared items."""
    return mcnemar(*swaps(shared_items(before, after.filter(pl.col("category") == category))))


def judge_promotion(
    before: pl.DataFrame, after: pl.DataFrame, alpha: float, margin: float, named: Mapping[str, str] | None = None
) -> tuple[bool, str]:
    """Whether the new checkpoint may be built on, and why.

    It may not if a category dropped by more than `margin` and significantly (one-sided exact McNemar, Holm over the
    categories), or if the overall pass rate dropped significantly, or if there is nothing to compare.

    Args:
        named: how a category is called in the reason, by id.
    """
    pairs = shared_items(before, after)
    if not pairs.height:
        return False, "no item was answered by this checkpoint and by the one it would replace: nothing to compare"
    won, lost = swaps(pairs)
    p_overall = mcnemar(lost, won)
    told = f"{won} items won and {lost} lost of {pairs.height} (one-sided exact McNemar p = {p_overall:.2g})"
    categories = pairs["category"].unique().sort().to_list()
    by_category = [swaps(pairs.filter(pl.col("category") == category)) for category in categories]
    adjusted = holm([mcnemar(lost_there, won_there) for won_there, lost_there in by_category])
    stopped = []
    for category, (won_there, lost_there), p in zip(categories, by_category, adjusted, strict=True):
        items = pairs.filter(pl.col("category") == category).height
        drop = (lost_there - won_there) / items
        if p <= alpha and drop > margin:
            name = (named or {}).get(category, category)
            stopped.append(f"{name} dropped by {drop:.0%} of {items} items (Holm-adjusted p = {p:.2g})")
    if stopped:
        return False, f"{'; '.join(stopped)}. Overall {told}"
    if p_overall <= alpha:
        return False, f"the overall pass rate dropped: {told}"
    return True, f"no category dropped significantly by more than {margin:.0%}. Overall {told}"
