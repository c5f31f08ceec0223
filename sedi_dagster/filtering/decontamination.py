"""Decontamination: nothing close to an evaluation item is kept.

A text is near an item if they share 13 consecutive words (Brown and others 2020, appendix C), if their ROUGE-L F1
reaches a threshold or, if enabled, if the cosine of their sentence embeddings does. Items are the prompts of the
evaluation items and the texts of the user's protected files.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import polars as pl

from sedi_dagster.filtering.novelty import NoveltyIndex
from sedi_dagster.filtering.rules import FOUND_SCHEMA, found_frame
from sedi_dagster.filtering.semantic import Embed, nearest_by_cosine
from sedi_dagster.texts.words import tokens

TEXTS_AT_ONCE = 50_000
"""Texts whose runs of words are in memory at once: about 2 GB for texts of 300 words."""

# With any odd number, the hash of a run depends on the order of its words; this is Knuth's (multiplicative hashing).
_MULTIPLIER = 0x9E3779B97F4A7C15


class Decontaminator:
    """Finds the texts that are near one of its items."""

    def __init__(
        self,
        items: Iterable[tuple[str, str]],
        threshold: float,
        ngram: int,
        cosine: float | None = None,
        embed: Embed | None = None,
    ) -> None:
        """Compare texts with `items`, (id, text) pairs.

        Args:
            threshold: ROUGE-L F1 at or above which a text is near an item.
            ngram: consecutive words that a text may not share with an item.
            cosine: cosine at or above which a text is near an item; None: embeddings are not compared.
            embed: computes the embeddings; without it they are not compared.
        """
        pairs = list(items)
        self._items = pl.DataFrame(pairs, schema={"neighbour_id": pl.String, "neighbour": pl.String}, orient="row")
        self._items = self._items.with_row_index("item")
        self._threshold, self._ngram, self._cosine, self._embed = threshold, ngram, cosine, embed
        self._runs = word_runs(self._items["neighbour"], ngram).group_by("run").agg(item=pl.col("row").min())
        self._index = NoveltyIndex((str(item), text) for item, (_, text) in enumerate(pairs))
        self._vectors: np.ndarray | None = None

    def near(self, texts: pl.DataFrame) -> pl.DataFrame:
        """Find the texts that are near an item by their words (`FOUND_SCHEMA`).

        A text that shares a run of words with an item is not compared by ROUGE-L, which names the nearest item.

        Args:
            texts: `row` and `text`. If a row has several texts, the first one that is near decides.
        """
        texts = texts.filter(pl.col("text") != "").unique(maintain_order=True)
        by_run = self._near_by_run(texts)
        rest = texts.join(by_run, on="row", how="anti")
        return pl.concat([by_run, self._near_by_rouge_l(rest)])

    def contamination(self, text: str) -> tuple[str, float, float, str, str] | None:
        """Return (rule, score, threshold, item id, item text) if a text is near an item by its words, else None."""
        one = pl.DataFrame({"row": [0], "text": [text]}, schema={"row": pl.UInt32, "text": pl.String})
        found = self.near(one)
        return found.drop("row").row(0) if found.height else None

    def near_by_cosine(self, texts: pl.DataFrame) -> pl.DataFrame:
        """Find the texts (`row`, `text`) whose embedding is near that of an item; none if that is not enabled."""
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
        """Keep the first near text of each row; `nearest` has `query` (place in `texts`), `pool` (item) and `score`."""
        rows = texts.with_row_index("query").select("query", "row")
        found = nearest.join(rows, on="query").join(self._items, left_on="pool", right_on="item")
        first = found.sort("query").unique("row", keep="first", maintain_order=True)
        return found_frame(first.with_columns(rule=pl.lit(rule), threshold=pl.lit(threshold)))


def word_runs(texts: pl.Series, length: int) -> pl.DataFrame:
    """Hash every run of `length` consecutive tokens of every text.

    Returns:
        `row` (place of the text) and `run` (64-bit hash). If 1e6 runs are compared with 1e6 others, the probability
        that two different ones have the same hash is about 1e-7.
    """
    words = pl.DataFrame(
        {"row": pl.Series(range(len(texts)), dtype=pl.UInt32), "word": [tokens(text) for text in texts]},
        schema_overrides={"word": pl.List(pl.String)},
    )
    word = pl.col("word").hash(seed=0)
    run = pl.lit(0, pl.UInt64)
    for offset in range(length):
        run = run + word.shift(-offset) * pl.lit(pow(_MULTIPLIER, offset + 1, 2**64), pl.UInt64)
    exploded = words.lazy().filter(pl.col("word").list.len() >= length).explode("word")
    whole = pl.col("row").shift(1 - length) == pl.col("row")
    return exploded.select("row", run=pl.when(whole).then(run)).drop_nulls().collect()
