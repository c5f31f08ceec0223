"""Rates of a category, shrunken to those of all."""

from __future__ import annotations

import pytest

from sedi_dagster.feedback.allocation import keep_rates, tokens_per_candidate, usd_per_token
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
