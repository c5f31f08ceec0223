"""What a skill is: tasks of one kind in many wordings, right answers in three styles, plausible wrong ones."""

from __future__ import annotations

import random
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal, TypeVar

from benchmarks.teachers.wording import Pool, Slots, Wording, filled, pattern

_T = TypeVar("_T")
Style = Literal["short", "steps", "verbose"]
STYLES: tuple[Style, ...] = ("short", "steps", "verbose")
BANDS = ("easy", "medium", "hard")
Check = tuple[str, dict[str, Any]]
"""A verifier of the product and its arguments."""


@dataclass(frozen=True)
class Words:
    """The words of a ground: `people`, `places`, `things` (singular), `adjectives`, and so on."""

    pools: Mapping[str, Pool]
    held_out: bool

    def __getitem__(self, kind: str) -> Sequence[str]:
        return self.pools[kind].of_side(self.held_out)


class Skill(ABC):
    """One kind of task. Subclasses say what the slots hold and what the right answer is.

    Attributes: name. category: its id. taught, held_out: wordings. texts: what else the ground's YAML says of it.
    """

    def __init__(self, name: str, texts: Mapping[str, Any]) -> None:
        self.name, self.texts = name, texts
        self._memory: dict[object, Any] = {}
        self.category: str = texts["category"]
        self.taught, self.held_out = ([Wording(line) for line in texts[side].splitlines()] for side in Pool._fields)

    @abstractmethod
    def draw(self, rng: random.Random, words: Words, band: int) -> Slots:
        """What the slots of a task of this band hold, besides those that all skills have (`base_slots`)."""

    @abstractmethod
    def answer(self, slots: Slots) -> str:
        """The right answer, in the short style."""

    @abstractmethod
    def wrong(self, slots: Slots, rng: random.Random) -> str:
        """An answer that looks right and is not."""

    @abstractmethod
    def band(self, slots: Slots) -> int:
        """The band of a task: 0 easy, 1 medium, 2 hard."""

    @abstractmethod
    def check(self, slots: Slots) -> Check:
        """The verifier that tells whether an answer is right, in whichever style."""

    def read(self, slots: Slots) -> Slots:
        """The slots with what follows from them; `KeyError` or `ValueError` if they are not of this skill."""
        return slots

    def interchangeable(self, held_out: bool) -> list[Sequence[str]]:
        """Groups of words of this skill alone, in each of which one can stand for another."""
        return []

    def lines(self, kind: str, held_out: bool) -> Sequence[str]:
        """The lines that the ground's YAML gives for a part of a wording."""
        return self.remembered((kind, held_out), lambda: [line.strip() for line in self.pool(kind, held_out)])

    def pool(self, kind: str, held_out: bool) -> Sequence[str]:
        return self.remembered(kind, lambda: Pool.of(self.texts[kind])).of_side(held_out)

    def remembered(self, key: object, make: Callable[[], _T]) -> _T:
        """What `make` gives, made once."""
        if key not in self._memory:
            self._memory[key] = make()
        told: _T = self._memory[key]
        return told

    def wordings(self, held_out: bool) -> list[Wording]:
        return self.held_out if held_out else self.taught

    def styled(self, slots: Slots, answer: str, style: Style, rng: random.Random) -> str:
        """The answer, right or wrong, in a style."""
        if style == "short":
            return answer
        lines = self.texts[style].splitlines()
        return filled(rng.choice(lines).replace("\\n", "\n"), {**slots, "answer": answer})

    def style_of(self, output: str) -> Style:
        """The style that an answer of this skill is written in."""
        told = output.strip()
        return next((style for style, forms in self._styles.items() if any(f.fullmatch(told) for f in forms)), "short")

    @cached_property
    def _styles(self) -> dict[Style, list[re.Pattern[str]]]:
        return {
            style: [pattern(line.strip().replace("\\n", "\n")) for line in self.texts[style].splitlines()]
            for style in STYLES[1:]
        }


@dataclass(frozen=True)
class Task:
    """A task of a skill. `opening`, `closing`: what stands around the wording (wordings themselves, or empty)."""

    skill: Skill
    wording: Wording
    slots: Slots = field(compare=False)
    opening: str = ""
    closing: str = ""

    @property
    def band(self) -> int:
        return self.skill.band(self.slots)

    @property
    def answer(self) -> str:
        return self.skill.answer(self.slots)

    def told(self) -> tuple[str, str]:
        """(instruction, input)."""
        instruction, text_input = self.wording.fill(self.slots)
        around = (filled(self.opening, self.slots), instruction, filled(self.closing, self.slots))
        return " ".join(part for part in around if part), text_input


def base_slots(rng: random.Random, words: Words) -> Slots:
    """The slots that the wordings of all skills may use."""
    person, other, friend = rng.sample(words["people"], 3)
    place, city, town = rng.sample(words["places"], 3)
    thing, gadget = rng.sample(words["things"], 2)
    return {
        "person": person, "other": other, "friend": friend, "place": place, "city": city, "town": town,
        "thing": thing, "things": f"{thing}s", "gadget": gadget, "adj": rng.choice(words["adjectives"]),
        "n": str(rng.randrange(2, 60)), "day": rng.choice(words["days"]), "event": rng.choice(words["events"]),
    }  # fmt: skip


def all_of(*parts: Check) -> Check:
    return "all", {"of": [{"verifier": name, "args": args} for name, args in parts]}


def contains(answer: str, most_words: int, forbidden: Sequence[str] = ()) -> Check:
    """The answer as whole words, in at most so many of them, and nothing that is forbidden."""
    return "match", {"aliases": [answer], "max_words": most_words, "forbidden": list(forbidden)}


def one_of(labels: Sequence[str], answer: str, most_words: int = 20) -> Check:
    return "label", {"labels": list(labels), "answer": answer, "max_words": most_words}


def another(rng: random.Random, options: Sequence[str], than: str) -> str:
    """One of the options that is not the right one."""
    return rng.choice([option for option in options if option != than])


def whole_number(value: int) -> Check:
    return "numeric", {"value": value}


def side(held_out: bool) -> str:
    """The key in the ground's YAML of what the teacher writes, or of what only the items have."""
    return Pool._fields[held_out]


def joined(parts: Sequence[str]) -> str:
    """`a, b and c`."""
    return " and ".join([", ".join(parts[:-1]), parts[-1]])


def steady(*told: str) -> random.Random:
    """Chance that depends on the task alone: of several right answers a task always gets the same one."""
    return random.Random("\n".join(told).lower())
