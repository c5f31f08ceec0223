"""Decontamination: nothing close to an evaluation item is kept.

Any of three measures suffices: 13 consecutive words shared with an item (Brown and others 2020, appendix C), ROUGE-L F1
with an item at or above a threshold, and, if enabled, the cosine of sentence embeddings. Items are the prompts of the
evaluation items and the texts of the user's protected files.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import polars as pl

from sedi_dagster.filtering.novelty import NoveltyIndex
from sedi_dagster.filtering.rules import FOUND_SCHEMA, found_frame
from sedi_dagster.filtering.semantic import Embed, nearest_by_cosine
from sedi_dagster.texts.words import tokens

if TYPE_CHECKING:
    import numpy as np

TEXTS_AT_ONCE = 50_000
"""Texts whose runs of words are in memory at once: some 2 GB for texts of 300 words."""

# Any odd number makes the hash of a run depend on the order of its words; this one is that of Knuth's hashing.
_MULTIPLIER = 0x9E3779B97F4A7C15


class Decontaminator:
    """Knows the items; finds the texts that are near one of them."""

    def __init__(
        self,
        items: Iterable[tuple[str, str]],
        threshold: float,
        ngram: int,
        cosine: float | None = None,
        embed: Embed | None = None,
    ) -> None:
        """Compare with `items`, (id, text) pairs.

        Args:
            threshold: ROUGE-L F1 at or above which a text is near an item.
            ngram: words in a row that may not be shared.
            cosine: of sentence vectors, at or above which a text is near; None: vectors are not compared.
            embed: makes the vectors; needed with `cosine`.
        """
        pairs = list(items)
        self._items = pl.DataFrame(pairs, schema={"neighbour_id": pl.String, "neighbour": pl.String}, orient="row")
        self._items = self._items.with_row_index("item")
        self._threshold, self._ngram, self._cosine, self._embed = threshold, ngram, cosine, embed
        self._runs = word_runs(self._items["neighbour"], ngram).group_by("run").agg(item=pl.col("row").min())
        self._index = NoveltyIndex()
        for item, text in self._items.select("item", "neighbour").iter_rows():
            self._index.add(str(item), text)
        self._vectors: np.ndarray | None = None

    def near(self, texts: pl.DataFrame) -> pl.DataFrame:
        """Texts near an item by words (`FOUND_SCHEMA`): by a shared run, else by ROUGE-L, the nearest item each.

        Args:
            texts: `row` and `text`; a row may have several texts, of which the first that is near decides.
        """
        texts = texts.filter(pl.col("text") != "").unique(maintain_order=True)
        by_run = self._near_by_run(texts)
        rest = texts.join(by_run, on="row", how="anti")
        return pl.concat([by_run, self._near_by_rouge_l(rest)])

    def contamination(self, text: str) -> tuple[str, float, float, str, str] | None:
        """(rule, score, threshold, item id, item text) if one text is near an item by words, else None."""
        one = pl.DataFrame({"row": [0], "text": [text]}, schema={"row": pl.UInt32, "text": pl.String})
        found = self.near(one)
        return found.drop("row").row(0) if found.height else None

    def near_by_cosine(self, texts: pl.DataFrame) -> pl.DataFrame:
        """Texts (`row`, `text`) whose vectors are near an item's, the nearest item each; none without a threshold."""
        if self._cosine is None or self._embed is None or texts.is_empty() or self._items.is_empty():
            return pl.DataFrame(schema=FOUND_SCHEMA)
        if self._vectors is None:
            self._vectors = self._embed(self._items["neighbour"].to_list())
        vectors = self._embed(texts["text"].to_list())
        nearest = nearest_by_cosine(vectors, self._vectors).filter(pl.col("score") >= self._cosine)
        return self._matches("evaluation_cosine", self._cosine, texts, nearest)

    def _near_by_run(self, texts: pl.DataFrame) -> pl.DataFrame:
        found = [pl.DataFrame(schema={"query": pl.UInt32, "pool": pl.UInt32})]
        for start in range(0, texts.height, TEXTS_AT_ONCE):
            runs = word_runs(texts["text"].slice(start, TEXTS_AT_ONCE), self._ngram)
            hits = runs.join(self._runs, on="run").group_by("row").agg(pool=pl.col("item").min())
            found.append(hits.select(query=pl.col("row") + start, pool="pool"))
        score = float(self._ngram)
        return self._matches("evaluation_ngram", score, texts, pl.concat(found).with_columns(score=pl.lit(score)))

    def _near_by_rouge_l(self, texts: pl.DataFrame) -> pl.DataFrame:
        distinct = texts["text"].unique(maintain_order=True)
        near = self._index.nearest_of(distinct.to_list(), self._threshold, or_equal=True)
        found = [(text, int(match[0]), match[2]) for text, match in zip(distinct, near, strict=True) if match]
        frame = pl.DataFrame(found, schema={"text": pl.String, "pool": pl.UInt32, "score": pl.Float64}, orient="row")
        nearest = texts.with_row_index("query").join(frame, on="text").select("query", "pool", "score")
        return self._matches("evaluation_rouge_l", self._threshold, texts, nearest)

    def _matches(self, rule: str, threshold: float, texts: pl.DataFrame, nearest: pl.DataFrame) -> pl.DataFrame:
        """One verdict a row, of its first near text; `nearest`: `query` (place in `texts`), `pool` (item), `score`."""
        rows = texts.with_row_index("query").select("query", "row")
        found = nearest.join(rows, on="query").join(self._items, left_on="pool", right_on="item")
        first = found.sort("query").unique("row", keep="first", maintain_order=True)
        return found_frame(first.with_columns(rule=pl.lit(rule), threshold=pl.lit(threshold)))


def word_runs(texts: pl.Series, length: int) -> pl.DataFrame:
    """Every run of `length` tokens of every text, as a hash.

    Returns:
        `row` (place of the text) and `run` (64-bit hash). Two runs with one hash: about 1e-7 likely in a comparison
        of 1e6 with 1e6 runs.
    """
    words = pl.DataFrame(
        {"row": pl.Series(range(len(texts)), dtype=pl.UInt32), "word": [tokens(text) for text in texts]},
        schema_overrides={"word": pl.List(pl.String)},
    )
    word = pl.col("word").hash(seed=0)
    run = pl.lit(0, pl.UInt64)
    for ahead in range(length):
        run = run + word.shift(-ahead) * pl.lit(pow(_MULTIPLIER, ahead + 1, 2**64), pl.UInt64)
    exploded = words.lazy().filter(pl.col("word").list.len() >= length).explode("word")
    whole = pl.col("row").shift(1 - length) == pl.col("row")
    return exploded.select("row", run=pl.when(whole).then(run)).drop_nulls().collect()
