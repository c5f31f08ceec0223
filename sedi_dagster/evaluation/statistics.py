"""Confidence intervals, exact tests and corrections for multiple testing, based on scipy.

Items that share a template are not independent. Therefore counts are reduced to their effective sample size before
testing (Korn and Graubard 1998, Survey Methodology 24, on the exact interval).
"""

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

POWER = 0.8
"""Power for which the number of items needed to detect a difference is computed."""


def pass_rate(items: pl.DataFrame) -> float:
    """Return the share of items that passed; 0 if there are none."""
    return int(items["passed"].sum()) / max(1, items.height)


def passed_by_category(items: pl.DataFrame) -> dict[str, tuple[int, int]]:
    """Return (items passed, items) for each category."""
    counts = items.group_by("category").agg(pl.col("passed").sum(), pl.len()).sort("category")
    return {category: (passed, count) for category, passed, count in counts.iter_rows()}


@lru_cache(maxsize=4096)
def wilson_interval(passed: int, items: int) -> tuple[float, float]:
    """Return the 95 % Wilson score interval of a pass rate (Wilson 1927)."""
    from scipy.stats import binomtest  # takes a second to import and is not needed to load the code location

    interval = binomtest(passed, items).proportion_ci(0.95, method="wilson")
    return float(interval.low), float(interval.high)


def tail_below(passed: float, items: float, rate: float) -> float:
    """Return the p-value of the one-sided exact binomial test that a pass rate is below `rate`: P(X <= passed).

    Computed with the incomplete beta function, because effective sample sizes are not integers.
    """
    from scipy.special import betainc

    return 1.0 if passed >= items else float(betainc(items - passed, passed + 1, 1 - rate))


def benjamini_hochberg(p_values: Sequence[float]) -> list[float]:
    """Return p-values adjusted to control the false discovery rate (Benjamini and Hochberg 1995)."""
    from scipy.stats import false_discovery_control

    return [float(p) for p in false_discovery_control(p_values, method="bh")] if p_values else []


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values adjusted to control the family-wise error rate (Holm 1979)."""
    adjusted, highest = [1.0] * len(p_values), 0.0
    for rank, i in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        highest = max(highest, min(1.0, p_values[i] * (len(p_values) - rank)))
        adjusted[i] = highest
    return adjusted


def intraclass_correlation(values: NDArray[Any], groups: Sequence[str], clusters: Sequence[str]) -> float:
    """Return the intraclass correlation of items in the same cluster, clipped to [0, 1].

    The one-way analysis of variance estimate (Donner 1986, International Statistical Review 54), pooled over the groups
    (categories), each about its own mean, because a single category has too few clusters. 0 if no cluster has two
    items.
    """
    _, group = np.unique(np.asarray(groups), return_inverse=True)
    names = np.char.add(np.char.add(np.asarray(groups, dtype=str), "\0"), np.asarray(clusters, dtype=str))
    _, first, cluster = np.unique(names, return_index=True, return_inverse=True)
    sizes = np.bincount(cluster)
    between_df, within_df = len(sizes) - (group.max() + 1 if len(group) else 0), len(values) - len(sizes)
    if between_df <= 0 or within_df <= 0:
        return 0.0
    group_means = np.bincount(group, values) / np.bincount(group)
    cluster_means = np.bincount(cluster, values) / sizes
    between = float(np.sum(sizes * (cluster_means - group_means[group[first]]) ** 2)) / between_df
    within = float(np.sum((values - cluster_means[cluster]) ** 2)) / within_df
    squares = np.bincount(group[first], sizes**2) / np.bincount(group)
    typical_size = (len(values) - float(np.sum(squares))) / between_df
    total = between + (typical_size - 1) * within
    return min(1.0, max(0.0, (between - within) / total)) if total > 0 else 0.0


def design_effect(clusters: Sequence[str], correlation: float) -> float:
    """Return the factor by which clustering inflates a mean's variance: 1 + (sum m^2 / n - 1) * ICC (Kish 1965)."""
    _, sizes = np.unique(np.asarray(clusters), return_counts=True)
    return 1.0 + (float(np.sum(sizes**2)) / max(1, len(clusters)) - 1.0) * correlation if len(clusters) else 1.0


def items_for_rate(rate: float, target: float, level: float) -> int | None:
    """Return the number of items at which a pass rate of `rate` is found to be below `target` with 80 % power.

    Normal approximation of the one-sided test of one proportion at `level` (Fleiss, Levin and Paik 2003, section 2.4).
    None if the rate is not below the target.
    """
    if rate >= target:
        return None
    z_level, z_power = _quantiles(level)
    spread = z_level * math.sqrt(target * (1 - target)) + z_power * math.sqrt(rate * (1 - rate))
    return math.ceil((spread / (target - rate)) ** 2)


def items_for_pairs(won: int, lost: int, items: int, level: float) -> int | None:
    """Return the number of items at which the observed paired difference is significant with 80 % power.

    Connor (1987), Biometrics 43, one-sided at `level`. None if no more items were lost than won.
    """
    if lost <= won:
        return None
    z_level, z_power = _quantiles(level)
    differing, difference = (won + lost) / items, (lost - won) / items
    spread = z_level * math.sqrt(differing) + z_power * math.sqrt(max(0.0, differing - difference**2))
    return math.ceil((spread / difference) ** 2)


def _quantiles(level: float) -> tuple[float, float]:
    from scipy.special import ndtri

    return float(ndtri(1 - level)), float(ndtri(POWER))
