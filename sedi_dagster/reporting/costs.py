"""Cost of a round, and its place among the rounds."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from sedi_dagster.records import RoundOutcome
from sedi_dagster.reporting.numbers import Rate, usd
from sedi_dagster.texts.endings import ending_of

PURPOSES = {"instructions": "write new tasks", "answer": "answer a task"}
"""What a call was for, in words; an unknown purpose is shown by its name."""


@dataclass(frozen=True)
class CostRow:
    """Calls of one purpose or category. `usd` is words: an amount, a lower bound, or no price known."""

    name: str
    calls: int
    prompt_tokens: int
    completion_tokens: int
    cut_off: int
    latency_s: float | None
    usd: str
    kept: int | None = None

    @property
    def tokens(self) -> int:
        return self.prompt_tokens + self.completion_tokens

    @property
    def tokens_per_kept(self) -> float | None:
        return self.tokens / self.kept if self.kept else None


@dataclass(frozen=True)
class HistoryRow:
    """A round, and its change of score against the round before."""

    outcome: RoundOutcome
    change: float | None

    @property
    def rate(self) -> Rate:
        """Over all categories; the interval of the score."""
        return Rate(sum(c.passed for c in self.outcome.categories), sum(c.items for c in self.outcome.categories))

    @property
    def tokens_per_kept(self) -> float | None:
        return self.outcome.tokens / self.outcome.kept if self.outcome.kept else None

    @property
    def weak(self) -> list[str]:
        return [c.category for c in self.outcome.categories if c.decision == "weak"]


def history(outcomes: Sequence[RoundOutcome]) -> list[HistoryRow]:
    """A row for each round, in their order."""
    return [HistoryRow(o, o.score - outcomes[i - 1].score if i else None) for i, o in enumerate(outcomes)]


def cost_by_purpose(calls: pl.DataFrame) -> list[CostRow]:
    """A row a purpose, in the order in which they were first needed."""
    by_purpose = calls.group_by("purpose", maintain_order=True)
    return [total_cost(part, name=PURPOSES.get(str(purpose), str(purpose))) for (purpose,), part in by_purpose]


def cost_by_category(calls: pl.DataFrame, examples: pl.DataFrame) -> list[CostRow]:
    """A row a category, with the number of examples kept."""
    kept = Counter(examples["category"])
    by_category = calls.group_by("category", maintain_order=True)
    return [total_cost(part, kept[str(name)], str(name)) for (name,), part in by_category]


def total_cost(calls: pl.DataFrame, kept: int | None = None, name: str = "all") -> CostRow:
    """All these calls as one row, with the number of examples kept of them."""
    latency = calls["latency_s"].mean()
    cut = [reason for reason in calls["finish_reason"].unique() if ending_of(reason) == "cut"]
    return CostRow(
        name=name,
        calls=calls.height,
        prompt_tokens=int(calls["prompt_tokens"].sum()),
        completion_tokens=int(calls["completion_tokens"].sum()),
        cut_off=calls.filter(pl.col("finish_reason").is_in(cut)).height,
        latency_s=float(latency) if isinstance(latency, float) else None,
        usd=_money(calls["cost_usd"]),
        kept=kept,
    )


def _money(costs: pl.Series) -> str:
    """A price that is not known is never 0: the sum, a lower bound, or words."""
    known = costs.drop_nulls()
    if not len(known):
        return "no price known" if len(costs) else "no calls"
    total = usd(float(known.sum()))
    missing = len(costs) - len(known)
    return f"{total} and {missing:,} calls without a known price" if missing else total
