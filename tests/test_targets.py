"""A target of its own, or relative to a student that is known; and the words it is told in."""

from __future__ import annotations

from pathlib import Path

import pytest

from sedi_dagster.categories import load_categories
from sedi_dagster.errors import InputFileError
from sedi_dagster.records import Category, TargetSpec
from sedi_dagster.settings import PROJECT_ROOT
from sedi_dagster.targets import Rates, Target, check_reference, describe_target, resolve

MEASURED: Rates = {"untrained": {"math": (2, 10)}, "best": {"math": (4, 10)}}
WITH_REFERENCE: Rates = {**MEASURED, "reference": {"math": (7, 10)}}


def categories(*asked: TargetSpec) -> dict[str, Category]:
    names = ("math", "coding")
    return {name: Category(name, name, "", "", 0.1, one, 64) for name, one in zip(names, asked, strict=False)}


@pytest.mark.parametrize(
    ("asked", "rate", "message"),
    [
        (0.6, 0.6, "60%"),
        ("untrained + 0.2", 0.4, "40% (20 points above the untrained student's 2 of 10)"),
        ("best+.05", 0.45, "45% (5 points above the best checkpoint before's 4 of 10)"),
        ("reference", 0.7, "70% (the reference model's 7 of 10)"),
        ([0.6, "untrained + 0.2"], 0.4, "40% (20 points above the untrained student's 2 of 10)"),
        ([0.3, "untrained + 0.2"], 0.3, "30%"),
        ("reference + 0.5", 1.0, "100% (50 points above the reference model's 7 of 10)"),
    ],
)
def test_a_target_is_a_rate_or_relative_or_the_lowest_of_several(asked: TargetSpec, rate: float, message: str) -> None:
    measured = WITH_REFERENCE if "reference" in str(asked) else MEASURED
    target = resolve(categories(asked), measured)["math"]
    assert target.rate == rate and str(target) == message
    assert target.is_paired == (asked == "reference")


def test_a_reference_model_that_no_category_names_is_the_target_of_all() -> None:
    assert resolve(categories(0.9), WITH_REFERENCE)["math"] == Target(0.7, "the reference model's 7 of 10", True)
    named = resolve(categories(0.9, "reference"), WITH_REFERENCE)
    assert named["math"].rate == 0.9 and named["coding"].is_paired


def test_a_target_by_a_reference_that_the_settings_do_not_name_is_refused_before_anything_is_spent() -> None:
    asked = categories(0.6, [0.6, "reference"])
    with pytest.raises(InputFileError, match=r"(?s)target of coding .*Set SEDI_EVALUATION_REFERENCE"):
        check_reference(asked, "")
    check_reference(asked, "bundled:smollm2-135m-instruct")
    check_reference(categories(0.6), "")


def test_words_before_anything_is_measured() -> None:
    assert describe_target([0.6, "untrained + 0.2"]) == "60%, or 20 points above the untrained student if that is less"
    assert describe_target("reference") == "as good as the reference model"


@pytest.mark.parametrize("wrong", ["0", "1.5", "true", "[]", "untrained - 0.1", "untrained + 20", "parent", "[0.6, 7]"])
def test_a_target_that_is_none_is_named_with_the_forms_there_are(wrong: str, tmp_path: Path) -> None:
    text = (PROJECT_ROOT / "seeds" / "categories.yaml").read_text(encoding="utf-8")
    file = tmp_path / "categories.yaml"
    file.write_text(text.replace("target: [0.6, untrained + 0.2]", f"target: {wrong}", 1), encoding="utf-8")
    with pytest.raises(InputFileError, match=r"category 1 \(open_qa\).*'target' is .*expected a pass rate above 0"):
        load_categories(file)


def test_the_bundled_targets_are_in_sight_of_a_small_student_and_fixed_for_an_able_one() -> None:
    bundled = load_categories(PROJECT_ROOT / "seeds" / "categories.yaml")
    small, able = ({"untrained": dict.fromkeys(bundled, (passed, 40))} for passed in (4, 24))
    assert {target.rate for target in resolve(bundled, small).values()} == {0.3}
    assert {target.rate for target in resolve(bundled, able).values()} == {0.6, 0.5, 0.45}
