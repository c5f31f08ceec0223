"""All pairs of texts that are near each other."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from sedi_dagster.errors import SediError
from sedi_dagster.filtering.prefix_index import Bounds, PrefixIndex, in_threads
from sedi_dagster.filtering.token_lists import Array, TokenLists, Vocabulary

if TYPE_CHECKING:
    from sedi_dagster.filtering.compiled_join import Scratch

MOST_PAIRS = 200_000_000
"""`near_duplicates` gives so many rows at most: 16 bytes each, and as much again while they are put in order."""


def near_duplicates(queries: list[str], pool: list[str], threshold: float) -> pl.DataFrame:
    """Every pair of a query and a text of the pool with ROUGE-L F1 at or above the threshold.

    Texts with the same tokens are compared once. Comparing a list with itself (the same list twice) costs half; each
    row is then also paired with itself.

    Args:
        threshold: above 0. A text without tokens has score 0 with every other.

    Returns:
        Columns `query`, `pool` (row numbers) and `score`, sorted by query and pool.

    Raises:
        SediError: there are more than `MOST_PAIRS`: the texts are copies of one another. `greedy_novelty` tells which
            of them to keep, without listing the pairs.
    """
    from sedi_dagster.filtering.compiled_join import join, unpack

    if not threshold > 0:
        raise SediError(f"a ROUGE-L threshold of {threshold:g} pairs every text with every other", "a value above 0")
    alone = queries is pool or queries == pool
    swapped = len(queries) < len(pool)  # the shorter side is indexed, the longer one looked up
    vocabulary = Vocabulary()
    y = _Distinct(vocabulary.encode(queries if swapped else pool))
    x = y if alone else _Distinct(vocabulary.encode(pool if swapped else queries))
    index = PrefixIndex(y.lists, len(vocabulary), threshold, longer_only=alone)
    x_lists, x_order = (index.arrays.lists, index.order) if alone else (x.lists, np.arange(x.firsts.size))
    x_members, y_members = x.members(x_order), y.members(index.order)
    longest = int(x_lists.lengths.max(initial=0))
    bounds = Bounds.of(threshold, longest + index.longest)
    shifts = _shifts(len(queries), len(pool), min(longest, index.longest))
    found: list[Array] = []
    total = 0

    def join_some(begin: int, end: int, scratch: Scratch) -> None:
        nonlocal total
        pairs, count = join(
            x_lists, begin, end, index.arrays, alone, *bounds, *x_members, *y_members,
            shifts[::-1].copy() if swapped else shifts, MOST_PAIRS - total, scratch,
        )  # fmt: skip
        total += count
        if total > MOST_PAIRS:
            raise SediError(
                f"at least {total:,} pairs of texts are as near as {threshold:g}; {MOST_PAIRS:,} can be listed",
                "a higher threshold, or drop copies first (greedy_novelty lists no pairs)",
            )
        found.append(pairs)

    in_threads(join_some, x_lists.signatures.size, len(vocabulary), index.order.size, longest)
    pairs = np.concatenate([np.empty(0, np.uint64), *found])
    found.clear()
    pairs.sort()
    columns = np.empty(pairs.size, np.uint32), np.empty(pairs.size, np.uint32), np.empty(pairs.size)
    lengths = (y.row_lengths, x.row_lengths) if swapped else (x.row_lengths, y.row_lengths)
    unpack(pairs, shifts, *lengths, *columns)
    return pl.DataFrame(dict(zip(("query", "pool", "score"), columns, strict=True)))


def _shifts(queries: int, pool: int, longest: int) -> Array:
    """A pair is one number, so that sorting is one pass: query row, pool row and common length, shifted by so many."""
    low = longest.bit_length()
    high = low + pool.bit_length()
    if high + queries.bit_length() > 63:
        raise SediError("too many texts, or too long ones, to be compared at once", "compare them in parts")
    return np.array([high, low])


class _Distinct:
    """The different token lists among some, and the rows that have each."""

    def __init__(self, lists: TokenLists) -> None:
        self.row_lengths = lists.lengths
        self.group, self.firsts = lists.alike()
        self.lists = lists if self.firsts.size == self.group.size else lists.take(self.firsts)

    def members(self, order: Array) -> tuple[Array, Array]:
        """(starts, rows): the rows that have the i-th list of this order are rows[starts[i] : starts[i + 1]]."""
        place = np.empty_like(order)
        place[order] = np.arange(order.size)
        placed = place[self.group]
        starts = np.concatenate([[0], np.cumsum(np.bincount(placed, minlength=order.size))])
        return starts, np.argsort(placed, kind="stable")
