"""Reading the user's JSON-lines files so that every problem is told at once, with line, field and mend."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sedi_dagster.errors import InputFileError

SHOWN_PROBLEMS = 20
MAX_LINE_BYTES = 1_000_000


@dataclass
class Problems:
    """What is wrong with a file, gathered line by line."""

    path: Path
    found: list[str] = field(default_factory=list)

    def add(self, line: int, field_name: str, problem: str, expected: str) -> None:
        where = f"line {line}" + (f", field {field_name!r}" if field_name else "")
        self.found.append(f"{where}: {problem}; expected {expected}")

    def raise_any(self) -> None:
        if not self.found:
            return
        shown = self.found[:SHOWN_PROBLEMS]
        more = len(self.found) - len(shown)
        listing = "".join(f"\n  {told}" for told in shown) + (f"\n  ... and {more} more" if more else "")
        raise InputFileError(f"{self.path} has {len(self.found)} problem(s):{listing}", "Correct these lines; nothing was spent.")


@contextmanager
def read_objects(path: Path) -> Iterator[tuple[Iterator[tuple[int, dict[str, Any]]], Problems]]:
    """The file's objects as (line number, object), and where to note problems; raises them all at the end.

    Raises:
        InputFileError: no such file, no row in it, or anything that was noted.
    """
    if not path.is_file():
        raise InputFileError(f"There is no file {path}.", "Set SEDI_SEEDS / SEDI_EVALUATION_ITEMS to a file that exists.")
    problems = Problems(path)
    rows = 0

    def objects() -> Iterator[tuple[int, dict[str, Any]]]:
        nonlocal rows
        with path.open("rb") as lines:
            for number, raw in enumerate(_lines(lines), start=1):
                if not raw.strip():
                    continue
                rows += 1
                value = _parse(raw, number, problems)
                if value is not None:
                    yield number, value

    yield objects(), problems
    if rows == 0:
        raise InputFileError(f"{path} is empty.", "Give at least one JSON object, one a line.")
    problems.raise_any()


def _lines(file: Any) -> Iterator[bytes]:
    """Lines of bounded length, so that one giant line cannot fill the memory."""
    while line := file.readline(MAX_LINE_BYTES + 1):
        if len(line) > MAX_LINE_BYTES:
            while rest := file.readline(MAX_LINE_BYTES):
                if rest.endswith(b"\n"):
                    break
        yield line


def _parse(raw: bytes, number: int, problems: Problems) -> dict[str, Any] | None:
    if len(raw) > MAX_LINE_BYTES:
        problems.add(number, "", f"is longer than {MAX_LINE_BYTES:,} bytes", "one JSON object a line")
        return None
    try:
        value = json.loads(raw.decode("utf-8-sig" if number == 1 else "utf-8"))
    except UnicodeDecodeError as error:
        problems.add(number, "", f"is not UTF-8 (byte {error.start})", "a file saved as UTF-8")
        return None
    except (ValueError, RecursionError) as error:
        problems.add(number, "", f"is not JSON ({error})", "one JSON object a line")
        return None
    if not isinstance(value, dict):
        problems.add(number, "", f"is a {type(value).__name__}", "a JSON object")
        return None
    return value


def text_field(row: dict[str, Any], name: str, line: int, problems: Problems, empty: bool = False) -> str:
    """A text field's value; notes a problem (and returns "") if it is missing, not text, or empty where it may not be."""
    value = row.get(name, "" if empty else None)
    if not isinstance(value, str):
        problems.add(line, name, "is missing" if value is None else f"is {value!r}", "text")
        return ""
    if not value.strip() and not empty:
        problems.add(line, name, "is empty", "text")
    return value
