"""Intervals, tests and corrections, against published figures and computations by hand."""

from __future__ import annotations

from math import comb

import numpy as np
import polars as pl
import pytest

from sedi_dagster.evaluation.statistics import (
    benjamini_hochberg,
    design_effect,
    holm,
    intraclass_correlation,
    items_for_pairs,
    items_for_rate,
    pass_rate,
    tail_below,
    wilson_interval,
)


@pytest.mark.parametrize(
    ("passed", "count", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_the_wilson_interval_is_that_of_newcombes_table(passed: int, count: int, low: float, high: float) -> None:
    """Newcombe (1998), Statistics in Medicine 17, table I, method 3."""
    assert wilson_interval(passed, count) == (pytest.approx(low, abs=5e-5), pytest.approx(high, abs=5e-5))


@pytest.mark.parametrize(("passed", "count"), [(5, 20), (0, 12), (19, 20), (20, 20)])
def test_the_test_of_whole_counts_is_the_exact_one_sided_binomial(passed: int, count: int) -> None:
    tail = sum(comb(count, k) * 0.6**k * 0.4 ** (count - k) for k in range(passed + 1))
    assert tail_below(passed, count, 0.6) == pytest.approx(tail)


def test_a_smaller_effective_sample_says_less() -> None:
    assert tail_below(5, 20, 0.5) < tail_below(2.5, 10, 0.5) < tail_below(1.25, 5, 0.5)


PUBLISHED = [0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344, 0.0459, 0.3240, 0.4262, 0.5719]
PUBLISHED += [0.6528, 0.7590, 1.0]
"""The fifteen p-values of Benjamini and Hochberg (1995), section 3.2: their procedure rejects four at 0.05,
Bonferroni's and Holm's three."""


def test_corrections_reject_what_benjamini_and_hochbergs_example_says() -> None:
    assert sum(p <= 0.05 for p in benjamini_hochberg(PUBLISHED)) == 4
    assert sum(p <= 0.05 for p in holm(PUBLISHED)) == 3
    assert benjamini_hochberg(PUBLISHED)[3] == pytest.approx(0.0095 * 15 / 4)
    assert holm(PUBLISHED)[:3] == pytest.approx([0.0001 * 15, 0.0004 * 14, 0.0019 * 13])


def test_holm_never_ranks_a_larger_p_value_before_a_smaller_one_and_stays_below_one() -> None:
    shuffled = [PUBLISHED[i] for i in (7, 0, 14, 3, 9)]
    adjusted = holm(shuffled)
    assert sorted(range(5), key=lambda i: (adjusted[i], shuffled[i])) == sorted(range(5), key=lambda i: shuffled[i])
    assert max(adjusted) <= 1 and holm([]) == [] == benjamini_hochberg([])


def test_the_intraclass_correlation_is_that_of_shrout_and_fleiss() -> None:
    """Shrout and Fleiss (1979), Psychological Bulletin 86, table 2: six targets, four judges, ICC(1,1) = 0.17."""
    ratings = np.array([[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]], float)
    targets = [f"target-{i}" for i in range(6) for _ in range(4)]
    assert intraclass_correlation(ratings.ravel(), ["all"] * 24, targets) == pytest.approx(0.17, abs=0.005)


def test_without_a_cluster_of_two_items_nothing_is_said_of_clusters() -> None:
    assert intraclass_correlation(np.array([1.0, 0, 1]), ["a"] * 3, ["x", "y", "z"]) == 0.0
    assert design_effect(["x", "y", "z"], 0.9) == 1.0
    assert design_effect(["x"] * 5, 1.0) == 5.0 and design_effect([], 1.0) == 1.0


def test_means_of_categories_do_not_pass_for_likeness_within_clusters() -> None:
    rng = np.random.default_rng(0)
    values = np.concatenate([rng.random(400) < 0.9, rng.random(400) < 0.1]).astype(float)
    groups = ["easy"] * 400 + ["hard"] * 400
    clusters = [str(i // 4) for i in range(800)]
    assert intraclass_correlation(values, groups, clusters) < 0.08


@pytest.mark.parametrize(("rate", "target"), [(0.5, 0.6), (0.45, 0.6), (0.3, 0.6)])
def test_as_many_items_as_told_find_a_gap_four_times_of_five(rate: float, target: float) -> None:
    needed = items_for_rate(rate, target, 0.01)
    assert needed is not None
    passed = np.random.default_rng(1).binomial(needed, rate, size=4000)
    found = np.mean([tail_below(int(k), needed, target) <= 0.01 for k in passed])
    assert found == pytest.approx(0.8, abs=0.05)


def test_no_number_of_items_decides_a_gap_that_is_not_there() -> None:
    assert items_for_rate(0.6, 0.6, 0.05) is None and items_for_pairs(3, 3, 20, 0.05) is None


def test_pairs_needed_are_those_of_connors_formula() -> None:
    """Differing 0.4, difference 0.2, one-sided 5 %, power 80 %: (1.645 sqrt(0.4) + 0.842 sqrt(0.36))^2 / 0.04."""
    assert items_for_pairs(10, 30, 100, 0.05) == 60


def test_the_pass_rate_of_nothing_is_zero() -> None:
    nothing = pl.DataFrame(schema={"passed": pl.Boolean})
    assert pass_rate(nothing) == 0.0 and pass_rate(pl.DataFrame({"passed": [True, False, False, False]})) == 0.25
