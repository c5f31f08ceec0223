"""Pass rates by category: untrained, seed tasks alone, before and after the round."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from sedi_dagster.records import CategoryOutcome
from sedi_dagster.reporting.numbers import Rate, pass_rate


@dataclass(frozen=True)
class CategoryScore:
    """A category's pass rates; `baseline` and `before` are None where nothing was measured."""

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
    """One row a category: weak ones first, then by the gap to the target, widest first."""
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
    """What the pass rate alone does not show: partial scores, loss on the references, answers cut off.

    Args:
        frames: evaluated items at each point.

    Returns:
        (name, how to write it: rate, share or decimal; the value at each point).
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
    """Whether two evaluations are the same one: the round started from the untrained student."""
    columns = ["item_id", "answer", "passed"]
    return bool(one.height) and one.select(columns).sort("item_id").equals(other.select(columns).sort("item_id"))
