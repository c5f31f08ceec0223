"""Whether the input of a task says that there is none, in the words of people and models."""

import re
import unicodedata
from pathlib import Path

from sedi_dagster.yaml_file import read_yaml

_DASHES_AND_BRACKETS = frozenset("-–—―_()[]{}<>（）［］【】「」\"'“”‘’*`. \t\r\n")
_ENGLISH_NO_INPUT = re.compile(
    r"(?:none|(?:no|without)(?: (?:additional|further|specific|extra|other))? inputs?)"
    r"(?: (?:text|data))?(?: (?:is|was))?(?: (?:needed|necessary|required|given|provided|available))?"
)


def _plain(text: str) -> str:
    """Letters and digits in lower case, words apart by one space; marks inside a word (Hindi, Thai) stay."""
    spaced = (c if c.isalnum() or unicodedata.category(c) in ("Mn", "Mc") else " " for c in text)
    return " ".join("".join(spaced).casefold().split())


_NO_INPUT = frozenset(
    _plain(words) for line in read_yaml(Path(__file__).with_name("no_input.yaml")) for words in line.split("|")
)
_REMARK = re.compile(r"(?<=[^\s(（])\s*[(（][^()（）]{1,40}[)）][\s.]*\Z")
"""Behind it: `N/A (no input needed)`."""
_LONGEST_NO_INPUT = 80


def means_no_input(text: str) -> bool:
    """Whether an input says that there is none: `<noinput>`, `None.`, `N/A`, a dash, `keine Eingabe`, `无`."""
    text = text.strip()
    if len(text) > _LONGEST_NO_INPUT:
        return False
    plain = _plain(_REMARK.sub("", text))
    if not plain:
        return all(c in _DASHES_AND_BRACKETS for c in text)
    return plain in _NO_INPUT or _ENGLISH_NO_INPUT.fullmatch(plain) is not None
