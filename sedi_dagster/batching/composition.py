"""Composing training batches that are diverse inside (SeDi-Instruct, arXiv 2502.04774).

No optimiser step is to see near neighbours only. Every row is used exactly once.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest
from typing import TYPE_CHECKING, Literal

import polars as pl

from sedi_dagster.batching.anticlustering import anticlusters
from sedi_dagster.batching.shares import dealt_shares
from sedi_dagster.errors import SediError
from sedi_dagster.records import derived_rng, derived_seed, task_prompt

if TYPE_CHECKING:
    import numpy as np

Composition = Literal["diverse", "clusters", "random", "sequential"]


def compose(
    vectors: np.ndarray,
    batch_size: int,
    composition: Composition,
    *seed: object,
    categories: Sequence[str] | None = None,
    human: Sequence[bool] | None = None,
) -> list[list[int]]:
    """Put row numbers into batches, in training order.

    Rows that fill no whole batch form a last, shorter one. `diverse` batches have each their proportional share, up
    to rounding, of each category and of human seed tasks, the shorter one as well; `clusters` draws the rows of a
    batch from k-means clusters of the instructions in turn, as SeDi-Instruct does; `random` ones are as a plain
    shuffle leaves them, and `sequential` ones keep the order of the rows.

    Args:
        vectors: unit vectors, float32, shape (rows, dimensions).
        batch_size: rows of a batch.
        seed: what every random choice derives from.
        categories: category of each row; None: they do not matter.
        human: whether each row is a human seed task; None: it does not matter.

    Raises:
        SediError: some vectors have entries that are no numbers.
    """
    import numpy as np

    rows = list(range(len(vectors)))
    if composition == "random":
        derived_rng(*seed, "random composition").shuffle(rows)
    trivial = len(rows) <= batch_size or batch_size == 1
    if trivial or composition in ("random", "sequential"):
        return _in_slices(rows, batch_size)
    broken = np.flatnonzero(~np.isfinite(vectors).all(axis=1))
    if len(broken):
        raise SediError(
            f"{len(broken)} of {len(rows)} vectors hold entries that are not numbers, the first in row {broken[0]}.",
            "Check the model that SEDI_BATCHING_EMBEDDING_MODEL names, and remove its table from the lance folder.",
        )
    if composition == "clusters":
        return _in_slices(_in_turn_by_cluster(vectors, batch_size, *seed), batch_size)
    rng = np.random.default_rng(derived_seed(*seed, "diverse composition"))
    _, category = np.unique(categories or [""] * len(rows), return_inverse=True)
    origin = np.asarray(human if human is not None else [False] * len(rows), dtype=np.int64)
    counts = np.zeros((category.max() + 1, 2), dtype=np.int64)
    np.add.at(counts, (category, origin), 1)
    whole, left_over = divmod(len(rows), batch_size)
    sizes = np.array([batch_size] * whole + [left_over] * (left_over > 0))
    batches = anticlusters(vectors, category, origin, dealt_shares(counts, sizes, rng), rng)
    return [batches[i] for i in rng.permutation(whole)] + batches[whole:]


def _in_slices(rows: list[int], size: int) -> list[list[int]]:
    return [rows[i : i + size] for i in range(0, len(rows), size)]


def _in_turn_by_cluster(vectors: np.ndarray, clusters: int, *seed: object) -> list[int]:
    """Rows, shuffled within their cluster, one of each cluster in turn until all are used.

    The paper's summary leaves the number of clusters open; with one for each place in a batch, a batch holds one row
    of every cluster as long as none has run out.
    """
    from sklearn.cluster import KMeans

    found = KMeans(clusters, n_init=3, random_state=derived_seed(*seed, "clusters")).fit_predict(vectors)
    members: dict[int, list[int]] = {}
    for row, cluster in enumerate(found):
        members.setdefault(int(cluster), []).append(row)
    for cluster in sorted(members):
        derived_rng(*seed, "clusters", cluster).shuffle(members[cluster])
    turns = zip_longest(*(members[cluster] for cluster in sorted(members)))
    return [row for turn in turns for row in turn if row is not None]


def training_rows(rows: pl.DataFrame, batches: Sequence[Sequence[int]]) -> pl.DataFrame:
    """Training rows in training order: batch, position, example_id, origin, category, prompt, output.

    Batches count from 1, as optimiser steps do: in the first epoch, step n trains on batch n.
    """
    placed = pl.DataFrame(
        [(b, p, row) for b, batch in enumerate(batches, 1) for p, row in enumerate(batch)],
        schema={"batch": pl.Int64, "position": pl.Int64, "row": pl.UInt32},
        orient="row",
    )
    prompts = [task_prompt(row["instruction"], row["input"]) for row in rows.iter_rows(named=True)]
    return placed.join(
        rows.with_columns(prompt=pl.Series(prompts, dtype=pl.String)).with_row_index("row"),
        on="row",
        maintain_order="left",
    ).select("batch", "position", "example_id", "origin", "category", "prompt", "output")
