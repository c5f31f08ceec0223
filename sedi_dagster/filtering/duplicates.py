"""Duplicates: equal instructions, near duplicates by ROUGE-L, semantic duplicates by embeddings.

For any thresholds:

1. the neighbour of a duplicate is kept, or was kept in an earlier round, or is a seed;
2. no two kept instructions are nearer than the thresholds allow;
3. candidates are judged in candidate order (the greedy procedure of Self-Instruct).

Semantic duplicates are found after near duplicates. If the neighbour of a near duplicate turns out to be a semantic
duplicate, the near duplicate is judged again, against everything that was kept.
"""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from sedi_dagster.filtering.novelty import NoveltyIndex
from sedi_dagster.filtering.rules import FOUND_SCHEMA, found_frame
from sedi_dagster.filtering.semantic import Embed, greedy_by_cosine
from sedi_dagster.texts.words import mostly_foreign, tokens


def duplicates(
    instructions: pl.DataFrame,
    pool: pl.DataFrame,
    novelty_threshold: float,
    semantic_threshold: float | None = None,
    embed: Embed | None = None,
    latin_only: bool = False,
) -> pl.DataFrame:
    """Find the instructions that are not new, each with its neighbour (`FOUND_SCHEMA`).

    Args:
        instructions: `row`, `id`, `text`, in candidate order.
        pool: `id`, `text` of the seeds and of the instructions kept in earlier rounds.
        novelty_threshold: ROUGE-L F1 above which an instruction is a near duplicate.
        semantic_threshold: cosine above which it is a semantic duplicate; None: embeddings are not compared.
        embed: computes the embeddings; without it they are not compared.
        latin_only: the embeddings distinguish only texts in the Latin script; other texts are not compared by them.
    """
    instructions, pool = _with_key(instructions), _with_key(pool)
    first = instructions.unique("key", keep="first", maintain_order=True)
    known = pool.unique("key", keep="first").select("key", neighbour_id="id", neighbour="text")
    in_pool = _exact(first.join(known, on="key"))
    found = [in_pool]
    undecided = first.join(in_pool, on="row", how="anti")
    if semantic_threshold is not None and embed is not None:
        texts = pl.concat([pool["text"], undecided["text"]]).unique(maintain_order=True)
        vectors = pl.DataFrame({"text": texts, "vector": pl.Series(embed(texts.to_list()))})
        undecided, pool = (f.join(vectors, on="text", how="left", maintain_order="left") for f in (undecided, pool))
    while undecided.height:
        index = NoveltyIndex(pool.select("id", "text").iter_rows())
        neighbours = index.add_novel(undecided.select("id", "text").iter_rows(), novelty_threshold)
        near = near_duplicates_found(undecided["row"], neighbours, novelty_threshold)
        novel = undecided.join(near, on="row", how="anti")
        similar = near.clear()
        if semantic_threshold is not None and embed is not None:
            similar = _similar(novel, pool, semantic_threshold, latin_only)
        not_kept = novel.join(similar, on="row", how="semi")
        again = near.join(not_kept, left_on="neighbour_id", right_on="id", how="semi")
        found += [near.join(again, on="row", how="anti"), similar]
        pool = pl.concat([pool, novel.join(similar, on="row", how="anti").select(pool.columns)])
        undecided = undecided.join(again, on="row", how="semi")
    rejected = pl.concat(found)
    return pl.concat([rejected, _repetitions(instructions, first, rejected)])


def _with_key(texts: pl.DataFrame) -> pl.DataFrame:
    """Add `key`, which is equal for texts with the same tokens."""
    return texts.with_columns(
        key=pl.col("text").map_elements(lambda text: " ".join(tokens(text)), return_dtype=pl.String)
    )


def _repetitions(instructions: pl.DataFrame, first: pl.DataFrame, rejected: pl.DataFrame) -> pl.DataFrame:
    """Reject later ones of equal instructions: as the first of them was, or as its exact duplicates."""
    later = instructions.join(first, on="row", how="anti").select("row", "key")
    of_first = later.join(first.select("key", neighbour_id="id", neighbour="text", first_row="row"), on="key")
    as_first = of_first.select("row", "first_row").join(rejected, left_on="first_row", right_on="row")
    return pl.concat([_exact(of_first.join(as_first, on="row", how="anti")), found_frame(as_first)])


def _exact(texts: pl.DataFrame) -> pl.DataFrame:
    return found_frame(texts.with_columns(rule=pl.lit("exact_duplicate"), score=1.0, threshold=1.0))


def near_duplicates_found(
    rows: pl.Series, neighbours: Sequence[tuple[str, str, float] | None], threshold: float
) -> pl.DataFrame:
    """Return the rows that have a neighbour, as `NoveltyIndex` finds it, as near duplicates (`FOUND_SCHEMA`)."""
    found = [
        (row, "near_duplicate", neighbour[2], threshold, neighbour[0], neighbour[1])
        for row, neighbour in zip(rows, neighbours, strict=True)
        if neighbour
    ]
    return pl.DataFrame(found, schema=FOUND_SCHEMA, orient="row")


def _similar(texts: pl.DataFrame, pool: pl.DataFrame, threshold: float, latin_only: bool) -> pl.DataFrame:
    """Find the texts whose `vector` is near one of the pool, or of a text before it that is kept."""
    if latin_only:
        texts, pool = (frame.filter(~mostly_foreign(frame["text"])) for frame in (texts, pool))
    if texts.is_empty():
        return pl.DataFrame(schema=FOUND_SCHEMA)
    found = greedy_by_cosine(texts["vector"].to_numpy(), pool["vector"].to_numpy(), threshold)
    known = pl.concat([pool.select("id", "text"), texts.select("id", "text")])[found["neighbour"]]
    return found_frame(
        found.select(
            row=texts["row"][found["query"]],
            rule=pl.lit("semantic_duplicate"),
            score="score",
            threshold=pl.lit(threshold),
            neighbour_id=known["id"],
            neighbour=known["text"],
        )
    )
