"""Reading tasks out of whatever the teacher wrote. Nothing a model writes can raise out of here."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise

_HEAD = re.compile(
    r"^[ \t]*(?:\*\*|#+ )?(?:Task[ \t]*)?\d{1,3}[ \t]*[.:)](?:\*\*)?[ \t]*", re.MULTILINE | re.IGNORECASE
)
_INPUT = re.compile(r"^[ \t]*(?:\*\*)?Input(?:\*\*)?[ \t]*:(?:\*\*)?[ \t]*", re.MULTILINE | re.IGNORECASE)
_OUTPUT = re.compile(
    r"^[ \t]*(?:\*\*)?(?:Output|Answer|Response|Solution)(?:\*\*)?[ \t]*:", re.MULTILINE | re.IGNORECASE
)
_NO_INPUT = re.compile(r"^\W*(?:no[ _-]?input|none|n/?a|not applicable|empty)\W*$", re.IGNORECASE)


@dataclass(frozen=True)
class ParsedTask:
    """A piece of the teacher's text. `problem` is empty for a well-formed task; `raw` is the piece as it came."""

    instruction: str
    input: str
    problem: str
    raw: str


def parse_tasks(text: str, cut_off: bool) -> list[ParsedTask]:
    """Split a numbered series into tasks.

    Args:
        text: the continuation; it may begin inside the first task (the prompt ended with its number).
        cut_off: the teacher was stopped by its token limit, so the last piece may be incomplete.
    """
    starts = [match.start() for match in _HEAD.finditer(text)]
    bounds = sorted({0, *starts, len(text)})
    pieces = [text[a:b] for a, b in pairwise(bounds)]
    pieces = [piece for piece in pieces if piece.strip()]
    return [_parse_piece(piece, cut_off and i == len(pieces) - 1) for i, piece in enumerate(pieces)]


def _parse_piece(raw: str, cut_off: bool) -> ParsedTask:
    body = _HEAD.sub("", raw, count=1)
    answered = _OUTPUT.search(body)
    if answered:  # the teacher went on to answer; a later call asks for the answer properly
        body, cut_off = body[: answered.start()], False
    parts = _INPUT.split(body, maxsplit=1)
    instruction = " ".join(parts[0].split())
    text_input = parts[1].strip() if len(parts) == 2 else ""
    text_input = _INPUT.split(text_input, maxsplit=1)[0].strip()
    if _NO_INPUT.match(text_input):
        text_input = ""
    if not instruction:
        problem = "no instruction"
    elif cut_off:
        problem = "cut by length"
    else:
        problem = ""
    return ParsedTask(instruction, text_input, problem, raw)
