"""Rounds: how they are allocated, when the loop ends, and when schedules start."""

from __future__ import annotations

from typing import Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field, field_validator

from sedi_dagster.settings.group import SettingsGroup


class LoopSettings(SettingsGroup):
    max_rounds: int = Field(20, ge=1, description="Rounds after which the loop ends")
    max_tokens: int | None = Field(None, ge=1, description="Teacher tokens the whole loop may use; empty: no limit")
    max_tokens_per_round: int | None = Field(None, ge=1, description="Teacher tokens a round may use; empty: no limit")
    plateau_rounds: int = Field(4, ge=1, description="Rounds without a better score after which the loop ends")
    allocation: Literal["expected_gain", "even"] = Field(
        "expected_gain",
        description="How a round is shared out: where the next tokens are expected to gain most, or alike",
    )
    goal: Literal["score", "targets"] = Field(
        "score", description="score: the best student for the budget; targets: every target reached at the least cost"
    )
    floor_share: float = Field(
        0.1, ge=0, le=1, description="Share of a round for the categories left alone longest: no estimate goes stale"
    )
    most_per_category: float = Field(
        2.0, ge=1, description="A category gets at most so many times the usual number of candidates, in whole calls"
    )
    cool_down_rounds: int = Field(1, ge=0, description="Rounds in which a category that left weakness is left alone")
    stuck_after: int = Field(
        2, ge=1, description="Rounds that asked for a weak category without a significant gain, after which it is stuck"
    )
    nightly_cron: str = Field("0 2 * * *", description="When nightly_regeneration starts a round")
    verification_cron: str = Field("0 4 * * *", description="When nightly_verification compares files with manifests")
    morning_cron: str = Field("0 6 * * *", description="When morning_summary writes the page on the last day")
    nightly_timezone: str = Field("UTC", description="Time zone of these three, such as Europe/Berlin")

    @field_validator("nightly_timezone")
    @classmethod
    def _is_a_time_zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (ValueError, OSError, ZoneInfoNotFoundError):
            raise ValueError(f"SEDI_LOOP_NIGHTLY_TIMEZONE: no time zone is called {value!r}") from None
        return value
