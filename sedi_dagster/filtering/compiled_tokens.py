"""Compiled: texts to numbers, and token lists that are the same."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from sedi_dagster.filtering.compiled import compiled

Array = npt.NDArray[Any]

_FNV_BASIS, _FNV_PRIME = np.uint64(0xCBF29CE484222325), np.uint64(0x100000001B3)
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_RUNS, _LINES, _CHARACTERS = 0, 1, 2


class Symbols(NamedTuple):
    """The numbers given out so far. A number is a token's, or that of a token's second, third ... time in a text."""

    table: Array  # int32[power of two]: number of the token in this slot of the hash table, or -1
    hashes: Array  # uint64 by number; of tokens
    first: Array  # int64 by number: where the token's bytes begin in `letters`
    stop: Array  # int64 by number: where they end
    again: Array  # int32 by number: the number of the same token's next time in a text, or -1
    text: Array  # int64 by token: the last text that had it
    latest: Array  # int32 by token: the number of its latest time in that text
    letters: Array  # uint8: all tokens, end to end
    used: Array  # int64[3]: numbers, letters, texts so far


@compiled
def number_tokens(
    data: Array, bounds: Array, ready: Array, begin: int, symbols: Symbols, offsets: Array, tokens: Array,
    elements: Array, signatures: Array,
) -> int:  # fmt: skip
    """Number the tokens of texts `begin`... until all are done or `symbols` might not hold the next one.

    Args:
        data: uint8, writable; the texts, end to end.
        bounds: int64[n + 1]; where each begins.
        ready: bool[n]; this text is its tokens, a line each. Otherwise it is ASCII, and its tokens are the runs of
            letters and digits, or if it has none, its characters.
        offsets: int64[n + 1], tokens, elements: int32, signatures: uint64[n]; what is written.

    Returns:
        How many texts are done.
    """
    table, hashes, first, stop, again, latest_text, latest, letters, used = symbols  # counted references, taken once
    mask = table.size - 1
    numbers, letter, number_of_text = used[0], used[1], used[2]
    out = offsets[begin]
    done = bounds.size - 1
    for text in range(begin, bounds.size - 1):
        low, high = bounds[text], bounds[text + 1]
        most = high - low
        if numbers + most > min(hashes.size, table.size // 2) or letter + most > letters.size:
            done = text
            break
        kind = _LINES if ready[text] else _RUNS
        at = low
        while at < high:
            code = _FNV_BASIS
            start = at
            while at < high:
                byte = data[at]
                if kind == _LINES:
                    inside = byte != 10
                elif kind == _RUNS:
                    if 65 <= byte <= 90:
                        byte += 32
                        data[at] = byte
                    inside = 97 <= byte <= 122 or 48 <= byte <= 57
                else:
                    inside = at == start and not (9 <= byte <= 13 or 28 <= byte <= 32)
                if not inside:
                    break
                code = (code ^ np.uint64(byte)) * _FNV_PRIME
                at += 1
            size = at - start
            if kind != _CHARACTERS or size == 0:
                at += 1
            if size:
                slot = np.int64((code * _GOLDEN) >> np.uint64(32)) & mask
                number = np.int64(table[slot])
                while number >= 0:
                    same = hashes[number] == code and stop[number] - first[number] == size
                    for letter_at in range(size if same else 0):
                        same = same and letters[first[number] + letter_at] == data[start + letter_at]
                    if same:
                        break
                    slot = (slot + 1) & mask
                    number = np.int64(table[slot])
                if number < 0:
                    number = numbers
                    numbers += 1
                    table[slot], hashes[number], first[number] = number, code, letter
                    for letter_at in range(start, start + size):
                        letters[letter] = data[letter_at]
                        letter += 1
                    stop[number], again[number], latest_text[number] = letter, -1, -1
                tokens[out] = number
                out += 1
            if at >= high and out == offsets[text] and kind == _RUNS:
                kind, at = _CHARACTERS, low
        signature = np.uint64(0)
        for place in range(offsets[text], out):
            element = np.int64(tokens[place])
            if latest_text[element] == number_of_text:
                before = latest[element]
                if again[before] < 0:
                    again[before], again[numbers] = numbers, -1
                    numbers += 1
                latest[element] = again[before]
                element = np.int64(again[before])
            else:
                latest_text[element], latest[element] = number_of_text, element
            elements[place] = element
            signature ^= np.uint64(1) << ((np.uint64(element) * _GOLDEN) >> np.uint64(58))
        signatures[text] = signature
        offsets[text + 1] = out
        number_of_text += 1
    used[0], used[1], used[2] = numbers, letter, number_of_text
    return done


@compiled
def fill_table(symbols: Symbols) -> None:
    """Put all tokens into an empty hash table."""
    mask = symbols.table.size - 1
    for number in range(symbols.used[0]):
        if symbols.stop[number] > 0:
            slot = int((symbols.hashes[number] * _GOLDEN) >> np.uint64(32)) & mask
            while symbols.table[slot] >= 0:
                slot = (slot + 1) & mask
            symbols.table[slot] = number


@compiled
def number_alike(offsets: Array, tokens: Array, table: Array, group: Array, firsts: Array) -> int:
    """Give token lists that are the same one number, in the order in which they come first.

    Args:
        table: int32[power of two, at least twice the lists], all -1.
        group: int32[n], written: the number of each list.
        firsts: int32[n], written: by number, the first of the lists.

    Returns:
        How many numbers.
    """
    count, mask = 0, table.size - 1
    for row in range(offsets.size - 1):
        begin, length = offsets[row], offsets[row + 1] - offsets[row]
        code = _FNV_BASIS
        for at in range(begin, begin + length):
            code = (code ^ np.uint64(tokens[at])) * _FNV_PRIME
        slot = int((code * _GOLDEN) >> np.uint64(32)) & mask
        while table[slot] >= 0:
            other = offsets[firsts[table[slot]]]
            same = offsets[firsts[table[slot]] + 1] - other == length
            at = 0
            while same and at < length:
                same = tokens[begin + at] == tokens[other + at]
                at += 1
            if same:
                break
            slot = (slot + 1) & mask
        if table[slot] < 0:
            table[slot] = count
            firsts[count] = row
            count += 1
        group[row] = table[slot]
    return count
