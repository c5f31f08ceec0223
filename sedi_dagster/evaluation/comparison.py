"""Comparison of two checkpoints on the same items, and whether the new one is promoted.

Items of one template are correlated, so whole clusters are compared: pass or fail by an exact sign-flip test, which is
McNemar's test if all items are independent; graded scores and losses by a paired bootstrap. Losses are compared between
checkpoints only, because between categories they depend on the texts more than on the student.
"""

from collections.abc import Sequence
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


def gain_test(differences: Sequence[int]) -> float:
    """One-sided p-value of a gain: small if wins outnumber losses by more than chance explains.

    A sign-flip permutation test (Pitman 1937; Good 2005, section 3.2): if nothing changed, each cluster's difference is
    as likely to have the other sign. Its distribution is worked out exactly. With one item a cluster it is the exact
    one-sided McNemar test (McNemar 1947). To test for a drop, change all signs.

    Args:
        differences: items won minus items lost, of each cluster. Those that are 0 say nothing.

    Returns:
        P(a sum as large or larger); 1 if no cluster differs.
    """
    sizes = [abs(d) for d in differences if d]
    if not sizes:
        return 1.0
    chances = np.ones(1)  # of each sum of the clusters so far, shifted by their total
    for size in sizes:
        ahead, behind = (np.concatenate(p) for p in ((np.zeros(2 * size), chances), (chances, np.zeros(2 * size))))
        chances = (ahead + behind) / 2
    return float(min(1.0, chances[sum(differences) + sum(sizes) :].sum()))


def cluster_differences(pairs: pl.DataFrame) -> list[int]:
    """Items won minus items lost, of each cluster of `shared_items`."""
    change = pl.col("passed").cast(pl.Int64) - pl.col("passed_before").cast(pl.Int64)
    return pairs.group_by("category", "cluster").agg(change.sum().alias("change"))["change"].to_list()


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
    differences = cluster_differences(pairs)
    row = {
        "against": against,
        "category": category,
        "items": pairs.height,
        "won": won,
        "lost": lost,
        "p_gain": gain_test(differences),
        "p_drop": gain_test([-d for d in differences]),
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
    """How surely a category gained, pass for pass, on the shared items (`gain_test`)."""
    return gain_test(cluster_differences(shared_items(before, after.filter(pl.col("category") == category))))


@dataclass(frozen=True)
class HeldOut:
    """Mean loss of the human seed tasks that are never trained on: before and after the round."""

    before: float
    after: float

    def __str__(self) -> str:
        return f"held-out loss {self.before:.3f} before, {self.after:.3f} after"


def judge_promotion(
    before: pl.DataFrame, after: pl.DataFrame, alpha: float, margin: float, held_out: HeldOut | None = None
) -> tuple[bool, str]:
    """Whether the new checkpoint may be built on, and why.

    It may not if a category dropped by more than `margin` and significantly (`gain_test` of the drop, Holm over the
    categories), or if the overall pass rate dropped significantly, or if the held-out loss rose and no items were
    gained in its stead, or if there is nothing to compare.
    """
    pairs = shared_items(before, after)
    if not pairs.height:
        return False, "no item was answered by this checkpoint and by the one it would replace: nothing to compare"
    won, lost = swaps(pairs)
    p_overall = _p_of_drop(pairs)
    overall = (
        f"{won} items won and {lost} lost of {pairs.height} (exact test over clusters, p of a drop = {p_overall:.2g})"
    )
    if held_out is not None:
        overall += f"; {held_out}"
    categories = pairs["category"].unique().sort().to_list()
    of_category = [pairs.filter(pl.col("category") == category) for category in categories]
    stopped = []
    adjusted = holm([_p_of_drop(items) for items in of_category])
    for category, items, p in zip(categories, of_category, adjusted, strict=True):
        won_there, lost_there = swaps(items)
        drop = (lost_there - won_there) / items.height
        if p <= alpha and drop > margin:
            stopped.append(f"{category} dropped by {drop:.0%} of {items.height} items (Holm-adjusted p = {p:.2g})")
    if stopped:
        return False, f"{'; '.join(stopped)}. Overall {overall}"
    if p_overall <= alpha:
        return False, f"the overall pass rate dropped: {overall}"
    if held_out is not None and held_out.after > held_out.before and won <= lost:
        return False, f"the held-out loss rose and no items were gained for it: {overall}"
    return True, f"no category dropped significantly by more than {margin:.0%}. Overall {overall}"


def _p_of_drop(pairs: pl.DataFrame) -> float:
    return gain_test([-d for d in cluster_differences(pairs)])
