"""Semantic similarity: the cosine of sentence embeddings, which the caller provides.

All comparisons are exact. Comparing n embeddings with one another takes n² / 2 dot products: for 384 dimensions,
1.7 CPU seconds for 20,000, 45 for 100,000, over an hour for a million. The rule is therefore off by default.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import polars as pl

Embed = Callable[[list[str]], np.ndarray]
"""Returns the embeddings of texts: unit vectors, float32, shape (texts, dimensions)."""

BLOCK = 1024
POOL_BLOCK = 65_536


def nearest_by_cosine(vectors: np.ndarray, pool: np.ndarray) -> pl.DataFrame:
    """Find the vector of a pool that is nearest to each vector.

    Args:
        vectors: unit vectors, float32, shape (n, d).
        pool: the same, shape (m, d), m > 0.

    Returns:
        `query` (0 to n - 1), `pool` (row of the nearest, the first if several are equally near) and `score` (cosine).
    """
    place, score = np.zeros(len(vectors), dtype=np.uint32), np.zeros(len(vectors))
    for start in range(0, len(vectors), BLOCK):
        block = slice(start, start + BLOCK)
        place[block], score[block] = _nearest(vectors[block], pool)
    return pl.DataFrame({"query": np.arange(len(vectors), dtype=np.uint32), "pool": place, "score": score})


def greedy_by_cosine(vectors: np.ndarray, pool: np.ndarray, threshold: float) -> pl.DataFrame:
    """Go through the vectors in order and drop each that is too near the pool or a vector kept before.

    Args:
        vectors: unit vectors, float32, shape (n, d).
        pool: the same, shape (m, d); m may be 0.
        threshold: cosine above which a vector is dropped.

    Returns:
        One row a dropped vector: `query`, `neighbour` (a row of the pool, or m + the row of a kept vector), `score`.
    """
    known = np.empty((len(pool) + len(vectors), vectors.shape[1]), dtype=np.float32)
    known[: len(pool)] = pool
    number = np.arange(len(known))  # of each row of `known`, as `neighbour` has it
    size = len(pool)
    dropped: list[tuple[int, int, float]] = []
    for start in range(0, len(vectors), BLOCK):
        block = vectors[start : start + BLOCK]
        place, score = _nearest(block, known[:size])
        in_block = np.where(np.tri(len(block), k=-1, dtype=bool), block @ block.T, -2.0)  # earlier ones only
        kept = np.ones(len(block), dtype=bool)
        for row in np.flatnonzero(np.maximum(in_block.max(axis=1), score) > threshold):
            neighbour, cosine = number[place[row]], score[row]
            best = in_block[row].argmax()
            if in_block[row, best] > cosine:
                neighbour, cosine = len(pool) + start + best, in_block[row, best]
            if cosine > threshold:
                kept[row] = False
                in_block[:, row] = -2.0  # later ones are not compared with it
                dropped.append((start + int(row), int(neighbour), float(cosine)))
        added = np.flatnonzero(kept)
        known[size : size + len(added)] = block[added]
        number[size : size + len(added)] = len(pool) + start + added
        size += len(added)
    return pl.DataFrame(dropped, schema={"query": pl.UInt32, "neighbour": pl.UInt32, "score": pl.Float64}, orient="row")


def _nearest(vectors: np.ndarray, pool: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return row and cosine of the pool's vector nearest to each vector; cosine -2 if the pool is empty."""
    place = np.zeros(len(vectors), dtype=np.int64)
    score = np.full(len(vectors), -2.0, dtype=np.float32)
    for start in range(0, len(pool), POOL_BLOCK):
        cosines = vectors @ pool[start : start + POOL_BLOCK].T
        nearest = cosines.max(axis=1)
        better = nearest > score
        place[better], score[better] = start + cosines.argmax(axis=1)[better], nearest[better]
    return place, score
