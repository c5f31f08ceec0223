"""Shrunken gaps, shares and rates."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sedi_dagster.feedback.allocation import keep_rates, shared_out, shrunken_gaps, tokens_per_candidate, usd_per_token
from sedi_dagster.records import CategoryOutcome, RoundOutcome


def measured(
    name: str, passed: int, items: int, candidates: int = 0, kept: int = 0, tokens: int = 0
) -> CategoryOutcome:
    return CategoryOutcome(
        name, items, passed, 0.0, 1.0, 0.6, 0.1, 0.1, "weak", "", candidates=candidates, kept=kept, tokens=tokens
    )


def finished(*categories: CategoryOutcome, cost_usd: float | None = None) -> RoundOutcome:
    kept, candidates, tokens = (sum(getattr(c, name) for c in categories) for name in ("kept", "candidates", "tokens"))
    return RoundOutcome("round-0001", kept, candidates, tokens, 0.5, True, categories, cost_usd)


def test_gaps_move_towards_their_mean_those_of_few_items_most() -> None:
    gaps = shrunken_gaps(
        [measured("few", 1, 10), measured("many", 100, 1000), *(measured(f"{i}", 55, 100) for i in range(6))]
    )
    assert gaps["few"] < 0.5 and abs(gaps["many"] - 0.5) < 0.02
    assert gaps["few"] < gaps["many"], "the same gap on few items counts for less"


def test_gaps_that_differ_by_chance_only_become_one() -> None:
    gaps = shrunken_gaps([measured(str(i), 50 + i % 3, 100) for i in range(8)])
    assert max(gaps.values()) - min(gaps.values()) < 1e-9
    assert shrunken_gaps([]) == {} and shrunken_gaps([measured("one", 3, 10)])["one"] == pytest.approx(0.3)


def test_shrunken_gaps_are_nearer_to_the_truth_than_measured_ones() -> None:
    rng = np.random.default_rng(0)
    raw = shrunken = 0.0
    for _ in range(100):
        true = rng.normal(0.15, 0.08, 12)
        outcomes = [measured(str(i), int(rng.binomial(50, np.clip(0.6 - g, 0, 1))), 50) for i, g in enumerate(true)]
        guess = shrunken_gaps(outcomes)
        raw += sum((o.gap - true[i]) ** 2 for i, o in enumerate(outcomes))
        shrunken += sum((guess[o.category] - true[i]) ** 2 for i, o in enumerate(outcomes))
    assert shrunken < 0.85 * raw


@given(st.integers(0, 500), st.dictionaries(st.text(max_size=3), st.floats(0.01, 10), min_size=1, max_size=12))
def test_shares_add_up_and_are_within_one_of_their_due(total: int, weights: dict[str, float]) -> None:
    shares = shared_out(total, weights)
    assert sum(shares.values()) == total
    whole = sum(weights.values())
    assert all(abs(shares[name] - total * weight / whole) < 1 + 1e-6 for name, weight in weights.items())


def test_a_category_that_was_never_asked_for_has_the_rates_of_all() -> None:
    rounds = [finished(measured("math", 1, 10, candidates=100, kept=20, tokens=10_000), measured("coding", 1, 10))]
    rates = keep_rates(["math", "coding"], rounds)
    assert rates["math"] == pytest.approx(0.2, abs=0.01) and rates["coding"] == pytest.approx(21 / 102)
    assert tokens_per_candidate(["math", "coding"], rounds) == pytest.approx({"math": 100, "coding": 100})
    assert tokens_per_candidate(["math"], []) is None


def test_a_category_that_keeps_nothing_is_not_asked_for_infinitely_many_candidates() -> None:
    rates = keep_rates(["math"], [finished(measured("math", 1, 10, candidates=1000, kept=0))])
    assert 0 < rates["math"] < 0.01


def test_a_price_is_known_only_if_it_is_of_every_round() -> None:
    paid = finished(measured("math", 1, 10, candidates=10, tokens=1_000), cost_usd=0.5)
    free = finished(measured("math", 1, 10, candidates=10, tokens=1_000))
    assert usd_per_token([paid]) == pytest.approx(0.0005) and usd_per_token([paid, free]) is None
