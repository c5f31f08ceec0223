"""Batches use every row once, the same way every time, and `clusters` draws them across clusters."""

from __future__ import annotations

import itertools

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from threadpoolctl import threadpool_limits

from sedi_dagster.batching.composition import Composition, compose, training_rows
from sedi_dagster.errors import SediError


def unit_vectors(rows: int, seed: int = 0, clusters: int = 0, dimensions: int = 8) -> np.ndarray:
    """Random directions; around so many centres if `clusters` is given, row after row of the same one."""
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(rows, dimensions))
    if clusters:
        centres = rng.normal(size=(clusters, dimensions))
        vectors = centres[np.arange(rows) * clusters // rows] + 0.05 * vectors
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype("float32")


@settings(max_examples=30, deadline=None, derandomize=True)
@given(st.integers(0, 40), st.integers(1, 9), st.sampled_from(["clusters", "random", "sequential"]))
def test_every_row_is_in_exactly_one_batch_and_only_the_last_is_short(
    rows: int, batch_size: int, composition: Composition
) -> None:
    batches = compose(unit_vectors(rows), batch_size, composition, 0, "round-0001")
    assert sorted(itertools.chain.from_iterable(batches)) == list(range(rows))
    assert [len(batch) for batch in batches[:-1]] == [batch_size] * (len(batches) - 1)
    assert sum(map(len, batches[-1:])) == (rows - 1) % batch_size + 1 if rows else not batches


@pytest.mark.parametrize("composition", ["clusters", "random"])
def test_the_same_seed_composes_the_same_batches_and_another_does_not(composition: Composition) -> None:
    vectors = unit_vectors(50, clusters=5)
    first = compose(vectors, 8, composition, 0, "round-0001")
    assert first == compose(vectors, 8, composition, 0, "round-0001")
    assert first != compose(vectors, 8, composition, 0, "round-0002")


def test_sequential_keeps_the_order() -> None:
    assert compose(unit_vectors(5), 2, "sequential") == [[0, 1], [2, 3], [4]]


@pytest.mark.parametrize("rows", [1, 7, 20])
def test_vectors_that_are_all_the_same_are_composed_too(rows: int) -> None:
    batches = compose(np.ones((rows, 4), dtype="float32") / 2, 4, "clusters", 0)
    assert sorted(itertools.chain.from_iterable(batches)) == list(range(rows))


def test_a_vector_that_is_no_number_gets_one_clear_error() -> None:
    vectors = unit_vectors(20)
    vectors[3, 1] = np.nan
    with pytest.raises(SediError, match=r"1 of 20 embeddings .* row 3.*\n.*SEDI_BATCHING_EMBEDDING_MODEL"):
        compose(vectors, 4, "clusters", 0)


def test_the_number_of_threads_does_not_change_the_batches() -> None:
    import sklearn.cluster  # noqa: F401 - only libraries that are loaded are limited

    vectors = np.random.default_rng(0).normal(size=(600, 48))
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype("float32")

    def composed(threads: int) -> list[list[int]]:
        with threadpool_limits(threads):
            return compose(vectors, 8, "clusters", 0)

    assert composed(1) == composed(2)


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
