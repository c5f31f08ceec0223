"""Estimates of the tokens, cost and time of calls.

They are based on earlier calls of the same purpose if there are any, otherwise on the method's prompts and token
limits, which overestimates.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sedi_dagster.records import CallShape
from sedi_dagster.settings import Price
from sedi_dagster.teacher.budget import Account, Cap, cost_nanousd, usd
from sedi_dagster.teacher.calls import Means

_FIRST_S, _S_PER_TOKEN = 1.0, 0.03
"""Assumed time of a call before any was measured: until the first token, and for each token."""


@dataclass(frozen=True)
class Estimate:
    """An estimate of several calls.

    Attributes:
        usd, most_usd: None if no price is known.
        most_tokens, most_usd: if each of these calls reaches its token limit. This is not an upper bound, as there may
            be more calls; only a cap is one (`allowance`).
        measured: whether it is based on earlier calls.
    """

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
    """The most that the caps leave for the next round; None: no cap. `settings` names the settings of the caps."""

    tokens: int | None
    usd: float | None
    settings: tuple[str, ...]


def allowance(caps: Sequence[Cap], account: Callable[[str], Account]) -> Allowance:
    """Return what is left under all caps.

    No more can be spent, as the ledger reserves the worst-case cost of a call before it is sent.

    Args:
        account: returns the account of a name.
    """
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
    """Estimate the calls for a number of candidates.

    Args:
        candidates: number of candidates.
        shapes: the calls that each candidate takes.
        concurrency: number of calls in flight at once, for the time.
        means: averages of earlier calls.
    """
    known = {m.purpose: m for m in means}
    count = prompt = completion = most = seconds = 0.0
    for shape in shapes:
        calls = candidates * shape.per_candidate
        mean = known.get(shape.purpose)
        prompt_tokens = mean.prompt_tokens if mean else shape.prompt_tokens
        count += calls
        prompt += calls * prompt_tokens
        completion += calls * (mean.completion_tokens if mean else shape.max_tokens)
        most += calls * (prompt_tokens + shape.max_tokens)
        seconds += calls * (mean.latency_s if mean else _FIRST_S + _S_PER_TOKEN * shape.max_tokens) / concurrency
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
