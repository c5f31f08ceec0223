"""ROUGE-L novelty: how similar an instruction is to the ones that exist already.

ROUGE-L F1 (Lin 2004) of two texts of m and n tokens with a longest common subsequence of L tokens is 2L / (m + n).
Scores and searches are exact; `similarity_join` describes how they avoid comparing all pairs.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import polars as pl
from rapidfuzz import process
from rapidfuzz.distance import LCSseq

from sedi_dagster.filtering.similarity_join import Array, Index, Texts, Vocabulary, near_duplicates

__all__ = ["NoveltyIndex", "greedy_novelty", "near_duplicates"]

_UNINDEXED = 1_024
"""Most recent texts of a pool that are compared one by one, before they become an index."""


def greedy_novelty(candidates: list[str], pool: list[str], threshold: float) -> pl.DataFrame:
    """Compare each candidate, in order, with the pool and the candidates kept before it (as Self-Instruct does).

    Args:
        threshold: ROUGE-L F1 above which a candidate is dropped.

    Returns:
        One row a candidate: `novel` and, if it is not, the `score` with its nearest neighbour, which is row `pool` of
        the pool or row `candidate` of the candidates; the first one if several are equally near.
    """
    index = NoveltyIndex((str(row), text) for row, text in enumerate(pool))
    near = index.add_novel(((f"c{row}", text) for row, text in enumerate(candidates)), threshold)
    neighbours = [neighbour[0] if neighbour else "" for neighbour in near]
    return pl.DataFrame(
        {
            "novel": [neighbour is None for neighbour in near],
            "pool": [int(name) if name and name[0] != "c" else None for name in neighbours],
            "candidate": [int(name[1:]) if name.startswith("c") else None for name in neighbours],
            "score": [neighbour[2] if neighbour else None for neighbour in near],
        },
        schema={"novel": pl.Boolean, "pool": pl.UInt32, "candidate": pl.UInt32, "score": pl.Float64},
    )


class _Part(NamedTuple):
    """Consecutive texts of a `NoveltyIndex`, indexed. `first` is the row of the first one."""

    first: int
    texts: Texts
    indexed: Index


class NoveltyIndex:
    """A growing pool of texts that finds the text nearest to a new one. Not thread-safe.

    The most recent texts are compared one by one. Every `_UNINDEXED` of them become an index, and indexes of similar
    size are merged, so that the cost of adding a text hardly depends on the size of the pool (a log-structured merge).
    """

    def __init__(self, texts: Iterable[tuple[str, str]] = ()) -> None:
        """Begin with (id, text) pairs."""
        self._ids: list[str] = []
        self._texts: list[str] = []
        self._vocabulary = Vocabulary()
        self._parts: list[_Part] = []
        self._recent = self._vocabulary.encode([])
        self._encoded = 0
        self._threshold = math.inf
        for text_id, text in texts:
            self.add(text_id, text)

    def add(self, text_id: str, text: str) -> None:
        """Add a text under its id."""
        self._ids.append(text_id)
        self._texts.append(text)

    def nearest(self, text: str, threshold: float, or_equal: bool = False) -> tuple[str, str, float] | None:
        """Find the nearest text of the pool, the one added first if several are equally near.

        Args:
            threshold: ROUGE-L F1 that must be exceeded.
            or_equal: a score equal to the threshold is enough.

        Returns:
            (id, text, ROUGE-L F1), or None if no text is near enough.
        """
        return self.nearest_of([text], threshold, or_equal)[0]

    def nearest_of(
        self, texts: list[str], threshold: float, or_equal: bool = False
    ) -> list[tuple[str, str, float] | None]:
        """Return `nearest` of each text, faster than one by one."""
        self._update(threshold)
        return self._search(self._vocabulary.encode(texts), threshold, or_equal)

    def add_novel(self, texts: Iterable[tuple[str, str]], threshold: float) -> list[tuple[str, str, float] | None]:
        """Add each of the (id, text) pairs that has no neighbour above the threshold when its turn comes.

        Returns:
            The neighbour of each text, as `nearest` returns it; None for a text that was added.
        """
        pairs = list(texts)
        neighbours: list[tuple[str, str, float] | None] = []
        for start in range(0, len(pairs), _UNINDEXED):
            block = pairs[start : start + _UNINDEXED]
            self._update(threshold)
            encoded = self._vocabulary.encode([text for _, text in block])
            scores_in_block = _scores(encoded, encoded)
            added = np.zeros(len(block), bool)
            for row, neighbour in enumerate(self._search(encoded, threshold)):
                scores = scores_in_block[row] * added
                best = int(scores.argmax())  # the first of those that are equally near
                if scores[best] > max(threshold, neighbour[2] if neighbour else 0.0):
                    neighbour = (*block[best], float(scores[best]))
                neighbours.append(neighbour)
                if neighbour is None:
                    added[row] = True
                    self.add(*block[row])
        return neighbours

    def _search(self, texts: Texts, threshold: float, or_equal: bool = False) -> list[tuple[str, str, float] | None]:
        rows, scores = np.full(texts.lengths.size, -1), np.zeros(texts.lengths.size)

        def keep_nearest(query: Array, row: Array, score: Array) -> None:
            order = np.lexsort((row, -score, query))
            query, first = np.unique(query[order], return_index=True)
            row, score = row[order][first], score[order][first]
            nearer = score > scores[query]
            rows[query[nearer]], scores[query[nearer]] = row[nearer], score[nearer]

        for part in self._parts:
            for query, place, common in part.indexed.search(texts, threshold, above=not or_equal):
                row = part.indexed.rows[place]
                keep_nearest(query, row + part.first, 2 * common / (texts.lengths[query] + part.texts.lengths[row]))
        if self._recent.lengths.size and texts.lengths.size:
            near = _scores(texts, self._recent)
            query, row = np.nonzero(near >= threshold if or_equal else near > threshold)
            keep_nearest(query, row + len(self._ids) - self._recent.lengths.size, near[query, row])
        return [
            (self._ids[row], self._texts[row], score) if row >= 0 else None
            for row, score in zip(rows.tolist(), scores.tolist(), strict=True)
        ]

    def _update(self, threshold: float) -> None:
        """Encode the texts added since the last search, and bring the indexes up to date.

        An index serves its own threshold and higher ones; for a lower one, all are built again.
        """
        new = self._texts[self._encoded :]
        if new:
            self._recent = Texts.joined([self._recent, self._vocabulary.encode(new)])
            self._encoded = len(self._texts)
        if threshold < self._threshold:
            self._threshold = threshold
            self._parts = [self._part(part.first, part.texts) for part in self._parts]
        if self._recent.lengths.size > _UNINDEXED:
            self._parts.append(self._part(len(self._texts) - self._recent.lengths.size, self._recent))
            self._recent = self._vocabulary.encode([])
            while len(self._parts) > 1 and self._parts[-2].texts.lengths.size < 2 * self._parts[-1].texts.lengths.size:
                last, before = self._parts.pop(), self._parts.pop()
                self._parts.append(self._part(before.first, Texts.joined([before.texts, last.texts])))

    def _part(self, first: int, texts: Texts) -> _Part:
        return _Part(first, texts, Index(texts, self._threshold))


def _scores(texts: Texts, others: Texts) -> Array:
    """Return ROUGE-L F1 of each text with each other one, shape (texts, others)."""
    common = process.cdist(texts.strings, others.strings, scorer=LCSseq.similarity, dtype=np.int64, workers=-1)
    scores: Array = 2.0 * common / np.maximum(1, texts.lengths[:, None] + others.lengths[None])
    return scores
