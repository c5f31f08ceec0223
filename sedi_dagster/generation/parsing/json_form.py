"""Examples in JSON, whole or broken: a list of objects, objects one after the other, or a list in a wrapper.

A general repairer closes what was cut off and so passes half a text for a whole one, and it does not tell which
bytes became which value. Here a value is only ever read as it stands: what is repaired is punctuation (trailing and
missing commas, quotes inside a string, escapes that JSON does not know, Python's None and single quotes), an object
that does not close is malformed, and every byte belongs to one piece.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from sedi_dagster.generation.parsing import words
from sedi_dagster.generation.parsing.parsed_task import CUT, ParsedTask
from sedi_dagster.texts.control import without_control_characters
from sedi_dagster.texts.no_input import means_no_input

BROKEN = "broken JSON"

FIELDS = {
    "instruction": ("instruction", "instructions", "task", "prompt", "question"),
    "input": ("input", "context", "text", "passage", "document", "article", "paragraph", "options", "choices"),
    "output": ("output", "response", "answer", "completion"),
}
_LABELS = {
    "instruction": (words.INSTRUCTION, words.QUESTION),
    "input": (words.INPUT,),
    "output": (words.OUTPUT,),
}
_STRING = r'"(?:[^"\\]++|\\.)*+"?'  # possessive: an unclosed string runs to the end once, not once for each quote
_SINGLE = r"'(?:[^'\\]++|\\.)*+'?"  # as Python quotes
_TOKEN = re.compile(rf"{_STRING}|[{{}}\[\]:]", re.DOTALL)
_PYTHON_TOKEN = re.compile(rf"{_STRING}|{_SINGLE}|[{{}}\[\]:]", re.DOTALL)
_PYTHON_STRINGS = re.compile(rf"{_STRING}|{_SINGLE}", re.DOTALL)
_KEY = re.compile(r"\{\s*([\"'])\w{1,20}\1\s*:")
_PYTHON_LEAD = re.compile(r"(?:\w{1,20}[ ]?=)?[ \t\[{]*")
"""Before the first object in its line. Within a sentence an object belongs to the task."""
_STRINGS = re.compile(_STRING, re.DOTALL)
_QUOTING_STRING = re.compile(r'"(?:[^"\\]++|\\.|"(?!\s*+[,:}\]]))*+"', re.DOTALL)
_INNER_QUOTE = re.compile(r'(?<!\\)"')
_OPENING = re.compile(r"[{\[]")
# As an element of a list or one after the other, not as the value of a key.
_EXAMPLE_START = re.compile(rf'[\[,}}]\s*(\{{\s*"(?:{"|".join(FIELDS["instruction"])})"\s*:)', re.IGNORECASE)
_TRAILING_COMMA = re.compile(r",(?=\s*[}\]])")
_ESCAPE = re.compile(r"\\(u[0-9a-fA-F]{4}|.)", re.DOTALL)
_PYTHON_WORD = re.compile(r"\b(?:None|True|False)\b")
_JSON_WORD = {"None": "null", "True": "true", "False": "false"}
_PUNCTUATION = re.compile(r"""```[\w+-]*|(["'])[^"'\n]{0,40}\1\s*:|\W|\b(?:json|\d+)\b""", re.IGNORECASE)
_LONGEST_KEY = 20


@dataclass
class _Open:
    """A bracket that was opened, and whether the object names an instruction."""

    start: int
    bracket: str
    is_example: bool = False


@dataclass(frozen=True)
class _Span:
    """An object that names an instruction; `closed` if its last brace is there."""

    start: int
    end: int
    closed: bool


class _Numeral(str):
    """A number as it was written: 12.50 is not 12.5 in an answer."""


def parse_json(text: str, cut_off: bool, answered: bool) -> list[ParsedTask] | None:
    """Examples in the JSON of a text, or None if the text is of another form.

    Args:
        cut_off: the teacher was stopped by its token limit; only an object that was not closed suffers from it.
        answered: an example needs an output.
    """
    spans = [part for span in _example_spans(text, 0, len(text)) for part in _readable(text, span)]
    labels = (words.INPUT, words.OUTPUT, words.NAMED_HEAD)  # of a task in text form, whose input or output is in JSON
    if not spans or any(label.search(text, 0, spans[0].start) for label in labels):
        return None
    pieces: list[ParsedTask] = []
    done = 0
    for number, span in enumerate(spans):
        if not _only_punctuation(text[done : span.start]):  # talk before it
            pieces.append(ParsedTask("", "", "not a task", text[done : span.start]))
            done = span.start
        end = span.end
        if number == len(spans) - 1 and _only_punctuation(text[end:]):
            end = len(text)
        pieces.append(_parse_object(text, span, text[done:end], cut_off and span.end == len(text), answered))
        done = end
    if text[done:].strip():
        pieces.append(ParsedTask("", "", "not a task", text[done:]))
    return pieces


def _only_punctuation(glue: str) -> bool:
    return not _PUNCTUATION.sub("", glue)


def _example_spans(text: str, start: int, end: int) -> list[_Span]:
    """The outermost objects that name an instruction, in one pass over the brackets outside strings."""
    key, tokens = _KEY.search(text, start, end), _TOKEN
    if key and key[1] == "'" and not words.BARE_HEAD.search(text, start, key.start()):
        lead = text[text.rfind("\n", 0, key.start()) + 1 : key.start()]
        tokens = _PYTHON_TOKEN if _PYTHON_LEAD.fullmatch(lead) else _TOKEN
    found: list[_Span] = []
    stack: list[_Open] = []
    still_open = {"{": 0, "[": 0}
    position, last_string = start, ""
    while True:
        match = (tokens if stack else _OPENING).search(text, position, end)
        if match is None:
            break
        token, position = match[0], match.end()
        if token in "{[":
            stack.append(_Open(match.start(), token))
            still_open[token] += 1
        elif token in "}]":
            opening = "{" if token == "}" else "["
            if still_open[opening]:
                _close(stack, still_open, opening, position, found)
        elif token == ":" and stack[-1].bracket == "{":
            stack[-1].is_example |= field_of(last_string) == "instruction"
        last_string = token.strip("\"' ").casefold() if token[0] in "\"'" and len(token) <= _LONGEST_KEY else ""
    unclosed = next((o.start for o in stack if o.is_example), None)
    if unclosed is not None:
        found = [span for span in found if span.start < unclosed]
        found.append(_Span(unclosed, end, closed=False))
    return found


def _close(stack: list[_Open], still_open: dict[str, int], opening: str, end: int, found: list[_Span]) -> None:
    """Close the innermost bracket of the kind, and with it all that were opened inside and left open."""
    while True:
        closed = stack.pop()
        still_open[closed.bracket] -= 1
        if closed.bracket == opening:
            break
    if closed.is_example:
        while found and found[-1].start > closed.start:  # an object inside an example is a part of it
            found.pop()
        found.append(_Span(closed.start, end, closed=True))


def _readable(text: str, span: _Span) -> Iterator[_Span]:
    """The span itself, or where it is broken (a quote too many swallows what follows) its parts, one an example."""
    if span.closed and read_object(text[span.start : span.end], quotes=True) is not None:
        yield span
        return
    starts = [m.start(1) for m in _EXAMPLE_START.finditer(text, span.start + 1, span.end)]
    if not starts:
        yield span
        return
    for start, end in zip([span.start, *starts], [*starts, span.end], strict=True):
        inner = _example_spans(text, start, end)
        yield inner[0] if inner and inner[0].start == start else _Span(start, end, closed=False)


def read_object(source: str, quotes: bool = False) -> dict[str, Any] | None:
    """The object, with only punctuation repaired and numbers as they were written; None if it cannot be read without
    guessing. `quotes`: those inside a string are repaired too."""
    key = _KEY.match(source)
    if key and key[1] == "'":
        source = _PYTHON_STRINGS.sub(_in_double_quotes, source)
    fixes = (str, _repaired, lambda text: _repaired(_inner_quotes_escaped(text)))
    for fix in fixes[: 2 + quotes]:
        try:
            data = json.loads(
                fix(source), strict=False, parse_int=_Numeral, parse_float=_Numeral, parse_constant=_Numeral
            )
        except (ValueError, RecursionError):
            continue
        return data if isinstance(data, dict) else None
    return None


def _repaired(source: str) -> str:
    """With commas that are missing or too many set right, unknown escapes taken literally, Python's words as JSON's."""
    parts: list[str] = []
    done = 0
    for match in _STRINGS.finditer(source):
        gap = source[done : match.start()]
        parts.append("," if parts and not gap.strip() else _repaired_gap(gap))
        parts.append(_ESCAPE.sub(_known_escape, match[0]))
        done = match.end()
    return "".join([*parts, _repaired_gap(source[done:])])


def _in_double_quotes(string: re.Match[str]) -> str:
    if string[0][0] == '"':
        return string[0]
    return '"' + _INNER_QUOTE.sub(r"\"", string[0][1:-1].replace("\\'", "'")) + '"'


def _inner_quotes_escaped(source: str) -> str:
    """With a quote taken for the end of a string only where the object could go on after it."""
    return _QUOTING_STRING.sub(lambda m: '"' + _INNER_QUOTE.sub(r"\\\g<0>", m[0][1:-1]) + '"', source)


def _known_escape(match: re.Match[str]) -> str:
    escaped = match[1]
    if len(escaped) > 1 or escaped in '"\\/bfnrt':
        return match[0]
    return "'" if escaped == "'" else "\\\\" + escaped


def _repaired_gap(gap: str) -> str:
    return _PYTHON_WORD.sub(lambda m: _JSON_WORD[m[0]], _TRAILING_COMMA.sub("", gap))


def _parse_object(text: str, span: _Span, raw: str, cut_off: bool, answered: bool) -> ParsedTask:
    data = read_object(text[span.start : span.end], quotes=True) if span.closed else None
    if data is None:
        return ParsedTask("", "", CUT if cut_off and not span.closed else BROKEN, raw)
    try:
        values = _values(data)
    except RecursionError:
        return ParsedTask("", "", BROKEN, raw)
    instruction = values["instruction"]
    label = words.INPUT.search(instruction) or words.INLINE_INPUT.search(instruction)
    if label and means_no_input(values["input"] or "none"):  # written into the instruction instead
        instruction, values["input"] = instruction[: label.start()].strip(), instruction[label.end() :].strip()
    given = "" if means_no_input(values["input"]) else values["input"]
    output = values["output"] if answered else ""
    problem = "no instruction" if not instruction else "no output" if answered and not output else ""
    if not problem and (words.INPUT.search(instruction) or words.INLINE_INPUT.search(instruction)):
        problem = "a label within the instruction"
    return ParsedTask(instruction, given, problem, raw, output)


@lru_cache(1000)
def field_of(key: str) -> str:
    """Which of `FIELDS` a key in any language names; empty if none."""
    name = key.strip().casefold().replace("_", " ")
    for field, names in FIELDS.items():
        if name in names or any(label.match(f"{name}:") for label in _LABELS[field]):
            return field
    return ""


def _values(data: dict[str, Any]) -> dict[str, str]:
    """The text of each field. What a task works on may stand under several keys, such as a context and a question."""
    found: dict[str, list[str]] = {field: [] for field in FIELDS}
    for key, value in sorted(data.items(), key=_rank):
        field = field_of(key)
        if not field or value is None or (field == "instruction" and type(value) is not str):  # `task` may be a number
            continue
        text = _storable(value if isinstance(value, str) else _as_json(value)).strip()
        if field == "instruction" and found[field] and text not in found[field]:
            field = "input" if words.QUESTION.match(f"{key}:") else ""
        if field and text and text not in found[field]:
            found[field].append(text)
    return {field: "\n\n".join(found[field] if field == "input" else found[field][:1]) for field in FIELDS}


def _rank(item: tuple[str, Any]) -> int:
    """The best known names of a field come first."""
    name = item[0].strip().casefold()
    return min((names.index(name) for names in FIELDS.values() if name in names), default=99)


def _as_json(value: Any) -> str:
    """A value that is no text, as JSON, its numbers as they were written."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_as_json(key)}: {_as_json(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_as_json, value)) + "]"
    return str(value) if isinstance(value, _Numeral) else json.dumps(value, ensure_ascii=False)


def _storable(text: str) -> str:
    """Halves of characters (legal as an escape in JSON, in no encoding) joined or replaced; no control characters."""
    text = without_control_characters(text)
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
