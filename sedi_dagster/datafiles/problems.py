"""Problems of a file, reported together with location, field and expectation. Also checks of texts."""

from __future__ import annotations

import re
import reprlib
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sedi_dagster.errors import InputFileError

MAX_TEXT_CHARS = 20_000
KEPT_PROBLEMS = 1_000
SHOWN_PROBLEMS = 20

_BREAK = re.compile(r"[\x0b\x0c]")  # of a line or a page
_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1f\x7f]")
_LONE_SURROGATE = re.compile(r"[\ud800-\udfff]")


@dataclass(frozen=True)
class Problem:
    """What is wrong at a place ("line 3"), and what was expected; an empty place means the whole file."""

    place: str
    field: str
    problem: str
    expected: str

    def __str__(self) -> str:
        message = f"{self.problem}; expected {self.expected}"
        where = ", ".join(filter(None, (self.place, f"field {self.field!r}" if self.field and self.place else "")))
        return f"{where}: {message}" if where else message


@dataclass
class Problems:
    """The problems of a file, and notes on how it was read. Only the first `KEPT_PROBLEMS` are kept, but all counted.

    Attributes:
        unit: the name of a row: line, element (of a JSON list) or row (of a table).
        line_of: the first line of each element, if the file has several lines.
        notes: number of rows by a text that says what was left out or changed in them.
    """

    path: Path
    found: list[Problem] = field(default_factory=list)
    count: int = 0
    unit: str = "line"
    line_of: dict[int, int] = field(default_factory=dict)
    notes: Counter[str] = field(default_factory=Counter)
    max_text_chars: int = MAX_TEXT_CHARS

    def add(self, number: int | None, field_name: str, problem: str, expected: str) -> None:
        """Note a problem of a row, given by its number, or of the file (None)."""
        self.add_at("" if number is None else self.place(number), field_name, problem, expected)

    def add_at(self, place: str, field_name: str, problem: str, expected: str) -> None:
        """Note a problem at a place other than a row, such as a line inside a list."""
        self.count += 1
        if len(self.found) < KEPT_PROBLEMS:
            self.found.append(Problem(place, field_name, problem, expected))

    def place(self, number: int) -> str:
        """Return the name of a row: "line 3", "element 2 (line 8)", "row 5"."""
        line = self.line_of.get(number)
        return f"{self.unit} {number}" + (f" (line {line})" if line else "")

    def empty_copy(self) -> Problems:
        """Return an empty list for problems of another kind in the same rows."""
        return Problems(self.path, unit=self.unit, line_of=self.line_of)

    def note_lines(self) -> list[str]:
        """Return the notes, each with its number of rows."""
        return [f"{count:,} {note}" for note, count in self.notes.items()]

    def raise_any(self) -> None:
        """Raise what was found as one `InputFileError`."""
        if not self.count:
            return
        shown = self.found[:SHOWN_PROBLEMS]
        more = self.count - len(shown)
        listing = "".join(f"\n  {text}" for text in shown) + (f"\n  ... and {more:,} more" if more else "")
        raise InputFileError(
            f"{self.path} has {self.count:,} problem(s):{listing}", "Correct these places; nothing was spent."
        )


def checked_text(value: Any, name: str, number: int, problems: Problems, empty: bool = False) -> str:
    """Return a text without control characters; if it is not a valid text, note a problem and return "".

    `empty`: whether a missing or empty text is valid.
    """
    if value is None and empty:
        return ""
    if not isinstance(value, str):
        problems.add(number, name, "is missing" if value is None else f"is {reprlib.repr(value)}", "text")
    elif not value.strip() and not empty:
        problems.add(number, name, "is empty", "text")
    elif len(value) > problems.max_text_chars:
        problems.add(number, name, f"has {len(value):,} characters", f"at most {problems.max_text_chars:,}")
    elif _LONE_SURROGATE.search(value):
        problems.add(number, name, "contains half of a surrogate pair (\\ud800 to \\udfff)", "valid Unicode")
    elif _CONTROL.search(value) or _BREAK.search(value):
        problems.notes["texts contained control characters, which were removed"] += 1
        return str(_CONTROL.sub("", _BREAK.sub("\n", value)))
    else:
        return value
    return ""
