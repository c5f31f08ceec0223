"""ROUGE-L novelty: how close an instruction is to what is there already.

ROUGE-L F1 (Lin 2004) of two token lists of m and n tokens with longest common subsequence L is 2L / (m + n). Scores
are exact, and so are the searches: `prefix_index` says how they find every pair without comparing all.

The first use on a machine compiles the inner loops; later ones load them (`compiled`).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import polars as pl

from sedi_dagster.filtering.prefix_index import Bounds, PrefixIndex, in_threads, new_scratch
from sedi_dagster.filtering.similarity_join import near_duplicates
from sedi_dagster.filtering.token_lists import Array, TokenLists, Vocabulary

if TYPE_CHECKING:
    from sedi_dagster.filtering.compiled_join import Scratch

__all__ = ["NoveltyIndex", "greedy_novelty", "near_duplicates"]

_UNINDEXED = 1_024


def greedy_novelty(
    candidates: list[str], pool: list[str], threshold: float, may_join: Sequence[bool] | None = None
) -> pl.DataFrame:
    """Self-Instruct's greedy procedure: each candidate, in order, against the pool and the candidates kept before it.

    Args:
        threshold: a candidate with ROUGE-L F1 above it is dropped.
        may_join: False for a candidate that is judged but will not be kept for another reason. All may, by default.

    Returns:
        A row for each candidate: `novel`; where it is not, `score` and its nearest neighbour, a row of the pool
        (`pool`) or an earlier candidate (`candidate`), the first one where several are equally near.
    """
    index = NoveltyIndex()
    for row, text in enumerate(pool):
        index.add(str(row), text)
    names = [f"c{row}" for row in range(len(candidates))]
    near = index.add_novel(zip(names, candidates, strict=True), threshold, may_join)
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
    """Some of the texts of a `NoveltyIndex`, indexed."""

    rows: Array  # int64: the first row that has each text of the index
    searched: PrefixIndex


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
        self._recent = TokenLists.joined([])
        self._numbered = 0
        self._threshold = math.inf
        self._scratch: Scratch | None = None

    def add(self, text_id: str, text: str) -> None:
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
        lists = self._vocabulary.encode(texts)
        best, _ = self._search(lists, threshold, or_equal)
        return [self._told(found) for found in best.tolist()]

    def add_novel(
        self, texts: Iterable[tuple[str, str]], threshold: float, may_join: Sequence[bool] | None = None
    ) -> list[tuple[str, str, float] | None]:
        """Add those of the (id, text) pairs that have nothing above the threshold here or among those added before.

        The same as `nearest` and, if there is none, `add`, one after another.

        Args:
            may_join: False for a text that is not added even if it is novel.

        Returns:
            `nearest` of each text when its turn came.
        """
        from sedi_dagster.filtering.compiled_join import best_in_block

        named = list(texts)
        joins = np.array(may_join if may_join is not None else [True] * len(named), np.bool_)
        near: list[tuple[str, str, float] | None] = []
        for begin in range(0, len(named), _UNINDEXED):
            block = named[begin : begin + _UNINDEXED]
            self._take_in(threshold)
            lists = self._vocabulary.encode([text for _, text in block])
            best, bounds = self._search(lists, threshold)
            here = len(self._ids)
            members, rows = np.empty(len(block), np.int32), here + np.arange(len(block))
            count = best_in_block(
                lists, lists, members, rows, True, joins[begin : begin + len(block)], bounds.need, best,
                self._room(int(lists.lengths.max(initial=0))),
            )  # fmt: skip
            for found in best.tolist():
                row = found[2] - here
                near.append(self._told(found) if row < 0 or not found[0] else (*block[row], 2 * found[0] / found[1]))
            for member in members[:count]:
                self.add(*block[member])
        return near

    def _told(self, found: list[int]) -> tuple[str, str, float] | None:
        length, total, row = found
        return (self._ids[row], self._texts[row], 2 * length / total) if length else None

    def _search(self, lists: TokenLists, threshold: float, or_equal: bool = False) -> tuple[Array, Bounds]:
        """Best of each text so far, as in `best_in_block`, and the bounds for the texts among themselves and these."""
        from sedi_dagster.filtering.compiled_join import best_in_block, best_in_index

        longest = int(lists.lengths.max(initial=0))
        others = [longest, int(self._recent.lengths.max(initial=0)), *(part.searched.longest for part in self._parts)]
        bounds = Bounds.of(threshold, longest + max(others), above=not or_equal)
        best = np.empty((lists.signatures.size, 3), np.int64)
        best[:] = 0, 1, np.iinfo(np.int64).max
        for rows, index in self._parts:

            def search(begin: int, end: int, scratch: Scratch, rows: Array = rows, index: PrefixIndex = index) -> None:
                best_in_index(lists, begin, end, index.arrays, rows, *bounds, best, scratch)

            if lists.signatures.size == 1:
                search(0, 1, self._room(longest))
            else:
                in_threads(search, lists.signatures.size, len(self._vocabulary), rows.size, longest)
        recent = self._recent.signatures.size
        first = len(self._ids) - recent
        best_in_block(
            lists, self._recent, np.arange(recent, dtype=np.int32), np.arange(first, len(self._ids)), False,
            np.zeros(0, np.bool_), bounds.need, best, self._room(longest),
        )  # fmt: skip
        return best, bounds

    def _room(self, longest: int) -> Scratch:
        """Room for one thread, kept, and made larger where it must."""
        indexed = max((part.rows.size for part in self._parts), default=0)
        room, vocabulary = self._scratch, len(self._vocabulary)
        if (
            room is None
            or room.slot.size < vocabulary
            or room.seen.size < indexed
            or room.keys.size < longest
        ):  # fmt: skip
            room = self._scratch = new_scratch(2 * vocabulary, indexed, 2 * longest)
        return room

    def _take_in(self, threshold: float) -> None:
        """Number the texts that were added since; index them when they are many, and all anew for a lower threshold."""
        new = self._texts[self._numbered :]
        if new:
            self._recent = TokenLists.joined([self._recent, self._vocabulary.encode(new)])
            self._numbered = len(self._texts)
        if threshold < self._threshold:
            self._threshold = threshold
            if self._parts:
                self._parts = [self._merged(self._parts)]
        if self._recent.signatures.size > _UNINDEXED:
            first = len(self._texts) - self._recent.signatures.size
            self._parts.append(self._part(self._recent, np.arange(first, len(self._texts))))
            self._recent = TokenLists.joined([])
            while len(self._parts) > 1 and self._parts[-2].rows.size < 2 * self._parts[-1].rows.size:
                self._parts[-2:] = [self._merged(self._parts[-2:])]

    def _merged(self, parts: list[_Part]) -> _Part:
        lists = TokenLists.joined([part.searched.arrays.lists for part in parts])
        return self._part(lists, np.concatenate([part.rows for part in parts]))

    def _part(self, lists: TokenLists, rows: Array) -> _Part:
        """Index texts; of those with the same tokens the first one, and earlier parts come first."""
        _, firsts = lists.alike()
        index = PrefixIndex(lists.take(firsts), len(self._vocabulary), self._threshold)
        return _Part(rows[firsts][index.order], index)
