"""Which categories are weak, which are fine, and for which the evidence is insufficient.

A category is weak only if three conditions hold, so that repeated testing does not chase noise:

1. suspicion: on the first half of its items its pass rate is at least `min_gap` below the target;
2. confirmation: the other half alone shows it too (one-sided exact test, `confirm_alpha`);
3. evidence: on all items the one-sided exact test is significant at `alpha` after Benjamini-Hochberg over the
   categories, and the gap is at least `min_gap`.

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

FEWEST_OF_A_DIFFICULTY = 4
"""Below so many items of a difficulty nothing is said about it."""


@dataclass(frozen=True)
class WeaknessRules:
    """What counts as weak.

    Attributes:
        alpha: level of the test on all items, after Benjamini-Hochberg.
        min_gap: smallest gap that matters, as a share of items.
        confirm_alpha: level of the test on the fresh half alone.
    """

    alpha: float = 0.05
    min_gap: float = 0.05
    confirm_alpha: float = 0.2


@dataclass(frozen=True)
class _Evidence:
    """A category's items, or one half of them: what the test looks at, and the gap seen."""

    k: float
    n: float
    rate: float
    gap: float

    @property
    def p_value(self) -> float:
        return tail_below(self.k, self.n, self.rate)


class _CategoryItems:
    """The items of one category; with a column `reference_passed` if a reference model answered them too."""

    def __init__(self, items: pl.DataFrame, aim: Target, correlation: float) -> None:
        self.items, self.aim, self.correlation = items, aim, correlation
        self.passed = items["passed"].to_numpy().astype(bool)
        self.reference = items["reference_passed"].to_numpy().astype(bool) if aim.is_paired else None
        self.half, self.clusters = items["half"].to_numpy(), items["cluster"].to_numpy()

    def evidence(self, half: str | None = None) -> _Evidence:
        """Against the target: passes of all items. Against a reference: wins of the items where the two differ."""
        chosen = np.ones(len(self.passed), dtype=bool) if half is None else self.half == half
        passed = self.passed[chosen]
        effect = design_effect(self.clusters[chosen].tolist(), self.correlation)
        if self.reference is None:
            seen = float(np.mean(passed)) if len(passed) else self.aim.rate
            k, n, rate, gap = int(passed.sum()), len(passed), self.aim.rate, self.aim.rate - seen
        else:
            won, lost = _swaps(passed, self.reference[chosen])
            k, n, rate, gap = won, won + lost, 0.5, (lost - won) / max(1, len(passed))
        return _Evidence(k / effect, n / effect, rate, round(gap, 9))  # 0.5 - 9 / 20 is 0.05, whatever floats say

    def items_to_decide(self, level: float) -> int | None:
        if self.reference is None:
            needed = items_for_rate(float(np.mean(self.passed)), self.aim.rate, level)
        else:
            needed = items_for_pairs(*_swaps(self.passed, self.reference), len(self.passed), level)
        effect = design_effect(self.clusters.tolist(), self.correlation)
        return None if needed is None else round(needed * effect)


def _swaps(passed: NDArray[Any], reference: NDArray[Any]) -> tuple[int, int]:
    """(won, lost): items that pass and the reference failed, and the other way round."""
    return int((passed & ~reference).sum()), int((~passed & reference).sum())


def judge_categories(
    items: pl.DataFrame,
    targets: Mapping[str, Target],
    rules: WeaknessRules,
    first_half: str,
    reference: pl.DataFrame | None = None,
) -> list[CategoryOutcome]:
    """Weak, fine, or not enough evidence, for every category in `items`, in the order of their ids.

    Args:
        items: one row an evaluation item (`ITEM_SCHEMA`).
        targets: by category, as they hold in this round.
        first_half: the half that raises a suspicion in this round; the other one confirms it.
        reference: the same items as a reference model answered them, for targets that are paired: there the test is
            McNemar's, exact.
    """
    categories = _by_category(items, targets, reference)
    whole = [category.evidence() for category in categories]
    adjusted = benjamini_hochberg([evidence.p_value for evidence in whole])
    verdicts = [
        _verdict(category, evidence, q, rules, first_half)
        for category, evidence, q in zip(categories, whole, adjusted, strict=True)
    ]
    # What Benjamini-Hochberg would ask of the next category, were it to join those that are weak already.
    weak = sum(decision == "weak" for decision, _ in verdicts)
    level = rules.alpha * min(len(categories), weak + 1) / max(1, len(categories))
    return [
        _outcome(category, evidence.p_value, q, decision, reason, level)
        for category, evidence, q, (decision, reason) in zip(categories, whole, adjusted, verdicts, strict=True)
    ]


def _by_category(
    items: pl.DataFrame, targets: Mapping[str, Target], reference: pl.DataFrame | None
) -> list[_CategoryItems]:
    values = pl.col("passed").cast(pl.Float64)
    if reference is not None and any(target.is_paired for target in targets.values()):
        other = reference.select("item_id", pl.col("passed").alias("reference_passed"))
        items = items.join(other, on="item_id", maintain_order="left")
        paired = pl.col("category").is_in([name for name, target in targets.items() if target.is_paired])
        values = values - pl.when(paired).then(pl.col("reference_passed").cast(pl.Float64)).otherwise(0.0)
    groups, clusters = items["category"].to_list(), items["cluster"].to_list()
    correlation = intraclass_correlation(items.select(values).to_series().to_numpy(), groups, clusters)
    return [
        _CategoryItems(frame, targets[frame["category"][0]], correlation)
        for frame in items.sort("category").partition_by("category", maintain_order=True)
    ]


def _verdict(
    category: _CategoryItems, whole: _Evidence, adjusted_p: float, rules: WeaknessRules, first_half: str
) -> tuple[Decision, str]:
    """The decision on a category, and why in words."""
    seen = f"{int(category.passed.sum())} of {len(category.passed)} passed against a target of {category.aim}"
    if whole.gap < rules.min_gap:
        return "fine", f"{seen}: no gap of {rules.min_gap:.0%} or more"
    if adjusted_p > rules.alpha:
        return "not enough evidence", f"{seen}: could be chance (adjusted p = {adjusted_p:.2g})"
    if category.evidence(first_half).gap < rules.min_gap:
        return "not enough evidence", f"{seen}: only one half of the items shows a gap"
    fresh = category.evidence("B" if first_half == "A" else "A")
    if fresh.p_value > rules.confirm_alpha:
        return "not enough evidence", f"{seen}: not confirmed on the other half (p = {fresh.p_value:.2g})"
    return "weak", f"{seen}: significantly below (adjusted p = {adjusted_p:.2g}), confirmed on the other half"


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
        target=category.aim.rate,
        p_value=p_value,
        adjusted_p=adjusted_p,
        decision=decision,
        reason=reason,
        errors=_errors(category.items),
        difficulty=_difficulty(category.items, category.aim.rate),
        reference_loss=_mean(category.items["reference_loss"]),
        items_to_decide=needed,
        target_told=category.aim.source,
    )


def _mean(values: pl.Series) -> float | None:
    mean = values.mean()
    return float(mean) if isinstance(mean, int | float) else None


def _errors(items: pl.DataFrame) -> tuple[str, ...]:
    """Kinds of error, most frequent first; equal ones by name."""
    counted = Counter(kind for kinds in items["errors"].to_list() for kind in kinds or ())
    return tuple(sorted(counted, key=lambda kind: (-counted[kind], kind)))


def _difficulty(items: pl.DataFrame, target: float) -> str:
    """The easiest difficulty at which the student misses the target: where there is most to learn. Empty: none."""
    marks: dict[str, list[bool]] = {}
    for difficulty, passed in zip(items["difficulty"].to_list(), items["passed"].to_list(), strict=True):
        marks.setdefault(difficulty, []).append(passed)
    return next(
        (
            difficulty
            for difficulty in DIFFICULTIES
            if len(there := marks.get(difficulty, [])) >= FEWEST_OF_A_DIFFICULTY and sum(there) < target * len(there)
        ),
        "",
    )
