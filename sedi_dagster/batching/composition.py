"""Composition of a round's rows into training batches. Each batch is one optimizer step; each row is used once.

SeDi-Instruct (arXiv 2502.04774) draws each batch across clusters of the instructions. In whole loops, neither that nor
maximally diverse batches did better than a shuffle (docs/method.md), so the shuffle is the default.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest
from typing import Literal

import numpy as np
import polars as pl

from sedi_dagster.errors import SediError
from sedi_dagster.records import derived_rng, derived_seed, task_prompts

Composition = Literal["random", "clusters", "sequential"]


def compose(vectors: np.ndarray, batch_size: int, composition: Composition, *seed: object) -> list[list[int]]:
    """Divide row numbers into batches, in training order. The last batch may be shorter.

    Args:
        vectors: unit vectors, float32, shape (rows, dimensions).
        batch_size: rows per batch.
        composition: `random`: shuffled; `clusters`: round-robin over k-means clusters of the instructions, as in
            SeDi-Instruct; `sequential`: in the order of the rows.
        seed: seed of all random choices.

    Raises:
        SediError: `clusters` is requested and vectors contain non-finite values.
    """
    rows = list(range(len(vectors)))
    if composition == "random":
        derived_rng(*seed, "random composition").shuffle(rows)
    elif composition == "clusters" and len(rows) > batch_size > 1:
        rows = _in_turn_by_cluster(vectors, batch_size, *seed)
    return [rows[i : i + batch_size] for i in range(0, len(rows), batch_size)]


def _in_turn_by_cluster(vectors: np.ndarray, clusters: int, *seed: object) -> list[int]:
    """Rows shuffled within their clusters, then taken round-robin over the clusters until all are used.

    The paper's summary does not give the number of clusters. With as many as rows in a batch, each batch contains one
    row of every cluster until a cluster runs out.
    """
    from sklearn.cluster import KMeans

    broken = np.flatnonzero(~np.isfinite(vectors).all(axis=1))
    if len(broken):
        raise SediError(
            f"{len(broken)} of {len(vectors)} embeddings contain non-finite values, the first in row {broken[0]}.",
            "Check the model in SEDI_BATCHING_EMBEDDING_MODEL, and delete its table from the lance folder.",
        )
    labels = KMeans(clusters, n_init=3, random_state=derived_seed(*seed, "clusters")).fit_predict(vectors)
    members: dict[int, list[int]] = {}
    for row, cluster in enumerate(labels):
        members.setdefault(int(cluster), []).append(row)
    for cluster in sorted(members):
        derived_rng(*seed, "clusters", cluster).shuffle(members[cluster])
    turns = zip_longest(*(members[cluster] for cluster in sorted(members)))
    return [row for turn in turns for row in turn if row is not None]


def training_rows(rows: pl.DataFrame, batches: Sequence[Sequence[int]]) -> pl.DataFrame:
    """Return the rows in training order: batch, position, example_id, origin, category, prompt, output.

    Batches are numbered from 1, like optimizer steps: in the first epoch, step n trains on batch n.
    """
    placed = pl.DataFrame(
        [(b, p, row) for b, batch in enumerate(batches, 1) for p, row in enumerate(batch)],
        schema={"batch": pl.Int64, "position": pl.Int64, "row": pl.UInt32},
        orient="row",
    )
    numbered = rows.with_columns(task_prompts()).with_row_index("row")
    return placed.join(numbered, on="row", maintain_order="left").select(
        "batch", "position", "example_id", "origin", "category", "prompt", "output"
    )
