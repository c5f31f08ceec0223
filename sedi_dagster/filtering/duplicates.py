"""Duplicates: equal instructions, near duplicates by ROUGE-L, semantic duplicates.

Regardless of the rules:

1. a duplicate's neighbour is itself kept (or is a seed, or was kept in an earlier round);
2. no two kept instructions are closer than a threshold allows;
3. candidates are rejected in candidate order (the greedy procedure of Self-Instruct).

Semantic duplicates are found after near duplicates. An instruction rejected as a near duplicate of one that is then
rejected as a semantic duplicate is judged again, against everything that was kept.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import polars as pl

from sedi_dagster.filtering.novelty import NoveltyIndex
from sedi_dagster.filtering.rules import FOUND_SCHEMA, found_frame
from sedi_dagster.filtering.semantic import Embed, greedy_by_cosine
from sedi_dagster.texts.words import mostly_foreign, tokens

if TYPE_CHECKING:
    import numpy as np


def duplicates(
    instructions: pl.DataFrame,
    pool: pl.DataFrame,
    novelty_threshold: float,
    semantic_threshold: float | None = None,
    embed: Embed | None = None,
    latin_only: bool = False,
) -> pl.DataFrame:
    """The instructions that are not new, each with its neighbour (`FOUND_SCHEMA`).

    Args:
        instructions: `row`, `id`, `text`, in candidate order.
        pool: `id`, `text` of seeds and of what was kept before.
        novelty_threshold: ROUGE-L F1 above which an instruction is a near duplicate.
        semantic_threshold: cosine above which it is a semantic duplicate; None: vectors are not compared.
        embed: makes the vectors; needed with `semantic_threshold`.
        latin_only: they tell texts in the Latin script apart only; others are not compared by them.
    """
    instructions, pool = _with_key(instructions), _with_key(pool)
    first = instructions.unique("key", keep="first", maintain_order=True)
    in_pool = _equal(first, pool)
    found = [in_pool]
    waiting = first.join(in_pool, on="row", how="anti")
    if semantic_threshold is not None and embed is not None:
        near_by_meaning = _by_meaning(waiting, pool, semantic_threshold, embed, latin_only)
    else:
        near_by_meaning = None
    while waiting.height:
        near = _near(waiting, pool, novelty_threshold)
        passed = waiting.join(near, on="row", how="anti")
        alike = near_by_meaning(passed, pool) if near_by_meaning else near.clear()
        # Dropped for the sake of one that is not kept after all: judged again.
        again = near.join(passed.join(alike, on="row", how="semi"), left_on="neighbour_id", right_on="id", how="semi")
        found += [near.join(again, on="row", how="anti"), alike]
        pool = pl.concat([pool, passed.join(alike, on="row", how="anti").select(pool.columns)])
        waiting = waiting.join(again, on="row", how="semi")
    rejected = pl.concat(found)
    return pl.concat([rejected, _same_as_first(instructions, first, rejected)])


def _with_key(texts: pl.DataFrame) -> pl.DataFrame:
    """With `key`, which is equal for texts of the same tokens."""
    return texts.with_columns(
        key=pl.col("text").map_elements(lambda text: " ".join(tokens(text)), return_dtype=pl.String)
    )


def _equal(texts: pl.DataFrame, pool: pl.DataFrame) -> pl.DataFrame:
    known = pool.unique("key", keep="first").select("key", neighbour_id="id", neighbour="text")
    return _exact(texts.join(known, on="key"))


def _same_as_first(instructions: pl.DataFrame, first: pl.DataFrame, rejected: pl.DataFrame) -> pl.DataFrame:
    """Later ones of equal instructions: rejected as the first of them was, or as its exact duplicates."""
    later = instructions.join(first, on="row", how="anti").select("row", "key")
    of_first = later.join(first.select("key", neighbour_id="id", neighbour="text", first_row="row"), on="key")
    alike = of_first.select("row", "first_row").join(rejected, left_on="first_row", right_on="row")
    return pl.concat([_exact(of_first.join(alike, on="row", how="anti")), found_frame(alike)])


def _exact(texts: pl.DataFrame) -> pl.DataFrame:
    return found_frame(texts.with_columns(rule=pl.lit("exact_duplicate"), score=1.0, threshold=1.0))


def _near(instructions: pl.DataFrame, pool: pl.DataFrame, threshold: float) -> pl.DataFrame:
    index = NoveltyIndex()
    for text_id, text in pool.select("id", "text").iter_rows():
        index.add(text_id, text)
    near = index.add_novel(instructions.select("id", "text").iter_rows(), threshold)
    rows = [
        (row, "near_duplicate", nearest[2], threshold, nearest[0], nearest[1])
        for row, nearest in zip(instructions["row"], near, strict=True)
        if nearest
    ]
    return pl.DataFrame(rows, schema=FOUND_SCHEMA, orient="row")


def _by_meaning(
    instructions: pl.DataFrame, pool: pl.DataFrame, threshold: float, embed: Embed, latin_only: bool
) -> Callable[[pl.DataFrame, pl.DataFrame], pl.DataFrame]:
    """`near(texts, pool)`: those whose vector is near one of the pool or one kept before. A text is embedded once."""
    texts = pl.concat([pool.select("text"), instructions.select("text")])["text"].unique(maintain_order=True)
    vectors = embed(texts.to_list())
    places = pl.DataFrame({"text": texts}).with_row_index("place")

    def vectors_of(frame: pl.DataFrame) -> np.ndarray:
        chosen: np.ndarray = vectors[
            frame.join(places, on="text", how="left", maintain_order="left")["place"].to_numpy()
        ]
        return chosen

    def near(texts: pl.DataFrame, pool: pl.DataFrame) -> pl.DataFrame:
        if latin_only:
            texts, pool = (frame.filter(~mostly_foreign(frame["text"])) for frame in (texts, pool))
        if texts.is_empty():
            return pl.DataFrame(schema=FOUND_SCHEMA)
        dropped = greedy_by_cosine(vectors_of(texts), vectors_of(pool), threshold)
        neighbours = pl.concat([pool.select("id", "text"), texts.select("id", "text")])
        named = neighbours.with_row_index("neighbour_place").rename({"id": "neighbour_id", "text": "neighbour"})
        found = (
            dropped.rename({"neighbour": "neighbour_place"})
            .join(texts.with_row_index("query").select("query", "row"), on="query")
            .join(named, on="neighbour_place")
        )
        return found_frame(found.with_columns(rule=pl.lit("semantic_duplicate"), threshold=threshold))

    return near
