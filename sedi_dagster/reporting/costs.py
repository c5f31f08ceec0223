"""Cost and time of a round, its place among the rounds, and what the loop has spent."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import polars as pl

from sedi_dagster.records import RoundOutcome
from sedi_dagster.reporting.numbers import Rate, count, percent, usd
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


@dataclass(frozen=True)
class Spending:
    """Of the whole loop so far. `tokens_cap`, `usd_cap`: None without a limit; `usd`: None if no price is known."""

    tokens: int = 0
    usd: float | None = None
    tokens_cap: int | None = None
    usd_cap: float | None = None

    @property
    def lines(self) -> list[str]:
        """A line for tokens and one for money, each beside its limit."""
        tokens = f"{count(self.tokens)} teacher tokens"
        tokens += f" of {count(self.tokens_cap)} ({percent(self.tokens / self.tokens_cap)})" if self.tokens_cap else ""
        if self.usd is None:
            money = "no price known"
        elif self.usd_cap:
            money = f"{usd(self.usd)} of {usd(self.usd_cap)} ({percent(self.usd / self.usd_cap)})"
        else:
            money = usd(self.usd)
        no_limit = "" if self.tokens_cap or self.usd_cap else "; no limit is set"
        return [tokens, money + no_limit]

    @property
    def share(self) -> float | None:
        """The larger share of a limit that is spent; None without a limit."""
        shares = [self.tokens / self.tokens_cap] if self.tokens_cap else []
        if self.usd_cap and self.usd is not None:
            shares.append(self.usd / self.usd_cap)
        return max(shares, default=None)


class Stage(NamedTuple):
    """A stage of the round and how long it took; None if that was not recorded."""

    name: str
    seconds: float | None


@dataclass(frozen=True)
class Background:
    """For the engineer, and for who decides what happens next.

    Attributes:
        next: one sentence; empty if it is not known.
        run_url: the run's page, where the report is seen in the Dagster UI; empty without a run.
        settings: without secrets, as the manifest has them.
        paths: under the data folder, by what they are.
    """

    next: str = ""
    run_id: str = ""
    run_url: str = ""
    commit: str = ""
    manifest_sha256: str = ""
    spending: Spending = Spending()
    stages: tuple[Stage, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    paths: Mapping[str, str] = field(default_factory=dict)
    alpha: float = 0.05

    @property
    def seconds(self) -> float | None:
        """Of all stages whose time is known."""
        known = [stage.seconds for stage in self.stages if stage.seconds is not None]
        return sum(known) if known else None
