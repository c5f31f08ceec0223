"""Estimates of calls: tokens, cost and time.

Based on earlier calls of the same purpose if there are any; otherwise on the method's prompts and the token limits,
which overestimates.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sedi_dagster.records import CallShape
from sedi_dagster.settings import Price
from sedi_dagster.teacher.budget import Account, Cap, cost_nanousd, usd
from sedi_dagster.teacher.calls import Means

_FIRST_S, _S_PER_TOKEN = 1.0, 0.03
"""Time of a call, before anything is known: until it begins, and for a token that is written."""


@dataclass(frozen=True)
class Estimate:
    """`measured` tells whether it rests on earlier calls. `usd` and `most_usd` are None if no price is known.
    `most_*`: as many calls, every one at its limit. No bound: there may be more calls. Only a cap is one
    (`allowance`)."""

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


@dataclass(frozen=True)
class Allowance:
    """What the caps leave a next round at the very most; None: no cap. `settings`: those that the caps come from."""

    tokens: int | None
    usd: float | None
    settings: tuple[str, ...]


def allowance(caps: Sequence[Cap], account: Callable[[str], Account]) -> Allowance:
    """What is left under all caps. The ledger reserves a call's worst case before it is sent, so no more is spent."""
    accounts = {cap.account: account(cap.account) for cap in caps}
    tokens = [cap.tokens - accounts[cap.account].spent_tokens for cap in caps if cap.tokens is not None]
    money = [cap.nanousd - accounts[cap.account].spent_nanousd for cap in caps if cap.nanousd is not None]
    return Allowance(
        max(0, min(tokens)) if tokens else None,
        usd(max(0, min(money))) if money else None,
        tuple(cap.setting for cap in caps if cap.setting),
    )


def estimate_calls(
    candidates: float, shapes: Sequence[CallShape], price: Price | None, concurrency: int, means: Sequence[Means] = ()
) -> Estimate:
    """Estimate the calls that so many candidates take, each the calls of `shapes`."""
    known = {m.purpose: m for m in means}
    count = prompt = completion = most = seconds = 0.0
    for shape in shapes:
        calls = candidates * shape.per_candidate
        seen = known.get(shape.purpose)
        prompt_tokens = seen.prompt_tokens if seen else shape.prompt_tokens
        count += calls
        prompt += calls * prompt_tokens
        completion += calls * (seen.completion_tokens if seen else shape.max_tokens)
        most += calls * (prompt_tokens + shape.max_tokens)
        seconds += calls * (seen.latency_s if seen else _FIRST_S + _S_PER_TOKEN * shape.max_tokens) / concurrency
    return Estimate(
        calls=round(count),
        prompt_tokens=round(prompt),
        completion_tokens=round(completion),
        seconds=seconds,
        usd=usd(cost_nanousd(price, round(prompt), round(completion))),
        most_tokens=round(most),
        most_usd=usd(cost_nanousd(price, round(prompt), round(most - prompt))),
        measured=any(shape.purpose in known for shape in shapes),
    )
