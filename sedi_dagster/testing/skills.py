"""Skills that the simulated teacher can teach: tasks by template, each with the answer that follows from its text.

A skill has wordings with slots (`skills.yaml`). Who knows a wording can make a task of it and read the slots back out
of a task, so a server that was started anew answers a task that another wrote. The tasks are simple and of few forms;
they show how the loop moves, not how good data looks. Five skills have wordings held out, which with words held out
make the evaluation items of the rehearsal (`seeds/rehearsal/`): those the simulated teacher never writes.
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
    """What fills the slots."""

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
"""The simulated teacher's own words, and those of evaluation items, which it never writes."""


@dataclass(frozen=True)
class Skill:
    """A kind of task.

    Attributes:
        category: its name, in lower case.
        wordings: with `{slots}`; instruction and input, if there is one, are parted by a line break.
        draw: fills the slots.
        answer: follows from the slots alone.
        held_out: wordings of evaluation items.
    """

    category: str
    wordings: tuple[str, ...]
    draw: Callable[[random.Random, Words], dict[str, str]]
    answer: Callable[[Slots], str]
    held_out: tuple[str, ...] = ()

    def task(self, rng: random.Random) -> tuple[str, str]:
        """A task: instruction and input (empty: none)."""
        instruction, _, given = rng.choice(self.wordings).format(**self.draw(rng, TAUGHT)).partition("\n")
        return instruction, given

    def answer_to(self, prompt: str) -> str | None:
        """The answer, if the prompt is a task of this skill, or an input of it under another instruction."""
        for wording in self.wordings:
            _, _, given = wording.partition("\n")
            found = _pattern(given or wording).search(prompt)
            if found is not None:
                return self.answer(found.groupdict())
        return None


_SIGNS = {"add": "+", "subtract": "-", "multiply": "*"}
_WORDS = r"[^\n.:;]+?"
_FORMS = dict.fromkeys(("count", "a", "b", "year"), r"\d+")
_FORMS |= {"day": "|".join(DAYS), "country": "|".join(CAPITALS), "verb": "|".join(_SIGNS)}
"""What a slot can hold that an answer counts or looks up with; any words where it is not told."""


@cache
def _pattern(wording: str) -> re.Pattern[str]:
    """Finds a task of this wording; its groups are the slots."""
    pattern, seen = "", set[str]()
    for place, part in enumerate(re.split(r"\{(\w+)\}", wording)):
        if place % 2 == 0:
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


def _all_sorts(rng: random.Random, words: Words) -> dict[str, str]:
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
    return Skill(category, wordings, _all_sorts, answer)


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
"""The skills of the rehearsal."""

SKILLS = (*REHEARSED, *OTHERS)
