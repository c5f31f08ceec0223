"""Batches use every row once, the same way every time, and are diverse inside."""

from __future__ import annotations

import itertools
from typing import Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sedi_dagster.batching.composition import compose, mean_pairwise_distance

Composition = Literal["diverse", "random", "sequential"]


def unit_vectors(rows: int, seed: int = 0, clusters: int = 0) -> np.ndarray:
    """Random directions; around so many centres if `clusters` is given, row after row of the same one."""
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(rows, 8))
    if clusters:
        centres = rng.normal(size=(clusters, 8))
        vectors = centres[np.arange(rows) * clusters // rows] + 0.05 * vectors
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype("float32")


@settings(max_examples=20, deadline=None, derandomize=True)
@given(st.integers(0, 40), st.integers(1, 9), st.sampled_from(["diverse", "random", "sequential"]))
def test_every_row_is_in_exactly_one_batch_and_only_the_last_is_short(
    rows: int, batch_size: int, composition: Composition
) -> None:
    batches, clusters = compose(unit_vectors(rows), batch_size, composition, 0, "round-0001")
    assert sorted(itertools.chain.from_iterable(batches)) == list(range(rows))
    assert [len(batch) for batch in batches[:-1]] == [batch_size] * (len(batches) - 1)
    assert len(clusters) == rows
    assert sum(map(len, batches[-1:])) == (rows - 1) % batch_size + 1 if rows else not batches


@pytest.mark.parametrize("composition", ["diverse", "random"])
def test_the_same_seed_composes_the_same_batches_and_another_does_not(composition: Composition) -> None:
    vectors = unit_vectors(50, clusters=5)
    first = compose(vectors, 8, composition, 0, "round-0001")
    assert first == compose(vectors, 8, composition, 0, "round-0001")
    assert first[0] != compose(vectors, 8, composition, 0, "round-0002")[0]


def test_sequential_keeps_the_order() -> None:
    assert compose(unit_vectors(5), 2, "sequential")[0] == [[0, 1], [2, 3], [4]]


@pytest.mark.parametrize("rows", [64, 67])
def test_diverse_batches_are_wider_than_random_ones_on_clustered_vectors(rows: int) -> None:
    vectors = unit_vectors(rows, clusters=8)
    diverse = mean_pairwise_distance(vectors, compose(vectors, 8, "diverse", 0)[0])
    by_chance = [mean_pairwise_distance(vectors, compose(vectors, 8, "random", seed)[0]) for seed in range(5)]
    assert diverse > max(by_chance)


def test_a_cluster_no_larger_than_the_number_of_batches_never_meets_itself() -> None:
    vectors = unit_vectors(64, clusters=8)
    batches, clusters = compose(vectors, 8, "diverse", 0)
    for batch in batches:
        assert len({clusters[row] for row in batch}) == 8


def test_the_short_last_batch_is_diverse_as_well() -> None:
    vectors = unit_vectors(70, clusters=8)
    batches, clusters = compose(vectors, 8, "diverse", 0)
    assert len(batches[-1]) == 6
    assert len({clusters[row] for row in batches[-1]}) >= 5


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_vectors_that_are_all_the_same_are_composed_too() -> None:
    batches, _ = compose(np.ones((20, 4), dtype="float32") / 2, 4, "diverse", 0)
    assert sorted(itertools.chain.from_iterable(batches)) == list(range(20))


def test_mean_pairwise_distance_is_that_of_all_pairs() -> None:
    vectors = unit_vectors(10)
    batches = [[0, 1, 2, 3], [4, 5, 6], [7, 8], [9]]
    expected = np.mean(
        [
            np.mean([1 - float(vectors[a] @ vectors[b]) for a, b in itertools.combinations(batch, 2)])
            for batch in batches[:3]
        ]
    )
    assert mean_pairwise_distance(vectors, batches) == pytest.approx(expected, abs=1e-6)
    assert mean_pairwise_distance(vectors, [[1], [2]]) == mean_pairwise_distance(vectors, []) == 0.0
