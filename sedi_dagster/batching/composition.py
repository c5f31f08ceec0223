"""Composing training batches that are diverse inside (SeDi-Instruct, arXiv 2502.04774).

Kept instructions are clustered by their vectors, and each batch takes from as many clusters as it can, so that
no optimiser step sees near neighbours only. Every row is used exactly once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import polars as pl

from sedi_dagster.records import derived_rng, derived_seed, task_prompt

if TYPE_CHECKING:
    import numpy as np


def compose(
    vectors: np.ndarray,
    batch_size: int,
    composition: Literal["diverse", "random", "sequential"],
    *seed: object,
) -> tuple[list[list[int]], list[int]]:
    """Put row numbers into batches.

    Args:
        vectors: unit vectors, shape (rows, dimensions).
        batch_size: rows of a batch. The rows that fill no whole batch form a last, shorter one.
        seed: what every random choice derives from.

    Returns:
        Batches of row numbers, and the cluster of each row (all 0 unless `diverse`).
    """
    rows = list(range(len(vectors)))
    clusters = [0] * len(rows)
    if composition == "random":
        derived_rng(*seed, "random composition").shuffle(rows)
    elif composition == "diverse" and len(rows) > batch_size:
        clusters = _clusters(vectors, batch_size, derived_seed(*seed, "k-means"))
        rows = _dealt_across(clusters, batch_size, *seed)
    return [rows[i : i + batch_size] for i in range(0, len(rows), batch_size)], clusters


def _clusters(vectors: np.ndarray, count: int, seed: int) -> list[int]:
    from sklearn.cluster import KMeans

    labels: list[int] = (
        KMeans(n_clusters=min(count, len(vectors)), n_init=4, random_state=seed).fit_predict(vectors).tolist()
    )
    return labels


def _dealt_across(clusters: list[int], batch_size: int, *seed: object) -> list[int]:
    """Rows in an order whose successive batches draw from as many clusters as can be.

    Sorted by cluster and dealt like cards onto the batches: members of one cluster land in different batches
    as long as there are batches left. The rows of the last, shorter batch are taken at even distances.
    """
    rng = derived_rng(*seed, "dealing")
    members: dict[int, list[int]] = {}
    for row, cluster in enumerate(clusters):
        members.setdefault(cluster, []).append(row)
    for rows in members.values():
        rng.shuffle(rows)
    by_size = sorted(members.values(), key=len, reverse=True)
    cards = [row for rows in by_size for row in rows]
    whole, left_over = divmod(len(cards), batch_size)
    last = {(2 * i + 1) * len(cards) // (2 * left_over) for i in range(left_over)}
    rest = [row for place, row in enumerate(cards) if place in last]
    cards = [row for place, row in enumerate(cards) if place not in last]
    batches = [cards[i::whole] for i in range(whole)]
    rng.shuffle(batches)
    return [row for batch in batches for row in batch] + rest


def training_rows(rows: pl.DataFrame, composed: list[list[int]], clusters: list[int]) -> pl.DataFrame:
    """Training rows in training order: batch, position, example_id, origin, category, cluster, prompt, output."""
    placed = pl.DataFrame(
        [(b, p, row, clusters[row]) for b, batch in enumerate(composed) for p, row in enumerate(batch)],
        schema={"batch": pl.Int64, "position": pl.Int64, "row": pl.UInt32, "cluster": pl.Int64},
        orient="row",
    )
    prompts = [task_prompt(row["instruction"], row["input"]) for row in rows.iter_rows(named=True)]
    return placed.join(
        rows.with_columns(prompt=pl.Series(prompts, dtype=pl.String)).with_row_index("row"),
        on="row",
        maintain_order="left",
    ).select("batch", "position", "example_id", "origin", "category", "cluster", "prompt", "output")


def mean_pairwise_distance(vectors: np.ndarray, batches: list[list[int]]) -> float:
    """Mean cosine distance of the pairs inside batches; 0 if no batch has two rows.

    For n unit vectors with sum s the mean pairwise cosine is (|s|^2 - n) / (n (n - 1)).
    """
    import numpy as np

    distances = []
    for batch in batches:
        n = len(batch)
        if n > 1:
            total = vectors[batch].sum(axis=0)
            distances.append(1.0 - (float(np.dot(total, total)) - n) / (n * (n - 1)))
    return sum(distances) / len(distances) if distances else 0.0
