"""Files of seed tasks as people have them: four formats, and everything that can be wrong with a file."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from sedi_dagster.datafiles import Limits, Problems, read_rows
from sedi_dagster.errors import InputFileError
from sedi_dagster.records import SeedTask
from sedi_dagster.seed_pool import read_seed_file

Write = Callable[[Any], Path]
SUM = {"instruction": "Add the two numbers.", "input": "3 and 4", "output": "7", "category": "math"}


def _rows(count: int) -> list[Any]:
    return [{**SUM, "input": f"{number} and 4", "output": str(number + 4)} for number in range(count)]


def _problem(path: Path) -> str:
    with pytest.raises(InputFileError) as error:
        read_seed_file(path, {"math"}).checked()
    return error.value.problem


def test_our_format(write_jsonl: Write) -> None:
    path = write_jsonl([SUM, {**SUM, "input": "", "is_classification": True}])
    assert read_seed_file(path, {"math"}).checked().tasks == [
        SeedTask("Add the two numbers.", "3 and 4", "7", "math"),
        SeedTask("Add the two numbers.", "", "7", "math", is_classification=True),
    ]


def test_self_instruct_format(write_jsonl: Write) -> None:
    row = {
        "id": "seed_task_0",
        "name": "sum",
        "instruction": "Add the two numbers.",
        "instances": [{"input": "3 and 4", "output": "7"}, {"input": "1 and 1", "output": "2"}],
        "is_classification": False,
        "category": "math",
    }
    found = read_seed_file(write_jsonl([row]), {"math"})
    assert found.tasks == [SeedTask("Add the two numbers.", "3 and 4", "7", "math")]
    assert found.notes == ["1 tasks have more than one instance: the first is used"]


def test_alpaca_format_is_one_list_over_many_lines(tmp_path: Path) -> None:
    path = tmp_path / "alpaca.json"
    path.write_text("\n" + json.dumps(_rows(3), indent=4), encoding="utf-8-sig")
    found = read_seed_file(path, {"math"})
    assert [task.output for task in found.tasks] == ["4", "5", "6"]
    assert [found.problems.place(number) for number in found.lines] == [
        "element 1 (line 3)", "element 2 (line 9)", "element 3 (line 15)",
    ]  # fmt: skip


def test_chat_format(write_jsonl: Write) -> None:
    turns = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": "What is 3 + 4?"}]},
        {"role": "assistant", "content": "7"},
        {"role": "user", "content": "Thanks!"},
    ]
    found = read_seed_file(write_jsonl([{"messages": turns, "category": "math"}]), {"math"})
    assert found.tasks == [SeedTask("What is 3 + 4?", "", "7", "math")]
    assert found.notes == [
        "1 conversations begin with a system message, which is ignored",
        "1 conversations continue after the first answer: only the first exchange is used",
    ]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({**SUM, "instruction": None}, "line 1, field 'instruction': is missing; expected text"),
        ({**SUM, "instruction": " "}, "line 1, field 'instruction': is empty; expected text"),
        ({**SUM, "output": {"a": 7}}, "line 1, field 'output': is {'a': 7}; expected text"),
        ({**SUM, "output": "x" * 20_001}, "line 1, field 'output': has 20,001 characters"),
        ({**SUM, "input": True}, "line 1, field 'input': is True; expected text"),
        ({**SUM, "is_classification": "no"}, "field 'is_classification': is 'no'; expected true or false"),
        ({**SUM, "category": "maths"}, "field 'category': 'maths' is unknown, in 1 of 1 rows; expected one of math"),
        ('{"instruction": "Say \\ud800.", "output": "a"}', "field 'instruction': contains half of a surrogate"),
        ('["Add", "7"]', "element 1: is 'Add'; expected a JSON object"),
        ("42", "line 1: is 42; expected a JSON object"),
        ('{"instruction": "Add."', "line 1: is not JSON (Expecting ',' delimiter at column 23)"),
        ("[" * 100_000, "line 1: is not JSON"),
        ('{"a":' * 100_000, "line 1: is not JSON"),
        ('{"a": ' + "9" * 5_000 + "}", "line 1: is not JSON that can be read"),
        ({"instruction": "Add.", "instances": []}, "field 'instances': is []; expected a list such as"),
        ({"instruction": "Add.", "instances": [{"input": ""}]}, "field 'instances[0].output': is missing"),
        ({"messages": "Add."}, "field 'messages': is 'Add.'; expected a list of messages"),
        ({"messages": []}, "field 'messages': begins with no message; expected a message of the user"),
        ({"messages": [{"role": "assistant"}]}, "field 'messages': begins with assistant"),
        (
            {
                "messages": [
                    {"role": "user", "content": [{"type": "image"}]},
                    {"role": "assistant", "content": "a"},
                ]
            },
            "field 'messages: content of the user': is [{'type': 'image'}]; expected text",
        ),
    ],
)
def test_a_broken_row_is_told_with_line_field_and_mend(write_jsonl: Write, row: Any, message: str) -> None:
    assert message in _problem(write_jsonl([row]))


def test_three_broken_lines_of_a_thousand_are_told_at_once(write_jsonl: Write) -> None:
    rows = _rows(1_000)
    rows[9] = '{"instruction": "Add'
    rows[499] = {**SUM, "output": ""}
    rows[999] = {**rows[999], "category": "sport"}
    message = _problem(write_jsonl(rows)).split("\n")
    assert "has 3 problem(s)" in message[0]
    assert [line.split(":")[0].strip() for line in message[1:]] == [
        "line 10",
        "line 500, field 'output'",
        "line 1000, field 'category'",
    ]


def test_broken_elements_of_a_list_are_told_with_their_lines(tmp_path: Path) -> None:
    rows = _rows(5)
    rows[1], rows[3] = "not an object", {**SUM, "output": None}
    path = tmp_path / "alpaca.json"
    path.write_text(json.dumps(rows, indent=1), encoding="utf-8")
    message = _problem(path)
    assert "element 2 (line 8): is 'not an object'; expected a JSON object" in message
    assert "element 4 (line 15), field 'output': is missing" in message


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[{"a": 1},\n {"b": tru}]', "line 2: is not JSON (Expecting value)"),
        ('[{"a": 1}\n {"b": 1}]', "line 2: has no comma or ] after an element"),
        ("[\n", "line 2: is not JSON: the list does not end"),
    ],
)
def test_a_list_that_is_not_json_is_told_with_its_line(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "alpaca.json"
    path.write_text(text, encoding="utf-8")
    assert message in _problem(path)


def test_repeated_ids_and_repeated_rows_name_the_first_line(write_jsonl: Write) -> None:
    first, second = _rows(2)
    message = _problem(write_jsonl([{**first, "id": 1}, {**second, "id": "1"}, {**first, "id": 3}]))
    assert "line 2, field 'id': '1' is also on line 1; expected a unique id" in message
    assert "line 3: repeats line 1; expected each seed task once" in message


def test_a_category_that_some_rows_lack_is_told(write_jsonl: Write) -> None:
    first, second = _rows(2)
    del second["category"]
    message = _problem(write_jsonl([first, second]))
    assert "line 2, field 'category': is missing in 1 of 2 rows; the others have it" in message


def test_a_category_without_a_seed_is_told(write_jsonl: Write) -> None:
    with pytest.raises(InputFileError, match="no seed task for category 'coding'; expected at least one"):
        read_seed_file(write_jsonl([SUM]), {"math", "coding"}).checked()


def test_a_byte_order_mark_and_windows_line_ends_are_no_problem(tmp_path: Path) -> None:
    path = tmp_path / "seeds.jsonl"
    text = "\r\n".join(json.dumps(row) for row in _rows(3)) + "\r\n\r\n"
    path.write_bytes(b"\xef\xbb\xbf" + text.encode())
    assert len(read_seed_file(path, {"math"}).checked().tasks) == 3


def test_invalid_utf8_is_told_with_line_and_byte(tmp_path: Path) -> None:
    path = tmp_path / "seeds.jsonl"
    lines = [json.dumps(row).encode() for row in _rows(3)]
    lines[0] = lines[0].replace(b"numbers", "nümbers, nämely two".encode())
    lines[1] = lines[1].replace(b"numbers", b"n\xfcmbers")
    path.write_bytes(b"\n".join(lines))
    assert "line 2: is not UTF-8 (byte 31); expected a file saved as UTF-8" in _problem(path)


@pytest.mark.parametrize("content", [b"", b"\n\n  \r\n", b"\xef\xbb\xbf", b"[]", b" [ ] "])
def test_an_empty_file_is_told(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "seeds.jsonl"
    path.write_bytes(content)
    assert _problem(path).endswith("is empty.")


def test_a_missing_file_and_a_folder_are_told(tmp_path: Path) -> None:
    assert "There is no file" in _problem(tmp_path / "nothing.jsonl")
    assert "is a folder" in _problem(tmp_path)


def _peak_mb(path: Path) -> float:
    tracemalloc.start()
    try:
        _problem(path)
        return tracemalloc.get_traced_memory()[1] / 1e6
    finally:
        tracemalloc.stop()


def test_a_200_mb_file_is_refused_before_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "seeds.jsonl"
    with path.open("wb") as file:
        file.truncate(200_000_000)
    assert _peak_mb(path) < 1
    assert "has 200 MB; at most 50 MB are read" in _problem(path)


def test_a_giant_line_does_not_fill_the_memory(tmp_path: Path) -> None:
    path = tmp_path / "seeds.jsonl"
    with path.open("wb") as file:
        for _ in range(40):
            file.write(b"x" * 1_000_000)
        file.write(b"\n" + json.dumps(SUM).encode())
    assert _peak_mb(path) < 300
    assert "has 1 problem(s):\n  line 1: is longer than 2,000,000 characters" in _problem(path)


def test_a_million_broken_lines_do_not_fill_the_memory(tmp_path: Path) -> None:
    path = tmp_path / "seeds.jsonl"
    path.write_bytes(b"x\n" * 1_000_000)
    problems = Problems(path)
    assert list(read_rows(path, problems)) == []
    assert Limits().rows < problems.count <= Limits().rows + 2
    assert len(problems.found) <= 1_000
    assert len(_problem(path)) < 3_000


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.one_of(st.binary(max_size=40), st.sampled_from([b"[", b"{", b'{"a":1}', b",", b"\xef\xbb\xbf"]))))
@example([b',"', b"\0"])  # a quote that never ends, in the line of the names
def test_no_bytes_raise_anything_but_an_input_file_error(tmp_path: Path, parts: list[bytes]) -> None:
    path = tmp_path / "bytes.jsonl"
    path.write_bytes(b"\n".join(parts))
    with pytest.raises(InputFileError):
        read_seed_file(path, {"math"}).checked()
