"""ROUGE-L novelty: how close an instruction is to what is there already.

ROUGE-L F1 (Lin 2004) of two token lists of m and n tokens with longest common subsequence L is 2L / (m + n),
which is rapidfuzz's normalised indel similarity of the same lists. Tokens are those of `rouge_score` without a
stemmer: lower case, runs of a-z and 0-9. Text that is mostly in another script is compared by its characters
instead, so that such texts neither all match (by the few Latin words in them) nor all differ.
"""

from __future__ import annotations

import re

import polars as pl
from rapidfuzz import process
from rapidfuzz.distance import Indel

_TOKEN = re.compile(r"[a-z0-9]+")
_TOKEN_OR_CHARACTER = re.compile(r"[a-z0-9]+|\S")


class NoveltyIndex:
    """A growing pool of texts; finds the nearest one to a new text."""

    def __init__(self) -> None:
        self._symbols: dict[str, str] = {}
        self._encoded: list[str] = []
        self._ids: list[str] = []
        self._texts: list[str] = []

    def add(self, text_id: str, text: str) -> None:
        self._encoded.append(self._encode(text))
        self._ids.append(text_id)
        self._texts.append(text)

    def nearest(self, text: str, threshold: float, or_equal: bool = False) -> tuple[str, str, float] | None:
        """(id, text, ROUGE-L F1) of the nearest text above the threshold (`or_equal`: or at it), or None."""
        found = process.extractOne(
            self._encode_query(text), self._encoded, scorer=Indel.normalized_similarity, score_cutoff=threshold
        )
        if found is None or (found[1] <= threshold and not or_equal):
            return None
        _, score, row = found
        return self._ids[row], self._texts[row], float(score)

    def _encode(self, text: str) -> str:
        """Each distinct token as one character: the same comparison, on strings."""
        return "".join(self._symbols.setdefault(t, chr(0xE000 + len(self._symbols))) for t in tokens(text))

    def _encode_query(self, text: str) -> str:
        """The same without learning: a token that the pool does not have matches nothing in it, whatever it is."""
        return "".join(self._symbols.get(t, "\0") for t in tokens(text))


def tokens(text: str) -> list[str]:
    """Tokens as `rouge_score` has them; other characters count singly if most letters are of another script."""
    lowered = text.lower()
    found: list[str] = _TOKEN.findall(lowered)
    foreign = 0 if lowered.isascii() else sum(c.isalpha() and not c.isascii() for c in lowered)
    return found if sum(map(len, found)) > foreign else _TOKEN_OR_CHARACTER.findall(lowered)


def near_duplicates(queries: list[str], pool: list[str], threshold: float) -> pl.DataFrame:
    """Every pair with ROUGE-L F1 at or above the threshold.

    Returns:
        Columns `query`, `pool` (row numbers) and `score`.
    """
    import numpy as np

    symbols = NoveltyIndex()
    encoded_pool = [symbols._encode(text) for text in pool]
    encoded_queries = [symbols._encode_query(text) for text in queries]
    rows = []
    if encoded_queries and encoded_pool:
        scores = process.cdist(
            encoded_queries,
            encoded_pool,
            scorer=Indel.normalized_similarity,
            score_cutoff=threshold,
            dtype=np.float64,
            workers=-1,
        )
        rows = [(q, p, float(scores[q, p])) for q, p in zip(*(scores >= threshold).nonzero(), strict=True)]
    return pl.DataFrame(rows, schema={"query": pl.UInt32, "pool": pl.UInt32, "score": pl.Float64}, orient="row")
