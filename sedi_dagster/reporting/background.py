"""Background facts of a report: its run, time, cost, and what comes next."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from sedi_dagster.reporting.numbers import count, percent, usd


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
