"""Wordings: sentences with slots, filled in one way and read back the other."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import NamedTuple

Slots = dict[str, str]

_SLOT = re.compile(r"\{(\w+)\}")
_ARTICLE = re.compile(r"\b([Aa]) (?=[aeiou])")
_NUMBERS = frozenset({"n", "a", "b"})
_PHRASES = frozenset(
    {"speech", "times", "facts", "note", "keys", "about", "sentence", "must", "list", "job", "answer", "continent"}
)
"""Slots that hold more than one word."""


class Wording:
    """An instruction with slots and, after ` || `, the input that comes with it."""

    def __init__(self, text: str) -> None:
        self.text = text.strip().replace("\\n", "\n")
        self.instruction, _, self.input = self.text.partition(" || ")

    def fill(self, slots: Mapping[str, str]) -> tuple[str, str]:
        """(instruction, input) with the slots filled in; the input is empty where there is none."""
        return filled(self.instruction, slots), filled(self.input, slots)

    def read(self, instruction: str, text_input: str) -> Slots | None:
        """The slots of a text in this wording, or None. An input that is not given is not read."""
        found = self._pattern.fullmatch(instruction)
        if found is None or bool(text_input) > bool(self.input):
            return None
        slots = found.groupdict()
        if not text_input:
            return slots
        given = self._input_pattern.fullmatch(text_input)
        return None if given is None else given.groupdict() | slots

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        return pattern(self.instruction)

    @cached_property
    def _input_pattern(self) -> re.Pattern[str]:
        return pattern(self.input)


def filled(text: str, slots: Mapping[str, str], large: bool = True) -> str:
    """The text with its slots filled in, `an` where it should be and, if `large`, its first letter large."""
    told = _ARTICLE.sub(r"\1n ", _SLOT.sub(lambda slot: slots[slot[1]], text))
    return told[:1].upper() + told[1:] if large else told


def pattern(text: str) -> re.Pattern[str]:
    """Matches the text whatever its slots hold; the groups are the slots."""
    told, seen = "", set[str]()
    for place, part in enumerate(_SLOT.split(text)):
        if place % 2 == 0:
            told += re.sub(r"\b([Aa])\\ $", r"\1n?\\ ", re.escape(part))
        elif part in seen:
            told += f"(?P={part})"
        else:
            seen.add(part)
            told += f"(?P<{part}>{_form(part)})"
    return re.compile(told, re.IGNORECASE | re.DOTALL)


def _form(slot: str) -> str:
    return r"\d+" if slot in _NUMBERS else r".+?" if slot in _PHRASES else r"[\w'-]+"


class Pool(NamedTuple):
    """Wordings or words by who may use them: the teacher, or the evaluation items alone."""

    taught: Sequence[str]
    held_out: Sequence[str]

    @classmethod
    def of(cls, told: Mapping[str, str | Sequence[str]]) -> Pool:
        """From YAML: a list, lines of text, or words on a line."""
        return cls(*(_entries(told[name]) for name in cls._fields))

    def of_side(self, held_out: bool) -> Sequence[str]:
        return self.held_out if held_out else self.taught


def _entries(told: str | Sequence[str]) -> tuple[str, ...]:
    if not isinstance(told, str):
        return tuple(told)
    return tuple(told.splitlines() if "\n" in told else told.split())
