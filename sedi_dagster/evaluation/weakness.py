"""Which categories are weak, which are fine, and for which the evidence is insufficient.

A category is weak only if three conditions hold, so that repeated testing does not chase noise:

1. suspicion: on the first half of its items, the pass rate is at least `min_gap` below the target;
2. confirmation: the other half alone is significantly below it (one-sided exact test at `confirm_alpha`);
3. evidence: on all items, the one-sided exact test is significant at `alpha` after the Benjamini-Hochberg correction
   over the categories, and the gap is at least `min_gap`.

The halves swap roles every round. Counts are reduced to their effective size, because items of one template are
correlated. docs/statistics.md has details and error rates.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from sedi_dagster.evaluation.items import DIFFICULTIES
from sedi_dagster.evaluation.statistics import (
    benjamini_hochberg,
    design_effect,
    intraclass_correlation,
    items_for_pairs,
    items_for_rate,
    tail_below,
    wilson_interval,
)
from sedi_dagster.records import CategoryOutcome, Decision
from sedi_dagster.targets import Target

MIN_ITEMS_PER_DIFFICULTY = 4
"""A difficulty with fewer items is ignored."""


@dataclass(frozen=True)
class WeaknessRules:
    """The thresholds for a weak category.

    Attributes:
        alpha: level of the test on all items, after the Benjamini-Hochberg correction.
        min_gap: smallest relevant gap to the target, as a share of items.
        confirm_alpha: level of the test on the second half alone.
    """

    alpha: float = 0.05
    min_gap: float = 0.05
    confirm_alpha: float = 0.2


@dataclass(frozen=True)
class _Evidence:
    """The test statistics of a category's items, or of one half of them, and the observed gap.

    Attributes:
        k, n: successes and trials, reduced to their effective size.
        rate: success probability under the null hypothesis.
        gap: to the target, as a share of the items.
    """

    k: float
    n: float
    rate: float
    gap: float

    @property
    def p_value(self) -> float:
        return tail_below(self.k, self.n, self.rate)


class _CategoryItems:
    """The items of one category; if its target is paired, with a column `reference_passed`."""

    def __init__(self, items: pl.DataFrame, target: Target, correlation: float) -> None:
        self.items, self.target, self.correlation = items, target, correlation
        self.passed = items["passed"].to_numpy().astype(bool)
        self.reference = items["reference_passed"].to_numpy().astype(bool) if target.is_paired else None
        self.half, self.clusters = items["half"].to_numpy(), items["cluster"].to_numpy()

    def evidence(self, half: str | None = None) -> _Evidence:
        """Against a target rate: passes among all items. Against a reference: wins among the items that differ."""
        selected = np.ones(len(self.passed), dtype=bool) if half is None else self.half == half
        passed = self.passed[selected]
        effect = design_effect(self.clusters[selected].tolist(), self.correlation)
        if self.reference is None:
            observed = float(np.mean(passed)) if len(passed) else self.target.rate
            k, n, rate, gap = int(passed.sum()), len(passed), self.target.rate, self.target.rate - observed
        else:
            won, lost = _swaps(passed, self.reference[selected])
            k, n, rate, gap = won, won + lost, 0.5, (lost - won) / max(1, len(passed))
        return _Evidence(k / effect, n / effect, rate, round(gap, 9))  # rounded, so that 0.5 - 9 / 20 is 0.05

    def items_to_decide(self, level: float) -> int | None:
        """The number of items at which the observed gap would be significant; None if there is no gap."""
        if self.reference is None:
            needed = items_for_rate(float(np.mean(self.passed)), self.target.rate, level)
        else:
            needed = items_for_pairs(*_swaps(self.passed, self.reference), len(self.passed), level)
        effect = design_effect(self.clusters.tolist(), self.correlation)
        return None if needed is None else round(needed * effect)


def _swaps(passed: NDArray[Any], reference: NDArray[Any]) -> tuple[int, int]:
    """(won, lost): the items that only the student passed, and those that only the reference passed."""
    return int((passed & ~reference).sum()), int((~passed & reference).sum())


def judge_categories(
    items: pl.DataFrame,
    targets: Mapping[str, Target],
    rules: WeaknessRules,
    first_half: str,
    reference: pl.DataFrame | None = None,
) -> list[CategoryOutcome]:
    """Decide for every category in `items` whether it is weak, fine, or lacks evidence; sorted by category.

    Args:
        items: one row per evaluation item (`ITEM_SCHEMA`).
        targets: the targets of this round, by category.
        first_half: the half that raises suspicions in this round; the other one confirms them.
        reference: the same items as answered by a reference model; required for paired targets, which are tested with
            the exact McNemar test.
    """
    categories = _by_category(items, targets, reference)
    evidence = [category.evidence() for category in categories]
    adjusted = benjamini_hochberg([one.p_value for one in evidence])
    verdicts = [
        _verdict(category, one, q, rules, first_half)
        for category, one, q in zip(categories, evidence, adjusted, strict=True)
    ]
    # The level at which Benjamini-Hochberg would declare one more category weak.
    weak = sum(decision == "weak" for decision, _ in verdicts)
    level = rules.alpha * min(len(categories), weak + 1) / max(1, len(categories))
    return [
        _outcome(category, one.p_value, q, decision, reason, level)
        for category, one, q, (decision, reason) in zip(categories, evidence, adjusted, verdicts, strict=True)
    ]


def _by_category(
    items: pl.DataFrame, targets: Mapping[str, Target], reference: pl.DataFrame | None
) -> list[_CategoryItems]:
    values = pl.col("passed").cast(pl.Float64)
    if reference is not None and any(target.is_paired for target in targets.values()):
        answered = reference.select("item_id", pl.col("passed").alias("reference_passed"))
        items = items.join(answered, on="item_id", maintain_order="left")
        paired = pl.col("category").is_in([name for name, target in targets.items() if target.is_paired])
        values = values - pl.when(paired).then(pl.col("reference_passed").cast(pl.Float64)).otherwise(0.0)
    groups, clusters = items["category"].to_list(), items["cluster"].to_list()
    correlation = intraclass_correlation(items.select(values).to_series().to_numpy(), groups, clusters)
    return [
        _CategoryItems(frame, targets[frame["category"][0]], correlation)
        for frame in items.sort("category").partition_by("category", maintain_order=True)
    ]


def _verdict(
    category: _CategoryItems, evidence: _Evidence, adjusted_p: float, rules: WeaknessRules, first_half: str
) -> tuple[Decision, str]:
    """The decision on a category and its reason."""
    passed = f"{int(category.passed.sum())} of {len(category.passed)} passed against a target of {category.target}"
    if evidence.gap < rules.min_gap:
        return "fine", f"{passed}: no gap of {rules.min_gap:.0%} or more"
    if adjusted_p > rules.alpha:
        return "not enough evidence", f"{passed}: could be chance (adjusted p = {adjusted_p:.2g})"
    if category.evidence(first_half).gap < rules.min_gap:
        return "not enough evidence", f"{passed}: only one half of the items shows a gap"
    confirmation = category.evidence("B" if first_half == "A" else "A")
    if confirmation.p_value > rules.confirm_alpha:
        return "not enough evidence", f"{passed}: not confirmed on the other half (p = {confirmation.p_value:.2g})"
    return "weak", f"{passed}: significantly below (adjusted p = {adjusted_p:.2g}), confirmed on the other half"


def _outcome(
    category: _CategoryItems, p_value: float, adjusted_p: float, decision: Decision, reason: str, level: float
) -> CategoryOutcome:
    passed, count = int(category.passed.sum()), len(category.passed)
    needed = category.items_to_decide(level) if decision == "not enough evidence" else None
    if needed is not None and needed > count:
        reason += f"; about {needed} items would be needed"
    low, high = wilson_interval(passed, count)
    return CategoryOutcome(
        category=category.items["category"][0],
        items=count,
        passed=passed,
        low=low,
        high=high,
        target=category.target.rate,
        p_value=p_value,
        adjusted_p=adjusted_p,
        decision=decision,
        reason=reason,
        errors=_errors(category.items),
        difficulty=_difficulty(category.items, category.target.rate),
        reference_loss=_mean(category.items["reference_loss"]),
        items_to_decide=needed,
        target_told=category.target.source,
    )


def _mean(values: pl.Series) -> float | None:
    mean = values.mean()
    return float(mean) if isinstance(mean, int | float) else None


def _errors(items: pl.DataFrame) -> tuple[str, ...]:
    """The kinds of error, most frequent first, then by name."""
    counts = Counter(kind for kinds in items["errors"].to_list() for kind in kinds or ())
    return tuple(sorted(counts, key=lambda kind: (-counts[kind], kind)))


def _difficulty(items: pl.DataFrame, target: float) -> str:
    """The easiest difficulty at which the student misses the target, where there is most to learn; "" if none."""
    for difficulty in DIFFICULTIES:
        passed = items.filter(pl.col("difficulty") == difficulty)["passed"]
        if len(passed) >= MIN_ITEMS_PER_DIFFICULTY and passed.sum() < target * len(passed):
            return difficulty
    return ""
