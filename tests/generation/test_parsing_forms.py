"""JSON, instances and labelled instances: what the parser makes of them, and that no text whatever upsets it."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sedi_dagster.generation.parsing import (
    ParsedTask,
    parse_answer,
    parse_examples,
    parse_instances,
    parse_labelled_instances,
    parse_tasks,
)
from sedi_dagster.texts.cleaning import clean
from sedi_dagster.texts.control import without_control_characters
from sedi_dagster.texts.no_input import means_no_input
from sedi_dagster.texts.refusals import is_placeholder

Parse = Callable[[str, bool, bool], list[ParsedTask]]
PARSERS: list[Parse] = [parse_tasks, parse_examples, parse_instances, parse_labelled_instances]

THREE = [
    {"instruction": "Add the numbers.", "input": "1 2", "output": "3"},
    {"instruction": 'Say "hi" in {braces} and [brackets].', "input": "", "output": '```json\n{"hi": 1}\n```'},
    {"instruction": "ترجم الجملة 😀", "input": "line 1\nline 2\\", "output": "\\d+ 'x'"},
]


def fields(pieces: list[ParsedTask]) -> list[dict[str, str]]:
    return [{"instruction": p.instruction, "input": p.input, "output": p.output} for p in pieces if not p.problem]


def problems(pieces: list[ParsedTask]) -> list[str]:
    return [piece.problem for piece in pieces]


@pytest.mark.parametrize(
    "written",
    [
        json.dumps(THREE),
        json.dumps(THREE, ensure_ascii=False, indent=2),
        "\n".join(json.dumps(e) for e in THREE),
        json.dumps({"tasks": THREE}, indent=1),
        "```json\n" + json.dumps(THREE) + "\n```",
        "\n".join(f"{n}. {json.dumps(e)}" for n, e in enumerate(THREE, 1)),
        "\n\n".join(f"```json\n{json.dumps(e, indent=2)}\n```" for e in THREE),
        json.dumps(THREE).replace("}", ",}").replace("braces,}", "braces}").replace("1,}", "1}")[:-1] + ",]",
        "[" + "\n".join(json.dumps(e) for e in THREE) + "]",
    ],
    ids=["compact", "indented", "lines", "wrapped", "fenced", "numbered", "fenced each", "commas", "no commas"],
)
def test_every_shape_of_json_gives_the_same_examples(written: str) -> None:
    pieces = parse_examples(written, cut_off=False)
    assert fields(pieces) == THREE
    assert problems(pieces) == ["", "", ""]


def test_talk_around_json_is_a_piece_of_its_own() -> None:
    pieces = parse_examples(f"Sure! Here are three:\n{json.dumps(THREE)}\nShall I go on?", cut_off=False)
    assert problems(pieces) == ["not a task", "", "", "", "not a task"]
    assert fields(pieces) == THREE


def test_of_json_cut_off_the_whole_objects_are_kept_and_nothing_is_made_up_for_the_rest() -> None:
    whole = json.dumps(THREE)
    start_of_last = whole.index('{"instruction": "\\u')
    for end in range(start_of_last, len(whole) - 2):
        pieces = parse_examples(whole[:end], cut_off=True)
        assert fields(pieces) == THREE[:2]
        assert all(problem == "" for problem in problems(pieces)[:2])
        if end > start_of_last + len('{"instruction":'):
            assert problems(pieces)[2:] == ["cut by length"]
            assert pieces[-1].raw.endswith(whole[start_of_last:end])


def test_an_object_that_does_not_close_is_broken_whoever_cut_it() -> None:
    assert problems(parse_examples('[{"instruction": "Add", "output": "3"', cut_off=False)) == ["broken JSON"]


def test_quotes_inside_a_string_are_a_part_of_it_where_that_leaves_no_doubt() -> None:
    doubtful = '{"instruction": "Say "hi" to Bo.", "output": "He says "hi", "oh" and goes."}'
    text = f'[{doubtful}, {{"instruction": "Say "hi" to Bo.", "output": "He says "hi"."}}]'
    pieces = parse_examples(text, cut_off=False)
    assert problems(pieces) == ["broken JSON", ""]
    assert fields(pieces) == [{"instruction": 'Say "hi" to Bo.', "input": "", "output": 'He says "hi".'}]


def test_a_quote_too_many_costs_its_own_object_only() -> None:
    broken = '{"instruction": "Say "hi", "output": "x"}'
    pieces = parse_examples(f"[{json.dumps(THREE[0])},\n{broken},\n{json.dumps(THREE[2])}]", cut_off=False)
    assert fields(pieces) == [THREE[0], THREE[2]]
    assert problems(pieces) == ["", "broken JSON", ""]


@pytest.mark.parametrize(
    ("value", "text"),
    [("12.50", "12.50"), ("[1, 2.0]", "[1, 2.0]"), ('{"a": "é"}', '{"a": "é"}'), ("true", "true"), ("1e999", "1e999"),
     ("9" * 5000, "9" * 5000), ('"a\nb"', "a\nb"), (r'"\d \(x\) it\'s"', r"\d \(x\) it's"), (r'"\ud83d\ude00"', "😀"),
     (r'"\ud83d"', "\ufffd"), (r'"\\d"', r"\d"), ("[None, True]", "[null, true]")],
)  # fmt: skip
def test_values_come_as_they_were_written(value: str, text: str) -> None:
    (piece,) = parse_examples(f'{{"instruction": "What is it?", "output": {value}}}', cut_off=False)
    assert (piece.output, piece.problem) == (text, "")
    piece.output.encode()


@pytest.mark.parametrize(
    ("written", "problem"),
    [
        ('{"instruction": "", "output": "x"}', "no instruction"),
        ('{"instruction": null, "output": "x"}', "no instruction"),
        ('{"instruction": "Add.", "output": null}', "no output"),
        ('{"instruction": "Add."}', "no output"),
        ("{'instruction': 'Add.'}", "no output"),
        ("{instruction: 'Add.'}", "not a numbered task"),
        ("[]", "not a numbered task"),
        ("I cannot help with that.", "not a numbered task"),
    ],
)
def test_what_is_no_example_says_why(written: str, problem: str) -> None:
    assert problems(parse_examples(written, cut_off=False)) == [problem]


def test_json_inside_a_task_in_text_form_is_its_input() -> None:
    text = 'Task 1: Name the key.\nInput: {"instruction": "x"}\nOutput: instruction\n'
    assert fields(parse_examples(text, cut_off=False)) == [
        {"instruction": "Name the key.", "input": '{"instruction": "x"}', "output": "instruction"}
    ]


def test_an_object_inside_an_example_is_a_part_of_it() -> None:
    text = json.dumps([{"id": 1, "input": {"instruction": "inner"}, "instruction": "Outer", "output": "x"}])
    assert fields(parse_examples(text, False)) == [
        {"instruction": "Outer", "input": '{"instruction": "inner"}', "output": "x"}
    ]


def test_tasks_without_answers_are_read_from_json_too() -> None:
    pieces = parse_tasks(json.dumps(THREE), cut_off=False, begins_inside=False)
    assert [p.instruction for p in pieces] == [e["instruction"] for e in THREE]
    assert {p.output for p in pieces} == {""}


@pytest.mark.parametrize(
    "keys",
    [
        ("Anweisung", "Eingabe", "Ausgabe"),
        ("instrucción", "entrada", "salida"),
        ("instruction", "entrée", "sortie"),
        ("инструкция", "ввод", "вывод"),
        ("指令", "输入", "输出"),
        ("指示", "入力", "出力"),
        ("Question", "options", "Answer"),
    ],
)
def test_keys_of_json_may_be_in_any_language(keys: tuple[str, str, str]) -> None:
    values = ("Which is bigger?", "Ulm or Berlin", "Berlin")
    written = json.dumps({"list": [dict(zip(keys, values, strict=True))]}, ensure_ascii=False)
    assert fields(parse_examples(written, False)) == [
        dict(zip(("instruction", "input", "output"), values, strict=True))
    ]


def test_all_that_a_task_works_on_is_its_input() -> None:
    example = {"id": 1, "question": "How old is Ben?", "passage": "Ben is nine.", "output": "Nine"}
    asked = {"instruction": "Answer from the passage."}
    for made, instruction, text_input in (
        (example, example["question"], "Ben is nine."),
        (asked | example, asked["instruction"], "Ben is nine.\n\nHow old is Ben?"),
        ({"task": 9} | asked | example, asked["instruction"], "Ben is nine.\n\nHow old is Ben?"),
    ):
        expected = {"instruction": instruction, "input": text_input, "output": "Nine"}
        assert fields(parse_examples(json.dumps(made), False)) == [expected]


def test_examples_in_text_form_have_outputs_of_several_lines() -> None:
    text = (
        "Task 1: List two rivers.\nInput: <noinput>\nOutput:\n1. Rhine\n2. Elbe\n\n"
        "**Task 2:** Add.\n**Input:** 1 2\n**Output:** 3"
    )
    assert fields(parse_examples(text, cut_off=False)) == [
        {"instruction": "List two rivers.", "input": "", "output": "1. Rhine\n2. Elbe"},
        {"instruction": "Add.", "input": "1 2", "output": "3"},
    ]


@pytest.mark.parametrize(
    "layout", ["```python\nx = 1\n\ny = 2\n```", "| a | b |\n| 1 | 2 |", "- tea\n- milk", "1. tea\n2. milk"]
)
def test_the_lines_of_an_instruction_stay_where_they_mean_something(layout: str) -> None:
    (piece,) = parse_tasks(f"Task 1: Explain this:\n{layout}\nInput: none", cut_off=False)
    assert piece.instruction == f"Explain this:\n{layout}"
    (wrapped,) = parse_tasks("Task 1: Explain this\nto a  child.\nInput: none", cut_off=False)
    assert wrapped.instruction == "Explain this to a child."


def test_the_form_of_alpaca_is_read() -> None:
    text = (
        " List two rivers.\n4. Input:\n<noinput>\n4. Output:\n1. Rhine\n2. Elbe\n###\n"
        "5. Instruction: Add.\n5. Input:\n1 2\n5. Output:\n3\n###\n"
    )
    assert fields(parse_examples(f"4. Instruction:{text}", cut_off=False)) == [
        {"instruction": "List two rivers.", "input": "", "output": "1. Rhine\n2. Elbe"},
        {"instruction": "Add.", "input": "1 2", "output": "3"},
    ]


def test_a_list_in_an_output_does_not_end_a_task_that_is_numbered_like_it() -> None:
    text = "7. List rivers.\nOutput:\n1. Rhine\n2. Elbe\n8. Add 1 and 2.\nOutput: 3"
    assert [p.output for p in parse_examples(text, cut_off=False)] == ["1. Rhine\n2. Elbe", "3"]


@pytest.mark.parametrize("heads", ["1. 1. 1.", "3. 4. 6.", "① ② ③", "(1) (2) (3)", "१. २. ३."])
def test_tasks_may_all_have_one_number_or_skip_some(heads: str) -> None:
    pairs = zip(heads.split(), "ABC", strict=True)
    text = "\n".join(f"{head} Name a river of {place}.\nOutput: Elbe" for head, place in pairs)
    assert [p.instruction for p in parse_examples(text, False)] == [f"Name a river of {place}." for place in "ABC"]


def test_an_example_cut_in_its_output_is_malformed() -> None:
    pieces = parse_examples("Task 1: Add.\nInput: 1 2\nOutput: 3\nTask 2: Add.\nInput: 1\nOutput: 3 and th", True)
    assert problems(pieces) == ["", "cut by length"]


@pytest.mark.parametrize(
    "text",
    [
        "Aufgabe 1: Nenne einen Fluss.\nEingabe: keine\nAntwort: Rhein\nAufgabe 2: Zähle.\nEingabe: a b\nAntwort: 2",
        "任务1：说出一条河。\n输入：无\n输出：长江\n任务2：数一数。\n输入：a b\n输出：2",
        "Задание 1: Назови реку.\nВвод: отсутствует\nОтвет: Волга\nЗадание 2: Посчитай.\nВвод: a b\nОтвет: 2",
        "\u200fمهمة 1: اذكر نهرا.\n\u200fالمدخل: لا يوجد\nالجواب: النيل\nمهمة 2: عد.\nالمدخل: a b\nالجواب: 2",
    ],
    ids=["German", "Chinese", "Russian", "Arabic"],
)
def test_labels_in_other_languages_are_known(text: str) -> None:
    pieces = parse_examples(text, cut_off=False)
    assert problems(pieces) == ["", ""]
    assert [p.input for p in pieces] == ["", "a b"] and pieces[1].output == "2"


@pytest.mark.parametrize(
    "spelling",
    ["<noinput>", "< No Input >", "None provided.", "No additional input needed", "keine", "Keine Eingabe nötig.",
     "Pas d’entrée", "aucune", "sin entrada", "Não aplicável", "nessun input", "geen", "нет входных данных",
     "girdi yok", "无", "不需要输入", "なし", "入力なし", "없음", "لا يوجد", "אין קלט", "कोई नहीं",
     "không có", '""', "[]", "– –"],
)  # fmt: skip
def test_no_input_is_understood_in_many_languages(spelling: str) -> None:
    assert means_no_input(spelling)


@pytest.mark.parametrize("text", ["no", "нет", "無理です", "nonesuch", "no input was taken by the program", "{1}", "0"])
def test_what_only_resembles_no_input_is_one(text: str) -> None:
    assert not means_no_input(text)


def test_instances_are_split_at_their_heads() -> None:
    text = (
        "Example 1\nParagraph: Dr. No is a novel.\nOutput: Dr. No\n\nExample 2\nInput: none\nOutput: Jamaica\n"
        "Example 3.\nInput: a\nb\nOutput: c\nd"
    )
    pieces = parse_instances(text, cut_off=False)
    assert [(p.input, p.output, p.problem) for p in pieces] == [
        ("Paragraph: Dr. No is a novel.", "Dr. No", ""), ("", "Jamaica", ""), ("a\nb", "c\nd", ""),
    ]  # fmt: skip


@pytest.mark.parametrize("begins_inside", [True, False])
def test_instances_without_heads_begin_at_an_input_after_an_output(begins_inside: bool) -> None:
    pieces = parse_instances("Input: 1 2\nOutput: 3\nInput: 4 5\nOutput: 9", False, begins_inside)
    assert [(p.input, p.output) for p in pieces] == [("1 2", "3"), ("4 5", "9")]


def test_an_instance_may_have_no_input_and_begin_with_its_output() -> None:
    (piece,) = parse_instances("Output: The Rhine.", cut_off=False)
    assert (piece.input, piece.output, piece.problem) == ("", "The Rhine.", "")


def test_a_continuation_may_begin_with_the_input_itself() -> None:
    (piece,) = parse_instances(" 1 2\nOutput: 3", cut_off=False)
    assert (piece.input, piece.output) == ("1 2", "3")


def test_talk_before_the_instances_of_a_chat_model_is_a_piece_of_its_own() -> None:
    pieces = parse_instances("Sure, here you go:\n\nInput: 1 2\nOutput: 3", cut_off=False, begins_inside=False)
    assert [(p.input, p.problem) for p in pieces] == [("", "no output"), ("1 2", "")]


def test_a_teacher_that_repeats_the_task_is_forgiven_and_one_that_runs_on_to_another_is_not() -> None:
    pieces = parse_instances("Task: Add.\nInput: 1\nOutput: 1\nTask: Count.\nInput: a\nOutput: 1", False)
    assert problems(pieces) == ["", "ran on to another task"]
    labelled = parse_labelled_instances("Class label: a\nText: x\nTask: Count.\nClass label: b\nText: y", True)
    assert problems(labelled) == ["", "ran on to another task"]


def test_the_last_instance_of_a_text_cut_off_is_malformed() -> None:
    assert problems(parse_instances("Input: 1\nOutput: 2\nInput: 3\nOutput: 4", cut_off=True)) == ["", "cut by length"]
    assert problems(parse_instances("Input: 1\nOutput: 2\nInput: 3 and", cut_off=True)) == ["", "cut by length"]
    assert problems(parse_labelled_instances("Class label: a\nx\nClass label: b\ny", True)) == ["", "cut by length"]


def test_labelled_instances_have_their_label_as_output() -> None:
    text = "Labels: spam, ham\nClass label: spam\nEmail: Win now!\nCategory: money\n\nClass label: ham\nInput: Lunch?\n"
    pieces = parse_labelled_instances(text, cut_off=False)
    assert [(p.output, p.input, p.problem) for p in pieces] == [
        ("", "", "no class label"), ("spam", "Email: Win now!\nCategory: money", ""), ("ham", "Lunch?", ""),
    ]  # fmt: skip


def test_a_continuation_may_begin_with_the_label_itself() -> None:
    pieces = parse_labelled_instances(" spam\nEmail: Win!\nClass label: ham\nEmail: Lunch?", False, begins_inside=True)
    assert [(p.output, p.input) for p in pieces] == [("spam", "Email: Win!"), ("ham", "Email: Lunch?")]


FRAGMENTS = st.sampled_from(
    ["Task ", "1", "23", ".", ")", ":", "\n", "\n\n", "\r\n", "**", "Input:", "Output:", "```", "```json\n",
     "<noinput>", "none", " ", "\t", "# ", "Example 2\n", "Class label:", "Task:", "word ", "😀", "\u200f", "ا",
     "\x00", "\x85",
     "\u2028", "\ud83d", '"', "{", "}", "[", "]", ",", "\\", '"instruction":', '"input":', '"output":',
     '{"instruction": "', '"}', "null", "\\u", "'", '{"instruction": "a", "output": "b"}']
)  # fmt: skip
ANY_TEXT = st.one_of(st.text(), st.lists(FRAGMENTS, max_size=60).map("".join))


@pytest.mark.parametrize("parse", PARSERS)
@settings(max_examples=150, deadline=None, derandomize=True)
@given(ANY_TEXT, st.booleans(), st.booleans())
def test_no_text_upsets_a_parser_and_none_of_it_is_lost(
    parse: Parse, text: str, cut_off: bool, begins_inside: bool
) -> None:
    pieces = parse(text, cut_off, begins_inside)
    rest = text
    for piece in pieces:
        blank, found, rest = rest.partition(piece.raw)
        assert found and not blank.strip()
        assert piece.problem or piece.instruction or piece.output
    assert not rest.strip()
    assert all(piece.problem != "cut by length" for piece in pieces[:-1])


TEXTS = (
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1)
    .map(without_control_characters)
    .map(str.strip)
    .filter(bool)
)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(
    st.lists(st.tuples(TEXTS, st.one_of(st.just(""), TEXTS), TEXTS), min_size=1, max_size=4),
    st.booleans(),
    st.sampled_from([None, 2]),
)
def test_any_example_written_as_json_is_read_back(
    examples: list[tuple[str, str, str]], escaped: bool, indent: int | None
) -> None:
    rows = [dict(zip(("instruction", "input", "output"), e, strict=True)) for e in examples]
    read = parse_examples(json.dumps(rows, ensure_ascii=escaped, indent=indent), cut_off=False)
    expected = [
        {
            "instruction": row["instruction"],
            "input": "" if means_no_input(row["input"]) else row["input"],
            "output": row["output"],
        }
        for row in rows
    ]
    assert fields(read) == expected


UNITS = ["1", "\n", " ", "1 ", "\t\n", "*", "**", "#", "`", "```", "```\n", "Task ", "Task 1", "Input:\n", "none ", "-",
         "{", "[", '"', "\\", '\\"', '{"', '{"instruction":', '{"instruction":"', '[{"instruction":"a"}',
         '{"instruction":1,', '{"a":', '{"instruction":"a "b" c"', "[[", "{}", "}", "]", ", ", '" ', "Example 1\n",
         "Class label:", "Class label: a\n", "Task:", "Output:\n", "Input:\nOutput:\n", "ا", "\u200f",
         "任务", "\n\nTask 2: a", "A b c.", "<answer>", "'", "{'a':", '"a": "<', "例",
         '"answer": "<', '{"output":"[', "```py\n```\n", "…"]  # fmt: skip


@pytest.mark.parametrize(("unit", "start"), [*itertools.product(UNITS, ["", '[{"instruction": "']), (" ", "\n\n---\n")])
def test_a_long_text_of_anything_is_read_in_linear_time(unit: str, start: str) -> None:
    def seconds(size: int) -> float:
        text = start + unit * (size // len(unit))
        started = time.process_time()
        clean(text)
        is_placeholder(text)
        for parse in PARSERS:
            parse(text, True, False)
        for answer in (text, f"```\n{text};\n```", f"<answer>{text}</answer>", f"{text}\nA.\n\nUser: A\nAI: b"):
            parse_answer(answer, "Name a bird.")
        return time.process_time() - started

    # 16 times the text must not take 60 times as long; a busy machine gets six chances to show it.
    assert any(seconds(64_000) < 60 * max(seconds(4_000), 0.004) for _ in range(6))
