"""Cost and time of a round, the history of rounds, and the total spending."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import polars as pl

from sedi_dagster.records import RoundOutcome
from sedi_dagster.reporting.numbers import Rate, count, percent, usd
from sedi_dagster.texts.endings import ending_of

PURPOSES = {"instructions": "write new tasks", "answer": "answer a task"}
"""Descriptions of call purposes. Other purposes are shown by name."""


@dataclass(frozen=True)
class CostRow:
    """The calls of one purpose or category. `usd` is text: an amount, a lower bound, or that no price is known."""

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
    """A round, and its change in score since the previous round."""

    outcome: RoundOutcome
    change: float | None

    @property
    def rate(self) -> Rate:
        """The pass rate over all categories, with its interval."""
        return Rate(sum(c.passed for c in self.outcome.categories), sum(c.items for c in self.outcome.categories))

    @property
    def tokens_per_kept(self) -> float | None:
        return self.outcome.tokens / self.outcome.kept if self.outcome.kept else None

    @property
    def weak(self) -> list[str]:
        return [c.category for c in self.outcome.categories if c.decision == "weak"]


def history(outcomes: Sequence[RoundOutcome]) -> list[HistoryRow]:
    """Return a row for each round, in order."""
    return [HistoryRow(o, o.score - outcomes[i - 1].score if i else None) for i, o in enumerate(outcomes)]


def cost_by_purpose(calls: pl.DataFrame) -> list[CostRow]:
    """Return a row per purpose, in order of first use."""
    by_purpose = calls.group_by("purpose", maintain_order=True)
    return [total_cost(part, name=PURPOSES.get(str(purpose), str(purpose))) for (purpose,), part in by_purpose]


def cost_by_category(calls: pl.DataFrame, examples: pl.DataFrame) -> list[CostRow]:
    """Return a row per category, with the number of kept examples."""
    kept = Counter(examples["category"])
    by_category = calls.group_by("category", maintain_order=True)
    return [total_cost(part, kept[str(name)], str(name)) for (name,), part in by_category]


def total_cost(calls: pl.DataFrame, kept: int | None = None, name: str = "all") -> CostRow:
    """Return the sums over all given calls as one row."""
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
    """The sum of the costs as text. Unknown prices are mentioned, not counted as 0."""
    known = costs.drop_nulls()
    if not len(known):
        return "no price known" if len(costs) else "no calls"
    total = usd(float(known.sum()))
    missing = len(costs) - len(known)
    return f"{total} and {missing:,} calls without a known price" if missing else total


@dataclass(frozen=True)
class Spending:
    """The spending of the whole loop. `usd` is None if a price is unknown; caps are None if there is no limit."""

    tokens: int = 0
    usd: float | None = None
    tokens_cap: int | None = None
    usd_cap: float | None = None

    @property
    def lines(self) -> list[str]:
        """One text for tokens and one for money, each with its limit."""
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
        """The share of the budget that is spent, by the limit closest to being reached; None without a limit."""
        shares = [self.tokens / self.tokens_cap] if self.tokens_cap else []
        if self.usd_cap and self.usd is not None:
            shares.append(self.usd / self.usd_cap)
        return max(shares, default=None)


class Stage(NamedTuple):
    """A stage of a round and its duration; None if it was not recorded."""

    name: str
    seconds: float | None


@dataclass(frozen=True)
class ReportFacts:
    """Facts for a round's report that are not results of the round: costs, paths, settings, what comes next.

    Attributes:
        next: what comes next, in one sentence; empty if unknown.
        run_url: path of the run's page in the Dagster UI; empty without a run.
        settings: settings of the round, without secrets.
        paths: paths in the data folder, by name.
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
        """The total duration of all stages whose duration is known; None if there are none."""
        known = [stage.seconds for stage in self.stages if stage.seconds is not None]
        return sum(known) if known else None
