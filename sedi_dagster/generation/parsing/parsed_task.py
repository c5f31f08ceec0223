"""A task found in the teacher's text, and splitting a text into parts."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

CUT = "cut by length"
_LAID_OUT = re.compile(r"\n(?:[ \t]*+(?:```|\||[-*•][ \t]|\d{1,3}[.)][ \t])|\t| {4})")


@dataclass(frozen=True)
class ParsedTask:
    """A piece of the teacher's text. `problem` is empty for a well-formed one; `raw` is the piece as it came.

    What the form asked for does not have is empty: a task has no `output` yet, an instance no `instruction`.
    """

    instruction: str
    input: str
    problem: str
    raw: str
    output: str = ""


def split_at(text: str, starts: Iterable[int]) -> list[str]:
    """The text cut before each start; blank pieces are left out."""
    pieces = (text[a:b] for a, b in pairwise(sorted({0, *starts, len(text)})))
    return [piece for piece in pieces if piece.strip()]


def instruction_text(text: str) -> str:
    """An instruction as one line, unless its lines mean something: code, a table, a list."""
    return text.strip() if _LAID_OUT.search(text.rstrip()) else " ".join(text.split())


def without_lone_bold(text: str) -> str:
    """Without the closing mark of a bold head or label, as in `**Task 9: Name a river.**`, or both around a whole."""
    if text.count("**") == 2 and text.startswith("**") and text.endswith("**"):
        return text[2:-2].strip()
    return text.removesuffix("**").rstrip() if text.count("**") % 2 else text
