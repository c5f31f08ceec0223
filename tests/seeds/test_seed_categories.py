"""Categories for files that name none, and a category of one's own."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sedi_dagster.categories import load_categories
from sedi_dagster.errors import InputFileError
from sedi_dagster.evaluation.items import load_evaluation_items
from sedi_dagster.evaluation.verifiers import verify
from sedi_dagster.filtering.decontamination import Decontaminator
from sedi_dagster.filtering.rules import InstructionForm, instruction_problem
from sedi_dagster.records import Category, EvaluationItem, SeedTask, task_prompt
from sedi_dagster.seed_pool import read_seed_file
from sedi_dagster.seed_pool.assignment import assign_categories

ROOT = Path(__file__).resolve().parents[2]

Write = Callable[[Any], Path]


def test_most_seeds_are_recognized_by_the_others_and_the_confidence_is_honest(
    seed_tasks: list[SeedTask],
) -> None:
    folds = 6
    lines = []
    for fold in range(folds):
        known = [task for place, task in enumerate(seed_tasks) if place % folds != fold]
        some = seed_tasks[fold::folds]
        lines += [
            (name == task.category, sure)
            for task, (name, sure) in zip(some, assign_categories(some, known), strict=True)
        ]
    right, confidence = np.array([r for r, _ in lines]), np.array([sure for _, sure in lines])
    assert right.mean() > 0.55
    assert right[confidence > 0.75].mean() > 0.75
    assert abs(right.mean() - confidence.mean()) < 0.1


def test_rows_without_category_get_one_with_a_confidence_and_a_note(write_jsonl: Write) -> None:
    rows = [
        {
            "instruction": "Define a Python function that doubles a list's items.",
            "output": "def f(x):\n    return x * 2",
        },
        {"instruction": "A box holds 12 eggs. How many eggs are in 7 boxes?", "output": "7 x 12 = 84"},
        {
            "instruction": "Think of five gifts for a gardener.",
            "output": "- Gloves\n- Seeds\n- A hose\n- A hat\n- Pots",
        },
    ]
    known = {"coding", "math", "brainstorming", "summarization"}
    found = read_seed_file(write_jsonl(rows), known)
    assert [task.category for task in found.tasks] == ["coding", "math", "brainstorming"]
    assert all(0.3 < found.confidence[task.id] <= 1 for task in found.tasks)
    assert "no row names a category" in found.notes[0]
    assert "no task is similar to the seeds of 'summarization', so it has none" in found.notes
    assert found.problems.count == 0


def test_categories_that_our_seeds_do_not_know_cannot_be_assigned(write_jsonl: Write) -> None:
    path = write_jsonl([{"instruction": "Name a river in Peru.", "output": "The Ucayali."}])
    found = read_seed_file(path, {"law", "medicine"})
    assert "expected one of law, medicine in every row" in str(found.problems.found[0])


@pytest.fixture
def with_the_pages_category(tmp_path: Path) -> Path:
    """A copy of the three files with the examples of docs/categories.md appended."""
    page = (ROOT / "docs" / "categories.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```(?:yaml|jsonl)\n(.*?)```", page, re.DOTALL)
    names = ("categories.yaml", "seed_tasks.jsonl", "evaluation_items.jsonl")
    for name, block in zip(names, blocks, strict=True):
        shutil.copy(ROOT / "seeds" / name, tmp_path / name)
        with (tmp_path / name).open("a", encoding="utf-8") as file:
            file.write(block)
    return tmp_path


def test_following_the_page_adds_a_category(with_the_pages_category: Path, categories: dict[str, Category]) -> None:
    folder = with_the_pages_category
    known = load_categories(folder / "categories.yaml")
    assert known.keys() - categories.keys() == {"translation"}
    seeds = read_seed_file(folder / "seed_tasks.jsonl", known).checked().tasks
    items = load_evaluation_items(folder / "evaluation_items.jsonl", known)
    new_seeds = [task for task in seeds if task.category == "translation"]
    new_items = [item for item in items if item.category == "translation"]
    assert len(new_seeds) == len(new_items) == 2
    _assert_good_examples(new_seeds, new_items)


def _assert_good_examples(seeds: list[SeedTask], items: list[EvaluationItem]) -> None:
    near = Decontaminator([(item.id, item.prompt) for item in items], threshold=0.7, ngram=13)
    for seed in seeds:
        assert instruction_problem(seed.instruction, InstructionForm()) is None
        assert near.contamination(task_prompt(seed.instruction, seed.input)) is None
    for item in items:
        assert verify(item.verifier, item.args, item.reference, item.prompt).passed
        others = [other.reference for other in items if other is not item]
        for wrong in ("", "yes", item.prompt, *others):
            assert not verify(item.verifier, item.args, wrong, item.prompt).passed


@pytest.mark.parametrize(
    "field", ["id", "name", "definition", "hint", "share", "target", "max_answer_tokens", "verifiers"]
)
def test_the_page_explains_every_field_of_the_entry(field: str) -> None:
    assert f"\n| `{field}` |" in (ROOT / "docs" / "categories.md").read_text(encoding="utf-8")


def test_a_category_may_say_whether_its_tasks_are_classification(tmp_path: Path) -> None:
    entry = (ROOT / "seeds" / "categories.yaml").read_text(encoding="utf-8").split("\n\n")[0]
    path = tmp_path / "categories.yaml"
    for line, expected in (("", None), ("\n  is_classification: true", True)):
        path.write_text(entry.replace("\n  is_classification: false", line), encoding="utf-8")
        (category,) = load_categories(path).values()
        assert category.is_classification is expected
    path.write_text(entry.replace("is_classification: false", "is_classification: maybe"), encoding="utf-8")
    with pytest.raises(InputFileError, match="is_classification"):
        load_categories(path)


def test_an_answer_without_tokens_is_no_answer(tmp_path: Path) -> None:
    entry = (ROOT / "seeds" / "categories.yaml").read_text(encoding="utf-8").split("\n\n")[0]
    path = tmp_path / "categories.yaml"
    path.write_text(entry.replace("max_answer_tokens: 64", "max_answer_tokens: 0"), encoding="utf-8")
    with pytest.raises(InputFileError, match="field 'max_answer_tokens' is 0; expected 1 or more"):
        load_categories(path)
