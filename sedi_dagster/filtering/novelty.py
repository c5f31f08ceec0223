"""ROUGE-L novelty: how close an instruction is to what is there already.

ROUGE-L F1 (Lin 2004) of two token lists of m and n tokens with longest common subsequence L is 2L / (m + n). Scores
are exact, and so are the searches: `similarity_join` says how they find every pair without comparing all.
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
"""Texts that are compared one by one before they become an index of their own."""


def greedy_novelty(candidates: list[str], pool: list[str], threshold: float) -> pl.DataFrame:
    """Self-Instruct's greedy procedure: each candidate, in order, against the pool and the candidates kept before it.

    Args:
        threshold: a candidate with ROUGE-L F1 above it is dropped.

    Returns:
        A row for each candidate: `novel`; where it is not, `score` and its nearest neighbour, a row of the pool
        (`pool`) or an earlier candidate (`candidate`), the first one where several are equally near.
    """
    index = NoveltyIndex()
    for row, text in enumerate(pool):
        index.add(str(row), text)
    names = [f"c{row}" for row in range(len(candidates))]
    near = index.add_novel(zip(names, candidates, strict=True), threshold)
    neighbours = [found[0] if found else "" for found in near]
    return pl.DataFrame(
        {
            "novel": [found is None for found in near],
            "pool": [int(name) if name and name[0] != "c" else None for name in neighbours],
            "candidate": [int(name[1:]) if name.startswith("c") else None for name in neighbours],
            "score": [found[2] if found else None for found in near],
        },
        schema={"novel": pl.Boolean, "pool": pl.UInt32, "candidate": pl.UInt32, "score": pl.Float64},
    )


class _Part(NamedTuple):
    """Some of the texts of a `NoveltyIndex`, indexed. `first`: the row of the first of them."""

    first: int
    texts: Texts
    searched: Index


class NoveltyIndex:
    """A growing pool of texts; finds the nearest one to a new text. For one thread at a time.

    Texts that were added are first compared one by one; every `_UNINDEXED` of them become an index of their own, and
    indexes of like size are merged, so that adding costs little whatever is there (a log-structured merge).
    """

    def __init__(self) -> None:
        self._ids: list[str] = []
        self._texts: list[str] = []
        self._vocabulary = Vocabulary()
        self._parts: list[_Part] = []
        self._recent = self._vocabulary.encode([])
        self._encoded = 0
        self._threshold = math.inf

    def add(self, text_id: str, text: str) -> None:
        """Add a text under its id."""
        self._ids.append(text_id)
        self._texts.append(text)

    def nearest(self, text: str, threshold: float, or_equal: bool = False) -> tuple[str, str, float] | None:
        """(id, text, ROUGE-L F1) of the nearest text above the threshold (`or_equal`: or at it), or None.

        The one that was added first, if several are equally near.
        """
        return self.nearest_of([text], threshold, or_equal)[0]

    def nearest_of(
        self, texts: list[str], threshold: float, or_equal: bool = False
    ) -> list[tuple[str, str, float] | None]:
        """`nearest` of each text; for many, faster."""
        self._take_in(threshold)
        return self._matches(*self._search(self._vocabulary.encode(texts), threshold, or_equal))

    def add_novel(self, texts: Iterable[tuple[str, str]], threshold: float) -> list[tuple[str, str, float] | None]:
        """Add those of the (id, text) pairs that have nothing above the threshold here or among those added before.

        The same as `nearest` and, if there is none, `add`, one after another.

        Returns:
            `nearest` of each text when its turn came.
        """
        named = list(texts)
        near: list[tuple[str, str, float] | None] = []
        for begin in range(0, len(named), _UNINDEXED):
            block = named[begin : begin + _UNINDEXED]
            self._take_in(threshold)
            encoded = self._vocabulary.encode([text for _, text in block])
            among = _scores(encoded, encoded)
            joined = np.zeros(len(block), bool)
            for place, found in enumerate(self._matches(*self._search(encoded, threshold))):
                scores = among[place] * joined
                best = int(scores.argmax())  # the first of those that are equally near
                if scores[best] > max(threshold, found[2] if found else 0.0):
                    found = (*block[best], float(scores[best]))
                near.append(found)
                if found is None:
                    joined[place] = True
                    self.add(*block[place])
        return near

    def _matches(self, rows: Array, scores: Array) -> list[tuple[str, str, float] | None]:
        return [
            (self._ids[row], self._texts[row], score) if row >= 0 else None
            for row, score in zip(rows.tolist(), scores.tolist(), strict=True)
        ]

    def _search(self, texts: Texts, threshold: float, or_equal: bool = False) -> tuple[Array, Array]:
        """Row and score of the nearest text to each; -1 where none is near enough."""
        rows, scores = np.full(texts.lengths.size, -1), np.zeros(texts.lengths.size)

        def better(query: Array, row: Array, score: Array) -> None:
            """Take what is nearer than before; of several that are equally near, the first."""
            order = np.lexsort((row, -score, query))
            query, first = np.unique(query[order], return_index=True)
            row, score = row[order][first], score[order][first]
            taken = score > scores[query]
            rows[query[taken]], scores[query[taken]] = row[taken], score[taken]

        for part in self._parts:
            for query, place, common in part.searched.search(texts, threshold, above=not or_equal):
                row = part.searched.rows[place]
                better(query, row + part.first, 2 * common / (texts.lengths[query] + part.texts.lengths[row]))
        if self._recent.lengths.size and texts.lengths.size:
            near = _scores(texts, self._recent)
            query, row = np.nonzero(near >= threshold if or_equal else near > threshold)
            better(query, row + len(self._ids) - self._recent.lengths.size, near[query, row])
        return rows, scores

    def _take_in(self, threshold: float) -> None:
        """Encode the texts that were added since; index them when they are many, and all anew for a lower threshold."""
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
    """ROUGE-L F1 of each text with each other one, shape (texts, others)."""
    common = process.cdist(texts.spelled, others.spelled, scorer=LCSseq.similarity, dtype=np.int64, workers=-1)
    scores: Array = 2.0 * common / np.maximum(1, texts.lengths[:, None] + others.lengths[None])
    return scores
