"""Texts of the user's own that no example may be near: benchmarks, held-out data, anything in a file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sedi_dagster.errors import InputFileError
from sedi_dagster.jsonl import Problems, checked_text, read_objects, text_field
from sedi_dagster.records import task_prompt

TEXT_FIELDS = ("prompt", "question", "problem", "text", "input")
"""Where the text of a row is, the first that it has; before them `instruction`, with `input` if there is one."""


def read_guarded_texts(path: Path) -> list[tuple[str, str]]:
    """(id, text) of each row of a file; the id is the file's name and the line.

    Takes JSON lines or one JSON list (`.jsonl`, `.json`), or plain text with one text a line (`.txt`).

    Raises:
        InputFileError: names every bad line, its field and what was expected.
    """
    problems = Problems(path)
    if path.suffix in (".jsonl", ".json"):
        texts = [(line, _text_of(row, line, problems)) for line, row in read_objects(path, problems)]
    elif path.suffix == ".txt":
        texts = _lines(path, problems)
    else:
        raise InputFileError(
            f"{path} has the suffix {path.suffix!r}; texts to keep away from are read from .jsonl, .json and .txt.",
            "Convert it, or take it out of SEDI_FILTERING_DECONTAMINATE_FILES.",
        )
    problems.raise_any()
    return [(f"{path.name}:{line}", text) for line, text in texts]


def _text_of(row: dict[str, Any], line: int, problems: Problems) -> str:
    if "instruction" in row:
        instruction = text_field(row, "instruction", line, problems)
        return task_prompt(instruction, text_field(row, "input", line, problems, empty=True))
    name = next((name for name in TEXT_FIELDS if name in row), None)
    if name is None:
        fields = ", ".join(list(row)[:8]) or "none"
        problems.add(line, "", f"has no text (its fields: {fields})", f"instruction, {' or '.join(TEXT_FIELDS)}")
        return ""
    return text_field(row, name, line, problems)


def _lines(path: Path, problems: Problems) -> list[tuple[int, str]]:
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        problems.add(None, "", f"is not UTF-8 (byte {error.start})", "a file saved as UTF-8")
        return []
    except OSError as error:
        raise InputFileError(f"{path} cannot be read: {error.strerror}.", "Name a file that may be read.") from None
    texts = [(n, checked_text(line, "", n, problems)) for n, line in enumerate(lines, 1) if line.strip()]
    if not texts:
        raise InputFileError(f"{path} is empty.", "Give at least one text, one a line.")
    return texts
