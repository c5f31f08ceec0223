"""What a teacher has done since it was opened, as numbers that the UI can plot."""

from __future__ import annotations

from dataclasses import dataclass

from sedi_dagster.teacher.budget import usd
from sedi_dagster.teacher.transaction import EndedCall


@dataclass
class TeacherUsage:
    """`calls`: answers paid for; `cached`: answers that were there; `lost_tokens`: charged without an answer."""

    price_known: bool
    calls: int = 0
    cached: int = 0
    failed: int = 0
    rate_limited: int = 0
    retried: int = 0
    estimated: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    lost_tokens: int = 0
    nanousd: int = 0
    model_s: float = 0.0

    @property
    def cost_usd(self) -> float | None:
        return usd(self.nanousd) if self.price_known else None

    @property
    def total_tokens(self) -> int:
        return self.prompt_tokens + self.completion_tokens

    def paid(self, call: EndedCall) -> None:
        self.calls += 1
        self.prompt_tokens += call.prompt_tokens
        self.completion_tokens += call.completion_tokens
        self.nanousd += call.nanousd or 0
        self.estimated += call.estimated
        self.model_s += call.latency_s

    def recalled(self) -> None:
        self.cached += 1

    def gave_up(self) -> None:
        self.failed += 1

    def lost(self, tokens: int) -> None:
        self.lost_tokens += tokens

    def troubled(self, kind: str) -> None:
        if kind == "rate_limited":
            self.rate_limited += 1
        else:
            self.retried += 1

    def metadata(self) -> dict[str, int | float]:
        """Numbers under stable keys, for Dagster metadata and progress lines; no cost if no price is known."""
        told: dict[str, int | float] = {
            "teacher_calls": self.calls,
            "teacher_cached": self.cached,
            "teacher_failed": self.failed,
            "teacher_rate_limited": self.rate_limited,
            "teacher_retried": self.retried,
            "teacher_prompt_tokens": self.prompt_tokens,
            "teacher_completion_tokens": self.completion_tokens,
            "teacher_lost_tokens": self.lost_tokens,
            "teacher_estimated": self.estimated,
            "teacher_model_s": round(self.model_s, 3),
        }
        cost = self.cost_usd
        return told if cost is None else told | {"teacher_cost_usd": cost}
