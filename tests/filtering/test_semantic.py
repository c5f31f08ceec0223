"""Nearness by meaning is exact and greedy in order, whatever the blocks it is computed in."""

from __future__ import annotations

import numpy as np
import pytest

from sedi_dagster.filtering import semantic
from sedi_dagster.filtering.semantic import greedy_by_cosine, nearest_by_cosine


def unit_vectors(count: int, dimensions: int, seed: int) -> np.ndarray:
    vectors = np.random.default_rng(seed).normal(size=(count, dimensions)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def greedy_one_by_one(vectors: np.ndarray, pool: np.ndarray, threshold: float) -> list[tuple[int, int]]:
    known = [(i, v) for i, v in enumerate(pool)]
    dropped = []
    for i, vector in enumerate(vectors):
        cosines = [float(vector @ v) for _, v in known]
        best = int(np.argmax(cosines)) if cosines else -1
        if cosines and cosines[best] > threshold:
            dropped.append((i, known[best][0]))
        else:
            known.append((len(pool) + i, vector))
    return dropped


@pytest.fixture(params=[(1024, 65_536), (7, 5)])
def _blocks(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(semantic, "BLOCK", request.param[0])
    monkeypatch.setattr(semantic, "POOL_BLOCK", request.param[1])


@pytest.mark.usefixtures("_blocks")
@pytest.mark.parametrize("pool_size", [0, 13])
def test_the_greedy_procedure_is_that_of_one_by_one(pool_size: int) -> None:
    vectors, pool = unit_vectors(60, 3, 1), unit_vectors(pool_size, 3, 2)
    found = greedy_by_cosine(vectors, pool, 0.9)
    expected = greedy_one_by_one(vectors, pool, 0.9)
    assert len(expected) > 20
    assert found.select("query", "neighbour").rows() == expected
    everything = np.concatenate([pool, vectors])
    for query, neighbour, score in found.iter_rows():
        assert score == pytest.approx(float(vectors[query] @ everything[neighbour]), abs=1e-6) and score > 0.9


@pytest.mark.usefixtures("_blocks")
def test_the_nearest_of_a_pool_is_found() -> None:
    vectors, pool = unit_vectors(30, 4, 3), unit_vectors(40, 4, 4)
    found = nearest_by_cosine(vectors, pool)
    assert found["query"].to_list() == list(range(30))
    assert found["pool"].to_list() == (vectors @ pool.T).argmax(axis=1).tolist()
    assert found["score"].to_numpy() == pytest.approx((vectors @ pool.T).max(axis=1), abs=1e-6)


def test_nothing_is_near_nothing() -> None:
    assert greedy_by_cosine(unit_vectors(0, 4, 1), unit_vectors(0, 4, 1), 0.5).height == 0
    assert nearest_by_cosine(unit_vectors(0, 4, 1), unit_vectors(2, 4, 1)).height == 0
