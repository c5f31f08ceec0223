"""All pairs of texts with ROUGE-L F1 at or above a threshold, without comparing all with all.

Two texts of m and n tokens have ROUGE-L F1 of at least t if their longest common subsequence has at least
o = ceil(t (m + n) / 2) tokens. They then have o tokens in common in whatever order, so this is a set-similarity join,
made exact by filters that drop only pairs which cannot reach o:

- prefix (AllPairs; Bayardo, Ma and Srikant 2007): order all tokens by how rare they are. The rarest one in common is
  among the m - o + 1 rarest of x and the n - o + 1 rarest of y, since o - 1 others come after it. So only those are in
  postings, and only those are looked up.
- length and place (PPJoin; Xiao and others 2008): a token with i rarer ones before it leaves at most m - i in common,
  which bounds n. Postings are sorted by length.
- signature (bitmap filter; Sandes, Teodoro and Melo 2020): texts whose 64 parity bits differ in d places have at most
  (m + n - d) / 2 tokens in common.

What is left is measured by rapidfuzz, bit-parallel. A token's second time in a text is a token of its own here, so that
texts are sets.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl
from rapidfuzz import process
from rapidfuzz.distance import LCSseq

from sedi_dagster.errors import SediError
from sedi_dagster.texts.words import tokens

Array = npt.NDArray[Any]

MOST_PAIRS = 200_000_000
"""`near_duplicates` gives so many rows at most: 16 bytes each, and as much again while they are put in order."""

_MOST_AT_ONCE = 4_000_000
"""Pairs that are looked at in one step: some 300 MB."""
_CHARACTERS = 0x110000


def near_duplicates(queries: list[str], pool: list[str], threshold: float) -> pl.DataFrame:
    """Every pair of a query and a text of the pool with ROUGE-L F1 at or above the threshold.

    Texts with the same tokens are compared once.

    Args:
        threshold: above 0. A text without tokens has score 0 with every other.

    Returns:
        Columns `query`, `pool` (row numbers) and `score`, sorted by query and pool.

    Raises:
        SediError: there are more than `MOST_PAIRS`: the texts are copies of one another. `greedy_novelty` tells which
            of them to keep, without listing the pairs.
    """
    if not threshold > 0:
        raise SediError(f"a ROUGE-L threshold of {threshold:g} pairs every text with every other", "a value above 0")
    vocabulary = Vocabulary()
    indexed = vocabulary.encode(pool)
    asked = indexed if queries is pool else vocabulary.encode(queries)
    index = Index(indexed, threshold)
    firsts, group = asked.distinct()
    sizes, members = _members(group, len(firsts))
    pool_sizes, pool_members = _members(index.group, index.rows.size)
    found: list[tuple[Array, Array, Array]] = []
    total = 0
    for query, row, length in index.search(asked.take(firsts), threshold):
        counts = sizes[query] * pool_sizes[row]
        total += int(counts.sum())
        if total > MOST_PAIRS:
            raise SediError(
                f"at least {total:,} pairs of texts are as near as {threshold:g}; {MOST_PAIRS:,} can be listed",
                "a higher threshold, or drop copies first (greedy_novelty lists no pairs)",
            )
        nth = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
        width = np.repeat(pool_sizes[row], counts)
        score = 2 * length / (asked.lengths[firsts[query]] + indexed.lengths[index.rows[row]])
        found.append(
            (
                members[np.repeat(np.cumsum(sizes)[query] - sizes[query], counts) + nth // width],
                pool_members[np.repeat(np.cumsum(pool_sizes)[row] - pool_sizes[row], counts) + nth % width],
                np.repeat(score, counts),
            )
        )
    columns = [np.concatenate(parts) for parts in zip(*found, strict=True)] if found else [np.empty(0)] * 3
    schema: dict[str, Any] = {"query": pl.UInt32, "pool": pl.UInt32, "score": pl.Float64}
    pairs = pl.DataFrame([pl.Series(name, column) for name, column in zip(schema, columns, strict=True)])
    pairs = pairs.select(pl.col(name).cast(kind) for name, kind in schema.items())
    return pairs.sort("query", "pool")


def _members(group: Array, groups: int) -> tuple[Array, Array]:
    """(how many rows each group has, the rows in the order of their groups). Rows of group -1 are in none."""
    rows = np.argsort(group, kind="stable")[int((group < 0).sum()) :]
    return np.bincount(group[rows], minlength=groups), rows


class Texts(NamedTuple):
    """Texts as numbers of tokens, end to end, and as what rapidfuzz compares: one character a token.

    `spelled` has a list of numbers in place of a string where a token's number is beyond the last character.
    """

    lengths: Array  # int64
    numbers: Array  # int64, all texts one after another
    spelled: Array  # object

    def take(self, rows: Array) -> Texts:
        """The texts of these rows, in this order."""
        starts, lengths = np.cumsum(self.lengths) - self.lengths, self.lengths[rows]
        places = np.repeat(starts[rows] - np.cumsum(lengths) + lengths, lengths) + np.arange(lengths.sum())
        return Texts(lengths, self.numbers[places], self.spelled[rows])

    def distinct(self) -> tuple[Array, Array]:
        """(first row of each different text, the place among these of every row's text); -1 for one without tokens."""
        places: dict[Any, int] = {}
        firsts: list[int] = []
        group = np.full(self.lengths.size, -1)
        for row, text in enumerate(self.spelled):
            if len(text):
                key = text if isinstance(text, str) else tuple(text)
                group[row] = places.setdefault(key, len(places))
                if len(places) > len(firsts):
                    firsts.append(row)
        return np.array(firsts, np.int64), group

    @classmethod
    def joined(cls, parts: Sequence[Texts]) -> Texts:
        """Several lots of texts as one, in order."""
        return cls(*(np.concatenate(arrays) for arrays in zip(*parts, strict=True)))


class Vocabulary:
    """Numbers for tokens, given out as they come."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}

    def encode(self, texts: list[str]) -> Texts:
        """The texts with their tokens as numbers; new tokens get the next numbers."""
        known = self._numbers
        lists = [[known.setdefault(token, len(known)) for token in tokens(text)] for text in texts]
        lengths = np.fromiter(map(len, lists), np.int64, len(lists))
        numbers = np.fromiter((number for one in lists for number in one), np.int64, int(lengths.sum()))
        spelled = np.empty(len(lists), object)
        within = len(known) <= _CHARACTERS
        for row, one in enumerate(lists):
            spelled[row] = "".join(map(chr, one)) if within or max(one, default=0) < _CHARACTERS else one
        return Texts(lengths, numbers, spelled)


class Bounds(NamedTuple):
    """What a threshold asks of a pair whose lengths add up to s."""

    need: Array  # by s: least length of the common subsequence
    reach: Array  # by length L: greatest s with need[s] <= L

    @classmethod
    def of(cls, threshold: float, longest_sum: int, above: bool = False) -> Bounds:
        """Scores at or above the threshold count, or only those above it."""
        return _bounds(threshold, 1 << max(8, longest_sum.bit_length()), above)

    def shortest_partner(self, lengths: Array) -> Array:
        """Least tokens of a text that can be near one of so many; more than that many if none can be."""
        partner = np.ones_like(lengths)
        step = 1 << max(0, int(lengths.max(initial=1)).bit_length() - 1)
        while step:  # what a partner of n tokens may have in common grows by n, what is needed by less
            further = np.minimum(partner + step, lengths + 1)
            partner = np.where(self.need[lengths + further - 1] > further - 1, further, partner)
            step //= 2
        return np.where(self.need[lengths + partner] > np.minimum(lengths, partner), lengths + 1, partner)


@lru_cache(maxsize=16)
def _bounds(threshold: float, size: int, above: bool) -> Bounds:
    sums = np.arange(1, size)
    need = np.maximum(np.floor(threshold * sums / 2).astype(np.int64) - 1, 1)
    for _ in range(3):  # by the very comparison that decides, so that rounding loses no pair
        score = 2.0 * need / sums
        need += score <= threshold if above else score < threshold
    need = np.concatenate([[0], need])
    return Bounds(need, np.searchsorted(need, np.arange(size), side="right") - 1)


class _Sets(NamedTuple):
    """The tokens of texts as sets: one row a token, those of a text together and the rarest first."""

    text: Array
    element: Array  # place in the index's order of all tokens, rarest first; -1: the index has none
    place: Array  # how many tokens of the text come before
    signatures: Array  # uint64, one a text


class Index:
    """Texts in which all that are near another one are found.

    Attributes:
        rows: of the texts that are indexed: the first of each that differs, with tokens.
        group: the place in `rows` of every row's text, or -1.
    """

    def __init__(self, texts: Texts, threshold: float) -> None:
        self.rows, self.group = texts.distinct()
        self._texts = texts.take(self.rows)
        lengths = self._texts.lengths
        self.longest = int(lengths.max(initial=0))
        keys = _keys(self._texts)
        self._known, counts = np.unique(keys, return_counts=True)
        self._order = np.empty(counts.size, np.int64)
        self._order[np.argsort(counts, kind="stable")] = np.arange(counts.size)
        sets = self._sets(self._texts, keys)
        self._signatures = sets.signatures
        chosen = sets.place < _prefixes(lengths, threshold)[sets.text]
        by_length = np.argsort(_posting(sets.element[chosen], lengths[sets.text[chosen]]), kind="stable")
        self._text, self._place = sets.text[chosen][by_length], sets.place[chosen][by_length]
        self._postings = _posting(sets.element[chosen], lengths[sets.text[chosen]])[by_length]

    def search(self, queries: Texts, threshold: float, above: bool = False) -> Iterator[tuple[Array, Array, Array]]:
        """Near pairs, some at a time: row of the query, place in `rows`, length of the common subsequence.

        Args:
            threshold: not below that of the index.
            above: pairs above the threshold alone, not those at it.
        """
        lengths = queries.lengths
        bounds = Bounds.of(threshold, 2 * max(int(lengths.max(initial=0)), self.longest) + 2, above)
        sets = self._sets(queries, _keys(queries))
        chosen = np.flatnonzero((sets.place < _prefixes(lengths, threshold)[sets.text]) & (sets.element >= 0))
        text, element, place = sets.text[chosen], sets.element[chosen], sets.place[chosen]
        most = bounds.reach[lengths[text] - place] - lengths[text]
        begin = np.searchsorted(self._postings, _posting(element, bounds.shortest_partner(lengths)[text]))
        count = np.maximum(np.searchsorted(self._postings, _posting(element, most), side="right") - begin, 0)
        for first, last in _steps(text, count):
            n = count[first:last]
            entry = np.repeat(np.arange(first, last), n)
            posting = np.repeat(begin[first:last] - np.cumsum(n) + n, n) + np.arange(n.sum())
            x, y = text[entry], self._text[posting]
            m, other = lengths[x], self._texts.lengths[y]
            need = bounds.need[m + other]
            differing = np.bitwise_count(sets.signatures[x] ^ self._signatures[y])
            left = np.minimum(m - place[entry], other - self._place[posting])
            near = (left >= need) & ((m + other - differing) // 2 >= need)
            pairs = np.unique(x[near] << 32 | y[near])
            x, y = pairs >> 32, pairs & 0xFFFFFFFF
            common = process.cpdist(
                queries.spelled[x], self._texts.spelled[y], scorer=LCSseq.similarity, dtype=np.int64, workers=-1
            )
            near = common >= bounds.need[lengths[x] + self._texts.lengths[y]]
            if near.any():
                yield x[near], y[near], common[near]

    def _sets(self, texts: Texts, keys: Array) -> _Sets:
        at = np.searchsorted(self._known, keys)
        known = at < self._known.size
        known[known] = self._known[at[known]] == keys[known]
        element = np.full(keys.size, -1)
        element[known] = self._order[at[known]]
        text = np.repeat(np.arange(texts.lengths.size), texts.lengths)
        rarest_first = np.argsort(text << 32 | (element + 1), kind="stable")
        starts = np.cumsum(texts.lengths) - texts.lengths
        signatures = np.zeros(texts.lengths.size, np.uint64)
        if keys.size:
            bits = np.uint64(1) << ((keys.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(58))
            there = texts.lengths > 0
            signatures[there] = np.bitwise_xor.reduceat(bits, starts[there])
        return _Sets(text, element[rarest_first], np.arange(keys.size) - starts[text], signatures)


def _keys(texts: Texts) -> Array:
    """A number for each token of each text, another one for its second time in the text, its third, ..."""
    text = np.repeat(np.arange(texts.lengths.size), texts.lengths)
    alike = text << 32 | texts.numbers
    order = np.argsort(alike, kind="stable")
    ordered = alike[order]
    first = np.r_[True, ordered[1:] != ordered[:-1]] if ordered.size else np.empty(0, bool)
    times = np.empty_like(alike)
    times[order] = np.arange(alike.size) - np.maximum.accumulate(np.where(first, np.arange(alike.size), 0))
    keys: Array = texts.numbers | times << 32
    return keys


def _prefixes(lengths: Array, threshold: float) -> Array:
    """How many of a text's rarest tokens have to be looked at."""
    bounds = Bounds.of(threshold, 2 * int(lengths.max(initial=0)) + 2)
    partner = bounds.shortest_partner(lengths)
    return np.where(partner > lengths, 0, lengths - bounds.need[lengths + partner] + 1)


def _posting(element: Array, length: Array) -> Array:
    """What postings are sorted by."""
    posting: Array = element << 24 | np.clip(length, 0, (1 << 24) - 1)
    return posting


def _steps(text: Array, count: Array) -> Iterator[tuple[int, int]]:
    """Ranges of entries with not much more than `_MOST_AT_ONCE` pairs, all entries of a text in one."""
    ends = np.flatnonzero(np.r_[text[1:] != text[:-1], True]) + 1 if text.size else np.empty(0, np.int64)
    so_far = np.cumsum(count)[ends - 1] if text.size else np.empty(0, np.int64)
    first, done = 0, 0
    while first < text.size:
        last = int(ends[min(int(np.searchsorted(so_far, done + _MOST_AT_ONCE)), ends.size - 1)])
        yield first, last
        first, done = last, int(so_far[np.searchsorted(ends, last)])
