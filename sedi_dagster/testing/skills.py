"""Skills of the simulated teacher: task templates, with answers that follow from the text of the task.

A skill has wordings with slots (`skills.yaml`). A task is written by filling the slots, and answered by reading them
from its text, so the server can answer tasks that it wrote before a restart. The tasks are simple and have few forms;
they show how the loop behaves, not what good data looks like. Five skills have held-out wordings, which together with
held-out words form the evaluation items of the rehearsal (`seeds/rehearsal/`). The simulated teacher never writes them.
"""

import json
import random
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from sedi_dagster.yaml_file import read_yaml

Slots = Mapping[str, str]

DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
CAPITALS = {
    "France": "Paris", "Japan": "Tokyo", "Peru": "Lima", "Egypt": "Cairo", "Norway": "Oslo", "Kenya": "Nairobi",
    "Chile": "Santiago", "Poland": "Warsaw", "Greece": "Athens", "Cuba": "Havana", "Ghana": "Accra", "Iran": "Tehran",
}  # fmt: skip


@dataclass(frozen=True)
class Words:
    """Words for the slots."""

    people: tuple[str, ...]
    things: tuple[str, ...]
    places: tuple[str, ...]
    adjectives: tuple[str, ...]
    praise: tuple[str, ...]
    complaint: tuple[str, ...]


_DATA: dict[str, Any] = read_yaml(Path(__file__).with_name("skills.yaml"))
TAUGHT, HELD_OUT = (
    Words(**{kind: tuple(words.split()) for kind, words in _DATA[name].items()}) for name in ("taught", "held_out")
)
"""The words that the simulated teacher uses, and those of evaluation items, which it never uses."""


@dataclass(frozen=True)
class Skill:
    """A kind of task.

    Attributes:
        category: name of the category, in lower case.
        wordings: templates with `{slots}`. A line break separates the instruction from the input, if there is one.
        draw: draws words for the slots.
        answer: returns the answer, given the slots.
        held_out: templates of evaluation items.
    """

    category: str
    wordings: tuple[str, ...]
    draw: Callable[[random.Random, Words], dict[str, str]]
    answer: Callable[[Slots], str]
    held_out: tuple[str, ...] = ()

    def task(self, rng: random.Random) -> tuple[str, str]:
        """Write a task: its instruction and input (empty if it has none)."""
        instruction, _, text = rng.choice(self.wordings).format(**self.draw(rng, TAUGHT)).partition("\n")
        return instruction, text

    def answer_to(self, prompt: str) -> str | None:
        """Return the answer if the prompt is a task of this skill (or has an input of one), else None."""
        for wording in self.wordings:
            _, _, text = wording.partition("\n")
            match = _pattern(text or wording).search(prompt)
            if match is not None:
                return self.answer(match.groupdict())
        return None


_SIGNS = {"add": "+", "subtract": "-", "multiply": "*"}
_WORDS = r"[^\n.:;]+?"
_FORMS = dict.fromkeys(("count", "a", "b", "year"), r"\d+")
_FORMS |= {"day": "|".join(DAYS), "country": "|".join(CAPITALS), "verb": "|".join(_SIGNS)}
"""Patterns of slots whose content is calculated with or looked up. Other slots match any words."""


@cache
def _pattern(wording: str) -> re.Pattern[str]:
    """A pattern that matches tasks of this wording, with a group for each slot."""
    pattern, seen = "", set[str]()
    for index, part in enumerate(re.split(r"\{(\w+)\}", wording)):
        if index % 2 == 0:
            pattern += re.escape(part)
        else:
            pattern += f"(?P={part})" if part in seen else f"(?P<{part}>{_FORMS.get(part, _WORDS)})"
            seen.add(part)
    return re.compile(pattern + r"(?!\w)")


def _delivery(rng: random.Random, words: Words) -> dict[str, str]:
    return {
        "person": rng.choice(words.people),
        "count": str(rng.randrange(2, 90)),
        "thing": rng.choice(words.things),
        "place": rng.choice(words.places),
    }


def _remark(rng: random.Random, words: Words) -> dict[str, str]:
    good = rng.random() < 0.5
    return _delivery(rng, words) | {"word": rng.choice(words.praise if good else words.complaint)}


def _word_row(rng: random.Random, words: Words) -> dict[str, str]:
    row = [*rng.sample(words.adjectives, 2), *rng.sample(words.things, 2)]
    rng.shuffle(row)
    return {"words": " ".join(row[: rng.choice((3, 4))])}


def _two_numbers(rng: random.Random, words: Words) -> dict[str, str]:
    return _delivery(rng, words) | {"a": str(rng.randrange(2, 10)), "b": str(rng.randrange(2, 10))}


def _mixed(rng: random.Random, words: Words) -> dict[str, str]:
    first, second, third = rng.sample(words.people, 3)
    verb = rng.choice(tuple(_SIGNS))
    return _delivery(rng, words) | {
        "first": first,
        "second": second,
        "third": third,
        "adjective": rng.choice(words.adjectives),
        "day": rng.choice(DAYS),
        "country": rng.choice(tuple(CAPITALS)),
        "year": str(rng.randrange(1950, 2024)),
        "verb": verb,
        "function": f"{verb}_{rng.choice(words.things)}",
    }


def _rehearsed(
    category: str, draw: Callable[[random.Random, Words], dict[str, str]], answer: Callable[[Slots], str]
) -> Skill:
    wordings = _DATA["wordings"][category]
    return Skill(category, tuple(wordings["taught"]), draw, answer, tuple(wordings["held_out"]))


EXTRACTION = _rehearsed(
    "extraction", _delivery, lambda slots: json.dumps({"who": slots["person"], "where": slots["place"]})
)
CLASSIFICATION = _rehearsed(
    "classification",
    _remark,
    lambda slots: "praise" if slots["word"] in TAUGHT.praise + HELD_OUT.praise else "complaint",
)
REWRITING = _rehearsed("rewriting", _word_row, lambda slots: " ".join(reversed(slots["words"].split())))
FORMAT_FOLLOWING = _rehearsed("format following", _word_row, lambda slots: f"[ {' + '.join(slots['words'].split())} ]")
MATH = _rehearsed("math", _two_numbers, lambda slots: str(int(slots["a"]) + int(slots["b"])))


def _other(category: str, answer: Callable[[Slots], str], *wordings: str) -> Skill:
    return Skill(category, wordings, _mixed, answer)


OTHERS = (
    _other(
        "reasoning",
        lambda slots: slots["third"],
        "{first} finished before {second}, and {second} finished before {third}; who of the three finished last?",
        "Who came last? {second} came after {first}, and then {third}.",
    ),
    _other(
        "reasoning",
        lambda slots: DAYS[(DAYS.index(slots["day"]) + int(slots["count"])) % len(DAYS)],
        "A boat to {place} leaves {count} days after a {day}; on which day of the week is that?",
    ),
    _other(
        "open question answering",
        lambda slots: CAPITALS[slots["country"]],
        "Name the city that is the capital of {country}.",
        "Which city would you name as the capital of {country}, if {person} from {place} asked you?",
    ),
    _other(
        "closed question answering",
        lambda slots: slots["place"],
        "Say in which city the shop for {thing} of this passage was opened.\n"
        "{person} opened a shop for {thing} in {place} in {year}. It closes on {day}.",
        "Where did {person} sell {thing}, according to the text?\n"
        "{person} sold {count} {thing} in {place} on a {day} in {year}.",
    ),
    _other(
        "summarization",
        lambda slots: "{person} travelled to {place} on {day}.".format(**slots),
        "Put what {person} did into one short sentence of six words or so.\n"
        "{person} travelled to {place} on {day}. The weather was {adjective}. Nobody minded.",
    ),
    _other(
        "brainstorming",
        lambda slots: (
            "1. Sell {adjective} {thing} from a stall.\n2. Give {thing} as prizes.\n3. Show {thing} made in {place}."
        ).format(**slots),
        "List three uses for {adjective} {thing} at a fair in {place}.",
    ),
    _other(
        "creative writing",
        lambda slots: "Under the moon lay {adjective} {thing},\nand {person} counted each one twice.".format(**slots),
        "Compose two lines about {adjective} {thing} and {person}.",
    ),
    _other(
        "coding",
        lambda slots: f"def {slots['function']}(a, b):\n    return a {_SIGNS[slots['verb']]} b",
        "Give a Python function {function}(a, b) that returns the result of the verb {verb}.",
    ),
)
REHEARSED = (EXTRACTION, CLASSIFICATION, REWRITING, FORMAT_FOLLOWING, MATH)
"""The skills with evaluation items in the rehearsal."""

SKILLS = (*REHEARSED, *OTHERS)
