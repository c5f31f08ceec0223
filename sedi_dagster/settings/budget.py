"""What the teacher may cost, and its prices."""

from __future__ import annotations

from pydantic import Field

from sedi_dagster.settings.group import SettingsGroup


class Price(SettingsGroup):
    input: float = Field(ge=0, description="USD for a million prompt tokens")
    output: float = Field(ge=0, description="USD for a million answer tokens")
    cached_input: float | None = Field(None, ge=0, description="USD for a million prompt tokens read from a cache")
    batch: float = Field(0.5, ge=0, le=1, description="What a call in a batch costs, as a share of its price")
    as_of: str = Field(min_length=4, description="When this was the price, such as 2026-11 or 2026-11-21")


class BudgetSettings(SettingsGroup):
    """Caps that no call may break; the token caps of a round and of the whole loop are in `LoopSettings`."""

    max_usd: float | None = Field(None, gt=0, description="US dollars the whole loop may cost; empty: no limit")
    max_usd_per_round: float | None = Field(None, gt=0, description="US dollars a round may cost; empty: no limit")
    max_usd_per_day: float | None = Field(None, gt=0, description="US dollars a day (UTC) may cost; empty: no limit")
    max_usd_per_run: float | None = Field(None, gt=0, description="US dollars a run may cost; empty: no limit")
    max_tokens_per_day: int | None = Field(None, ge=1, description="Tokens a day (UTC) may use; empty: no limit")
    max_tokens_per_run: int | None = Field(None, ge=1, description="Tokens a run may use; empty: no limit")
    prices: dict[str, Price] = Field(
        default_factory=dict,
        description="Price by model name, as JSON; goes before the list that comes with this version",
    )

    @property
    def caps_usd(self) -> bool:
        return any((self.max_usd, self.max_usd_per_round, self.max_usd_per_day, self.max_usd_per_run))
