"""What the parser makes of the texts that teachers write, and that no text whatever upsets it."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sedi_dagster.generation.parsing import ParsedTask, parse_tasks

TWO = ["Name three rivers in Europe.", "Count the vowels in the word."]


def instructions(tasks: list[ParsedTask]) -> list[str]:
    return [task.instruction for task in tasks if not task.problem]


@pytest.mark.parametrize(
    "heads",
    [
        ("Task 9: ", "Task 10: "),
        ("task 9: ", "TASK 10: "),
        ("Task #9: ", "Task #10: "),
        ("9. ", "10. "),
        ("9) ", "10) "),
        ("9: ", "10: "),
        ("  9.  ", "\t10.\t"),
        ("### Task 9: ", "### Task 10: "),
        ("**Task 9:** ", "**Task 10:** "),
        ("**Task 9**: ", "**Task 10**: "),
        ("**9.** ", "**10.** "),
        ("9、", "10、"),
        ("٩. ", "١٠. "),
        ("\u200f9. ", "\u200f10. "),
    ],
)
def test_every_style_of_numbering_splits_the_series(heads: tuple[str, str]) -> None:
    text = f"{heads[0]}{TWO[0]}\nInput: <noinput>\n\n{heads[1]}{TWO[1]}\nInput: onomatopoeia\n"
    tasks = parse_tasks(text, cut_off=False, begins_inside=False)
    assert instructions(tasks) == TWO
    assert [task.input for task in tasks] == ["", "onomatopoeia"]


def test_the_closing_mark_of_a_bold_head_is_no_part_of_the_instruction() -> None:
    tasks = parse_tasks("**Task 1: Name a river.**\nInput: none\n**Task 2: Use **bold** once.**", cut_off=False)
    assert instructions(tasks) == ["Name a river.", "Use **bold** once."]


def test_a_label_before_the_instruction_is_dropped() -> None:
    tasks = parse_tasks("Task 1:\nInstruction: Name a river.\nInput: none\n\nTask 2:\n**Instruction:** Add.", False)
    assert instructions(tasks) == ["Name a river.", "Add."]


def test_a_continuation_begins_inside_the_first_task() -> None:
    tasks = parse_tasks(" Name a river.\nInput: <noinput>\n\nTask 10: Add.\nInput: 1 2", cut_off=False)
    assert [(t.instruction, t.input, t.problem) for t in tasks] == [("Name a river.", "", ""), ("Add.", "1 2", "")]


def test_talk_around_the_series_of_a_chat_model_is_no_task() -> None:
    text = (
        "Sure! Here are two more tasks of this kind:\n\n1. Name a river.\nInput: <noinput>\n\n"
        "2. Add the numbers.\nInput: None.\n\nLet me know if you would like more!"
    )
    tasks = parse_tasks(text, cut_off=False, begins_inside=False)
    assert [task.problem for task in tasks] == ["not a numbered task", "", ""]
    assert [task.input for task in tasks[1:]] == ["", ""]


def test_a_refusal_in_chat_is_no_task() -> None:
    (task,) = parse_tasks("I'm sorry, but I can't help with that request.", cut_off=False, begins_inside=False)
    assert task.problem == "not a numbered task"


def test_a_single_task_needs_no_number() -> None:
    (task,) = parse_tasks("Name a river.\nInput: <noinput>", cut_off=False, begins_inside=False)
    assert (task.instruction, task.problem) == ("Name a river.", "")


def test_a_code_fence_around_the_series_is_no_part_of_a_task() -> None:
    text = "```text\nTask 1: Name a river.\nInput: none\nTask 2: Add.\nInput: 1 2\n```"
    tasks = parse_tasks(text, cut_off=False, begins_inside=False)
    assert [(t.instruction, t.input, t.problem) for t in tasks] == [
        ("", "", "no instruction"),
        ("Name a river.", "", ""),
        ("Add.", "1 2", ""),
    ]


def test_a_code_fence_inside_an_input_stays() -> None:
    text = "Task 1: What does this print?\nInput:\n```python\nprint(1)\n```"
    assert parse_tasks(text, cut_off=False)[0].input == "```python\nprint(1)\n```"


def test_a_numbered_list_in_an_input_stays_in_it_where_tasks_are_named() -> None:
    text = "Task 1: Sort the fruit.\nInput:\n1. pear\n2. fig\nTask 2: Add.\nInput: 1 2"
    tasks = parse_tasks(text, cut_off=False)
    assert [(t.instruction, t.input) for t in tasks] == [("Sort the fruit.", "1. pear\n2. fig"), ("Add.", "1 2")]


@pytest.mark.parametrize("line", ["3.5 litres are left.", "10:30 is the hour.", "12:00 noon", "2.000 euros"])
def test_a_number_in_a_text_is_no_numbering(line: str) -> None:
    (task,) = parse_tasks(f"1. What is told?\nInput: A note.\n{line}", cut_off=False)
    assert task.input.endswith(line)


@pytest.mark.parametrize(
    "spelling",
    ["<noinput>", "noinput", "No input", "no_input", "No input needed.", "(No input required)", "none", "None.",
     "N/A", "n/a", "NA", "[none]", "-", "—", "<empty>", "Not applicable", ""],
)  # fmt: skip
def test_every_spelling_of_no_input_means_none(spelling: str) -> None:
    assert parse_tasks(f"Task 1: Name a river.\nInput: {spelling}\n", cut_off=False)[0].input == ""


@pytest.mark.parametrize("text", ["none of these is blue", "😀😀", "0", "nationality", "empty bottles: 3", "-5"])
def test_an_input_that_only_resembles_no_input_stays(text: str) -> None:
    assert parse_tasks(f"Task 1: What is it?\nInput: {text}", cut_off=False)[0].input == text


def test_only_the_last_piece_of_a_text_cut_off_is_incomplete() -> None:
    tasks = parse_tasks("Task 1: Name a river.\nTask 2: Count the vow", cut_off=True)
    assert [task.problem for task in tasks] == ["", "cut by length"]
    assert [task.problem for task in parse_tasks("Task 1: A b.\nTask 2:", cut_off=True)] == ["", "no instruction"]


def test_an_answer_that_the_teacher_went_on_to_write_is_cut_off_from_the_task() -> None:
    (task,) = parse_tasks("Task 1: Add.\nInput: 1 2\nOutput: 3, because 1 and", cut_off=True)
    assert (task.instruction, task.input, task.problem) == ("Add.", "1 2", "")


@pytest.mark.parametrize(
    "instruction",
    ["ترجم الجملة إلى الإنجليزية.", "כתוב שיר קצר", "将下面的句子翻译成英语。", "Explain 😀 in one line 🚀"],
)
def test_any_script_is_read(instruction: str) -> None:
    tasks = parse_tasks(f"Task 1: {instruction}\nInput: {instruction}\n", cut_off=False)
    assert [(t.instruction, t.input, t.problem) for t in tasks] == [(instruction, instruction, "")]


def test_a_blank_text_has_no_tasks() -> None:
    assert parse_tasks("", cut_off=False) == parse_tasks(" \n\t\r\n", cut_off=True) == []


FRAGMENTS = st.sampled_from(
    ["Task ", "1", "23", ".", ")", ":", "\n", "\n\n", "\r\n", "**", "Input:", "Output:", "```", "```py\n", "<noinput>",
     "none", " ", "\t", "# ", "Instruction:", "a", "word ", "😀", "\u200f", "ا", "\x00", "\x85", "\u2028", "\ud83d"]
)  # fmt: skip


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.one_of(st.text(), st.lists(FRAGMENTS, max_size=40).map("".join)), st.booleans(), st.booleans())
def test_no_text_upsets_the_parser_and_none_of_it_is_lost(text: str, cut_off: bool, begins_inside: bool) -> None:
    tasks = parse_tasks(text, cut_off, begins_inside)
    rest = text
    for task in tasks:
        blank, found, rest = rest.partition(task.raw)
        assert found and not blank.strip()
    assert not rest.strip()
    assert all(task.instruction or task.problem for task in tasks)
    assert all(task.problem != "cut by length" for task in tasks[:-1])
