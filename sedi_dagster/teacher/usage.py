"""Calls and costs since a teacher was opened, as numbers that the UI can plot."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from sedi_dagster.teacher.budget import NANO
from sedi_dagster.teacher.transaction import EndedCall
from sedi_dagster.texts.cleaning import RULES

_COUNTED = ("calls", "cached", "failed", "rate_limited", "retried", "prompt_tokens", "completion_tokens", "lost_tokens",
            "estimated", "unusable", "cached_prompt_tokens", "reasoning_tokens")  # fmt: skip


@dataclass
class TeacherUsage:
    """Counts since the teacher was opened.

    Attributes:
        calls: answers that were paid for.
        cached: answers from the ledger.
        estimated: answers without usage, charged at their upper bound.
        lost_tokens: charged without an answer.
        model_s: sum of latencies, in seconds.
        unusable: answers that were paid for but have no usable text.
        cleaned: number of answers that each cleaning rule changed.
        notes: what the user should know about the endpoint.
    """

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
    unusable: int = 0
    cached_prompt_tokens: int = 0
    reasoning_tokens: int = 0
    cleaned: Counter[str] = field(default_factory=Counter)
    notes: list[str] = field(default_factory=list)

    def paid(self, call: EndedCall, cleaned: Iterable[str]) -> None:
        """Count an answered call."""
        self.calls += 1
        self.cleaned.update(cleaned)
        self.cached_prompt_tokens += call.cached_tokens
        self.reasoning_tokens += call.reasoning_tokens
        self.prompt_tokens += call.prompt_tokens
        self.completion_tokens += call.completion_tokens
        self.nanousd += call.nanousd or 0
        self.estimated += call.estimated
        self.model_s += call.latency_s

    def metadata(self) -> dict[str, int | float]:
        """Return numbers under stable keys for Dagster metadata and progress lines; no cost if no price is known."""
        figures: dict[str, int | float] = {f"teacher_{name}": getattr(self, name) for name in _COUNTED}
        figures |= {f"teacher_cleaned_{rule}": self.cleaned[rule] for rule in RULES}
        figures["teacher_model_s"] = round(self.model_s, 3)
        return figures | ({"teacher_cost_usd": self.nanousd / NANO} if self.price_known else {})
