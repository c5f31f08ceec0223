"""Files that no example may be near: what is read of them, and what is said of those that cannot be used."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sedi_dagster.errors import InputFileError
from sedi_dagster.filtering.guarded_texts import read_guarded_texts


def test_the_text_of_each_row_is_found_by_its_field(tmp_path: Path) -> None:
    path = tmp_path / "bench.jsonl"
    rows = [
        {"question": "What is 2 + 2?", "answer": "4"},
        {"instruction": "Sort the words.", "input": "b a", "output": "a b"},
        {"instruction": "Name a river.", "output": "Rhine"},
        {"id": 7, "prompt": "def add(a, b):"},
    ]
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    assert read_guarded_texts(path) == [
        ("bench.jsonl:1", "What is 2 + 2?"),
        ("bench.jsonl:2", "Sort the words.\n\nb a"),
        ("bench.jsonl:3", "Name a river."),
        ("bench.jsonl:4", "def add(a, b):"),
    ]


def test_a_text_file_has_one_text_a_line(tmp_path: Path) -> None:
    path = tmp_path / "held_out.txt"
    path.write_text("\ufeffFirst text.\n\n  \nSecond text.\n", encoding="utf-8")
    assert read_guarded_texts(path) == [("held_out.txt:1", "First text."), ("held_out.txt:4", "Second text.")]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.jsonl", b'{"answer": "4"}\n{"question": ""}\n{"question": 3}\nnot json\n', "has 4 problem(s)"),
        (
            "a.jsonl",
            b'{"answer": "4", "id": 1}\n',
            "line 1: has no text (its fields: answer, id); expected one of question, prompt",
        ),
        ("a.jsonl", b'{"question": ""}\n', "line 1, field 'question': is empty"),
        ("a.txt", b"\n\n", "Nothing was taken"),
        ("a.txt", b"x" * 200_001, "line 1: has 200,001 characters"),
        ("a.parquet", b"PAR1", "is Parquet that cannot be read"),
        ("a.txt", None, "There is no file"),
        ("a.jsonl", None, "There is no file"),
    ],
)
def test_a_file_that_cannot_be_used_is_told_with_line_and_field(
    tmp_path: Path, name: str, content: bytes | None, message: str
) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputFileError) as raised:
        read_guarded_texts(path)
    assert message in str(raised.value) and name in str(raised.value)
