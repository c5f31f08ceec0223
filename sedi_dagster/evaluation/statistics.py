"""What the scores allow to be said: intervals, which category is weak, whether a checkpoint may be built on.

A category is weak only on evidence (design: "a category is weak only on evidence"): a one-sided exact
binomial test against its target, Benjamini-Hochberg over the categories, and a gap that matters.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import polars as pl

from sedi_dagster.records import Category, CategoryOutcome


def pass_rate(items: pl.DataFrame) -> float:
    """Share of the items that passed; 0 if there are none."""
    return int(items["passed"].sum()) / max(1, items.height)


def wilson_interval(passed: int, items: int, confidence: float = 0.95) -> tuple[float, float]:
    """Wilson score interval of a pass rate (Wilson 1927)."""
    from scipy.stats import binomtest  # a second to import; the code location does not need it

    interval = binomtest(passed, items).proportion_ci(confidence, method="wilson")
    return float(interval.low), float(interval.high)


def judge_categories(
    items: pl.DataFrame, categories: Mapping[str, Category], alpha: float, min_gap: float
) -> list[CategoryOutcome]:
    """Weak, fine, or not enough evidence, for every category in `items`.

    Args:
        items: one row an evaluation item, with `category` and `passed`.
        categories: by id; `target` is the pass rate that is asked for.
        alpha: level of the one-sided exact tests after Benjamini-Hochberg.
        min_gap: a gap to the target below this is fine, however significant.
    """
    from scipy.stats import binomtest, false_discovery_control

    counts = items.group_by("category").agg(pl.len().alias("n"), pl.col("passed").sum().alias("k")).sort("category")
    rows = [(r["category"], int(r["n"]), int(r["k"])) for r in counts.iter_rows(named=True)]
    p_values = [binomtest(k, n, categories[c].target, alternative="less").pvalue for c, n, k in rows]
    adjusted = [float(p) for p in false_discovery_control(p_values, method="bh")] if rows else []
    return [
        _judge(categories[c], n, k, float(p), float(q), alpha, min_gap)
        for (c, n, k), p, q in zip(rows, p_values, adjusted, strict=True)
    ]


def _judge(
    category: Category,
    items: int,
    passed: int,
    p_value: float,
    adjusted_p: float,
    alpha: float,
    min_gap: float,
) -> CategoryOutcome:
    low, high = wilson_interval(passed, items)
    gap = round(category.target - passed / items, 9)  # 0.5 - 9 / 20 is a gap of 0.05, whatever floats say
    seen = f"{passed} of {items} passed against a target of {category.target:.0%}"
    decision: Literal["weak", "fine", "not enough evidence"]
    if adjusted_p <= alpha and gap >= min_gap:
        decision, reason = "weak", f"{seen}: significantly below (adjusted p = {adjusted_p:.2g})"
    elif gap < min_gap:
        decision, reason = "fine", f"{seen}: no gap of {min_gap:.0%} or more"
    else:
        decision, reason = "not enough evidence", f"{seen}: could be chance (adjusted p = {adjusted_p:.2g})"
    return CategoryOutcome(
        category.id,
        items,
        passed,
        low,
        high,
        category.target,
        p_value,
        adjusted_p,
        decision,
        reason,
    )


def may_be_promoted(before: pl.DataFrame, after: pl.DataFrame, alpha: float) -> tuple[bool, str]:
    """Whether the new checkpoint may be built on: its overall pass rate did not drop significantly.

    One-sided exact McNemar test on the items that both answered: of those where they differ, losses
    against wins (McNemar 1947; exact form: binomial with p = 1/2).
    """
    from scipy.stats import binomtest

    both = before.select("item_id", pl.col("passed").alias("before")).join(
        after.select("item_id", pl.col("passed").alias("after")), on="item_id"
    )
    won = both.filter(~pl.col("before") & pl.col("after")).height
    lost = both.filter(pl.col("before") & ~pl.col("after")).height
    p_value = float(binomtest(lost, won + lost, 0.5, alternative="greater").pvalue) if won + lost else 1.0
    told = f"{won} items won and {lost} lost of {both.height} (one-sided exact McNemar p = {p_value:.2g})"
    return p_value > alpha, told
