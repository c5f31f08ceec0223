"""Comparison of two checkpoints on the same items, and the decision whether the new one is promoted.

Items of one template are correlated, so whole clusters are compared: passes by an exact sign-flip test, which is
McNemar's test if all items are independent; graded scores and losses by a paired bootstrap. Losses are compared between
checkpoints, never between categories, where they depend on the texts more than on the student.
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
"""The category of the row for all categories together, in a table of comparisons."""

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
    """Return the one-sided p-value of a gain.

    An exact sign-flip permutation test (Pitman 1937; Good 2005, section 3.2): under the null hypothesis, each cluster's
    difference is equally likely to have the opposite sign. With one item per cluster, this is the exact one-sided
    McNemar test (McNemar 1947). To test for a drop, change all signs.

    Args:
        differences: items won minus items lost, for each cluster; clusters with 0 have no influence.

    Returns:
        The probability of a sum at least as large; 1 if no cluster differs.
    """
    sizes = [abs(d) for d in differences if d]
    if not sizes:
        return 1.0
    distribution = np.ones(1)  # of the sum over the clusters so far, shifted to start at index 0
    for size in sizes:
        padding = np.zeros(2 * size)
        distribution = (np.concatenate((padding, distribution)) + np.concatenate((distribution, padding))) / 2
    return float(min(1.0, distribution[sum(differences) + sum(sizes) :].sum()))


def cluster_differences(pairs: pl.DataFrame) -> list[int]:
    """Return items won minus items lost, for each cluster of `shared_items`."""
    change = pl.col("passed").cast(pl.Int64) - pl.col("passed_before").cast(pl.Int64)
    return pairs.group_by("category", "cluster").agg(change.sum().alias("change"))["change"].to_list()


def paired_bootstrap(changes: NDArray[Any], clusters: NDArray[Any], seed: int, resamples: int = RESAMPLES) -> Change:
    """Return the mean paired change with an interval from resampled clusters (Davison and Hinkley 1997, section 3.8).

    Args:
        changes: after minus before, for each item.
        clusters: the cluster of each item.
    """
    _, cluster = np.unique(clusters, return_inverse=True)
    sums, sizes = np.bincount(cluster, changes), np.bincount(cluster)
    counts = np.random.default_rng(seed).multinomial(len(sums), np.full(len(sums), 1 / len(sums)), size=resamples)
    means = (counts @ sums) / (counts @ sizes)
    low, high = np.quantile(means, [0.025, 0.975])
    return Change(float(np.mean(changes)), float(low), float(high))


def shared_items(before: pl.DataFrame, after: pl.DataFrame) -> pl.DataFrame:
    """Return the items of both tables: `after` with `passed_before`, `score_before` and `reference_loss_before`."""
    columns = (pl.col(c).alias(f"{c}_before") for c in ("passed", "score", "reference_loss"))
    return after.join(before.select("item_id", *columns), on="item_id")


def swaps(pairs: pl.DataFrame) -> tuple[int, int]:
    """Return (won, lost): the numbers of items that pass only now, and that passed only before."""
    won = pairs.filter(~pl.col("passed_before") & pl.col("passed")).height
    return won, pairs.filter(pl.col("passed_before") & ~pl.col("passed")).height


def compare(against: str, before: pl.DataFrame, after: pl.DataFrame) -> pl.DataFrame:
    """Return the change from `before` to `after`, one row per category and one for all (`COMPARISON_SCHEMA`).

    Loss columns are null if a student's losses are unknown (a served student).

    Args:
        against: name of the checkpoint of `before`, for the first column.
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
    """Return the p-value (`gain_test`) of a gain of a category on the shared items."""
    return gain_test(cluster_differences(shared_items(before, after.filter(pl.col("category") == category))))


@dataclass(frozen=True)
class HeldOut:
    """Mean loss on the held-out human seed tasks, in nats per token, before and after the round."""

    before: float
    after: float

    def __str__(self) -> str:
        return f"held-out loss {self.before:.3f} before, {self.after:.3f} after"


def judge_promotion(
    before: pl.DataFrame, after: pl.DataFrame, alpha: float, margin: float, held_out: HeldOut | None = None
) -> tuple[bool, str]:
    """Decide whether the new checkpoint is promoted, that is, whether later rounds may train from it.

    It is not if a category dropped by more than `margin` and significantly (`gain_test` of the drop, Holm correction
    over the categories), if the overall pass rate dropped significantly, if the held-out loss rose without a net gain
    of items, or if there is nothing to compare.

    Returns:
        The decision and its reason.
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
    categories = pairs.sort("category").partition_by("category", maintain_order=True)
    drops = []
    for items, p in zip(categories, holm([_p_of_drop(items) for items in categories]), strict=True):
        category_won, category_lost = swaps(items)
        drop = (category_lost - category_won) / items.height
        if p <= alpha and drop > margin:
            drops.append(
                f"{items['category'][0]} dropped by {drop:.0%} of {items.height} items (Holm-adjusted p = {p:.2g})"
            )
    if drops:
        return False, f"{'; '.join(drops)}. Overall {overall}"
    if p_overall <= alpha:
        return False, f"the overall pass rate dropped: {overall}"
    if held_out is not None and held_out.after > held_out.before and won <= lost:
        return False, f"the held-out loss rose and no items were gained for it: {overall}"
    return True, f"no category dropped significantly by more than {margin:.0%}. Overall {overall}"


def _p_of_drop(pairs: pl.DataFrame) -> float:
    return gain_test([-d for d in cluster_differences(pairs)])
