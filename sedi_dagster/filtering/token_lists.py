"""Texts as lists of token numbers, which is what comparing them needs.

What counts as a token is `words.tokens`; ASCII text takes the same rule in compiled code.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from sedi_dagster.filtering.words import tokens

Array = npt.NDArray[Any]

_TEXTS_AT_A_TIME = 8_192


class TokenLists(NamedTuple):
    """Texts as numbers, end to end: text i has the places offsets[i] up to offsets[i + 1].

    An element is an occurrence: a token's first time in a text has the token's number, its second another, the same
    in every text. So the elements of a text are a set, and two texts have as many elements as tokens in common.
    """

    offsets: Array  # int64[n + 1]
    tokens: Array  # int32[places]
    elements: Array  # int32[places]
    signatures: Array  # uint64[n]: parity of the elements in 64 classes

    @property
    def lengths(self) -> Array:
        return np.diff(self.offsets)

    def take(self, rows: Array) -> TokenLists:
        """The texts of these rows, in this order."""
        lengths = self.lengths[rows]
        offsets = np.zeros(rows.size + 1, np.int64)
        np.cumsum(lengths, out=offsets[1:])
        places = np.repeat(self.offsets[rows] - offsets[:-1], lengths) + np.arange(offsets[-1])
        return TokenLists(offsets, self.tokens[places], self.elements[places], self.signatures[rows])

    @classmethod
    def joined(cls, parts: list[TokenLists]) -> TokenLists:
        """All the parts, one after another."""
        if not parts:
            return cls(np.zeros(1, np.int64), np.empty(0, np.int32), np.empty(0, np.int32), np.empty(0, np.uint64))
        offsets = np.zeros(1 + sum(part.signatures.size for part in parts), np.int64)
        np.cumsum(np.concatenate([part.lengths for part in parts]), out=offsets[1:])
        return cls(offsets, *(np.concatenate(arrays) for arrays in list(zip(*parts, strict=True))[1:]))

    def alike(self) -> tuple[Array, Array]:
        """(group of each row, first row of each group): rows with the same tokens are one group, in row order."""
        from sedi_dagster.filtering.compiled_tokens import number_alike

        rows = self.signatures.size
        table = np.full(1 << (2 * rows + 1).bit_length(), -1, np.int32)
        group, firsts = np.empty(rows, np.int32), np.empty(rows, np.int32)
        count = number_alike(self.offsets, self.tokens, table, group, firsts)
        return group, firsts[:count].copy()


class Vocabulary:
    """Numbers for tokens, given out as they come. Exact: a token is found by its hash and compared by its letters."""

    def __init__(self) -> None:
        from sedi_dagster.filtering.compiled_tokens import Symbols

        size = 1 << 10
        self._symbols = Symbols(
            table=np.full(2 * size, -1, np.int32),
            hashes=np.zeros(size, np.uint64),
            first=np.zeros(size, np.int64),
            stop=np.zeros(size, np.int64),
            again=np.zeros(size, np.int32),
            text=np.zeros(size, np.int64),
            latest=np.zeros(size, np.int32),
            letters=np.zeros(8 * size, np.uint8),
            used=np.zeros(3, np.int64),
        )

    def __len__(self) -> int:
        """How many numbers were given out; all are below this."""
        return int(self._symbols.used[0])

    def encode(self, texts: list[str]) -> TokenLists:
        """The texts as numbers; new tokens get new numbers."""
        starts = range(0, len(texts), _TEXTS_AT_A_TIME)
        return TokenLists.joined([self._encode(texts[start : start + _TEXTS_AT_A_TIME]) for start in starts])

    def _encode(self, texts: list[str]) -> TokenLists:
        from sedi_dagster.filtering.compiled_tokens import number_tokens

        ready = ~np.fromiter(map(str.isascii, texts), np.bool_, len(texts))
        if ready.any():
            texts = ["\n".join(tokens(text)) if foreign else text for text, foreign in zip(texts, ready, strict=True)]
        parts = [text.encode("utf-8", "surrogatepass") for text in texts]
        bounds = np.zeros(len(parts) + 1, np.int64)
        np.cumsum(np.fromiter(map(len, parts), np.int64, len(parts)), out=bounds[1:])
        data = np.frombuffer(bytearray().join(parts), np.uint8)
        offsets, signatures = np.zeros(len(texts) + 1, np.int64), np.empty(len(texts), np.uint64)
        numbers, elements = np.empty(data.size, np.int32), np.empty(data.size, np.int32)
        done = 0
        while done < len(texts):
            self._grow(int(bounds[done + 1] - bounds[done]))
            done = number_tokens(
                data, bounds, ready, done, self._symbols, offsets, numbers, elements, signatures
            )  # fmt: skip
        return TokenLists(offsets, numbers[: offsets[-1]].copy(), elements[: offsets[-1]].copy(), signatures)

    def _grow(self, more: int) -> None:
        """Make room for a text of so many bytes, at least doubling what has become too small."""
        from sedi_dagster.filtering.compiled_tokens import fill_table

        kept, numbers, letters = self._symbols, len(self), int(self._symbols.used[1])
        if numbers + more > min(kept.hashes.size, kept.table.size // 2):
            size = 1 << (2 * kept.hashes.size + more).bit_length()
            kept = kept._replace(
                table=np.full(2 * size, -1, np.int32),
                **{
                    name: np.concatenate([array := getattr(kept, name), np.zeros(size - array.size, array.dtype)])
                    for name in ("hashes", "first", "stop", "again", "text", "latest")
                },
            )
            fill_table(kept)
        if letters + more > kept.letters.size:
            grown = np.zeros(2 * kept.letters.size + more, np.uint8)
            grown[:letters] = kept.letters[:letters]
            kept = kept._replace(letters=grown)
        self._symbols = kept
