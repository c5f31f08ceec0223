"""Batches use every row once, the same way every time, are diverse inside, and keep the shares of all rows."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sedi_dagster.batching.composition import Composition, compose, training_rows
from sedi_dagster.batching.diversity import batch_distances
from sedi_dagster.errors import SediError


def unit_vectors(rows: int, seed: int = 0, clusters: int = 0, dimensions: int = 8) -> np.ndarray:
    """Random directions; around so many centres if `clusters` is given, row after row of the same one."""
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(rows, dimensions))
    if clusters:
        centres = rng.normal(size=(clusters, dimensions))
        vectors = centres[np.arange(rows) * clusters // rows] + 0.05 * vectors
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype("float32")


def mean_distance(vectors: np.ndarray, batches: list[list[int]]) -> float:
    return float(np.mean(batch_distances(vectors, batches)))


@settings(max_examples=30, deadline=None, derandomize=True)
@given(st.integers(0, 40), st.integers(1, 9), st.sampled_from(["diverse", "clusters", "random", "sequential"]))
def test_every_row_is_in_exactly_one_batch_and_only_the_last_is_short(
    rows: int, batch_size: int, composition: Composition
) -> None:
    batches = compose(unit_vectors(rows), batch_size, composition, 0, "round-0001")
    assert sorted(itertools.chain.from_iterable(batches)) == list(range(rows))
    assert [len(batch) for batch in batches[:-1]] == [batch_size] * (len(batches) - 1)
    assert sum(map(len, batches[-1:])) == (rows - 1) % batch_size + 1 if rows else not batches


@pytest.mark.parametrize("composition", ["diverse", "random"])
def test_the_same_seed_composes_the_same_batches_and_another_does_not(composition: Composition) -> None:
    vectors = unit_vectors(50, clusters=5)
    first = compose(vectors, 8, composition, 0, "round-0001")
    assert first == compose(vectors, 8, composition, 0, "round-0001")
    assert first != compose(vectors, 8, composition, 0, "round-0002")


def test_sequential_keeps_the_order() -> None:
    assert compose(unit_vectors(5), 2, "sequential") == [[0, 1], [2, 3], [4]]


@pytest.mark.parametrize("batch_size", [4, 8, 16])
@pytest.mark.parametrize("rows", [64, 67])
def test_diverse_batches_are_wider_than_random_ones_on_clustered_vectors(rows: int, batch_size: int) -> None:
    vectors = unit_vectors(rows, clusters=8)
    diverse = mean_distance(vectors, compose(vectors, batch_size, "diverse", 0))
    by_chance = [mean_distance(vectors, compose(vectors, batch_size, "random", seed)) for seed in range(20)]
    assert diverse > max(by_chance)


def test_a_cluster_no_larger_than_the_number_of_batches_never_meets_itself() -> None:
    vectors = unit_vectors(64, clusters=8, dimensions=32)
    for batch in compose(vectors, 8, "diverse", 0):
        assert len({row // 8 for row in batch}) == 8


def test_the_short_last_batch_is_as_diverse_as_the_others() -> None:
    vectors = unit_vectors(720, dimensions=32, clusters=40)
    batches = compose(vectors, 64, "diverse", 0)
    distances = batch_distances(vectors, batches)
    assert len(batches[-1]) == 16 and distances[-1] > np.mean(distances[:-1]) - 0.01


def best_by_exchange(vectors: np.ndarray, batch_size: int, restarts: int) -> float:
    """Mean in-batch distance after exchanging pairs of rows as long as any exchange helps; the best of some starts."""
    rows = len(vectors)
    cosines, best = vectors.astype(float) @ vectors.T.astype(float), 0.0
    for start in range(restarts):
        group = np.random.default_rng(start).permutation(rows) // batch_size
        moved = True
        while moved:
            moved = False
            near = cosines @ np.eye(rows // batch_size)[group]
            for i in range(rows):
                own, other = near[:, group[i]], near[np.arange(rows), group]
                change = own - own[i] - other + near[i, group] + 2 * (1 - cosines[i])
                change[group == group[i]] = 0
                j = int(change.argmin())
                if change[j] < -1e-9:
                    difference = cosines[:, j] - cosines[:, i]
                    near[:, group[i]] += difference
                    near[:, group[j]] -= difference
                    group[i], group[j] = group[j], group[i]
                    moved = True
        batches = [np.flatnonzero(group == g).tolist() for g in range(rows // batch_size)]
        best = max(best, mean_distance(vectors, batches))
    return best


@pytest.mark.parametrize("batch_size", [4, 10])
def test_diversity_is_that_of_a_local_search_with_restarts_or_better(batch_size: int) -> None:
    vectors = unit_vectors(200, clusters=17, dimensions=24)
    reached = mean_distance(vectors, compose(vectors, batch_size, "diverse", 0))
    assert reached >= 0.999 * best_by_exchange(vectors, batch_size, restarts=5)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    st.lists(st.tuples(st.sampled_from("abcdefg"), st.booleans()), min_size=1, max_size=150),
    st.integers(2, 12),
)
def test_every_batch_has_its_share_of_each_category_and_of_human_rows(
    kinds: list[tuple[str, bool]], batch_size: int
) -> None:
    categories, human = [c for c, _ in kinds], [h for _, h in kinds]
    vectors = unit_vectors(len(kinds))
    batches = compose(vectors, batch_size, "diverse", 0, categories=categories, human=human)
    whole = [batch for batch in batches if len(batch) == batch_size]
    short = [batch for batch in batches if len(batch) < batch_size]
    for labels in (categories, human):
        for label, count in Counter(labels).items():
            in_whole = [sum(labels[row] == label for row in batch) for batch in whole]
            assert not whole or max(in_whole) - min(in_whole) <= 1
            for batch in short:
                assert abs(sum(labels[row] == label for row in batch) - count * len(batch) / len(kinds)) < 1


def test_shares_cost_little_diversity() -> None:
    vectors = unit_vectors(400, clusters=30, dimensions=32)
    rng = np.random.default_rng(1)
    categories, human = [f"c{n}" for n in rng.integers(0, 12, 400)], (rng.random(400) < 0.5).tolist()
    free = mean_distance(vectors, compose(vectors, 8, "diverse", 0))
    kept = mean_distance(vectors, compose(vectors, 8, "diverse", 0, categories=categories, human=human))
    by_chance = mean_distance(vectors, compose(vectors, 8, "random", 0))
    assert kept > by_chance + 0.8 * (free - by_chance)


@pytest.mark.parametrize("rows", [1, 7, 20, 3000])
def test_vectors_that_are_all_the_same_are_composed_too(rows: int) -> None:
    batches = compose(np.ones((rows, 4), dtype="float32") / 2, 4, "diverse", 0)
    assert sorted(itertools.chain.from_iterable(batches)) == list(range(rows))


def test_a_vector_that_is_no_number_gets_one_clear_error() -> None:
    vectors = unit_vectors(20)
    vectors[3, 1] = np.nan
    with pytest.raises(SediError, match=r"1 of 20 vectors .* row 3.*\n.*SEDI_BATCHING_EMBEDDING_MODEL"):
        compose(vectors, 4, "diverse", 0)


_COMPOSE = """
import json, numpy as np
from sedi_dagster.batching.composition import compose
vectors = np.random.default_rng(0).normal(size=(600, 48))
vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype("float32")
print(json.dumps(compose(vectors, 8, "diverse", 0)))
"""


def test_the_number_of_threads_does_not_change_the_batches() -> None:
    def composed(threads: str) -> Any:
        environment = os.environ | {"OPENBLAS_NUM_THREADS": threads, "OMP_NUM_THREADS": threads}
        root = Path(__file__).parents[2]
        ran = subprocess.run(
            [sys.executable, "-c", _COMPOSE], env=environment, cwd=root, capture_output=True, check=True
        )
        return json.loads(ran.stdout)

    assert composed("1") == composed("2")


def test_training_rows_are_in_training_order() -> None:
    rows = pl.DataFrame(
        {
            "example_id": ["a", "b", "c"],
            "origin": ["machine", "human", "machine"],
            "category": ["math", "math", "coding"],
            "instruction": ["Add.", "Count.", "Sort."],
            "input": ["1 2", "", "b a"],
            "output": ["3", "one", "a b"],
        }
    )
    trained = training_rows(rows, [[2, 0], [1]])
    assert trained.select("batch", "position", "example_id", "prompt").rows() == [
        (1, 0, "c", "Sort.\n\nb a"),
        (1, 1, "a", "Add.\n\n1 2"),
        (2, 0, "b", "Count."),
    ]


def test_batches_by_cluster_take_a_row_of_every_cluster() -> None:
    vectors = unit_vectors(32, clusters=4, dimensions=32)
    batches = compose(vectors, 4, "clusters", 0)
    assert all({row * 4 // 32 for row in batch} == {0, 1, 2, 3} for batch in batches)
    assert batches == compose(vectors, 4, "clusters", 0) != compose(vectors, 4, "clusters", 1)
