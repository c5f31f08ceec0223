"""Keep rate and cost of candidates so far, by category."""

from __future__ import annotations

from collections.abc import Sequence

from sedi_dagster.records import RoundOutcome

PRIOR_CANDIDATES = 10.0
"""Rates of a category are shrunken to those of all categories as if so many candidates had been seen at that rate."""
PRIOR_KEEP_RATE = 0.5
"""Share of candidates that is kept, before anything is known."""


def keep_rates(categories: Sequence[str], finished: Sequence[RoundOutcome]) -> dict[str, float]:
    """Share of a category's candidates that is kept, from all rounds so far; above 0."""
    overall = (sum(o.kept for o in finished) + 1) / (sum(o.candidates for o in finished) + 1 / PRIOR_KEEP_RATE)
    return _rates(categories, finished, "kept", min(1.0, overall))


def tokens_per_candidate(categories: Sequence[str], finished: Sequence[RoundOutcome]) -> dict[str, float] | None:
    """Teacher tokens that a candidate takes; None before anything was paid for."""
    candidates, tokens = sum(o.candidates for o in finished), sum(o.tokens for o in finished)
    if not candidates or not tokens:
        return None
    return _rates(categories, finished, "tokens", tokens / candidates)


def usd_per_token(finished: Sequence[RoundOutcome]) -> float | None:
    """What a teacher token cost so far; None if that is not known of every round."""
    known = [o.cost_usd for o in finished if o.cost_usd is not None]
    tokens = sum(o.tokens for o in finished)
    return sum(known) / tokens if tokens and len(known) == len(finished) else None


def _rates(categories: Sequence[str], finished: Sequence[RoundOutcome], what: str, overall: float) -> dict[str, float]:
    rates = {}
    for category in categories:
        seen = [o for outcome in finished if (o := outcome.of(category)) is not None]
        amount = sum(getattr(o, what) for o in seen) + PRIOR_CANDIDATES * overall
        rates[category] = amount / (sum(o.candidates for o in seen) + PRIOR_CANDIDATES)
    return rates
