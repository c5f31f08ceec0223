"""Measures of diversity say what their papers define; the rule for a collapsing pool warns of it, and only then."""

from __future__ import annotations

import itertools

import numpy as np
import polars as pl
import pytest

from sedi_dagster.batching.diversity import (
    batch_distances,
    cluster_entropy,
    collapse,
    distinct_n,
    equal_size_distance,
    equal_size_draws,
    in_batch,
    nearest_neighbour_distances,
    novelsum,
    vendi_score,
    whole_set,
)


def unit(vectors: np.ndarray) -> np.ndarray:
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype("float32")


def directions(rows: int, dimensions: int = 8, seed: int = 0) -> np.ndarray:
    return unit(np.random.default_rng(seed).normal(size=(rows, dimensions)))


def test_batch_distance_is_the_mean_over_all_pairs() -> None:
    vectors, batches = directions(10), [[0, 1, 2, 3], [4, 5, 6], [7, 8], [9]]
    expected = [
        np.mean([1 - float(vectors[a] @ vectors[b]) for a, b in itertools.combinations(batch, 2)])
        for batch in batches[:3]
    ]
    assert batch_distances(vectors, batches) == pytest.approx(expected, abs=1e-6)
    assert in_batch(vectors, batches)["distance"] == pytest.approx(np.mean(expected), abs=1e-6)
    assert in_batch(vectors, [[1], [2]]) == in_batch(vectors, []) == {"distance": 0.0, "vendi_score": 0.0}


def test_vendi_score_counts_what_is_different() -> None:
    apart = np.eye(6, dtype="float32")
    assert vendi_score(apart) == pytest.approx(6)
    assert vendi_score(np.repeat(apart[:2], 3, axis=0)) == pytest.approx(2)
    assert vendi_score(np.repeat(apart[:1], 50, axis=0)) == pytest.approx(1)
    assert vendi_score(apart[:0]) == 0
    more_rows, more_dimensions = directions(20, 5), directions(5, 20)
    for vectors in (more_rows, more_dimensions):
        values = np.linalg.eigvalsh(vectors.astype(float) @ vectors.T.astype(float) / len(vectors))
        values = values[values > 1e-9]
        assert vendi_score(vectors) == pytest.approx(np.exp(-(values * np.log(values)).sum()), rel=1e-6)


def test_nearest_neighbour_distance_leaves_the_row_itself_out() -> None:
    vectors = directions(1500, 4)
    cosines = vectors @ vectors.T
    np.fill_diagonal(cosines, -1)
    assert nearest_neighbour_distances(vectors) == pytest.approx(1 - cosines.max(axis=1), abs=1e-6)
    assert nearest_neighbour_distances(vectors[:1]).tolist() == [0]
    assert nearest_neighbour_distances(vectors[:0]).tolist() == []


def test_novelsum_is_the_mean_of_rank_weighted_density_aware_distances() -> None:
    vectors, reference = directions(7), directions(30, seed=1)
    novelties = []
    for i in range(7):
        others = sorted((1 - float(vectors[i] @ vectors[j]), j) for j in range(7) if j != i)
        weighed = total = 0.0
        for rank, (distance, j) in enumerate(others, start=1):
            squared = sorted(float(np.sum((vectors[j] - r) ** 2)) for r in reference)[:10]
            weighed += distance * np.mean(squared) ** -0.5 / rank
            total += 1 / rank
        novelties.append(weighed / total)
    assert novelsum(vectors, reference) == pytest.approx(np.mean(novelties), rel=1e-5)
    assert novelsum(vectors[:1], reference) == 0


def test_novelsum_of_rows_that_equal_the_reference_is_a_number() -> None:
    vectors = np.full((12, 3), 0.57735035, np.float32)  # a product with itself of 1.0000001
    assert (vectors @ vectors.T).max() > 1.0
    assert np.isfinite(novelsum(vectors, vectors))


def test_cluster_entropy_is_one_over_all_clusters_and_zero_in_a_single_one() -> None:
    centres = np.eye(5, dtype="float32")
    reference = unit(np.repeat(centres, 10, axis=0) + 0.01 * directions(50, 5))
    assert cluster_entropy(reference, reference) == pytest.approx(1, abs=1e-6)
    assert cluster_entropy(reference[:10], reference) == 0
    assert cluster_entropy(reference[:0], reference) is None
    assert cluster_entropy(reference, reference[:19]) is None and "cluster_entropy" not in whole_set(
        reference, ["Add."] * 50, reference[:19]
    )


def test_distinct_n_is_the_share_of_different_n_grams() -> None:
    assert distinct_n(["Add the numbers", "add the words"], 1) == pytest.approx(4 / 6)
    assert distinct_n(["Add the numbers", "add the words"], 2) == pytest.approx(3 / 4)
    assert distinct_n(["one", ""], 2) == 0


def test_a_set_of_no_row_or_one_is_measured_too() -> None:
    for rows in (0, 1):
        measured = whole_set(directions(2)[:rows], ["Add the numbers."][:rows], directions(30))
        assert measured["nearest_neighbour_distance"] == measured["novelsum"] == 0


def rounds(shrinking: float, seed: int, count: int = 6, kept: int = 60) -> list[tuple[float, float]]:
    """`equal_size_distance` after each round of a simulated loop; examples lie around 40 subjects.

    Each round the teacher draws from `shrinking` times as many subjects as before, and writes as much closer to them.
    """
    rng = np.random.default_rng(seed)
    subjects, values = rng.normal(size=(40, 16)), []
    vectors = np.zeros((0, 16), dtype="float32")
    frames: list[pl.DataFrame] = []
    for number in range(1, count + 1):
        width = max(2, round(40 * shrinking ** (number - 1)))
        chosen = rng.integers(0, width, kept)
        vectors = np.vstack(
            [vectors, unit(subjects[chosen] + 0.5 * shrinking ** (number - 1) * rng.normal(size=(kept, 16)))]
        )
        categories = rng.choice(["math", "coding", "open_qa"], kept)
        frames.append(pl.DataFrame({"round": [f"round-{number:04d}"] * kept, "category": categories}))
        draws = equal_size_draws(pl.concat(frames), seed, number)
        values.append(equal_size_distance(vectors, draws))
    return values


def test_a_pool_that_collapses_is_told_and_one_that_does_not_is_left_alone() -> None:
    def warned(shrinking: float, seed: int) -> bool:
        values = rounds(shrinking, seed)
        return any(collapse(values[:n]) for n in range(1, len(values) + 1))

    assert sum(warned(0.7, seed) for seed in range(20)) >= 19
    assert sum(warned(1.0, seed) for seed in range(20)) <= 1


def test_a_single_low_round_is_no_collapse_and_the_message_names_the_figures() -> None:
    def told_of(*values: float, error: float = 0.001) -> str | None:
        return collapse([(value, error) for value in values])

    assert told_of(0.5, 0.5, 0.4) is None
    assert told_of(0.5, 0.4, 0.5) is None
    assert told_of(0.5, 0.3) is None
    assert told_of(0.5, 0.48, 0.48) is None
    assert told_of(0.5, 0.47, 0.45, error=0.02) is None
    text = told_of(0.5, 0.47, 0.45)
    assert text is not None and "0.450" in text and "0.500" in text and "10% less" in text


def test_draws_have_the_size_and_the_categories_of_the_first_rounds() -> None:
    pool = pl.DataFrame(
        {
            "round": ["round-0001"] * 30 + ["round-0002"] * 30 + ["round-0003"] * 900,
            "category": ["math"] * 40 + ["coding"] * 20 + ["math"] * 900,
        }
    )
    draws = equal_size_draws(pool, 0)
    assert len(draws) == 10 and draws == equal_size_draws(pool, 0) and draws != equal_size_draws(pool, 1)
    for draw in draws:
        assert pool["category"].gather(draw).value_counts().sort("category").rows() == [("coding", 20), ("math", 40)]
        assert len(set(draw)) == 60
    assert equal_size_draws(pool[:30], 0) == []
