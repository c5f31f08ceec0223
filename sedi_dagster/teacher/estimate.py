"""What a round will take before it is paid for: calls, tokens, money, time.

From what earlier calls took, where there are any; else from the settings' limits, which gives too much rather
than too little.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sedi_dagster.settings import Price, Settings
from sedi_dagster.teacher.budget import cost_nanousd, usd
from sedi_dagster.teacher.calls import Means

INSTRUCTIONS = "instructions"
ANSWER = "answer"

_TASKS_PER_CALL = 3.0
"""Candidates that an instruction call yields, before anything is known."""
_PROMPT_TOKENS = {INSTRUCTIONS: 900.0, ANSWER: 120.0}
_LATENCY_S = {INSTRUCTIONS: 8.0, ANSWER: 4.0}


@dataclass(frozen=True)
class Estimate:
    """`measured` tells whether it rests on earlier calls. `usd` and `most_usd` are None if no price is known.
    `most_*` is what may be reserved at the very most: every call at its limit."""

    calls: int
    prompt_tokens: int
    completion_tokens: int
    seconds: float
    usd: float | None
    most_tokens: int
    most_usd: float | None
    measured: bool

    @property
    def tokens(self) -> int:
        return self.prompt_tokens + self.completion_tokens


def estimate_round(settings: Settings, candidates: int, price: Price | None, means: Sequence[Means] = ()) -> Estimate:
    """Estimate a round of so many candidates in all: instruction calls, then one answer to each candidate."""
    known = {m.purpose: m for m in means}
    limits = {
        INSTRUCTIONS: settings.generation.max_instruction_tokens,
        ANSWER: settings.generation.max_answer_tokens,
    }
    tasks_per_call = _TASKS_PER_CALL
    if INSTRUCTIONS in known and ANSWER in known:
        tasks_per_call = max(0.2, known[ANSWER].calls / known[INSTRUCTIONS].calls)
    calls = {INSTRUCTIONS: max(1, round(candidates / tasks_per_call)), ANSWER: candidates}
    prompt = completion = most = 0.0
    seconds = 0.0
    for purpose, count in calls.items():
        seen = known.get(purpose)
        prompt_tokens = seen.prompt_tokens if seen else _PROMPT_TOKENS[purpose]
        prompt += count * prompt_tokens
        completion += count * (seen.completion_tokens if seen else limits[purpose])
        most += count * (prompt_tokens + limits[purpose])
        seconds += count * (seen.latency_s if seen else _LATENCY_S[purpose]) / settings.teacher.max_concurrency
    return Estimate(
        calls=sum(calls.values()),
        prompt_tokens=round(prompt),
        completion_tokens=round(completion),
        seconds=seconds,
        usd=usd(cost_nanousd(price, round(prompt), round(completion))),
        most_tokens=round(most),
        most_usd=usd(cost_nanousd(price, round(prompt), round(most - prompt))),
        measured=bool(known),
    )
