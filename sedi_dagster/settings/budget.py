"""What the teacher may cost, and its prices."""

from pydantic import Field

from sedi_dagster.settings.group import SettingsGroup


class Price(SettingsGroup):
    input: float = Field(ge=0, description="USD per million prompt tokens")
    output: float = Field(ge=0, description="USD per million completion tokens")
    cached_input: float | None = Field(None, ge=0, description="USD per million cached prompt tokens")
    batch: float = Field(0.5, ge=0, le=1, description="Price of a call in a batch, as a share of its normal price")
    as_of: str = Field(min_length=4, description="Date of this price, such as 2026-11 or 2026-11-21")


class BudgetSettings(SettingsGroup):
    """Caps that no call may break; the token caps of a round and of the whole loop are in `LoopSettings`."""

    max_usd: float | None = Field(None, gt=0, description="Cost limit of the whole loop, in USD; empty: no limit")
    max_usd_per_round: float | None = Field(None, gt=0, description="Cost limit of a round, in USD; empty: no limit")
    max_usd_per_day: float | None = Field(None, gt=0, description="Cost limit of a day (UTC), in USD; empty: no limit")
    max_usd_per_run: float | None = Field(None, gt=0, description="Cost limit of a run, in USD; empty: no limit")
    max_tokens_per_day: int | None = Field(None, ge=1, description="Token limit of a day (UTC); empty: no limit")
    max_tokens_per_run: int | None = Field(None, ge=1, description="Token limit of a run; empty: no limit")
    prices: dict[str, Price] = Field(
        default_factory=dict,
        description="Prices by model name, as JSON; they override the built-in list",
    )

    @property
    def caps_usd(self) -> bool:
        return any((self.max_usd, self.max_usd_per_round, self.max_usd_per_day, self.max_usd_per_run))
