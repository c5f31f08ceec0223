"""Reading the user's files of JSON objects so that every problem is told at once, with line, field and mend.

Takes JSON lines, or one JSON list of objects. Memory is bounded: by the size of the file, the length of a
line, the number of rows and the number of problems that are kept. What the rows mean is for the callers.
"""

from __future__ import annotations

import json
import reprlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from sedi_dagster.errors import InputFileError

MAX_FILE_BYTES = 50_000_000
MAX_LINE_BYTES = 1_000_000
MAX_ROWS = 100_000
MAX_TEXT_CHARS = 20_000
KEPT_PROBLEMS = 1_000
SHOWN_PROBLEMS = 20


@dataclass(frozen=True)
class Problem:
    """What is wrong in one place, and what was expected there; without `line`, in the file as a whole."""

    line: int | None
    field: str
    problem: str
    expected: str

    def __str__(self) -> str:
        told = f"{self.problem}; expected {self.expected}"
        if self.line is None:
            return told
        return f"line {self.line}, field {self.field!r}: {told}" if self.field else f"line {self.line}: {told}"


@dataclass
class Problems:
    """What is wrong with a file, gathered line by line. Beyond `KEPT_PROBLEMS` they are only counted."""

    path: Path
    found: list[Problem] = field(default_factory=list)
    count: int = 0

    def add(self, line: int | None, field_name: str, problem: str, expected: str) -> None:
        self.count += 1
        if len(self.found) < KEPT_PROBLEMS:
            self.found.append(Problem(line, field_name, problem, expected))

    def raise_any(self) -> None:
        """Raise what was found as one `InputFileError`."""
        if not self.count:
            return
        shown = self.found[:SHOWN_PROBLEMS]
        more = self.count - len(shown)
        listing = "".join(f"\n  {told}" for told in shown) + (f"\n  ... and {more} more" if more else "")
        raise InputFileError(
            f"{self.path} has {self.count} problem(s):{listing}", "Correct these lines; nothing was spent."
        )


def read_objects(path: Path, problems: Problems) -> Iterator[tuple[int, dict[str, Any]]]:
    """The file's objects as (line number, object), in order; a line that is none is noted in `problems`.

    Raises:
        InputFileError: what keeps the whole file from being read: not there, empty, too large, no permission.
    """
    rows = 0
    _check_kind_and_size(path)
    try:
        with path.open("rb") as file:
            for number, value in _list_elements(file, problems) if _is_list(file) else _lines(file, problems):
                rows += 1
                if rows > MAX_ROWS:
                    problems.add(number, "", f"is beyond the {MAX_ROWS:,} rows that are read", "a sample of the file")
                    break
                if value is not None:
                    yield number, value
    except OSError as error:
        raise InputFileError(f"{path} cannot be read: {error.strerror}.", "Name a file that may be read.") from None
    if rows == 0 and not problems.count:
        raise InputFileError(f"{path} is empty.", "Give at least one JSON object, one a line.")


def _check_kind_and_size(path: Path) -> None:
    if not path.is_file():
        what = f"{path} is not a regular file." if path.exists() else f"There is no file {path}."
        raise InputFileError(what, "Name a JSON-lines file that exists.")
    size = path.stat().st_size
    if size > MAX_FILE_BYTES:
        raise InputFileError(
            f"{path} has {size / 1e6:,.0f} MB; at most {MAX_FILE_BYTES / 1e6:,.0f} MB are read.",
            f"Take a sample of it, for instance: shuf -n 2000 {path} > sample.jsonl",
        )


def _is_list(file: BinaryIO) -> bool:
    """Whether the file is one JSON list; leaves the file at its start."""
    while (start := file.read(4096)) and not (text := start.removeprefix(b"\xef\xbb\xbf").lstrip()):
        pass
    file.seek(0)
    return bool(start) and text.startswith(b"[")


def _lines(file: BinaryIO, problems: Problems) -> Iterator[tuple[int, dict[str, Any] | None]]:
    """One object a line; None for a line that is none. A giant line is skipped in pieces."""
    number = 0
    while line := file.readline(MAX_LINE_BYTES + 1):
        number += 1
        if len(line) > MAX_LINE_BYTES:
            problems.add(number, "", f"is longer than {MAX_LINE_BYTES:,} bytes", "one JSON object a line")
            while not line.endswith(b"\n") and (line := file.readline(MAX_LINE_BYTES)):
                pass
            yield number, None
        elif line.strip(b" \t\r\n\xef\xbb\xbf"):
            yield number, _parse_line(line.rstrip(), number, problems)


def _parse_line(raw: bytes, number: int, problems: Problems) -> dict[str, Any] | None:
    text = _decode(raw, number, problems)
    if text is None:
        return None
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        problems.add(number, "", f"is not JSON ({error.msg} at column {error.colno})", "one JSON object a line")
        return None
    except (ValueError, RecursionError) as error:  # a number of 5,000 digits; 100,000 brackets
        problems.add(number, "", f"is not JSON that can be read ({error})", "one JSON object a line")
        return None
    return _as_object(value, number, problems)


def _list_elements(file: BinaryIO, problems: Problems) -> Iterator[tuple[int, dict[str, Any] | None]]:
    """The elements of one JSON list, each with the line it starts on. Ends at the first that is not JSON."""
    text = _decode(file.read(), 1, problems)
    if text is None:
        return
    decoder = json.JSONDecoder()
    position, line = _skip_space(text, 0, 1)
    position += 1  # the bracket
    first = True
    while True:
        position, line = _skip_space(text, position, line)
        if text[position : position + 1] == "]":
            return
        if not first:
            if text[position : position + 1] != ",":
                problems.add(line, "", "has no comma or ] after an element", "a JSON list of objects")
                return
            position, line = _skip_space(text, position + 1, line)
        first = False
        try:
            value, end = decoder.raw_decode(text, position)
        except json.JSONDecodeError as error:
            wrong = line + text.count("\n", position, error.pos)
            problems.add(wrong, "", f"is not JSON ({error.msg})", "a JSON list of objects; what follows was not read")
            return
        except (ValueError, RecursionError) as error:
            problems.add(line, "", f"is not JSON that can be read ({error})", "a JSON list of objects")
            return
        yield line, _as_object(value, line, problems)
        position, line = end, line + text.count("\n", position, end)


def _skip_space(text: str, position: int, line: int) -> tuple[int, int]:
    while text[position : position + 1] in (" ", "\t", "\r", "\n") and position < len(text):
        line += text[position] == "\n"
        position += 1
    return position, line


def _decode(raw: bytes, number: int, problems: Problems) -> str | None:
    try:
        return raw.decode("utf-8-sig" if number == 1 else "utf-8")
    except UnicodeDecodeError as error:
        wrong = number + raw.count(b"\n", 0, error.start)
        column = error.start - raw.rfind(b"\n", 0, error.start)
        problems.add(wrong, "", f"is not UTF-8 (byte {column})", "a file saved as UTF-8")
        return None


def _as_object(value: Any, number: int, problems: Problems) -> dict[str, Any] | None:
    if isinstance(value, dict):
        return value
    problems.add(number, "", f"is {reprlib.repr(value)}", "a JSON object")
    return None


def text_field(row: dict[str, Any], name: str, line: int, problems: Problems, empty: bool = False) -> str:
    """A text field's value; "" and a problem noted if there is none or it is no text that can be used.

    Args:
        empty: whether the field may be missing or empty.
    """
    return checked_text(row.get(name, "" if empty else None), name, line, problems, empty)


def checked_text(value: Any, name: str, line: int, problems: Problems, empty: bool = False) -> str:
    """The value if it is text that can be stored and shown; else "" and a problem."""
    if not isinstance(value, str):
        problems.add(line, name, "is missing" if value is None else f"is {reprlib.repr(value)}", "text")
    elif not value.strip() and not empty:
        problems.add(line, name, "is empty", "text")
    elif len(value) > MAX_TEXT_CHARS:
        problems.add(line, name, f"has {len(value):,} characters", f"at most {MAX_TEXT_CHARS:,}")
    elif not _is_unicode(value):
        problems.add(line, name, "holds half of a surrogate pair (\\ud800 to \\udfff)", "valid Unicode")
    else:
        return value
    return ""


def _is_unicode(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
