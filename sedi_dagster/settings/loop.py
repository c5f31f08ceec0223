"""Rounds: how they are allocated, when the loop ends, and when schedules start."""

from typing import Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field, field_validator

from sedi_dagster.settings.group import SettingsGroup


class LoopSettings(SettingsGroup):
    max_rounds: int = Field(20, ge=1, description="Stop after this many rounds")
    max_tokens: int | None = Field(
        None, ge=1, description="Limit of teacher tokens for the whole loop; empty: no limit"
    )
    max_tokens_per_round: int | None = Field(
        None, ge=1, description="Limit of teacher tokens per round; empty: no limit"
    )
    plateau_rounds: int = Field(4, ge=1, description="Stop after this many rounds without a better score")
    allocation: Literal["expected_gain", "even"] = Field(
        "expected_gain",
        description="How tokens are allocated to categories: by expected gain, or equally",
    )
    goal: Literal["score", "targets"] = Field(
        "score", description="score: maximise the score for the budget; targets: reach all targets at the lowest cost"
    )
    floor_share: float = Field(
        0.1, ge=0, le=1, description="Share of a round reserved for the categories that were left out longest"
    )
    most_per_category: float = Field(
        2.0,
        ge=1,
        description="Most candidates per category and round, as a multiple of the usual number, in whole calls",
    )
    cool_down_rounds: int = Field(1, ge=0, description="Rounds for which a recovered category is not targeted")
    stuck_after: int = Field(
        2, ge=1, description="Targeted rounds without a significant gain after which a weak category is stuck"
    )
    nightly_cron: str = Field("0 2 * * *", description="Cron schedule of nightly_regeneration, which opens a round")
    verification_cron: str = Field(
        "0 4 * * *", description="Cron schedule of nightly_verification, which verifies the data folder"
    )
    morning_cron: str = Field(
        "0 6 * * *", description="Cron schedule of morning_summary, which writes a page on the last day"
    )
    nightly_timezone: str = Field("UTC", description="Time zone of these schedules, such as Europe/Berlin")

    @field_validator("nightly_timezone")
    @classmethod
    def _is_a_time_zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (ValueError, OSError, ZoneInfoNotFoundError):
            raise ValueError(f"SEDI_LOOP_NIGHTLY_TIMEZONE: no time zone is called {value!r}") from None
        return value
