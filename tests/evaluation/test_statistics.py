"""What the scores allow to be said, against published figures and computations by hand."""

from __future__ import annotations

from math import comb

import polars as pl
import pytest

from sedi_dagster.evaluation.statistics import judge_categories, may_be_promoted, pass_rate, wilson_interval
from sedi_dagster.records import Category, CategoryOutcome


def category(name: str, target: float = 0.5) -> Category:
    return Category(name, name, "", "", 0.1, target, 64)


def items(**passed_of: tuple[int, int]) -> pl.DataFrame:
    rows = [(f"{name}-{i}", name, i < passed) for name, (passed, count) in passed_of.items() for i in range(count)]
    return pl.DataFrame(rows, schema={"item_id": pl.String, "category": pl.String, "passed": pl.Boolean}, orient="row")


def judge(target: float = 0.5, min_gap: float = 0.05, **passed_of: tuple[int, int]) -> dict[str, CategoryOutcome]:
    known = {name: category(name, target) for name in passed_of}
    return {o.category: o for o in judge_categories(items(**passed_of), known, 0.05, min_gap)}


@pytest.mark.parametrize(
    ("passed", "count", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_the_wilson_interval_is_that_of_newcombes_table(passed: int, count: int, low: float, high: float) -> None:
    """Newcombe (1998), Statistics in Medicine 17, table I, method 3."""
    assert wilson_interval(passed, count) == (pytest.approx(low, abs=5e-5), pytest.approx(high, abs=5e-5))


def test_the_test_is_the_exact_one_sided_binomial() -> None:
    tail = sum(comb(20, k) for k in range(6)) / 2**20
    assert judge(math=(5, 20))["math"].p_value == pytest.approx(tail)


def test_p_values_are_adjusted_as_benjamini_and_hochberg_say() -> None:
    outcomes = judge(a=(2, 20), b=(5, 20), c=(6, 20), d=(12, 20))
    p = {name: o.p_value for name, o in outcomes.items()}
    assert p["a"] < p["b"] < p["c"] < p["d"]
    by_hand = {"d": p["d"], "c": p["c"] * 4 / 3, "b": min(p["b"] * 4 / 2, p["c"] * 4 / 3), "a": p["a"] * 4}
    assert {name: o.adjusted_p for name, o in outcomes.items()} == pytest.approx(by_hand)


def test_a_category_far_below_its_target_is_weak() -> None:
    outcome = judge(math=(2, 40))["math"]
    assert outcome.decision == "weak" and outcome.score == 0.05 and outcome.low < 0.05 < outcome.high
    assert outcome.reason.startswith("2 of 40 passed against a target of 50%: significantly below")


def test_the_same_rate_on_few_items_is_not_enough_evidence() -> None:
    assert judge(math=(1, 4))["math"].decision == "not enough evidence"
    assert judge(math=(25, 100))["math"].decision == "weak"


def test_a_category_is_weak_alone_but_not_among_many_that_are_fine() -> None:
    assert judge(math=(5, 20))["math"].decision == "weak"
    fine = {f"fine_{i:02d}": (20, 20) for i in range(11)}
    assert judge(math=(5, 20), **fine)["math"].decision == "not enough evidence"


def test_a_gap_that_does_not_matter_is_fine_however_significant() -> None:
    outcome = judge(math=(48_000, 100_000))["math"]
    assert outcome.adjusted_p < 1e-6 and outcome.decision == "fine"


def test_a_gap_of_exactly_the_smallest_that_counts_counts() -> None:
    assert judge(math=(9, 20))["math"].decision == "not enough evidence"
    assert judge(math=(4_500, 10_000))["math"].decision == "weak"


def test_a_target_of_every_item_is_missed_by_one_failure() -> None:
    assert judge(target=1.0, math=(18, 20))["math"].decision == "weak"
    assert judge(target=1.0, math=(20, 20))["math"].decision == "fine"


def test_categories_are_judged_in_the_order_of_their_names_and_none_is_none() -> None:
    assert list(judge(b=(1, 2), a=(1, 2))) == ["a", "b"]
    assert judge_categories(items(), {}, 0.05, 0.05) == []


def test_the_pass_rate_of_nothing_is_zero() -> None:
    assert pass_rate(items()) == 0.0 and pass_rate(items(a=(1, 4))) == 0.25


def answered(passed: list[bool]) -> pl.DataFrame:
    return pl.DataFrame({"item_id": [f"i{n}" for n in range(len(passed))], "passed": passed})


def test_promotion_is_refused_on_an_exact_mcnemar_test() -> None:
    before = answered([True] * 10 + [False] * 4)
    after = answered([False] * 9 + [True] * 1 + [True] + [False] * 3)
    promoted, told = may_be_promoted(before, after, alpha=0.05)
    p = sum(comb(10, k) for k in (9, 10)) / 2**10
    assert not promoted and told == f"1 items won and 9 lost of 14 (one-sided exact McNemar p = {p:.2g})"
    assert may_be_promoted(before, after, alpha=p / 2)[0]


def test_a_checkpoint_that_wins_or_changes_nothing_is_promoted() -> None:
    before = answered([False] * 20)
    assert may_be_promoted(before, answered([True] * 20), 0.05)[0]
    assert may_be_promoted(before, before, 0.05)[0]


def test_only_items_that_both_answered_are_compared() -> None:
    before, after = answered([True] * 20), answered([True] * 10)
    assert may_be_promoted(before, after, 0.05)[1].startswith("0 items won and 0 lost of 10")
