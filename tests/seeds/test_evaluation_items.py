"""What `seeds/README.md` promises of the evaluation items: verifiers tell right answers from wrong ones."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

import pytest

from sedi_dagster.errors import InputFileError
from sedi_dagster.evaluation.items import DIFFICULTIES, draw_items, load_evaluation_items
from sedi_dagster.evaluation.verifiers import verify
from sedi_dagster.records import Category, EvaluationItem

REFUSAL = "I'm sorry, but I can't help with that."
CONSTANTS = (
    "yes",
    "no",
    "A",
    "B",
    "C",
    "D",
    "0",
    "1",
    "2",
    "10",
    "true",
    "none",
    "not stated",
    "[]",
    REFUSAL,
)
SAMPLED_ANSWERS = 12


def _passes(item: EvaluationItem, answer: str) -> bool:
    return verify(item.verifier, item.args, answer, item.prompt).passed


def _by_category(items: list[EvaluationItem]) -> dict[str, list[EvaluationItem]]:
    return {c: [i for i in items if i.category == c] for c in sorted({i.category for i in items})}


def _runs_code(item: EvaluationItem) -> bool:
    parts = item.args["of"] if item.verifier == "all" else [{"verifier": item.verifier}]
    return any(part["verifier"] == "code_tests" for part in parts)


def _quick(items: list[EvaluationItem]) -> list[EvaluationItem]:
    """All items but those that run code in the sandbox, and every sixth of these."""
    code = [item for item in items if _runs_code(item)]
    return [item for item in items if not _runs_code(item)] + code[::6]


def test_there_are_100_items_a_category_and_1200_in_all(
    items: list[EvaluationItem], categories: dict[str, Category]
) -> None:
    counts = Counter(item.category for item in items)
    assert counts.keys() == categories.keys()
    assert min(counts.values()) >= 100
    assert counts.total() >= 1200


def test_every_category_has_items_of_every_difficulty(items: list[EvaluationItem]) -> None:
    for category, of_one in _by_category(items).items():
        counts = Counter(item.difficulty for item in of_one)
        assert all(counts[difficulty] >= 10 for difficulty in DIFFICULTIES), (category, counts)


def test_no_two_items_ask_the_same(items: list[EvaluationItem]) -> None:
    assert len({item.prompt for item in items}) == len(items)


def test_every_reference_passes(items: list[EvaluationItem]) -> None:
    assert [item.id for item in _quick(items) if not _passes(item, item.reference)] == []


@pytest.mark.slow
def test_every_reference_and_no_echo_passes_in_the_sandbox(items: list[EvaluationItem]) -> None:
    code = [item for item in items if _runs_code(item)]
    assert [item.id for item in code if not _passes(item, item.reference)] == []
    assert [item.id for item in code if _passes(item, item.prompt)] == []


def test_answers_without_content_fail_everywhere(items: list[EvaluationItem]) -> None:
    for answer in ("", REFUSAL, "yes"):
        assert [item.id for item in items if _passes(item, answer)] == []


def test_an_echo_of_the_prompt_fails_everywhere(items: list[EvaluationItem]) -> None:
    assert [item.id for item in _quick(items) if _passes(item, item.prompt)] == []


def test_answers_to_other_questions_fail(items: list[EvaluationItem]) -> None:
    """At least 99 % in every category, of a fixed sample; `seeds/table.py` tries all and tells the share."""
    rng = random.Random(0)
    for category, of_one in _by_category(items).items():
        tried = passed = 0
        for item in of_one:
            wrong = [other.reference for other in of_one if other.reference != item.reference]
            sample = rng.sample(wrong, SAMPLED_ANSWERS)
            tried += len(sample)
            passed += sum(_passes(item, answer) for answer in sample)
        assert passed <= 0.01 * tried, category


def test_no_constant_answer_passes_a_tenth_of_a_category(items: list[EvaluationItem]) -> None:
    """Tries stock answers and references that several items share; `seeds/table.py` tries every reference."""
    for category, of_one in _by_category(items).items():
        references = Counter(item.reference for item in of_one)
        candidates = {*CONSTANTS, *(text for text, count in references.items() if count > 1)}
        for answer in candidates:
            assert sum(_passes(item, answer) for item in of_one) <= 0.1 * len(of_one), (category, answer)


def test_the_drawn_subset_is_stratified_and_does_not_depend_on_the_file_order(
    items: list[EvaluationItem],
) -> None:
    drawn = draw_items(items, 12, project_seed=0)
    assert Counter(item.category for item in drawn) == dict.fromkeys({i.category for i in items}, 12)
    for category, of_one in _by_category(drawn).items():
        assert {item.difficulty for item in of_one} == set(DIFFICULTIES), category
    assert {i.id for i in draw_items(items[::-1], 12, project_seed=0)} == {i.id for i in drawn}
    assert {i.id for i in draw_items(items, 12, project_seed=1)} != {i.id for i in drawn}


GOOD = (
    '{"id": "math-w1", "category": "math", "prompt": "1 + 1?", "verifier": "numeric", "args": {"value": 2},'
    ' "reference": "2", "difficulty": "easy"}'
)


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (GOOD.replace('"numeric"', '"vibes"'), "field 'args': unknown verifier"),
        (GOOD.replace('"value"', '"valu"'), "field 'args': numeric"),
        (GOOD.replace('{"value": 2}', "[2]"), "field 'args': is [2]; expected a JSON object"),
        (GOOD.replace('"easy"', "5"), "field 'difficulty': is 5; expected one of easy, medium, hard"),
        (GOOD.replace('"2"', '""'), "field 'reference': is empty"),
        (GOOD.replace('"math"', '"maths"'), "field 'category': 'maths' is not in categories.yaml"),
        (GOOD, "field 'id': 'math-w1' is also on line 1"),
    ],
)
def test_a_broken_item_is_told_with_line_and_field(
    tmp_path: Path, categories: dict[str, Category], broken: str, message: str
) -> None:
    path = tmp_path / "items.jsonl"
    path.write_text(f"{GOOD}\n{broken}\n", encoding="utf-8")
    with pytest.raises(InputFileError) as error:
        load_evaluation_items(path, {"math": categories["math"]})
    assert f"line 2, {message}" in error.value.problem


def test_arguments_may_be_json_in_a_cell_of_a_table(tmp_path: Path, categories: dict[str, Category]) -> None:
    path = tmp_path / "items.csv"
    row = 'math-w1,math,1 + 1?,numeric,"{""value"": 2}",2'
    path.write_text(f"id,category,prompt,verifier,args,reference\n{row}\n")
    (item,) = load_evaluation_items(path, {"math": categories["math"]})
    assert item.args == {"value": 2}


def test_a_category_without_an_item_is_told(tmp_path: Path, categories: dict[str, Category]) -> None:
    path = tmp_path / "items.jsonl"
    path.write_text(GOOD, encoding="utf-8")
    with pytest.raises(InputFileError, match="no evaluation item for category 'coding'"):
        load_evaluation_items(path, {name: categories[name] for name in ("math", "coding")})
