"""An index of texts that finds all texts near another one without looking at the rest.

Two texts of m and n tokens have ROUGE-L F1 of at least t if their longest common subsequence has at least
o = ceil(t (m + n) / 2) tokens. They then have as many elements in common (`TokenLists`), so this is a set-similarity
join with overlap o, made exact by filters that only drop pairs which cannot reach o:

- prefix (AllPairs, Bayardo and others 2007): order all elements by how rare they are. The rarest element of the common
  subsequence is among the m - o + 1 rarest of x and the n - o + 1 rarest of y, since o - 1 others come after it. So
  only those are in postings, and only those are looked up.
- length, by the place of the element in the prefix (PPJoin, Xiao and others 2008; PEL, Mann and Augsten 2014): an
  element with i rarer ones before it leaves at most m - i in common, which bounds n. Postings are sorted by length.
- order: if the token is once in each text, at i and j, the subsequence through it has at most
  1 + min(i, j) + min(m - 1 - i, n - 1 - j) tokens. This one is particular to common subsequences.
- signature: texts whose 64-bit parities differ in d bits have at most (m + n - d) / 2 in common (bitmap filter,
  Sandes and others 2020).

What is left is measured, bit-parallel. Memory: 8 bytes a token, and per text 20 bytes and its postings, 8 bytes each.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from joblib import cpu_count

from sedi_dagster.filtering.token_lists import Array, TokenLists

if TYPE_CHECKING:
    from sedi_dagster.filtering.compiled_join import Scratch

_TEXTS_AT_A_TIME = 512


class Bounds(NamedTuple):
    """What a threshold asks of a pair whose lengths add up to s."""

    need: Array  # int64 by s: least length of the common subsequence
    reach: Array  # int64 by length L: greatest s with need[s] <= L

    @classmethod
    def of(cls, threshold: float, longest_sum: int, above: bool = False) -> Bounds:
        """Scores at or above the threshold count, or only those above it."""
        return _bounds(threshold, 1 << max(8, longest_sum.bit_length()), above)


@lru_cache(maxsize=16)
def _bounds(threshold: float, size: int, above: bool) -> Bounds:
    sums = np.arange(1, size)
    need = np.maximum(np.floor(threshold * sums / 2).astype(np.int64) - 1, 1)
    for _ in range(3):
        score = 2.0 * need / sums
        need += score <= threshold if above else score < threshold
    need = np.concatenate([[0], need])
    return Bounds(need, np.searchsorted(need, np.arange(size), side="right") - 1)


class PrefixIndex:
    """Texts, indexed for one threshold; it serves that and every higher one."""

    def __init__(self, lists: TokenLists, vocabulary: int, threshold: float, longer_only: bool = False) -> None:
        """Index the texts.

        Args:
            lists: the texts, each different from the others.
            vocabulary: all element numbers are below this.
            longer_only: texts will only be found by such as have as many tokens or more.
        """
        from sedi_dagster.filtering.compiled_join import Index, prefix_lengths, rank_prefixes, sort_postings

        self.order = np.argsort(lists.lengths, kind="stable")
        """The row of `lists` of each text of the index."""
        lists = lists.take(self.order)
        longest = int(lists.lengths[-1]) if self.order.size else 0
        by_length = np.searchsorted(lists.lengths, np.arange(longest + 2))
        frequency = np.bincount(lists.elements, minlength=vocabulary)
        known = np.flatnonzero(frequency)
        rank = np.full(vocabulary, -1, np.int32)
        rank[known[np.argsort(frequency[known], kind="stable")]] = np.arange(known.size, dtype=np.int32)
        prefixes = np.zeros(self.order.size, np.int64)
        prefix_lengths(lists.lengths, Bounds.of(threshold, 2 * longest).need, longer_only, prefixes)
        offsets = np.concatenate([[0], np.cumsum(prefixes)])
        ranks, postings = np.empty(offsets[-1], np.int32), np.empty(offsets[-1], np.uint64)

        def rank_some(begin: int, end: int, scratch: Scratch) -> None:
            rank_prefixes(lists, begin, end, rank, prefixes, offsets, ranks, postings, scratch)

        in_threads(rank_some, self.order.size, vocabulary, 0, longest)
        starts = np.concatenate([[0], np.cumsum(np.bincount(ranks, minlength=known.size))])
        in_order = np.empty_like(postings)
        sort_postings(ranks, postings, starts, in_order)
        self.arrays = Index(lists, by_length, rank, starts, in_order)
        self.longest = longest


def in_threads(
    work: Callable[[int, int, Scratch], None], texts: int, vocabulary: int, indexed: int, longest: int
) -> None:
    """Call work(begin, end, scratch) for all texts, a block at a time, on all processors."""
    blocks: Iterator[int] = iter(range(0, texts, _TEXTS_AT_A_TIME))

    def worker() -> None:
        scratch = new_scratch(vocabulary, indexed, longest)
        for begin in blocks:
            work(begin, min(begin + _TEXTS_AT_A_TIME, texts), scratch)

    workers = min(cpu_count(), -(-texts // _TEXTS_AT_A_TIME))
    if workers <= 1:
        worker()
        return
    with ThreadPoolExecutor(workers) as pool:
        for done in [pool.submit(worker) for _ in range(workers)]:
            done.result()


def new_scratch(vocabulary: int, indexed: int, longest: int) -> Scratch:
    """Room for one thread: for so many element numbers, texts of an index, and tokens of a text that is looked up."""
    from sedi_dagster.filtering.compiled_join import Scratch

    return Scratch(
        slot=np.zeros(vocabulary, np.int32),
        flags=np.zeros(vocabulary, np.uint8),
        word=np.zeros(longest + 1, np.int32),
        mask=np.zeros(longest + 1, np.uint64),
        following=np.zeros(longest + 1, np.int32),
        last=np.zeros(longest + 1, np.int32),
        vector=np.zeros(longest // 64 + 1, np.uint64),
        keys=np.zeros(longest, np.uint64),
        seen=np.zeros(indexed, np.int64),
        found=np.zeros(indexed + 1, np.int32),
        stamp=np.zeros(1, np.int64),
    )
