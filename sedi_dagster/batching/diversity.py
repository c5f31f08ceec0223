"""Diversity of batches and of the set of kept examples.

Distances are cosine distances of unit vectors. Every metric of a set depends on the set's size, so the metric tracked
over rounds, `equal_size_distance`, uses samples of a fixed size and category mix.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl

from sedi_dagster.records import derived_seed

NEIGHBOURS = 10
DENSITY_POWER = 0.5
CLUSTERS = 20
MEASURED_ROWS = 4_000
"""Larger sets are measured on a sample of this many rows, as finding nearest neighbours takes quadratic time."""

BASE_ROWS = 50
SAMPLED_ROWS = 500
DRAWS = 10
FALL, CERTAIN = 0.05, 2.0
"""Tolerated drop of `equal_size_distance`: as a share of its highest value, and in standard errors."""


# batches


def batch_distances(vectors: np.ndarray, batches: Sequence[Sequence[int]]) -> list[float]:
    """Return the mean pairwise cosine distance within each batch of two or more rows.

    For n unit vectors with sum s, the mean pairwise cosine is (|s|^2 - n) / (n (n - 1)).
    """
    distances = []
    for batch in batches:
        n = len(batch)
        if n > 1:
            total = vectors[list(batch)].sum(axis=0, dtype="float64")
            distances.append(1.0 - (float(total @ total) - n) / (n * (n - 1)))
    return distances


def vendi_score(vectors: np.ndarray) -> float:
    """Return the effective number of distinct rows: 1 if all n rows are the same, n if all are orthogonal.

    It is the exponential of the entropy of the eigenvalues of the cosine matrix divided by n (Friedman and Dieng, arXiv
    2210.02410, definition 3.1). X X^T and X^T X have the same non-zero eigenvalues; the smaller matrix is used.
    """
    rows, dimensions = vectors.shape
    if not rows:
        return 0.0
    wide = vectors.astype(np.float64)
    shares = np.linalg.eigvalsh((wide @ wide.T if rows <= dimensions else wide.T @ wide) / rows)
    shares = shares[shares > 1e-12]
    return float(np.exp(-np.sum(shares * np.log(shares))))


def in_batch(vectors: np.ndarray, batches: Sequence[Sequence[int]]) -> dict[str, float]:
    """Return the means of `distance` and `vendi_score` over batches of two or more rows; 0 if there are none."""
    distances = batch_distances(vectors, batches)
    if not distances:
        return {"distance": 0.0, "vendi_score": 0.0}
    scores = [vendi_score(vectors[list(batch)]) for batch in batches if len(batch) > 1]
    return {"distance": sum(distances) / len(distances), "vendi_score": sum(scores) / len(scores)}


# whole sets


def nearest_neighbour_distances(vectors: np.ndarray) -> np.ndarray:
    """Return the cosine distance of each row to its nearest neighbour, shape (rows,); 0 for a single row."""
    nearest = np.ones(len(vectors))
    for start in range(0, len(vectors) if len(vectors) > 1 else 0, 1024):
        cosines = vectors[start : start + 1024] @ vectors.T
        cosines[np.arange(len(cosines)), start + np.arange(len(cosines))] = -np.inf
        nearest[start : start + 1024] = cosines.max(axis=1)
    return 1.0 - nearest


def novelsum(vectors: np.ndarray, reference: np.ndarray) -> float:
    """Return the NovelSum of a set (Yang and others, arXiv 2502.17184); 0 for fewer than two rows.

    A row's novelty is a weighted mean of its distances to the other rows: nearer ones weigh more (1 / rank), and each
    distance is multiplied by the square root of the other row's density, which is 1 / mean squared Euclidean distance
    to its 10 nearest vectors in `reference`. As in the authors' code, this is a mean rather than a sum over ranks and
    rows, so that sets of different sizes compare.

    Args:
        reference: vectors that represent the distribution of information; here those of the human seed tasks.
    """
    n = len(vectors)
    if n < 2 or not len(reference):
        return 0.0
    near = np.minimum(np.sort(vectors @ reference.T, axis=1)[:, -NEIGHBOURS:], 1.0)  # rounding may exceed 1
    density = (2.0 * (1.0 - near).mean(axis=1, dtype=np.float64) + 1e-9) ** -DENSITY_POWER
    weights = 1.0 / np.arange(1, n)
    total = 0.0
    for start in range(0, n, 512):
        distances = 1.0 - (vectors[start : start + 512] @ vectors.T).astype(np.float64)
        distances[np.arange(len(distances)), start + np.arange(len(distances))] = -np.inf  # sorts the row itself first
        order = np.argsort(distances, axis=1, kind="stable")[:, 1:]
        ordered = np.take_along_axis(distances, order, axis=1) * density[order]
        total += float((ordered @ weights).sum())
    return total / float(weights.sum()) / n


def cluster_entropy(vectors: np.ndarray, reference: np.ndarray) -> float | None:
    """Return how evenly the rows are spread over clusters of `reference`: normalised entropy, from 0 to 1.

    The reference (the human seed tasks) has one k-means cluster for every ten rows, at most 20, and is the same in all
    rounds; clusters of the set itself would follow its drift.

    Returns:
        None if there are no rows, or fewer than twenty in the reference.
    """
    from sklearn.cluster import KMeans
    from threadpoolctl import threadpool_limits

    count = min(CLUSTERS, len(reference) // 10)
    if count < 2 or not len(vectors):
        return None
    with threadpool_limits(1):  # a fixed order of summation, so that equal data gives equal figures
        centres = KMeans(n_clusters=count, n_init=4, random_state=0).fit(reference).cluster_centers_
    nearest = (2.0 * vectors @ centres.T - np.square(centres).sum(axis=1)).argmax(axis=1)
    shares = np.bincount(nearest, minlength=count) / len(vectors)
    shares = shares[shares > 0]
    return float(-np.sum(shares * np.log(shares)) / np.log(count))


def distinct_n(texts: Sequence[str], n: int) -> float:
    """Return the share of distinct word n-grams (Li and others, arXiv 1510.03055); 0 if there are no n-grams."""
    grams = [tuple(words[i : i + n]) for words in (t.lower().split() for t in texts) for i in range(len(words) - n + 1)]
    return len(set(grams)) / len(grams) if grams else 0.0


def whole_set(vectors: np.ndarray, texts: Sequence[str], reference: np.ndarray) -> dict[str, float]:
    """Return all metrics of a set by name, without those that are undefined for it."""
    nearest = nearest_neighbour_distances(vectors)
    entropy = cluster_entropy(vectors, reference)
    return {
        "nearest_neighbour_distance": float(nearest.mean()) if len(nearest) else 0.0,
        "novelsum": novelsum(vectors, reference),
        **({} if entropy is None else {"cluster_entropy": entropy}),
        "distinct_1": distinct_n(texts, 1),
        "distinct_2": distinct_n(texts, 2),
    }


# over the rounds


def equal_size_draws(pool: pl.DataFrame, *seed: object) -> list[list[int]]:
    """Draw samples of the pool with the size and category mix of its first rounds.

    The first rounds are those that together kept 50 examples; if they kept more than 500, a sample of 500 stands for
    them. As they are part of the pool, there are always enough rows of each category.

    Args:
        pool: kept examples of all rounds, with `round` and `category`.

    Returns:
        The row numbers of 10 draws; empty if the pool has fewer than 50 rows.
    """
    rng = np.random.default_rng(derived_seed(*seed, "equal size"))
    sizes = pool.group_by("round").len().sort("round").with_columns(pl.col("len").cum_sum().alias("so_far"))
    reached = sizes.filter(pl.col("so_far") >= BASE_ROWS)
    if not reached.height:
        return []
    base = pool.filter(pl.col("round") <= reached["round"][0])["category"].to_numpy()
    if len(base) > SAMPLED_ROWS:
        base = np.random.default_rng(0).choice(base, SAMPLED_ROWS, replace=False)
    categories = pool["category"].to_numpy()
    rows_and_counts = [(np.flatnonzero(categories == c), int((base == c).sum())) for c in sorted(set(base))]
    return [
        [int(row) for rows, count in rows_and_counts for row in rng.choice(rows, count, replace=False)]
        for _ in range(DRAWS)
    ]


def equal_size_distance(vectors: np.ndarray, draws: Sequence[Sequence[int]]) -> tuple[float, float]:
    """Return the mean distance to the nearest neighbour within a draw, and its standard error.

    The standard error counts each distinct row of all draws once, as more draws from the same pool do not reduce the
    chance variation between pools.
    """
    distances = np.concatenate([nearest_neighbour_distances(vectors[list(draw)]) for draw in draws])
    independent = len({row for draw in draws for row in draw})
    return float(distances.mean()), float(distances.std() / np.sqrt(independent))


def collapse(values: Sequence[tuple[float, float]]) -> str | None:
    """Return a message if the pool seems to collapse, else None.

    It does if after each of the last two rounds the distance was below its highest earlier value, by more than 5 % of
    that value and by more than two standard errors of the difference.

    Args:
        values: `equal_size_distance` after each round that has one, in order.
    """
    if len(values) < 3:
        return None
    highest, highest_error = max(values[:-2])
    for value, error in values[-2:]:
        if highest - value <= max(FALL * highest, CERTAIN * (highest_error**2 + error**2) ** 0.5):
            return None
    before, now = values[-2][0], values[-1][0]
    return (
        f"In samples of equal size, the nearest neighbour is on average {now:.3f} away, {1 - now / highest:.0%} less "
        f"than its highest value, {highest:.3f}; a round ago it was {before:.3f}."
    )
