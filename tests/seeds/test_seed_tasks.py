"""What `seeds/README.md` promises of the seed tasks."""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from sedi_dagster.batching.embedding import embed
from sedi_dagster.categories import load_categories
from sedi_dagster.evaluation.items import load_evaluation_items
from sedi_dagster.filtering.decontamination import Decontaminator
from sedi_dagster.filtering.novelty import near_duplicates
from sedi_dagster.filtering.rules import InstructionForm, instance_problem, instruction_problem
from sedi_dagster.models import BUNDLED_EMBEDDING
from sedi_dagster.records import Category, EvaluationItem, SeedTask, task_prompt
from sedi_dagster.seed_pool import read_seed_file, seed_frame
from sedi_dagster.settings import FilteringSettings

SEEDS = Path(__file__).resolve().parents[2] / "seeds"


def test_there_are_20_seeds_a_category_and_250_in_all(
    seed_tasks: list[SeedTask], categories: dict[str, Category]
) -> None:
    counts = Counter(task.category for task in seed_tasks)
    assert counts.keys() == categories.keys()
    assert min(counts.values()) >= 20
    assert counts.total() >= 250


def test_about_half_of_the_seeds_have_an_input(seed_tasks: list[SeedTask]) -> None:
    assert 0.4 <= sum(bool(task.input) for task in seed_tasks) / len(seed_tasks) <= 0.6


def test_no_two_instructions_are_alike(seed_tasks: list[SeedTask]) -> None:
    instructions = [task.instruction for task in seed_tasks]
    pairs = near_duplicates(instructions, instructions, 0.6).filter(pl.col("query") < pl.col("pool"))
    assert [(instructions[q], instructions[p]) for q, p, score in pairs.iter_rows() if score > 0.6] == []


def test_every_seed_passes_the_filters_of_the_project(seed_tasks: list[SeedTask]) -> None:
    rules = FilteringSettings()
    for task in seed_tasks:
        assert instruction_problem(task.instruction, InstructionForm.of(rules)) is None, task
        assert instance_problem(task.input, task.output) is None, task


def test_no_seed_shares_words_with_an_evaluation_item(seed_tasks: list[SeedTask], items: list[EvaluationItem]) -> None:
    near = Decontaminator([(item.id, item.prompt) for item in items], threshold=0.7, ngram=13)
    for task in seed_tasks:
        for text in {task.instruction, task.input, task_prompt(task.instruction, task.input)} - {""}:
            assert near.contamination(text) is None, (task, near.contamination(text))


def test_no_seed_means_the_same_as_an_evaluation_item_with_like_words(
    seed_tasks: list[SeedTask], items: list[EvaluationItem]
) -> None:
    """Embeds only what has words in common; `test_no_seed_means_the_same_as_any_item` embeds all."""
    tasks = [task_prompt(task.instruction, task.input) for task in seed_tasks]
    prompts = [item.prompt for item in items]
    pairs = near_duplicates(tasks, prompts, 0.3)
    assert pairs.height > 50
    chosen = [tasks[row] for row in pairs["query"].unique()], [prompts[row] for row in pairs["pool"].unique()]
    _assert_no_cosine_of_090(*chosen)


@pytest.mark.slow
def test_no_seed_means_the_same_as_any_item(seed_tasks: list[SeedTask], items: list[EvaluationItem]) -> None:
    tasks = [task_prompt(task.instruction, task.input) for task in seed_tasks]
    _assert_no_cosine_of_090(tasks, [item.prompt for item in items])


def _assert_no_cosine_of_090(tasks: list[str], prompts: list[str]) -> None:
    vectors = embed(tasks + prompts, BUNDLED_EMBEDDING)
    cosines = vectors[: len(tasks)] @ vectors[len(tasks) :].T
    task, prompt = np.unravel_index(int(cosines.argmax()), cosines.shape)
    assert cosines.max() < 0.9, (tasks[task], prompts[prompt])


def test_loading_and_checking_all_files_takes_under_two_seconds() -> None:
    start = time.process_time()
    categories = load_categories(SEEDS / "categories.yaml")
    read_seed_file(SEEDS / "seed_tasks.jsonl", categories).checked()
    load_evaluation_items(SEEDS / "evaluation_items.jsonl", categories)
    assert time.process_time() - start < 2.0


def test_a_frame_of_seeds_keeps_their_order_and_ids(seed_tasks: list[SeedTask]) -> None:
    frame = seed_frame(seed_tasks, {seed_tasks[0].id: 0.8})
    assert frame["seed_id"].to_list() == [task.id for task in seed_tasks]
    assert frame["seed_id"].n_unique() == len(seed_tasks)
    assert set(frame["origin"]) == {"human"}
    assert frame["category_confidence"].to_list()[:2] == [0.8, None]


def test_categories_have_sound_numbers(categories: dict[str, Category]) -> None:
    assert all(0 < category.share <= 1 for category in categories.values())
    for category in categories.values():
        rate, reach = category.target
        assert 0 < rate <= 0.6 and reach == "untrained + 0.2", "within reach of any student"
    assert sum(category.share for category in categories.values()) == pytest.approx(1.0, abs=0.05)
