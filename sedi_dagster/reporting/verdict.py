"""The round in one sentence, and what was forgotten, from comparisons that evaluation made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import polars as pl

from sedi_dagster.reporting.numbers import Rate, p_value, percent

ALL = "all"
BEFORE = "before"


@dataclass(frozen=True)
class Verdict:
    """`tone`: good, bad or muted, as pages colour it."""

    sentence: str
    tone: str


@dataclass(frozen=True)
class Forgotten:
    """A category in which more items were lost than won against the checkpoint before."""

    category: str
    won: int
    lost: int
    p_drop: float

    def is_significant(self, alpha: float) -> bool:
        return self.p_drop <= alpha


def verdict(before: Rate | None, after: Rate | None, comparisons: pl.DataFrame, alpha: float) -> Verdict:
    """Whether there is evidence of a gain or a drop against the checkpoint before, at the level `alpha`.

    Args:
        comparisons: as evaluation made them (`compare`): one-sided exact McNemar tests over the same items.
    """
    if after is None:
        return Verdict("Nothing was evaluated.", "muted")
    if before is None:
        return Verdict(f"{percent(after.share)} of the evaluation items passed; there is nothing to compare.", "muted")
    told = f"{percent(before.share)} of the evaluation items passed before, {percent(after.share)} after"
    row = next(iter(_against_before(comparisons, pl.col("category") == ALL)), None)
    if row is None:
        return Verdict(f"{told}.", "muted")
    items = f"{row['won']} items won and {row['lost']} lost"
    if row["p_gain"] <= alpha:
        return Verdict(f"{told}: a gain ({items}, p {_p(row['p_gain'])}).", "good")
    if row["p_drop"] <= alpha:
        return Verdict(f"{told}: a loss ({items}, p {_p(row['p_drop'])}).", "bad")
    return Verdict(f"{told}: no evidence of a gain ({items}, p {_p(row['p_gain'])}).", "muted")


def forgotten(comparisons: pl.DataFrame) -> list[Forgotten]:
    """The categories that lost more items than they won since the checkpoint before, clearest first."""
    rows = _against_before(comparisons, (pl.col("category") != ALL) & (pl.col("lost") > pl.col("won")))
    found = [Forgotten(row["category"], row["won"], row["lost"], row["p_drop"]) for row in rows]
    return sorted(found, key=lambda one: (one.p_drop, one.category))


def _p(value: float) -> str:
    told = p_value(value)
    return told if told.startswith("<") else f"= {told}"


def _against_before(comparisons: pl.DataFrame, chosen: pl.Expr) -> list[dict[str, Any]]:
    if comparisons.is_empty():
        return []
    return comparisons.filter((pl.col("against") == BEFORE) & chosen).to_dicts()
