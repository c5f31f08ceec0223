"""How a round's examples are shared out among categories, and how many candidates they take.

A measured gap is the true one plus luck, and the widest gaps had the most luck. So each is shrunken towards the mean of
all, the more the fewer items it rests on (empirical Bayes with normal errors: Efron and Morris 1975, JASA 70; the
spread of the true gaps by the method of moments: DerSimonian and Laird 1986).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sedi_dagster.records import CategoryOutcome, RoundOutcome

PRIOR_CANDIDATES = 10.0
"""Rates of a category are shrunken to those of all categories as if so many candidates had been seen at that rate."""
PRIOR_KEEP_RATE = 0.5
"""Share of candidates that is kept, before anything is known."""


def shrunken_gaps(outcomes: Sequence[CategoryOutcome]) -> dict[str, float]:
    """Gap to the target of each category, as a share of items, shrunken to the mean of all."""
    if not outcomes:
        return {}
    gaps = [o.gap for o in outcomes]
    variances = [_variance(o) for o in outcomes]
    weights = [1 / v for v in variances]
    mean = sum(w * g for w, g in zip(weights, gaps, strict=True)) / sum(weights)
    scatter = sum(w * (g - mean) ** 2 for w, g in zip(weights, gaps, strict=True))
    scale = sum(weights) - sum(w * w for w in weights) / sum(weights)
    true_spread = max(0.0, (scatter - (len(gaps) - 1)) / scale) if scale > 0 else 0.0
    return {
        o.category: mean + true_spread / (true_spread + v) * (g - mean)
        for o, g, v in zip(outcomes, gaps, variances, strict=True)
    }


def _variance(outcome: CategoryOutcome) -> float:
    """Variance of a pass rate, with one pass and one failure added so that 0 of 12 is not taken for certain."""
    rate = (outcome.passed + 1) / (outcome.items + 2)
    return rate * (1 - rate) / max(1, outcome.items)


def shared_out(total: int, weights: Mapping[str, float]) -> dict[str, int]:
    """`total` whole things in proportion to the weights, by largest remainder; equal ones in the given order."""
    whole = sum(weights.values())
    if whole <= 0:
        return dict.fromkeys(weights, 0)
    exact = {name: total * weight / whole for name, weight in weights.items()}
    shares = {name: int(value) for name, value in exact.items()}
    by_rest = sorted(exact, key=lambda name: shares[name] - exact[name])
    for name in by_rest[: total - sum(shares.values())]:
        shares[name] += 1
    return shares


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
