"""Human seed tasks in every round: categories take turns, and in time every seed task has its own."""

from __future__ import annotations

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sedi_dagster.batching.replay import human_replay

CATEGORIES = tuple(f"category_{i:02d}" for i in range(12))


def pool(per_category: int = 15, categories: tuple[str, ...] = CATEGORIES) -> pl.DataFrame:
    rows = [(f"{c}-{i}", c) for c in categories for i in range(per_category)]
    return pl.DataFrame(rows, schema={"seed_id": pl.String, "category": pl.String}, orient="row")


def replay(seeds: pl.DataFrame, count: int, round_number: int, first: tuple[str, ...] = CATEGORIES) -> pl.DataFrame:
    return human_replay(seeds, count, first, round_number, 0)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.integers(0, 200), st.integers(1, 30), st.integers(0, 12))
def test_as_many_distinct_seeds_as_asked_for_or_all(count: int, round_number: int, firsts: int) -> None:
    seeds = pool()
    chosen = replay(seeds, count, round_number, CATEGORIES[:firsts])
    assert chosen.height == chosen["seed_id"].n_unique() == min(count, seeds.height)


def test_the_same_round_replays_the_same() -> None:
    assert replay(pool(), 20, 3).equals(replay(pool(), 20, 3))


@pytest.mark.parametrize("count", [12, 18, 30])
@pytest.mark.parametrize("first", [CATEGORIES, ("category_05",), ()])
def test_every_category_has_its_share_in_every_round(count: int, first: tuple[str, ...]) -> None:
    for round_number in range(1, 8):
        shares = dict(replay(pool(), count, round_number, first)["category"].value_counts().iter_rows())
        assert set(shares) == set(CATEGORIES)
        assert max(shares.values()) - min(shares.values()) <= 1


@pytest.mark.parametrize("count", [1, 5, 8, 12, 18, 30, 60])
@pytest.mark.parametrize("first", [CATEGORIES, CATEGORIES[3:5]])
def test_rounds_take_turns_until_every_seed_was_trained_on(count: int, first: tuple[str, ...]) -> None:
    seeds = pool()
    rounds = -(-seeds.height // count)
    seen = set()
    for round_number in range(1, rounds + 1):
        seen |= set(replay(seeds, count, round_number, first)["seed_id"])
    assert seen == set(seeds["seed_id"])


def test_a_small_category_is_repeated_but_never_twice_in_a_round() -> None:
    seeds = pl.concat([pool(2, ("few",)), pool(10, ("many",))])
    for round_number in range(1, 6):
        chosen = replay(seeds, 8, round_number, ("few", "many"))
        assert chosen["seed_id"].n_unique() == 8 and set(chosen["category"]) == {"few", "many"}


def test_a_round_category_without_human_seeds_is_passed_over() -> None:
    assert replay(pool(3, ("math",)), 2, 1, ("coding", "math"))["category"].to_list() == ["math", "math"]
