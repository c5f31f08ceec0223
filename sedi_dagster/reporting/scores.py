"""Pass rates by category and checkpoint, the conclusion on a round in one sentence, and forgetting."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from sedi_dagster.evaluation.comparison import ALL
from sedi_dagster.records import CategoryOutcome
from sedi_dagster.reporting.numbers import Rate, count, p_equation, pass_rate, percent


@dataclass(frozen=True)
class CategoryScore:
    """Pass rates of a category; None if not measured."""

    outcome: CategoryOutcome
    baseline: Rate | None
    before: Rate | None
    after: Rate
    seed_tasks: Rate | None = None

    @property
    def category(self) -> str:
        return self.outcome.category

    @property
    def change(self) -> float | None:
        return self.after.share - self.before.share if self.before else None


def category_scores(
    outcomes: Sequence[CategoryOutcome],
    before: pl.DataFrame,
    baseline: pl.DataFrame,
    seed_tasks: pl.DataFrame | None = None,
) -> list[CategoryScore]:
    """Return the scores by category: weak ones first, then by the gap to the target, widest first."""
    scores = [
        CategoryScore(
            outcome=outcome,
            baseline=_of_category(baseline, outcome.category),
            before=_of_category(before, outcome.category),
            after=Rate(outcome.passed, outcome.items),
            seed_tasks=_of_category(seed_tasks, outcome.category),
        )
        for outcome in outcomes
    ]
    return sorted(scores, key=lambda s: (s.outcome.decision != "weak", s.after.share - s.outcome.target, s.category))


def _of_category(items: pl.DataFrame | None, category: str) -> Rate | None:
    return None if items is None or items.is_empty() else pass_rate(items.filter(pl.col("category") == category))


def measures(frames: Sequence[pl.DataFrame]) -> list[tuple[str, str, list[Any]]]:
    """Return metrics of several evaluations: pass rate, partial credit, reference loss, truncation, answer length.

    Args:
        frames: items of each evaluation.

    Returns:
        (name, format (rate, share or decimal), values of the evaluations).
    """

    def means(column: str) -> list[Any]:
        return [frame[column].cast(pl.Float64).mean() for frame in frames]

    return [
        ("pass rate", "rate", [pass_rate(frame) for frame in frames]),
        ("mean score (partial credit counts)", "decimal", means("score")),
        ("mean loss on the reference answer (nats per token)", "decimal", means("reference_loss")),
        ("answers cut off by the token limit", "share", means("truncated")),
        ("mean answer length (tokens)", "decimal", means("answer_tokens")),
    ]


def same_answers(one: pl.DataFrame, other: pl.DataFrame) -> bool:
    """Return whether two evaluations gave the same answers: the round started from the untrained student."""
    columns = ["item_id", "answer", "passed"]
    return bool(one.height) and one.select(columns).sort("item_id").equals(other.select(columns).sort("item_id"))


@dataclass(frozen=True)
class Conclusion:
    """A report's conclusion in one sentence. `tone` is its colour on the page: good, bad or muted."""

    sentence: str
    tone: str


def round_conclusion(before: Rate | None, after: Rate | None, comparisons: pl.DataFrame, alpha: float) -> Conclusion:
    """Conclude whether there is evidence of a gain or a loss since the previous checkpoint.

    Args:
        comparisons: one-sided exact tests over the same items (`evaluation.comparison.compare`).
        alpha: significance level.
    """
    if after is None:
        return Conclusion("Nothing was evaluated.", "muted")
    if before is None:
        return Conclusion(
            f"{percent(after.share)} of the evaluation items passed; there is no previous score to compare with.",
            "muted",
        )
    statement = f"{percent(before.share)} of the evaluation items passed before, {percent(after.share)} after"
    return _conclude(statement, _rows(comparisons, "before", pl.col("category") == ALL), alpha)


def gain_over_seed_tasks(
    seed_tasks: Rate | None, after: Rate | None, tokens: int, comparisons: pl.DataFrame, alpha: float
) -> Conclusion | None:
    """Return what the teacher's data added to the human seed tasks; None if it was not measured.

    Args:
        seed_tasks: pass rate of the student trained on the human seed tasks alone.
        tokens: teacher tokens of all rounds so far.
    """
    if seed_tasks is None or after is None:
        return None
    statement = (
        f"After training on the human seed tasks alone, the student passes {percent(seed_tasks.share)}; "
        f"with {count(tokens)} teacher tokens, {percent(after.share)}"
    )
    return _conclude(statement, _rows(comparisons, "seed tasks", pl.col("category") == ALL), alpha)


def forgotten(comparisons: pl.DataFrame) -> list[dict[str, Any]]:
    """Return the categories that lost more items than they won since the previous checkpoint, lowest p-value first."""
    rows = _rows(comparisons, "before", (pl.col("category") != ALL) & (pl.col("lost") > pl.col("won")))
    return sorted(rows, key=lambda row: (row["p_drop"], row["category"]))


def _conclude(statement: str, rows: list[dict[str, Any]], alpha: float) -> Conclusion:
    """The statement about two pass rates, followed by the result of the test over the same items."""
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
