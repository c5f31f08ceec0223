"""Reading tasks out of whatever the teacher wrote. Nothing a model writes can raise out of here."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise

_LINE_START = r"^[ \t\u200e\u200f]*"  # marks of writing direction may stand before a number
_NAMED_HEAD = re.compile(
    rf"{_LINE_START}(?:\*\*|#+ )?Task[ \t]*#?\d{{1,3}}[ \t]*(?:[.:)．、：）]|\*\*[ \t]*:)(?:\*\*)?[ \t]*",
    re.MULTILINE | re.IGNORECASE,
)
# Not before another digit: 3.5 and 10:30 are no numbering.
_BARE_HEAD = re.compile(rf"{_LINE_START}(?:\*\*|#+ )?\d{{1,3}}[ \t]*[.:)．、：）](?!\d)(?:\*\*)?[ \t]*", re.MULTILINE)
_LABEL = re.compile(r"\s*(?:\*\*)?(?:Instruction|Task)(?:\*\*)?[ \t]*:(?:\*\*)?[ \t]*", re.IGNORECASE)
_INPUT = re.compile(r"^[ \t]*(?:\*\*)?Input(?:\*\*)?[ \t]*:(?:\*\*)?[ \t]*", re.MULTILINE | re.IGNORECASE)
_OUTPUT = re.compile(
    r"^[ \t]*(?:\*\*)?(?:Output|Answer|Response|Solution)(?:\*\*)?[ \t]*:", re.MULTILINE | re.IGNORECASE
)
_FENCE = re.compile(r"^[ \t]*```[\w+-]*[ \t]*\r?$", re.MULTILINE)
_NO_INPUT = re.compile(
    r"^\W*(?:no[ _-]?input(?: (?:is )?(?:needed|necessary|required|given|provided))?"
    r"|none|n/?a|not applicable|empty)\W*$"
    r"|^[-–—]+$",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class ParsedTask:
    """A piece of the teacher's text. `problem` is empty for a well-formed task; `raw` is the piece as it came."""

    instruction: str
    input: str
    problem: str
    raw: str


def parse_tasks(text: str, cut_off: bool, begins_inside: bool = True) -> list[ParsedTask]:
    """Split a numbered series into tasks. The `raw` of all pieces make up the text again, blank ones apart.

    Args:
        text: what the teacher wrote.
        cut_off: the teacher was stopped by its token limit, so the last piece may be incomplete.
        begins_inside: the prompt ended with the first task's number, so the text begins with that task. Otherwise
            what stands before the first number is talk ("Sure, here are 8 tasks:").
    """
    # Where tasks are headed "Task 9:", a bare "1." is an item of a list inside one.
    head = _NAMED_HEAD if _NAMED_HEAD.search(text) else _BARE_HEAD
    starts = [match.start() for match in head.finditer(text)]
    pieces = [text[a:b] for a, b in pairwise(sorted({0, *starts, len(text)}))]
    pieces = [piece for piece in pieces if piece.strip()]
    unnumbered = begins_inside or (not starts and _INPUT.search(text) is not None)  # one task needs no number
    return [
        _parse_piece(piece, head, cut_off and i == len(pieces) - 1, unnumbered and i == 0)
        for i, piece in enumerate(pieces)
    ]


def _parse_piece(raw: str, head: re.Pattern[str], cut_off: bool, may_lack_head: bool) -> ParsedTask:
    started = head.match(raw) or _BARE_HEAD.match(raw)
    body = _without_lone_fence(raw[started.end() :] if started else raw)
    answered = _OUTPUT.search(body)
    if answered:  # the teacher went on to answer; a later call asks for the answer properly
        body, cut_off = body[: answered.start()], False
    parts = _INPUT.split(body, maxsplit=2)
    label = _LABEL.match(parts[0])
    instruction = _without_lone_bold(" ".join(parts[0][label.end() if label else 0 :].split()))
    text_input = parts[1].strip() if len(parts) > 1 else ""
    if _NO_INPUT.match(text_input.split("\n\n", 1)[0]):  # what follows after a blank line is talk
        text_input = ""
    if not instruction:
        problem = "no instruction"
    elif not started and not may_lack_head:
        problem = "not a numbered task"
    elif cut_off:
        problem = "cut by length"
    else:
        problem = ""
    return ParsedTask(instruction, text_input, problem, raw)


def _without_lone_fence(body: str) -> str:
    """Without the code fence that wraps the whole series: its other half lies in another piece."""
    fences = list(_FENCE.finditer(body))
    if len(fences) % 2 == 0:
        return body
    before, after = body[: fences[-1].start()], body[fences[-1].end() :]
    if not after.strip():
        return before
    return body if body[: fences[0].start()].strip() else body[fences[0].end() :]


def _without_lone_bold(instruction: str) -> str:
    """Without the closing mark of a bold head, as in `**Task 9: Name a river.**`."""
    return instruction.removesuffix("**").rstrip() if instruction.count("**") % 2 else instruction
