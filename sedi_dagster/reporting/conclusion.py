"""The conclusion of a round in one sentence, and forgetting, from the comparisons of the evaluation."""

from dataclasses import dataclass
from typing import Any

import polars as pl

from sedi_dagster.evaluation.comparison import ALL
from sedi_dagster.reporting.numbers import Rate, count, p_equation, percent


@dataclass(frozen=True)
class Conclusion:
    """What a report concludes, in a sentence. `tone`: good, bad or muted, as pages colour it."""

    sentence: str
    tone: str


def round_conclusion(before: Rate | None, after: Rate | None, comparisons: pl.DataFrame, alpha: float) -> Conclusion:
    """Whether there is evidence of a gain or a drop against the checkpoint before, at the level `alpha`.

    Args:
        comparisons: as evaluation made them (`compare`): one-sided exact tests over the same items.
    """
    if after is None:
        return Conclusion("Nothing was evaluated.", "muted")
    if before is None:
        return Conclusion(
            f"{percent(after.share)} of the evaluation items passed; there is no previous score to compare with.",
            "muted",
        )
    statement = f"{percent(before.share)} of the evaluation items passed before, {percent(after.share)} after"
    return _judged(statement, _rows(comparisons, "before", pl.col("category") == ALL), alpha)


def beyond_seed_tasks(
    seed_tasks: Rate | None, after: Rate | None, tokens: int, comparisons: pl.DataFrame, alpha: float
) -> Conclusion | None:
    """What the teacher's tokens added to the human seed tasks; None if that was not measured.

    Args:
        seed_tasks: of the student trained on the human seed tasks alone.
        tokens: of the teacher, over all rounds so far.
    """
    if seed_tasks is None or after is None:
        return None
    statement = (
        f"After training on the human seed tasks alone, the student passes {percent(seed_tasks.share)}; "
        f"with {count(tokens)} teacher tokens, {percent(after.share)}"
    )
    return _judged(statement, _rows(comparisons, "seed tasks", pl.col("category") == ALL), alpha)


def forgotten(comparisons: pl.DataFrame) -> list[dict[str, Any]]:
    """The categories that lost more items than they won since the checkpoint before, clearest first."""
    rows = _rows(comparisons, "before", (pl.col("category") != ALL) & (pl.col("lost") > pl.col("won")))
    return sorted(rows, key=lambda row: (row["p_drop"], row["category"]))


def _judged(statement: str, rows: list[dict[str, Any]], alpha: float) -> Conclusion:
    """The two pass rates in words, and what the test over the same items says of them."""
    if not rows:
        return Conclusion(f"{statement}.", "muted")
    row = rows[0]
    items = f"{row['won']} items won and {row['lost']} lost"
    if row["p_gain"] <= alpha:
        return Conclusion(f"{statement}: a gain ({items}, p {p_equation(row['p_gain'])}).", "good")
    if row["p_drop"] <= alpha:
        return Conclusion(f"{statement}: a loss ({items}, p {p_equation(row['p_drop'])}).", "bad")
    return Conclusion(f"{statement}: no evidence of a gain ({items}, p {p_equation(row['p_gain'])}).", "muted")


def _rows(comparisons: pl.DataFrame, against: str, chosen: pl.Expr) -> list[dict[str, Any]]:
    if comparisons.is_empty():
        return []
    return comparisons.filter((pl.col("against") == against) & chosen).to_dicts()
