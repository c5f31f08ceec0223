"""Two checkpoints on the same items: gains and drops by cluster, the cluster bootstrap, promotion."""

from __future__ import annotations

from math import comb

import numpy as np
import polars as pl
import pytest

from sedi_dagster.evaluation.comparison import (
    HeldOut,
    compare,
    gain_p_value,
    gain_test,
    judge_promotion,
    paired_bootstrap,
)


def answered(**passed_of: list[bool]) -> pl.DataFrame:
    rows = [
        {
            "item_id": f"{category}-{i}",
            "category": category,
            "cluster": f"{category}-{i // 2}",
            "passed": passed,
            "score": float(passed),
            "reference_loss": 2.0 - passed,
        }
        for category, marks in passed_of.items()
        for i, passed in enumerate(marks)
    ]
    return pl.DataFrame(rows)


def test_with_one_item_a_cluster_the_test_is_mcnemars_exact_one() -> None:
    """Agresti (2002), section 10.1: 150 and 86 change sides; a tail of 1.8e-05 on one side (exact)."""
    assert gain_test([1] * 150 + [-1] * 86) == pytest.approx(1.8e-5, rel=0.05)
    assert gain_test([1] * 86 + [-1] * 150) > 0.99 and gain_test([]) == gain_test([0, 0]) == 1.0
    assert gain_test([1] * 9 + [-1]) == pytest.approx(sum(comb(10, k) for k in (0, 1)) / 2**10)


def test_items_that_move_together_count_as_one_step_of_evidence() -> None:
    assert gain_test([4, 4, 4]) == gain_test([1, 1, 1]) == 1 / 8
    assert gain_test([3, 1, -1]) == pytest.approx(3 / 8), "3+1+1, 3+1-1 and 3-1+1 reach 3"


def test_of_a_hundred_items_in_fours_that_did_not_change_no_more_than_five_in_a_hundred_seem_gained() -> None:
    """McNemar's test on the items alone finds false gains twice as often."""
    rng, found, alone = np.random.default_rng(3), 0, 0
    trials = 1500
    for _ in range(trials):
        level = np.repeat(rng.normal(size=(25, 2)), 4, axis=0)  # before and after: the template's, then the item's own
        before, after = (level + 0.5 * rng.normal(size=(100, 2)) > 0).T.astype(int)
        changes = after - before
        found += gain_test(changes.reshape(25, 4).sum(axis=1).tolist()) <= 0.05
        alone += gain_test(changes.tolist()) <= 0.05
    assert found / trials <= 0.06 and alone / trials >= 0.09


def test_the_bootstrap_of_independent_items_has_the_width_of_the_normal_interval() -> None:
    changes = np.random.default_rng(0).normal(0.3, 1.0, 400)
    change = paired_bootstrap(changes, np.arange(400), seed=0)
    half_width = 1.96 * changes.std() / 20
    assert change.mean == pytest.approx(changes.mean())
    assert (change.high - change.low) / 2 == pytest.approx(half_width, rel=0.08)


def test_clusters_that_move_together_widen_the_interval() -> None:
    rng = np.random.default_rng(1)
    clusters = np.repeat(np.arange(50), 8)
    changes = rng.normal(0, 1, 50)[clusters]
    by_cluster = paired_bootstrap(changes, clusters, seed=0)
    by_item = paired_bootstrap(changes, np.arange(400), seed=0)
    ratio = (by_cluster.high - by_cluster.low) / (by_item.high - by_item.low)
    assert ratio == pytest.approx(np.sqrt(8), rel=0.15)


def test_the_bootstrap_interval_covers_the_true_change_nine_times_of_ten_or_more() -> None:
    rng = np.random.default_rng(2)
    covered = 0
    for trial in range(150):
        clusters = np.repeat(np.arange(60), rng.integers(1, 4, 60))
        changes = 0.2 + rng.normal(0, 0.5, 60)[clusters] + rng.normal(0, 0.5, len(clusters))
        change = paired_bootstrap(changes, clusters, seed=trial, resamples=500)
        covered += change.low <= 0.2 <= change.high
    assert covered >= 135


def test_a_comparison_tells_wins_losses_and_changes_by_category_and_over_all() -> None:
    before, after = (
        answered(math=[False] * 4, coding=[True] * 4),
        answered(math=[True] * 4, coding=[True] * 3 + [False]),
    )
    table = {row["category"]: row for row in compare("before", before, after).iter_rows(named=True)}
    assert list(table) == ["all", "coding", "math"]
    assert (table["all"]["won"], table["all"]["lost"], table["all"]["items"]) == (4, 1, 8)
    assert table["math"]["score_change"] == 1.0 and table["math"]["loss_change"] == -1.0
    assert table["math"]["p_gain"] == pytest.approx(1 / 4) and table["coding"]["p_drop"] == pytest.approx(1 / 2)
    assert table["math"]["loss_low"] == table["math"]["loss_high"] == -1.0


def test_a_student_that_tells_no_loss_is_compared_without_it() -> None:
    silent = answered(math=[True] * 4).with_columns(reference_loss=pl.lit(None, pl.Float64))
    row = compare("before", silent, answered(math=[False] * 4)).row(0, named=True)
    assert row["loss_change"] is None and row["score_change"] == -1.0


def test_a_gain_is_tested_within_its_category() -> None:
    before = answered(math=[False] * 6, coding=[True] * 6)
    after = answered(math=[True] * 6, coding=[False] * 6)
    assert gain_p_value(before, after, "math") == pytest.approx(1 / 8), "three clusters of two"
    assert gain_p_value(before, after, "coding") == 1.0


def test_a_category_that_dropped_significantly_stops_promotion_and_is_named() -> None:
    before = answered(math=[True] * 20, coding=[False] * 20, open_qa=[True] * 20)
    after = answered(math=[True] * 20, coding=[True] * 20, open_qa=[True] * 8 + [False] * 12)
    promoted, reason = judge_promotion(before, after, 0.05, 0.05)
    assert not promoted and reason.startswith("open_qa dropped by 60% of 20 items")
    assert "20 items won and 12 lost" in reason, "the gain elsewhere does not make up for it"


def test_a_drop_within_the_margin_or_within_chance_stops_nothing() -> None:
    before = answered(math=[True] * 20, coding=[True] * 20)
    chance = answered(math=[True] * 17 + [False] * 3, coding=[True] * 20)
    assert judge_promotion(before, chance, 0.05, 0.05)[0]
    large = answered(math=[True] * 400)
    margin = answered(math=[True] * 385 + [False] * 15)
    assert not judge_promotion(large, margin, 0.05, 0.05)[0], "but then the whole dropped significantly"
    assert "overall" in judge_promotion(large, margin, 0.05, 0.05)[1]


def test_a_held_out_loss_that_rose_stops_a_checkpoint_that_gained_no_items() -> None:
    before = answered(math=[True, False] * 20)
    promoted, reason = judge_promotion(before, before, 0.05, 0.05, HeldOut(2.132, 2.145))
    assert not promoted and reason.startswith("the held-out loss rose") and "2.132 before, 2.145 after" in reason
    assert judge_promotion(before, before, 0.05, 0.05, HeldOut(2.145, 2.132))[0]
    gained = answered(math=[True, False] * 18 + [True] * 4)
    assert judge_promotion(before, gained, 0.05, 0.05, HeldOut(2.132, 2.145))[0], "items were gained for it"


def test_many_categories_take_more_to_accuse_one() -> None:
    def outcome(others: int) -> bool:
        more = {f"other_{i:02d}": [True, False] * 10 for i in range(others)}
        before, after = answered(math=[True] * 24, **more), answered(math=[True] * 12 + [False] * 12, **more)
        won = answered(math=[True] * 24, **{**more, "zz": [False] * 20})
        return judge_promotion(won, pl.concat([after, answered(zz=[True] * 20)]), 0.05, 0.05)[0] and before.height > 0

    assert not outcome(0) and outcome(11)


def test_nothing_to_compare_is_no_promotion() -> None:
    before = answered(math=[True] * 4)
    promoted, reason = judge_promotion(before, before.with_columns(item_id=pl.lit("other")), 0.05, 0.05)
    assert not promoted and "nothing to compare" in reason


def test_a_checkpoint_that_wins_or_changes_nothing_is_promoted() -> None:
    before = answered(math=[False] * 20)
    assert judge_promotion(before, answered(math=[True] * 20), 0.05, 0.05)[0]
    assert judge_promotion(before, before, 0.05, 0.05)[0]
