"""The rehearsal's files: built from the simulated teacher's skills, and apart from all that it writes."""

from __future__ import annotations

import importlib.util
import random
from pathlib import Path

import pytest

from sedi_dagster.categories import load_categories
from sedi_dagster.evaluation.items import load_evaluation_items
from sedi_dagster.evaluation.verifiers import verify
from sedi_dagster.filtering.decontamination import Decontaminator
from sedi_dagster.filtering.generation_filter import GenerationFilter
from sedi_dagster.filtering.rules import InstructionForm
from sedi_dagster.records import EvaluationItem
from sedi_dagster.seed_pool import read_seed_file
from sedi_dagster.settings import FilteringSettings
from sedi_dagster.testing.simulated_writing import write
from sedi_dagster.testing.skills import HELD_OUT, REHEARSED, TAUGHT, Skill

FOLDER = Path(__file__).resolve().parents[2] / "seeds" / "rehearsal"


@pytest.fixture(scope="module")
def items() -> list[EvaluationItem]:
    return load_evaluation_items(FOLDER / "evaluation_items.jsonl", load_categories(FOLDER / "categories.yaml"))


def test_the_files_are_what_their_builder_makes() -> None:
    spec = importlib.util.spec_from_file_location("rehearsal_build", FOLDER / "build.py")
    assert spec is not None and spec.loader is not None
    builder = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(builder)
    for name, text in builder.built().items():
        assert (FOLDER / name).read_text(encoding="utf-8") == text, f"run python seeds/rehearsal/build.py for {name}"


def test_the_seed_tasks_and_items_are_good_input_and_every_reference_passes(items: list[EvaluationItem]) -> None:
    categories = load_categories(FOLDER / "categories.yaml")
    assert len(read_seed_file(FOLDER / "seed_tasks.jsonl", categories).checked().tasks) == 120
    for item in items:
        assert verify(item.verifier, item.args, item.reference, item.prompt).passed, item
        assert not verify(item.verifier, item.args, "I am a helpful assistant.", item.prompt).passed, item


def test_words_and_wordings_of_the_items_are_never_taught() -> None:
    for name in vars(TAUGHT):
        assert not set(getattr(TAUGHT, name)) & set(getattr(HELD_OUT, name)), name
    for skill in REHEARSED:
        assert skill.held_out and not set(skill.held_out) & set(skill.wordings)


@pytest.mark.parametrize("skill", REHEARSED, ids=lambda skill: skill.category)
def test_no_wording_is_taken_for_another_one(skill: Skill) -> None:
    rng = random.Random(7)
    for wording in skill.wordings * 3:
        slots = skill.draw(rng, TAUGHT)
        assert write(wording.format(**slots), rng) == skill.answer(slots), wording


@pytest.mark.parametrize("skill", REHEARSED, ids=lambda skill: skill.category)
def test_no_task_that_is_taught_is_near_an_item_and_most_are_new(skill: Skill, items: list[EvaluationItem]) -> None:
    filtering = FilteringSettings()
    known = [(item.id, item.prompt) for item in items]
    decontaminator = Decontaminator(known, filtering.decontamination_threshold, filtering.decontamination_ngram)
    rules = GenerationFilter([], decontaminator, filtering.threshold, InstructionForm.of(filtering))
    rng = random.Random(5)
    rejected: list[str] = []
    for number in range(100):
        instruction, _ = skill.task(rng)
        rejection = rules.task(str(number), instruction, "")
        if rejection is not None:
            rejected.append(rejection.rule)
    assert not [rule for rule in rejected if rule.startswith("evaluation")]
    assert len(rejected) < 60, rejected
