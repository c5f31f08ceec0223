"""Weak only on evidence: all items, both halves, a gap that matters, and as many categories as there are."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from sedi_dagster.evaluation.weakness import WeaknessRules, judge_categories
from sedi_dagster.records import CategoryOutcome
from sedi_dagster.targets import Target

RULES = WeaknessRules()


def items(halves: bool = True, **passed_of: tuple[int, int]) -> pl.DataFrame:
    """Passes dealt to both halves alike, or (not `halves`) all failures in half B."""
    rows = []
    for name, (passed, count) in passed_of.items():
        for i in range(count):
            half = "AB"[i % 2] if halves else "A" if i < count // 2 else "B"
            rows.append((f"{name}-{i}", name, f"{name}-{i}", half, "easy", i < passed, ["wrong number"], 1.5))
    columns = ["item_id", "category", "cluster", "half", "difficulty", "passed", "errors", "reference_loss"]
    types = {"passed": pl.Boolean, "errors": pl.List(pl.String), "category": pl.String, "item_id": pl.String}
    return pl.DataFrame(rows, schema=columns, schema_overrides=types, orient="row")


def judge(target: float = 0.5, first_half: str = "A", **passed_of: tuple[int, int]) -> dict[str, CategoryOutcome]:
    known = dict.fromkeys(passed_of, Target(target))
    return {o.category: o for o in judge_categories(items(**passed_of), known, RULES, first_half)}


def test_a_category_far_below_its_target_is_weak() -> None:
    outcome = judge(math=(2, 40))["math"]
    assert outcome.decision == "weak" and outcome.score == 0.05 and outcome.low < 0.05 < outcome.high
    assert outcome.reason.startswith("2 of 40 passed against a target of 50%: significantly below")
    assert outcome.reference_loss == 1.5 and outcome.errors == ("wrong number",) and outcome.difficulty == "easy"


def test_the_same_rate_on_few_items_is_not_enough_evidence_and_says_how_many_would_decide() -> None:
    few, many = judge(math=(1, 4))["math"], judge(math=(25, 100))["math"]
    assert few.decision == "not enough evidence" and many.decision == "weak"
    assert few.items_to_decide is not None and f"about {few.items_to_decide} items would be needed" in few.reason
    assert 10 <= few.items_to_decide <= 40 and many.items_to_decide is None


def test_a_category_is_weak_alone_but_not_among_many_that_are_fine() -> None:
    assert judge(math=(6, 24))["math"].decision == "weak"
    fine = {f"fine_{i:02d}": (20, 20) for i in range(11)}
    assert judge(math=(6, 24), **fine)["math"].decision == "not enough evidence"


def test_a_gap_that_does_not_matter_is_fine_however_significant() -> None:
    outcome = judge(math=(9_600, 20_000))["math"]
    assert outcome.adjusted_p < 1e-6 and outcome.decision == "fine"


def test_a_gap_of_exactly_the_smallest_that_counts_counts() -> None:
    assert judge(math=(9, 20))["math"].decision == "not enough evidence"
    assert judge(math=(4_500, 10_000))["math"].decision == "weak"


@pytest.mark.parametrize(("first_half", "message"), [("A", "only one half"), ("B", "not confirmed on the other half")])
def test_what_only_one_half_shows_is_not_weak_whichever_comes_first(first_half: str, message: str) -> None:
    uneven = items(halves=False, math=(40, 100))  # A: 40 of 50 passed, B: 0 of 50
    (outcome,) = judge_categories(uneven, {"math": Target(0.6)}, RULES, first_half)
    assert outcome.adjusted_p < 0.001 and outcome.decision == "not enough evidence" and message in outcome.reason


def test_items_of_one_template_count_for_less_than_as_many_of_many() -> None:
    rng = np.random.default_rng(0)
    alike = items(math=(0, 60)).with_columns(
        passed=pl.Series(np.repeat(rng.random(15) < 0.35, 4)),
        cluster=pl.Series([f"c{i // 4}" for i in range(60)]),
        half=pl.Series(["AB"[i // 4 % 2] for i in range(60)]),
    )
    apart = alike.with_columns(cluster=pl.col("item_id"))
    known = {"math": Target(0.5)}
    (together,), (alone,) = (judge_categories(frame, known, RULES, "A") for frame in (alike, apart))
    assert together.passed == alone.passed and together.p_value > 2 * alone.p_value


def test_held_against_a_reference_model_the_test_is_the_paired_one() -> None:
    student, reference = items(math=(10, 40), coding=(20, 40)), items(math=(30, 40), coding=(20, 40))
    known = {"math": Target(0.75, "the reference model's 30 of 40", True), "coding": Target(0.5, is_paired=True)}
    outcomes = {o.category: o for o in judge_categories(student, known, RULES, "A", reference)}
    assert outcomes["math"].decision == "weak" and outcomes["math"].target == 0.75
    assert "against a target of 75% (the reference model's 30 of 40)" in outcomes["math"].reason
    assert outcomes["math"].p_value == pytest.approx(0.5**20), "lost all 20 of those that differ"
    assert outcomes["coding"].decision == "fine"


def test_a_target_that_is_not_paired_is_tested_alone_beside_one_that_is() -> None:
    student, reference = items(math=(10, 40), coding=(10, 40)), items(math=(30, 40), coding=(10, 40))
    known = {"math": Target(0.75, is_paired=True), "coding": Target(0.75)}
    outcomes = {o.category: o for o in judge_categories(student, known, RULES, "A", reference)}
    assert outcomes["coding"].decision == "weak", "as good as the reference, and far below its own target"


def test_categories_are_judged_in_the_order_of_their_names_and_none_is_none() -> None:
    assert list(judge(b=(1, 2), a=(1, 2))) == ["a", "b"]
    assert judge_categories(items(), {}, RULES, "A") == []


def test_an_easier_difficulty_that_is_mastered_is_passed_over() -> None:
    frame = items(math=(10, 20)).with_columns(
        difficulty=pl.Series(["easy"] * 10 + ["hard"] * 10), passed=pl.Series([True] * 10 + [False] * 10)
    )
    (outcome,) = judge_categories(frame, {"math": Target(0.6)}, RULES, "A")
    assert outcome.difficulty == "hard"


def simulated(rates: dict[str, float], count: int, seed: int) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    return pl.concat(
        items(**{name: (0, count)}).with_columns(passed=pl.Series(rng.random(count) < rate))
        for name, rate in rates.items()
    )


def test_a_student_without_weakness_is_left_alone_and_a_planted_one_is_found() -> None:
    """Twelve categories at their target of 60 %, 100 items; then one of them was never trained and is at 30 %."""
    names = [f"category_{i:02d}" for i in range(12)]
    known = dict.fromkeys(names, Target(0.6))
    sound = dict.fromkeys(names, 0.6)
    rounds = 30
    false_alarms = found = 0
    for seed in range(rounds):
        even = judge_categories(simulated(sound, 100, seed), known, RULES, "A")
        false_alarms += any(o.decision == "weak" for o in even)
        planted = judge_categories(simulated({**sound, "category_07": 0.3}, 100, seed + 1000), known, RULES, "B")
        found += next(o.decision for o in planted if o.category == "category_07") == "weak"
    assert false_alarms <= 0.1 * rounds
    assert found >= 0.95 * rounds
