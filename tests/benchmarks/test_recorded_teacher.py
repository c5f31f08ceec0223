"""Teacher B: rows of a stream, drawn and never made up; and the files it is made of."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from benchmarks.teachers.recorded import UNKNOWN, Recorded, RecordedTeacher, read_stream
from benchmarks.teachers.recorded_ground import LEAST, LEAST_STREAMED, MOST_ANSWER_TOKENS, write_recorded_ground
from sedi_dagster.categories import load_categories
from sedi_dagster.errors import InputFileError
from sedi_dagster.evaluation.items import load_evaluation_items
from sedi_dagster.generation.parsing import (
    parse_examples,
    parse_instances,
    parse_labelled_instances,
    parse_tasks,
)
from sedi_dagster.generation.prompts import render
from sedi_dagster.generation.single_call import SCHEMA
from sedi_dagster.records import Category, task_prompt
from sedi_dagster.seed_pool.loading import read_seed_file

ENTRIES = [
    entry for entry in yaml.safe_load(Path("seeds/categories.yaml").read_text()) if entry["id"] in ("math", "coding")
]
MATH = Category(**{**ENTRIES[0], "verifiers": ()})


def row(number: int, category: str = "math") -> Recorded:
    given = f"{number} and\n{number}" if number % 2 else ""
    return Recorded(
        f"Add the {category} numbers of case {number}.", " ".join(given.split()), f"It is {number}.", category, False
    )


ROWS = [row(number, category) for category in ("math", "coding") for number in range(10)]


def prompt(name: str, **values: Any) -> str:
    shown = [{"instruction": f"Add {n} and 1.", "input": "", "output": str(n + 1)} for n in (3, 5)]
    return render(name, category=MATH, **{"aim": "", "demonstrations": shown, "wanted": 4, "short": False, **values})


@pytest.fixture
def teacher() -> Iterator[RecordedTeacher]:
    yield RecordedTeacher(ROWS, ENTRIES)


@pytest.mark.parametrize("name", ["instructions", "bare_instructions", "examples"])
def test_tasks_are_rows_of_the_category_and_none_comes_twice_until_the_stream_ends(
    teacher: RecordedTeacher, name: str
) -> None:
    schema = SCHEMA if name == "examples" else None
    parse = parse_examples if name == "examples" else parse_tasks
    seen: list[str] = []
    for seed in range(5):
        seen += [
            t.instruction
            for t in parse(teacher.write(prompt(f"{name}.chat"), seed, schema), False, begins_inside=False)
        ]
    assert len(seen) == 20 and Counter(seen[:10]) == Counter(r.instruction for r in ROWS if r.category == "math")
    assert seen[:10] == seen[10:]


def test_the_same_request_gets_the_same_rows(teacher: RecordedTeacher) -> None:
    first = teacher.write(prompt("instructions.chat"), 1)
    assert teacher.write(prompt("instructions.chat"), 2) != first == teacher.write(prompt("instructions.chat"), 1)


def test_two_loops_with_one_seed_get_the_same_rows_whatever_their_prompts_are() -> None:
    one, other, third = (RecordedTeacher(ROWS, ENTRIES, seed) for seed in (0, 0, 1))
    text = one.write(prompt("instructions.chat"), 1)
    assert (
        text
        == other.write(prompt("instructions.chat", aim="Be quick."), 9)
        != third.write(prompt("instructions.chat"), 1)
    )


def test_a_server_started_anew_goes_on_where_it_was(tmp_path: Path) -> None:
    state = tmp_path / "state.jsonl"
    one = RecordedTeacher(ROWS, ENTRIES, state=state)
    lines = [one.write(prompt("instructions.chat"), seed) for seed in (1, 2)]
    other = RecordedTeacher(ROWS, ENTRIES, state=state)
    assert [other.write(prompt("instructions.chat"), seed) for seed in (1, 2)] == lines
    whole = RecordedTeacher(ROWS, ENTRIES)
    expected = [whole.write(prompt("instructions.chat"), seed) for seed in (1, 2, 3)][2]
    assert other.write(prompt("instructions.chat"), 3) == expected


def test_answers_and_instances_are_the_recorded_ones(teacher: RecordedTeacher) -> None:
    for recorded in ROWS:
        assert teacher.write(task_prompt(recorded.instruction, recorded.input)) == recorded.output
        for form in ("chat", "completion"):
            text = teacher.write(render(f"instances.{form}", instruction=recorded.instruction, most=5, languages=()))
            [piece] = parse_instances(text, False, begins_inside=form == "completion")
            assert (piece.input, piece.output) == (recorded.input, recorded.output)
            text = teacher.write(render(f"labelled.{form}", instruction=recorded.instruction, most=5, languages=()))
            [piece] = parse_labelled_instances(text, False, begins_inside=form == "completion")
            assert (piece.input, piece.output) == (recorded.input, recorded.output)
    assert teacher.write("What is the capital of Peru?") == UNKNOWN


def test_a_text_to_continue_is_continued(teacher: RecordedTeacher) -> None:
    found = parse_tasks(teacher.write(prompt("instructions.completion"), 1), False, begins_inside=True)
    assert len(found) == 3 and all(task.instruction in {r.instruction for r in ROWS} for task in found)


def write_lines(file: Path, rows: list[dict[str, Any]]) -> Path:
    file.write_text("".join(json.dumps(r) + "\n" for r in rows), encoding="utf-8")
    return file


def plain(number: int, category: str, words: int = 3) -> dict[str, Any]:
    return {"instruction": f"Do {category} task {number}.", "input": "", "output": "yes " * words, "category": category}


def test_the_human_tasks_are_split_into_disjoint_parts_that_the_product_reads(tmp_path: Path) -> None:
    human = [plain(n, "math") for n in range(12)] + [plain(n, "coding") for n in range(LEAST)] + [plain(0, "rewriting")]
    stream = [plain(100 + n, c) for n in range(LEAST_STREAMED) for c in ("math", "coding", "rewriting")] + [
        plain(999, "math", 300)
    ]
    files = write_lines(tmp_path / "alpaca.jsonl", stream), write_lines(tmp_path / "human.jsonl", human)
    write_recorded_ground(*files, tmp_path / "ground")
    categories = load_categories(tmp_path / "ground" / "categories.yaml")
    assert set(categories) == {"math", "coding"}  # one rewriting task cannot be split in three
    assert {category.max_answer_tokens for category in categories.values()} == {MOST_ANSWER_TOKENS}
    seeds = read_seed_file(tmp_path / "ground" / "seed_tasks.jsonl", categories).checked().tasks
    items = [
        item
        for kind in ("decision", "measurement")
        for item in load_evaluation_items(tmp_path / "ground" / f"{kind}_items.jsonl", categories)
    ]
    assert Counter(item.category for item in items) == {"math": 7, "coding": 2}
    text = [task.instruction for task in seeds] + [item.prompt for item in items]
    assert sorted(text) == sorted(r["instruction"] for r in human if r["category"] != "rewriting")
    drawn = read_stream(tmp_path / "ground" / "stream.jsonl")
    assert Counter(r.category for r in drawn) == dict.fromkeys(
        ("math", "coding"), LEAST_STREAMED
    )  # the long row is left out


def test_files_that_have_no_category_in_common_are_told(tmp_path: Path) -> None:
    files = [write_lines(tmp_path / f"{c}.jsonl", [plain(n, c) for n in range(20)]) for c in ("math", "coding")]
    with pytest.raises(InputFileError, match="No category has 4 tasks"):
        write_recorded_ground(*files, tmp_path / "ground")


def test_a_bad_file_is_told_by_its_line(tmp_path: Path) -> None:
    good = write_lines(tmp_path / "good.jsonl", [plain(n, "math") for n in range(12)])
    bad = write_lines(tmp_path / "bad.jsonl", [plain(1, "math"), plain(2, "cooking")])
    with pytest.raises(InputFileError, match=r"(?s)bad\.jsonl.*line 2"):
        write_recorded_ground(bad, good, tmp_path / "ground")
