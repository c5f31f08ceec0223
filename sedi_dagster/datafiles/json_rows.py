"""Rows from JSON text: one object per line, concatenated objects, a list, a list inside an object, columns."""

import json
import re
import reprlib
from collections.abc import Iterator, Mapping
from typing import Any

from sedi_dagster.datafiles.problems import Problems
from sedi_dagster.errors import InputFileError

MAX_LINE_CHARS = 2_000_000
ROW_FIELDS = ("instruction", "prompt", "question", "problem", "text", "input", "output", "context", "ctx", "passage",
              "story", "article")  # fmt: skip
"""Text fields by which an object is recognized as a row, not as a container of rows."""

_OF_A_ROW = frozenset(("messages", "conversations", "conversation", "instances", "answers", "choices", "options"))
_OF_A_MESSAGE = (("role", "content"), ("from", "value"), ("role", "parts"))

Numbered = Iterator[tuple[int, dict[str, Any] | None]]
"""Number and object of each row; None for one that is not an object, which is noted in the problems."""

_REMARK = re.compile(r"//[^\n]*|/\*.*?\*/", re.DOTALL)
_ZEROS = re.compile(r"\x00[\x00\s]*\Z")
_OPEN_COMMA = re.compile(r",\s*\}$")


class _Doubled(dict[str, Any]):
    """An object with a repeated field."""


def _object_of(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    return found if len(found) == len(pairs) else _Doubled(found)


# NaN, as pandas writes what is missing; line breaks and tabs as they are inside a text.
_DECODER = json.JSONDecoder(parse_constant=lambda name: None, object_pairs_hook=_object_of, strict=False)


def json_rows(text: str, problems: Problems) -> Numbered:
    """Return the rows of a JSON text. Trailing commas after a row or at the end of a list are accepted."""
    text = _ZEROS.sub("", text)  # a disk that was full
    start = _skip(text, 0)
    if text[start : start + 1] == "[" and _opens_conversation(text, start):
        return _list(text, start, problems, closed=False)
    if text[start : start + 1] == "[":
        return _list(text, start + 1, problems)
    if text[start : start + 1] == "{":
        line = text[start:].partition("\n")[0].strip().rstrip(",")
        whole = _parsed(text[start:].strip())
        if isinstance(whole, dict):
            return _single(whole, problems)
        if not isinstance(_parsed(line), dict) and _opens_objects(text, start):
            return _list(text, start, problems, closed=False)
    return _lines(text, problems)


def _parsed(text: str) -> Any:
    try:
        return _DECODER.decode(text)
    except (ValueError, RecursionError):
        return None


def _opens_conversation(text: str, start: int) -> bool:
    """Return whether a list of messages begins here, rather than a list of rows."""
    try:
        first, _ = _DECODER.raw_decode(text, _skip(text, start + 1))
    except (ValueError, RecursionError):
        return False
    return _is_message(first)


def _is_message(value: Any) -> bool:
    return isinstance(value, dict) and any({role, said} <= value.keys() for role, said in _OF_A_MESSAGE)


def _opens_objects(text: str, start: int) -> bool:
    """Return whether an object begins here that spans several lines or is followed by another one."""
    try:
        _, end = _DECODER.raw_decode(text, start)
    except (ValueError, RecursionError):
        return False
    return "\n" in text[start:end] or text[_skip(text, end) :][:1] == "{"


def _lines(text: str, problems: Problems) -> Numbered:
    expected = "one JSON object a line"
    for number, raw in enumerate(text.split("\n"), 1):
        line = raw.strip(" \t\r\ufeff")
        if not line or line.startswith(("#", "//")):
            continue
        if len(line) > MAX_LINE_CHARS:
            problems.add(number, "", f"is longer than {MAX_LINE_CHARS:,} characters", expected)
            yield number, None
            continue
        try:
            line = line.rstrip(",") if line.endswith("},") else line
            value = _DECODER.decode(_OPEN_COMMA.sub("}", line) if line.startswith("{") else line)
        except json.JSONDecodeError as error:
            problems.add(number, "", f"is not JSON ({error.msg} at column {error.colno})", expected)
            yield number, None
        except (ValueError, RecursionError) as error:  # a number of 5,000 digits; 100,000 brackets
            problems.add(number, "", f"is not JSON that can be read ({error})", expected)
            yield number, None
        else:
            yield number, _object(value, number, problems)


def _list(text: str, position: int, problems: Problems, closed: bool = True) -> Numbered:
    """Yield the elements of a list, or concatenated objects, up to the first that is not JSON."""
    problems.unit = "element"
    expected = "a JSON list of objects" if closed else "JSON objects"
    several = "\n" in text[position:].strip(" \t\r\n]")
    line = 1 + text.count("\n", 0, position)
    number = 0
    while True:
        begin = _skip(text, position)
        line += text.count("\n", position, begin)
        if begin == len(text) or (closed and text[begin] == "]"):
            if closed and begin == len(text):
                problems.add_at(f"line {line}", "", "is not JSON: the list does not end", expected)
            behind = _skip(text, begin + 1)
            if text[behind : behind + 1] != "[":
                if behind < len(text):
                    wrong = line + text.count("\n", begin, behind)
                    problems.add_at(f"line {wrong}", "", "follows the end of the list", f"only {expected}")
                return
            line += text.count("\n", begin, behind)  # another list: files that were put one behind the other
            position = behind + 1
            continue
        number += 1
        try:
            value, position = _DECODER.raw_decode(text, begin)
        except json.JSONDecodeError as error:
            wrong = line + text.count("\n", begin, error.pos)
            problems.add_at(f"line {wrong}", "", f"is not JSON ({error.msg})", f"{expected}; what follows was not read")
            return
        except (ValueError, RecursionError) as error:
            problems.add_at(f"line {line}", "", f"is not JSON that can be read ({error})", expected)
            return
        if several:
            problems.line_of[number] = line
        yield number, _object(value, number, problems)
        line += text.count("\n", begin, position)
        after = _skip(text, position)
        if text[after : after + 1] == ",":
            line += text.count("\n", position, after)
            position = after + 1
        elif closed and text[after : after + 1] not in ("]", ""):
            line += text.count("\n", position, after)
            problems.add_at(f"line {line}", "", "has no comma or ] after an element", expected)
            return


def _single(value: dict[str, Any], problems: Problems) -> Numbered:
    """Yield the rows of a file that is one object: a row, or a container of rows (`{"data": [...]}`, columns)."""
    lists = {name: inner for name, inner in value.items() if _is_rows(inner)}
    own = any(value.get(name) and name not in lists for name in ROW_FIELDS)
    columns = _columns(value)
    inner = list(value.values())
    if len(inner) > 1 and all(isinstance(row, dict) and row.keys() == inner[0].keys() for row in inner) and not columns:
        problems.unit = "element"
        yield from ((number, _object(row, number, problems)) for number, row in enumerate(inner, 1))  # by their ids
    elif len(inner) == 1 and isinstance(inner[0], dict):
        yield from _single(inner[0], problems)
    elif columns:
        problems.unit = "row"
        yield from enumerate(columns, 1)
    elif not lists or own or _OF_A_ROW & lists.keys() or any(_is_message(rows[0]) for rows in lists.values()):
        yield 1, _object(value, 1, problems)
    elif len(lists) > 1 and "row_idx" not in lists.get("rows", [{}])[0]:
        raise InputFileError(
            f"{problems.path} holds several lists: {', '.join(lists)}.",
            f"Keep one of them: jq '.{next(iter(lists))}' {problems.path.name} > one.json",
        )
    else:
        problems.unit = "element"
        definition = value.get("Definition")  # of a task of Natural Instructions, before its instances
        definition = definition[0] if isinstance(definition, list) and definition else definition
        asked = {"instruction": definition} if isinstance(definition, str) else {}
        for number, row in enumerate(lists.get("rows") or next(iter(lists.values())), 1):
            wrapped = isinstance(row, dict) and isinstance(row.get("row"), dict) and "row_idx" in row
            if wrapped and row.get("truncated_cells"):
                problems.add(number, "truncated_cells", "was cut short by the viewer", "the file itself, downloaded")
                yield number, None
                continue
            found = _object(row["row"] if wrapped else row, number, problems)
            yield number, {**asked, **found} if found else found


def _is_rows(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and isinstance(value[0], dict)


def _columns(value: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Convert columns in the formats of pandas (name to list, or name to values by index) to rows; [] if it is not."""
    if len(value) < 2:
        return []
    names, data = value.get("columns"), value.get("data")  # orient="split"
    if isinstance(names, list) and isinstance(data, list) and all(isinstance(row, list) for row in data):
        return [dict(zip(map(str, names), row, strict=False)) for row in data]
    inner = list(value.values())
    if all(isinstance(column, dict) and column and all(key.isdigit() for key in column) for column in inner):
        index = list(inner[0])
        return [{name: column.get(key) for name, column in value.items()} for key in index]
    lists = all(isinstance(column, list) and column and not _is_rows(column) for column in inner)
    if lists and len({len(column) for column in inner}) == 1:
        return [dict(zip(value, row, strict=True)) for row in zip(*inner, strict=True)]
    return []


def _skip(text: str, position: int) -> int:
    """Return the position after whitespace and comments."""
    while position < len(text):
        if text[position] in " \t\r\n\ufeff":
            position += 1
        elif text[position] == "/" and (remark := _REMARK.match(text, position)):
            position = remark.end()
        else:
            break
    return position


def _object(value: Any, number: int, problems: Problems) -> dict[str, Any] | None:
    if isinstance(value, str) and value.lstrip().startswith("{"):  # JSON in a string of JSON
        value = _parsed(value)
    if isinstance(value, list) and value and all(map(_is_message, value)):
        return {"messages": value}
    if isinstance(value, dict):
        if isinstance(value, _Doubled):
            problems.notes["rows have a field twice: the last value is used"] += 1
        return value
    problems.add(number, "", f"is {reprlib.repr(value)}", "a JSON object")
    return None
