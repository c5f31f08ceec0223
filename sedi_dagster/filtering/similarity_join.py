"""All pairs of texts with ROUGE-L F1 at or above a threshold, found without comparing every text with every other.

Two texts of m and n tokens have ROUGE-L F1 of at least t if their longest common subsequence has at least
o = ceil(t (m + n) / 2) tokens. They then have o tokens in common, regardless of order. This makes the search a
set-similarity join. It is exact, because its filters drop only pairs that cannot have o tokens in common:

- prefix (AllPairs; Bayardo, Ma and Srikant 2007): sort the tokens of each text by frequency, rarest first. The rarest
  common token is among the first m - o + 1 tokens of one text and the first n - o + 1 of the other, because the other
  o - 1 common tokens follow it. Only these prefixes are indexed and looked up.
- length and position (PPJoin; Xiao and others 2008): a token at position i leaves at most m - i tokens in common, which
  bounds n. The postings of a token are therefore sorted by text length.
- signature (bitmap filter; Sandes, Teodoro and Melo 2020): two texts whose 64 parity bits differ in d places have at
  most (m + n - d) / 2 tokens in common.

rapidfuzz measures the remaining pairs with a bit-parallel algorithm. Repeated tokens of a text are numbered, so that
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
"""Most rows that `near_duplicates` returns: 16 bytes each, and as much again while they are sorted."""

_PAIRS_AT_ONCE = 4_000_000
"""Candidate pairs in memory at once, some 300 MB."""
_CHARACTERS = 0x110000  # code points of Unicode


def near_duplicates(queries: list[str], pool: list[str], threshold: float) -> pl.DataFrame:
    """Find every pair of a query and a pool text with ROUGE-L F1 at or above the threshold.

    Texts with the same tokens are compared once. A text without tokens has score 0 with every other.

    Args:
        threshold: above 0.

    Returns:
        Columns `query` and `pool` (row numbers) and `score`, sorted by query and pool.

    Raises:
        SediError: there are more than `MOST_PAIRS` pairs, because many texts are copies of one another.
            `greedy_novelty` says which of them to keep, without listing the pairs.
    """
    if not threshold > 0:
        raise SediError(f"a ROUGE-L threshold of {threshold:g} pairs every text with every other", "a value above 0")
    vocabulary = Vocabulary()
    pool_texts = vocabulary.encode(pool)
    query_texts = pool_texts if queries is pool else vocabulary.encode(queries)
    index = Index(pool_texts, threshold)
    distinct, group = query_texts.distinct()
    query_copies, pool_copies = (np.bincount(groups[groups >= 0]) for groups in (group, index.group))
    found = [pl.DataFrame(schema={"query_group": pl.Int64, "pool_group": pl.Int64, "score": pl.Float64})]
    total = 0
    for query, place, common in index.search(query_texts.take(distinct), threshold):
        total += int((query_copies[query] * pool_copies[place]).sum())
        if total > MOST_PAIRS:
            raise SediError(
                f"at least {total:,} pairs of texts are as near as {threshold:g}; {MOST_PAIRS:,} can be listed",
                "a higher threshold, or drop copies first (greedy_novelty lists no pairs)",
            )
        score = 2 * common / (query_texts.lengths[distinct[query]] + pool_texts.lengths[index.rows[place]])
        found.append(pl.DataFrame({"query_group": query, "pool_group": place, "score": score}))
    query_rows = pl.DataFrame({"query_group": group}).with_row_index("query")
    pool_rows = pl.DataFrame({"pool_group": index.group}).with_row_index("pool")
    pairs = pl.concat(found).join(query_rows, on="query_group").join(pool_rows, on="pool_group")
    by_query_and_pool = pl.col("query").cast(pl.UInt64) * 2**32 + pl.col("pool")  # sorting by two columns is slower
    return pairs.select("query", "pool", "score").sort(by_query_and_pool)


class Texts(NamedTuple):
    """Tokenized texts, as the ids of their tokens and as strings of one character a token, which rapidfuzz compares.

    `strings` has a tuple of ids instead of a string where an id is beyond the last character.
    """

    lengths: Array  # int64: tokens of each text
    token_ids: Array  # int64: those of all texts, concatenated
    strings: Array  # object

    def take(self, rows: Array) -> Texts:
        """Return the texts of these rows, in this order."""
        starts, lengths = np.cumsum(self.lengths) - self.lengths, self.lengths[rows]
        return Texts(lengths, self.token_ids[_ranges(starts[rows], lengths)], self.strings[rows])

    def distinct(self) -> tuple[Array, Array]:
        """Group equal texts.

        Returns:
            The first row of each group, and the group of each row; -1 for a text without tokens.
        """
        groups: dict[Any, int] = {}
        numbers = [groups.setdefault(text, len(groups)) if text else -1 for text in self.strings]
        group = np.array(numbers, np.int64)
        present, first = np.unique(group, return_index=True)
        return first[present >= 0], group

    @classmethod
    def joined(cls, parts: Sequence[Texts]) -> Texts:
        """Concatenate several lots of texts."""
        return cls(*(np.concatenate(arrays) for arrays in zip(*parts, strict=True)))


class Vocabulary:
    """Ids of tokens, in the order in which the tokens are first seen."""

    def __init__(self) -> None:
        self._ids: dict[str, int] = {}

    def encode(self, texts: list[str]) -> Texts:
        """Tokenize texts; tokens that are new get the next ids."""
        ids = self._ids
        lists = [[ids.setdefault(token, len(ids)) for token in tokens(text)] for text in texts]
        lengths = np.fromiter(map(len, lists), np.int64, len(lists))
        token_ids = np.fromiter((number for one in lists for number in one), np.int64, int(lengths.sum()))
        strings = np.empty(len(lists), object)
        all_fit = len(ids) <= _CHARACTERS
        for row, one in enumerate(lists):
            strings[row] = "".join(map(chr, one)) if all_fit or max(one, default=0) < _CHARACTERS else tuple(one)
        return Texts(lengths, token_ids, strings)


class Bounds(NamedTuple):
    """What a threshold requires of a pair of texts.

    `min_common[s]` is the least length of the common subsequence of two texts that have s tokens together.
    """

    min_common: Array

    def shortest_partner(self, lengths: Array) -> Array:
        """Return the fewest tokens of a text that can be near one of each length; more than that length if none can.

        The shortest partner of a text is contained in it: the pair has as many tokens not in common as the text.
        """
        not_in_common = np.arange(self.min_common.size) - self.min_common
        partner: Array = np.searchsorted(not_in_common, lengths) - lengths
        return partner

    def longest_partner(self, lengths: Array, common: Array) -> Array:
        """Return the most tokens of a text that can be near one of each length if they have `common` in common."""
        partner: Array = np.searchsorted(self.min_common, common, side="right") - 1 - lengths
        return partner

    def prefix_lengths(self, lengths: Array) -> Array:
        """Return how many of the rarest tokens of a text must be looked up to find every text near it."""
        prefix: Array = np.maximum(lengths - self.shortest_partner(lengths) + 1, 0)
        return prefix


def bounds(threshold: float, longest: int, above: bool = False) -> Bounds:
    """Return the bounds for texts of up to `longest` tokens and scores at or above the threshold.

    Args:
        above: only scores above the threshold count.
    """
    return _bounds(threshold, 1 << max(8, (2 * longest + 2).bit_length()), above)


@lru_cache(maxsize=16)
def _bounds(threshold: float, size: int, above: bool) -> Bounds:
    sums = np.arange(1, size)
    least = np.maximum(np.floor(threshold * sums / 2).astype(np.int64) - 1, 1)
    for _ in range(3):  # with the comparison that decides later, so that rounding loses no pair
        score = 2.0 * least / sums
        least += score <= threshold if above else score < threshold
    return Bounds(np.concatenate([[0], least]))


class _RankedTokens(NamedTuple):
    """The tokens of texts as sets: one element a token, those of each text together and its rarest first."""

    text: Array
    rank: Array  # of the token by rarity in the index; -1: the index does not have it
    position: Array  # in its text
    signatures: Array  # uint64, one a text


class Index:
    """Texts, indexed to find all that are near another text.

    Attributes:
        rows: the rows that are indexed: the first of each group of equal texts with tokens.
        group: for each row, the place of its text in `rows`; -1 for a text without tokens.
    """

    def __init__(self, texts: Texts, threshold: float) -> None:
        self.rows, self.group = texts.distinct()
        self._texts = texts.take(self.rows)
        lengths = self._texts.lengths
        self._longest = int(lengths.max(initial=0))
        known, frequencies = np.unique(_set_elements(self._texts), return_counts=True)
        # With an element at the end that no text has, so that every search ends at an element.
        self._known = np.append(known, np.iinfo(np.int64).max)
        self._ranks = np.append(np.argsort(np.argsort(frequencies, kind="stable")), -1)
        ranked = self._rank(self._texts)
        self._signatures = ranked.signatures
        in_prefix = ranked.position < bounds(threshold, self._longest).prefix_lengths(lengths)[ranked.text]
        text, position = ranked.text[in_prefix], ranked.position[in_prefix]
        postings = _posting(ranked.rank[in_prefix], lengths[text])
        order = np.argsort(postings, kind="stable")
        self._postings, self._text, self._position = postings[order], text[order], position[order]

    def search(self, queries: Texts, threshold: float, above: bool = False) -> Iterator[tuple[Array, Array, Array]]:
        """Find all pairs of a query and an indexed text that are near, some at a time.

        All pairs of one query come together.

        Args:
            threshold: ROUGE-L F1, not below that of the index.
            above: only scores above the threshold count.

        Yields:
            For each pair the row of the query, the place in `rows`, and the length of the common subsequence.
        """
        lengths = queries.lengths
        limits = bounds(threshold, max(int(lengths.max(initial=0)), self._longest), above)
        ranked = self._rank(queries)
        in_prefix = (ranked.position < limits.prefix_lengths(lengths)[ranked.text]) & (ranked.rank >= 0)
        text, rank, position = ranked.text[in_prefix], ranked.rank[in_prefix], ranked.position[in_prefix]
        shortest = limits.shortest_partner(lengths)[text]
        longest = limits.longest_partner(lengths[text], lengths[text] - position)
        first = np.searchsorted(self._postings, _posting(rank, shortest))
        count = np.maximum(np.searchsorted(self._postings, _posting(rank, longest), side="right") - first, 0)
        for lookups in _steps(text, count):
            lookup = np.repeat(lookups, count[lookups])
            posting = _ranges(first[lookups], count[lookups])
            x, y = text[lookup], self._text[posting]
            m, n = lengths[x], self._texts.lengths[y]
            need = limits.min_common[m + n]
            differing = np.bitwise_count(ranked.signatures[x] ^ self._signatures[y])
            remaining = np.minimum(m - position[lookup], n - self._position[posting])
            possible = (remaining >= need) & ((m + n - differing) // 2 >= need)
            pairs = np.unique(x[possible] << 32 | y[possible])
            x, y = pairs >> 32, pairs & 0xFFFFFFFF
            common = process.cpdist(
                queries.strings[x], self._texts.strings[y], scorer=LCSseq.similarity, dtype=np.int64, workers=-1
            )
            near = common >= limits.min_common[lengths[x] + self._texts.lengths[y]]
            if near.any():
                yield x[near], y[near], common[near]

    def _rank(self, texts: Texts) -> _RankedTokens:
        elements = _set_elements(texts)
        place = np.searchsorted(self._known, elements)
        rank = np.where(self._known[place] == elements, self._ranks[place], -1)
        text = np.repeat(np.arange(texts.lengths.size), texts.lengths)
        rarest_first = np.argsort(text << 32 | (rank + 1), kind="stable")
        # The multiplier spreads the elements over the 64 bits (Knuth's multiplicative hashing).
        bits = np.uint64(1) << ((elements.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(58))
        signatures = np.zeros(texts.lengths.size, np.uint64)
        np.bitwise_xor.at(signatures, text, bits)
        return _RankedTokens(text, rank[rarest_first], _ranges(np.zeros_like(texts.lengths), texts.lengths), signatures)


def _set_elements(texts: Texts) -> Array:
    """Return a number for each token: its id and, in the higher bits, how often it came before in the same text."""
    tokens_of_texts = np.repeat(np.arange(texts.lengths.size), texts.lengths) << 32 | texts.token_ids
    order = np.argsort(tokens_of_texts, kind="stable")
    ordered = tokens_of_texts[order]
    before = np.empty_like(ordered)
    before[order] = np.arange(ordered.size) - np.searchsorted(ordered, ordered)
    elements: Array = texts.token_ids | before << 32
    return elements


def _posting(rank: Array, length: Array) -> Array:
    """Return the number by which postings are sorted: by token, then by the length of the text."""
    posting: Array = rank << 24 | np.clip(length, 0, (1 << 24) - 1)
    return posting


def _ranges(starts: Array, counts: Array) -> Array:
    """Concatenate the ranges of `counts` numbers that begin at `starts`."""
    ranges: Array = np.repeat(starts - np.cumsum(counts) + counts, counts) + np.arange(counts.sum())
    return ranges


def _steps(text: Array, count: Array) -> list[Array]:
    """Split lookups into steps of about `_PAIRS_AT_ONCE` pairs; those of one text stay together."""
    pairs_up_to_text = np.cumsum(count)[np.searchsorted(text, text, side="right") - 1]
    step = pairs_up_to_text // _PAIRS_AT_ONCE
    return np.split(np.arange(text.size), np.flatnonzero(np.diff(step)) + 1)
