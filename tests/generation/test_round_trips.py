"""What the prompts show of a task is read back by the parser as the same task, in every form that they use."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from plain_jobs import RIDDLES

from sedi_dagster.categories import load_categories
from sedi_dagster.generation.parsing import (
    ParsedTask,
    parse_examples,
    parse_instances,
    parse_labelled_instances,
    parse_tasks,
    words,
)
from sedi_dagster.generation.prompts import render
from sedi_dagster.seed_pool import read_seed_file
from sedi_dagster.texts.no_input import means_no_input

Shown = tuple[str, str, str]
"""Instruction, input and output."""
ROOT = Path(__file__).resolve().parents[2]


PROMPTS = ROOT / "sedi_dagster" / "generation" / "prompts"


def few_shot(name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = yaml.safe_load((PROMPTS / f"{name}.yaml").read_text(encoding="utf-8"))
    return found


def one_line(text: str) -> str:
    return " ".join(text.split())


def between(text: str, start: str, end: str) -> str:
    text = text[text.index(start) :]
    return text[: text.rindex(end)]


def prompt(name: str, examples: list[Shown]) -> str:
    rows = [dict(zip(("instruction", "input", "output"), e, strict=True)) for e in examples]
    return render(name, category=RIDDLES, aim="", demonstrations=rows, wanted=4, short=False)


def series_in_chat(examples: list[Shown]) -> list[ParsedTask]:
    return parse_tasks(between(prompt("instructions.chat", examples), "Task 1:", "\nWrite 4 more"), False, False)


def series_to_continue(examples: list[Shown]) -> list[ParsedTask]:
    return parse_tasks(between(prompt("instructions.completion", examples), "Task 1:", "Task "), False, False)


def bare_series(examples: list[Shown]) -> list[ParsedTask]:
    return parse_tasks(between(prompt("bare_instructions.completion", examples), "Task 1:", "Task "), False, False)


def examples_as_json(examples: list[Shown]) -> list[ParsedTask]:
    return parse_examples(between(prompt("examples.chat", examples), "{", "\nWrite 4 more"), cut_off=False)


def examples_to_continue(examples: list[Shown]) -> list[ParsedTask]:
    return parse_examples(between(prompt("examples.completion", examples), "Task 1:", "Task "), cut_off=False)


def evolved_in_chat(examples: list[Shown]) -> list[ParsedTask]:
    read: list[ParsedTask] = []
    for instruction, text_input, _ in examples:
        shown = render(
            "evolve.chat", category=RIDDLES, aim="", operation="deepen", instruction=instruction, input=text_input
        )
        read += parse_tasks(between(shown, "Task 1:", "\nAsk for more depth"), False, begins_inside=False)
    return read


FORMS: dict[str, tuple[Callable[[list[Shown]], list[ParsedTask]], Callable[[Shown], Shown]]] = {
    "series in chat": (series_in_chat, lambda e: (one_line(e[0]), one_line(e[1]), "")),
    "series to continue": (series_to_continue, lambda e: (one_line(e[0]), one_line(e[1]), "")),
    "bare series": (bare_series, lambda e: (one_line(e[0]), "", "")),
    "examples as JSON": (examples_as_json, lambda e: (e[0].strip(), e[1].strip(), e[2].strip())),
    "examples to continue": (examples_to_continue, lambda e: (one_line(e[0]), one_line(e[1]), e[2].strip())),
    "task to evolve": (evolved_in_chat, lambda e: (one_line(e[0]), e[1].strip(), "")),
}
"""How each prompt shows tasks, read back; and what of a task it shows (line breaks of an input fall in some)."""


def read_back(form: str, examples: list[Shown]) -> tuple[list[Shown], list[Shown]]:
    """The tasks as the form shows them, and as they were read."""
    read, normal = FORMS[form]
    pieces = read(examples)
    assert not [piece.problem for piece in pieces if piece.problem]
    return [normal(example) for example in examples], [(p.instruction, p.input, p.output) for p in pieces]


@pytest.mark.parametrize("form", FORMS)
def test_every_seed_task_is_read_back_as_itself(form: str) -> None:
    seeds = (
        read_seed_file(ROOT / "seeds" / "seed_tasks.jsonl", load_categories(ROOT / "seeds" / "categories.yaml"))
        .checked()
        .tasks
    )
    tasks = [(seed.instruction, seed.input, seed.output) for seed in seeds]
    assert len(tasks) > 100
    for start in range(0, len(tasks), 8):
        shown, read = read_back(form, tasks[start : start + 8])
        assert read == shown


LABELS = (words.NAMED_HEAD, words.INPUT, words.OUTPUT, words.FENCE, words.INSTRUCTION, words.BARE_HEAD)
WORDS = st.one_of(
    st.sampled_from(
        ["input", "Output", "Task 3", "3.", "none", "{", "}", "[1]", '"', "**bold**", "a:", "ا", "مرحبا", "你好",
         "😀", "👩‍👩‍👧", "\u200f", "é", "<b>", "|", "\\n", "5,000", "```", "'", "#"]
    ),
    st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"]), min_size=1, max_size=8),
)  # fmt: skip
LINES = st.lists(WORDS, min_size=1, max_size=8).map(" ".join).map(str.strip).filter(bool)
BLOCKS = st.lists(LINES, min_size=1, max_size=3).map("\n".join)
EXAMPLE = st.tuples(LINES, st.one_of(st.just(""), BLOCKS), BLOCKS)


def can_be_told_apart(form: str, example: Shown) -> bool:
    """Whether no part of the task looks like the form itself: a label at the start of a line, or "none"."""
    instruction, text_input, _ = example
    if form == "examples as JSON":
        return not means_no_input(text_input)
    return (
        not any(label.search(part) for label in LABELS for part in example)
        and not (text_input and means_no_input(text_input.split("\n\n", 1)[0]))
        and instruction.count("**") % 2 == 0
        and bool(one_line(instruction))
    )


@pytest.mark.parametrize("form", FORMS)
@settings(max_examples=30, deadline=None, derandomize=True)
@given(st.data())
def test_any_task_that_does_not_look_like_the_form_itself_is_read_back(form: str, data: st.DataObject) -> None:
    told_apart = EXAMPLE.filter(lambda example: can_be_told_apart(form, example))
    shown, read = read_back(form, data.draw(st.lists(told_apart, min_size=1, max_size=3)))
    assert read == shown


def test_the_few_shot_instances_are_read_back() -> None:
    text = render("instances.completion", instruction="Name a river.", most=5)
    for task in few_shot("instances"):
        section = between(text, f"Task: {task['instruction']}\n", "Task: ").split("\n\nTask:")[0]
        pieces = parse_instances(section.split("\n", 1)[1], cut_off=False)
        assert [(p.input, p.output, p.problem) for p in pieces] == [
            (i["input"], i["output"], "") for i in task["instances"]
        ]


def test_the_few_shot_labelled_instances_are_read_back() -> None:
    text = render("labelled.completion", instruction="Tell apart.", most=5)
    for task in few_shot("labelled"):
        section = between(text, f"Task: {task['instruction']}\n", "Task: ").split("\n\nTask:")[0]
        pieces = parse_labelled_instances(section.split("\n", 1)[1], cut_off=False)
        assert [(p.output, p.input, p.problem) for p in pieces] == [
            (i["label"], i["input"], "") for i in task["instances"]
        ]
