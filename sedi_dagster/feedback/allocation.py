"""Keep rates and token costs by category, estimated from the finished rounds."""

from __future__ import annotations

from collections.abc import Sequence

from sedi_dagster.records import RoundOutcome

PRIOR_CANDIDATES = 10.0
"""A category's rates are shrunk towards those of all categories, with the weight of this many candidates."""
PRIOR_KEEP_RATE = 0.5
"""Assumed keep rate before the first round."""


def keep_rates(categories: Sequence[str], finished: Sequence[RoundOutcome]) -> dict[str, float]:
    """Return the share of candidates kept in each category, over all finished rounds; always above 0."""
    overall = (sum(o.kept for o in finished) + 1) / (sum(o.candidates for o in finished) + 1 / PRIOR_KEEP_RATE)
    return _rates(categories, finished, "kept", min(1.0, overall))


def tokens_per_candidate(categories: Sequence[str], finished: Sequence[RoundOutcome]) -> dict[str, float] | None:
    """Return the teacher tokens per candidate in each category; None if no tokens have been used yet."""
    candidates, tokens = sum(o.candidates for o in finished), sum(o.tokens for o in finished)
    if not candidates or not tokens:
        return None
    return _rates(categories, finished, "tokens", tokens / candidates)


def usd_per_token(finished: Sequence[RoundOutcome]) -> float | None:
    """Return the mean price of a teacher token; None if the cost of any round is unknown."""
    known = [o.cost_usd for o in finished if o.cost_usd is not None]
    tokens = sum(o.tokens for o in finished)
    return sum(known) / tokens if tokens and len(known) == len(finished) else None


def _rates(categories: Sequence[str], finished: Sequence[RoundOutcome], field: str, overall: float) -> dict[str, float]:
    rates = {}
    for category in categories:
        seen = [o for outcome in finished if (o := outcome.of(category)) is not None]
        amount = sum(getattr(o, field) for o in seen) + PRIOR_CANDIDATES * overall
        rates[category] = amount / (sum(o.candidates for o in seen) + PRIOR_CANDIDATES)
    return rates
