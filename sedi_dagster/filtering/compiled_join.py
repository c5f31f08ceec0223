"""Compiled: the longest common subsequence, and the search for texts that have one long enough.

Names: x is a text that is looked up, of m tokens; y one that is compared with it, of n tokens; `need[m + n]` is the
least length of a common subsequence that counts, which is also the least number of elements in common.

One file, long as it is: compiled code is kept until its own file changes, whatever happens to others that it calls.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from sedi_dagster.filtering.compiled import compiled
from sedi_dagster.filtering.compiled_tokens import Array
from sedi_dagster.filtering.token_lists import TokenLists

_ONE, _ALL = np.uint64(1), np.uint64(0xFFFFFFFFFFFFFFFF)
_PAIRS, _FOURS, _EIGHTS = (np.uint64(n) for n in (0x5555555555555555, 0x3333333333333333, 0x0F0F0F0F0F0F0F0F))
_BYTES = np.uint64(0x0101010101010101)
_IN_X, _REPEATED = np.uint8(1), np.uint8(2)
_ANYWHERE = 0xFFFF
"""As the place of a token in a posting: not said, as the text has the token more than once, or too far on."""


class Index(NamedTuple):
    """The texts of a prefix index, shortest first, and the postings of their rarest elements."""

    lists: TokenLists
    by_length: Array  # int64[longest + 2]: the first text of at least so many tokens
    rank: Array  # int32 by element: 0 is the rarest; -1 where no text has it
    starts: Array  # int64[ranks + 1]: where each rank's postings begin
    postings: Array  # uint64: text << 32 | how many rarer elements the text has << 16 | place in the text


class Scratch(NamedTuple):
    """Room for one thread to work in. What is not a stamp is left as it was found, all zero."""

    slot: Array  # int32 by token: its row in the masks of x, or 0
    flags: Array  # uint8 by element: _IN_X, _REPEATED
    word: Array  # int32: masks of x, a row for each 64 places in which a token is: which 64 places
    mask: Array  # uint64: the token's places among them
    following: Array  # int32: the token's next row, or 0
    last: Array  # int32: of a token's first row: its last one
    vector: Array  # uint64: a bit for each place of x
    keys: Array  # uint64: for sorting
    seen: Array  # int64 by text of the index: the stamp of the last x that was compared with it
    found: Array  # int32: texts of the index to compare x with
    stamp: Array  # int64[1]


@compiled
def _ones(bits: np.uint64) -> int:
    """How many bits are set."""
    bits = bits - ((bits >> _ONE) & _PAIRS)
    bits = (bits & _FOURS) + ((bits >> np.uint64(2)) & _FOURS)
    bits = (bits + (bits >> np.uint64(4))) & _EIGHTS
    return int((bits * _BYTES) >> np.uint64(56))


@compiled
def _set_masks(x: Array, scratch: Scratch) -> None:
    """For each token of x, the places where it is, 64 to a row; rows without a place are left out."""
    rows = 0
    for at in range(x.size):
        word, bit = at >> 6, _ONE << np.uint64(at & 63)
        row = scratch.slot[x[at]]
        if row and scratch.word[scratch.last[row]] == word:
            scratch.mask[scratch.last[row]] |= bit
            continue
        rows += 1
        scratch.word[rows], scratch.mask[rows], scratch.following[rows] = word, bit, 0
        if row:
            scratch.following[scratch.last[row]] = rows
            scratch.last[row] = rows
        else:
            scratch.slot[x[at]] = rows
            scratch.last[rows] = rows


@compiled
def _short_common_subsequence(tokens: Array, begin: int, end: int, slot: Array, mask: Array) -> int:
    """Length of the longest common subsequence of x, of at most 64 tokens (its masks are set), and tokens[begin:end].

    Bit-parallel (Crochemore and others 2001, Hyyrö 2004): a zero at place i of the vector says that the longest common
    subsequence of what was read of y and x[: i + 1] is one longer than that with x[:i].
    """
    bits = _ALL
    for at in range(begin, end):
        both = bits & mask[slot[tokens[at]]]
        bits = (bits + both) | (bits - both)
    return 64 - _ones(bits)


@compiled
def _long_common_subsequence(
    m: int, tokens: Array, begin: int, end: int, need: int, slot: Array, mask: Array, places: Array, following: Array,
    vector: Array,
) -> int:  # fmt: skip
    """The same for an x of any length, or 0 if it is less than `need`.

    Words of the vector without a place of the token change by the carry only, and are left out where there is none.
    So are those too far off: a common subsequence of `need` tokens pairs no place of y with one of x that is more
    than m - need after it or n - need before it.
    """
    words, n = (m + 63) >> 6, end - begin
    for word in range(words):
        vector[word] = _ALL
    length = 0
    for at in range(n):
        row = np.int64(slot[tokens[begin + at]])
        first, last = (at - (n - need)) >> 6, min((at + m - need) >> 6, words - 1)
        while row and places[row] < first:
            row = np.int64(following[row])
        carry = np.uint64(0)
        place = np.int64(0)
        while row or carry:
            matches = np.uint64(0)
            if row and (not carry or places[row] == place):
                place, matches = np.int64(places[row]), mask[row]
                row = np.int64(following[row])
            if place > last:
                break
            bits = vector[place]
            both = bits & matches
            total = bits + both
            over = total < bits
            total += carry
            carry = _ONE if over or total < carry else np.uint64(0)
            vector[place] = total | (bits - both)
            place += 1
        if at & 63 == 63 or at == n - 1:  # how far it has come, and whether enough can follow
            length = 0
            for word in range(words):
                length += 64 - _ones(vector[word])
            if length + n - 1 - at < need:
                return 0
    return length


@compiled
def _shares(elements: Array, begin: int, end: int, need: int, flags: Array) -> bool:
    """Whether y has at least `need` elements in common with x (flagged)."""
    misses = end - begin - need
    for at in range(begin, end):
        if not flags[elements[at]] & _IN_X:
            misses -= 1
            if misses < 0:
                return False
    return True


@compiled
def _open(lists: TokenLists, row: int, scratch: Scratch) -> None:
    """Get ready to compare x."""
    begin, end = lists.offsets[row], lists.offsets[row + 1]
    _set_masks(lists.tokens[begin:end], scratch)
    for at in range(begin, end):
        scratch.flags[lists.elements[at]] |= _IN_X
        if lists.elements[at] != lists.tokens[at]:
            scratch.flags[lists.tokens[at]] |= _REPEATED


@compiled
def _close(lists: TokenLists, row: int, scratch: Scratch) -> None:
    for at in range(lists.offsets[row], lists.offsets[row + 1]):
        scratch.flags[lists.elements[at]] = 0
        scratch.flags[lists.tokens[at]] = 0
        scratch.slot[lists.tokens[at]] = 0


@compiled
def _sort_by_rank(lists: TokenLists, row: int, rank: Array, keys: Array) -> None:
    """keys[:m]: (rank + 1) << 32 | place of the elements of a text, the rarest first; 0 is the rank of unknown ones."""
    begin = lists.offsets[row]
    m = lists.offsets[row + 1] - begin
    for at in range(m):
        element = lists.elements[begin + at]
        known = rank[element] + 1 if element < rank.size else 0
        key = np.uint64(known) << np.uint64(32) | np.uint64(at)
        if m > 48:
            keys[at] = key
            continue
        slot = at
        while slot > 0 and keys[slot - 1] > key:
            keys[slot] = keys[slot - 1]
            slot -= 1
        keys[slot] = key
    if m > 48:
        keys[:m].sort()


@compiled
def rank_prefixes(
    lists: TokenLists, begin: int, end: int, rank: Array, prefixes: Array, offsets: Array, ranks: Array,
    postings: Array, scratch: Scratch,
) -> None:  # fmt: skip
    """Write the postings of the prefix[i] rarest elements of each text i from `begin` to `end`, text by text."""
    for text in range(begin, end):
        if prefixes[text] == 0:
            continue
        first, last = lists.offsets[text], lists.offsets[text + 1]
        for at in range(first, last):
            if lists.elements[at] != lists.tokens[at]:
                scratch.flags[lists.tokens[at]] |= _REPEATED
        _sort_by_rank(lists, text, rank, scratch.keys)
        for rarer in range(prefixes[text]):
            place = np.int64(scratch.keys[rarer] & np.uint64(0xFFFFFFFF))
            element = lists.elements[first + place]
            told = place if place < _ANYWHERE else np.int64(_ANYWHERE)
            if element != lists.tokens[first + place] or scratch.flags[element] & _REPEATED:
                told = np.int64(_ANYWHERE)
            out = offsets[text] + rarer
            ranks[out] = rank[element]
            postings[out] = np.uint64((text << 32) | (min(rarer, 0xFFFF) << 16) | told)
        for at in range(first, last):
            scratch.flags[lists.tokens[at]] = 0


@compiled
def sort_postings(ranks: Array, postings: Array, starts: Array, sorted_postings: Array) -> None:
    """Put postings in the order of their ranks, within a rank as they are (shortest text first)."""
    place = starts[:-1].copy()
    for at in range(ranks.size):
        sorted_postings[place[ranks[at]]] = postings[at]
        place[ranks[at]] += 1


@compiled
def _least_partner(m: int, need: Array) -> int:
    """The least number of tokens of a text that may count beside one of m tokens."""
    low, high = 1, m
    while low < high:
        middle = (low + high) // 2
        if need[m + middle] <= middle:
            high = middle
        else:
            low = middle + 1
    return low


@compiled
def prefix_lengths(lengths: Array, need: Array, longer_only: bool, prefixes: Array) -> None:
    """How many of its rarest elements a text must be found by: by all texts, or by those that are not shorter."""
    for text in range(lengths.size):
        n = lengths[text]
        if n > 0:
            partner = n if longer_only else _least_partner(n, need)
            prefixes[text] = max(0, n - need[n + partner] + 1)


@compiled
def probe(lists: TokenLists, row: int, index: Index, before: int, need: Array, reach: Array, scratch: Scratch) -> int:
    """Texts of the index that share enough with text x = lists[row] that their subsequence has to be measured.

    All that count are among them. `_open` must have been called for x.

    Args:
        before: only texts of the index before this one.
        need, reach: reach[L] is the greatest s with need[s] <= L.

    Returns:
        How many there are; they are written to `scratch.found`.
    """
    first = lists.offsets[row]
    m = lists.offsets[row + 1] - first
    signature = lists.signatures[row]
    keys, seen, found = scratch.keys, scratch.seen, scratch.found
    postings, offsets, signatures = index.postings, index.lists.offsets, index.lists.signatures
    _sort_by_rank(lists, row, index.rank, keys)
    scratch.stamp[0] += 1
    stamp = scratch.stamp[0]
    least, longest = _least_partner(m, need), index.by_length.size - 2
    if least > longest:
        return 0
    count = 0
    start_text = index.by_length[least]
    for rarer in range(m):
        # An x whose first common element is here has at most m - rarer in common.
        most = min(reach[m - rarer] - m, longest)
        if most < least:
            break
        rank = np.int64(keys[rarer] >> np.uint64(32)) - 1
        if rank < 0:
            continue
        place = np.int64(keys[rarer] & np.uint64(0xFFFFFFFF))
        element = lists.elements[first + place]
        if element != lists.tokens[first + place] or scratch.flags[element] & _REPEATED:
            place = np.int64(-1)
        stop_text = min(index.by_length[most + 1], before)
        low, high = index.starts[rank], index.starts[rank + 1]
        end = high
        while low < high:
            middle = (low + high) // 2
            if np.int64(postings[middle] >> np.uint64(32)) < start_text:
                low = middle + 1
            else:
                high = middle
        n, next_length, enough = 0, 0, 0
        for at in range(low, end):
            posting = np.int64(postings[at])
            text = posting >> 32
            if text >= stop_text:
                break
            if text >= next_length:
                n = offsets[text + 1] - offsets[text]
                next_length = index.by_length[n + 1]
                enough = need[m + n]
            if n - ((posting >> 16) & 0xFFFF) < enough:
                continue
            other = posting & 0xFFFF
            if place >= 0 and other != _ANYWHERE and 1 + min(place, other) + min(m - 1 - place, n - 1 - other) < enough:
                continue
            if _ones(signature ^ signatures[text]) > m + n - 2 * enough or seen[text] == stamp:
                continue
            seen[text] = stamp
            found[count] = text
            count += 1
    return count


@compiled
def _measure(
    m: int, tokens: Array, elements: Array, begin: int, end: int, need: int, flags: Array, slot: Array, mask: Array,
    places: Array, following: Array, vector: Array,
) -> int:  # fmt: skip
    """Length of the longest common subsequence of x and y = tokens[begin:end], or 0 if it is less than `need`.

    The arrays come one by one because counting references to those of a whole `Scratch` costs more than a comparison.
    """
    if end - begin > 24 and not _shares(elements, begin, end, need, flags):
        return 0
    if m > 64:
        return _long_common_subsequence(m, tokens, begin, end, need, slot, mask, places, following, vector)
    length = _short_common_subsequence(tokens, begin, end, slot, mask)
    return length if length >= need else 0


@compiled
def join(
    lists: TokenLists, begin: int, end: int, index: Index, alone: bool, need: Array, reach: Array,
    x_starts: Array, x_rows: Array, y_starts: Array, y_rows: Array, shifts: Array, limit: int, scratch: Scratch,
) -> tuple[Array, int]:  # fmt: skip
    """All pairs of rows near each other, of texts lists[begin:end] and texts of the index.

    Args:
        alone: `lists` are the index's own: pairs of a text with those before it and with itself are found, both ways.
        x_starts, x_rows: the rows that have text i: x_rows[x_starts[i] : x_starts[i + 1]]. The same for the index.
        shifts: int64[2]: a pair is written as row of x << shifts[0] | row of y << shifts[1] | length in common.
        limit: stop when there are more pairs.

    Returns:
        The pairs, uint64 each, and how many there are; more than `limit` if it stopped, the last ones not written.
    """
    tokens, elements, offsets = index.lists.tokens, index.lists.elements, index.lists.offsets
    flags, slot, mask, places = scratch.flags, scratch.slot, scratch.mask, scratch.word
    following, vector = scratch.following, scratch.vector
    found = scratch.found
    pairs = np.empty(1024, np.uint64)
    count = 0
    for text in range(begin, end):
        m = lists.offsets[text + 1] - lists.offsets[text]
        if m == 0:
            continue
        _open(lists, text, scratch)
        candidates = probe(lists, text, index, text if alone else 1 << 60, need, reach, scratch)
        if alone:
            found[candidates] = text
            candidates += 1
        for at in range(candidates):
            other = found[at]
            n = offsets[other + 1] - offsets[other]
            itself = alone and other == text
            length = m if itself else _measure(
                m, tokens, elements, offsets[other], offsets[other + 1], need[m + n], flags, slot, mask,
                places, following, vector,
            )  # fmt: skip
            if length < need[m + n]:
                continue
            ways = 2 if alone and not itself else 1
            more = ways * (x_starts[text + 1] - x_starts[text]) * (y_starts[other + 1] - y_starts[other])
            if count + more > limit:
                _close(lists, text, scratch)
                return pairs[:count], count + more
            if count + more > pairs.size:
                grown = np.empty(2 * (count + more), np.uint64)
                grown[:count] = pairs[:count]
                pairs = grown
            for a in range(x_starts[text], x_starts[text + 1]):
                for b in range(y_starts[other], y_starts[other + 1]):
                    pairs[count] = np.uint64((x_rows[a] << shifts[0]) | (y_rows[b] << shifts[1]) | length)
                    count += 1
                    if ways == 2:
                        pairs[count] = np.uint64((y_rows[b] << shifts[0]) | (x_rows[a] << shifts[1]) | length)
                        count += 1
        _close(lists, text, scratch)
    return pairs[:count], count


@compiled
def unpack(
    pairs: Array, shifts: Array, x_lengths: Array, y_lengths: Array, x: Array, y: Array, score: Array
) -> None:  # fmt: skip
    """Rows and ROUGE-L F1 of packed pairs."""
    for at in range(pairs.size):
        pair = np.int64(pairs[at])
        x[at] = pair >> shifts[0]
        y[at] = (pair >> shifts[1]) & ((1 << (shifts[0] - shifts[1])) - 1)
        length = pair & ((1 << shifts[1]) - 1)
        score[at] = 2.0 * length / (x_lengths[x[at]] + y_lengths[y[at]])


@compiled
def _keep_best(at: int, length: int, total: int, row: int, best: Array) -> None:
    """best[at]: length in common, sum of the lengths, row; a higher score wins, then the lower row."""
    ahead = length * best[at, 1] - best[at, 0] * total
    if ahead > 0 or (ahead == 0 and row < best[at, 2]):
        best[at, 0], best[at, 1], best[at, 2] = length, total, row


@compiled
def best_in_index(
    lists: TokenLists, begin: int, end: int, index: Index, rows: Array, need: Array, reach: Array, best: Array,
    scratch: Scratch,
) -> None:  # fmt: skip
    """Of each text lists[begin:end], the best in the index if it is better than what `best` has."""
    tokens, elements, offsets = index.lists.tokens, index.lists.elements, index.lists.offsets
    flags, slot, mask, places = scratch.flags, scratch.slot, scratch.mask, scratch.word
    following, vector = scratch.following, scratch.vector
    for text in range(begin, end):
        m = lists.offsets[text + 1] - lists.offsets[text]
        if m == 0:
            continue
        _open(lists, text, scratch)
        for at in range(probe(lists, text, index, 1 << 60, need, reach, scratch)):
            other = scratch.found[at]
            n = offsets[other + 1] - offsets[other]
            length = _measure(
                m, tokens, elements, offsets[other], offsets[other + 1], need[m + n], flags, slot, mask,
                places, following, vector,
            )  # fmt: skip
            if length:
                _keep_best(text, length, m + n, rows[other], best)
        _close(lists, text, scratch)


@compiled
def best_in_block(
    lists: TokenLists, others: TokenLists, members: Array, rows: Array, grow: bool, joins: Array, need: Array,
    best: Array, scratch: Scratch,
) -> int:  # fmt: skip
    """Of each text, the best among a few others, compared one by one, if it is better than what `best` has.

    Args:
        members: int32: the texts of `others` to compare with; if growing, empty at first, with room for all.
        rows: int64: the row of each text of `others`.
        grow: `others` are the texts themselves: one that has nothing near it becomes a member, if it may.
        joins: bool: if growing, which may.

    Returns:
        How many members there are in the end.
    """
    tokens, elements, offsets = others.tokens, others.elements, others.offsets
    flags, slot, mask, places = scratch.flags, scratch.slot, scratch.mask, scratch.word
    following, vector = scratch.following, scratch.vector
    signatures = others.signatures
    count = 0 if grow else members.size
    for text in range(lists.offsets.size - 1):
        m = lists.offsets[text + 1] - lists.offsets[text]
        if m:
            _open(lists, text, scratch)
            for at in range(count):
                other = members[at]
                n = offsets[other + 1] - offsets[other]
                enough = need[m + n]
                if min(m, n) < enough:
                    continue
                if _ones(lists.signatures[text] ^ signatures[other]) > m + n - 2 * enough:
                    continue
                length = _measure(
                    m, tokens, elements, offsets[other], offsets[other + 1], enough, flags, slot, mask,
                    places, following, vector,
                )  # fmt: skip
                if length:
                    _keep_best(text, length, m + n, rows[other], best)
            _close(lists, text, scratch)
        if grow and joins[text] and best[text, 0] == 0:
            members[count] = text
            count += 1
    return count
