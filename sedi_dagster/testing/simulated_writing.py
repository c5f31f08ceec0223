"""What the simulated teacher writes: small tasks of the twelve categories, and right answers to them.

Every answer follows from the task's own text, so a server that was started anew answers a task that another
wrote. The tasks are simple and of few forms; they show how the loop moves, not how good data looks.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable
from dataclasses import dataclass

_THINGS = (
    "apples",
    "boots",
    "candles",
    "drums",
    "engines",
    "forks",
    "gloves",
    "hats",
    "jars",
    "kites",
    "lamps",
    "mugs",
    "nails",
    "ovens",
    "pens",
    "quilts",
)
_PEOPLE = (
    "Ada",
    "Boris",
    "Clara",
    "Dev",
    "Elif",
    "Farid",
    "Greta",
    "Hugo",
    "Ines",
    "Jonas",
    "Keiko",
    "Lars",
    "Mina",
    "Noor",
    "Otis",
    "Priya",
)
_PLACES = (
    "Lisbon",
    "Oslo",
    "Nairobi",
    "Quito",
    "Hanoi",
    "Turin",
    "Bergen",
    "Cairo",
    "Dublin",
    "Lagos",
    "Seoul",
    "Tunis",
)
_ADJECTIVES = (
    "quiet",
    "bright",
    "narrow",
    "heavy",
    "gentle",
    "sudden",
    "early",
    "bitter",
    "smooth",
    "honest",
    "rapid",
    "modest",
)
_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_CAPITALS = {
    "France": "Paris", "Japan": "Tokyo", "Peru": "Lima", "Egypt": "Cairo", "Norway": "Oslo", "Kenya": "Nairobi",
    "Chile": "Santiago", "Poland": "Warsaw", "Greece": "Athens", "Cuba": "Havana", "Ghana": "Accra", "Iran": "Tehran",
}  # fmt: skip
_GOOD = ("lovely", "excellent", "delightful", "superb", "wonderful", "splendid")
_BAD = ("dreadful", "broken", "disappointing", "awful", "faulty", "unpleasant")
_WAYS = (
    "Please",
    "Kindly",
    "For a colleague,",
    "In a hurry:",
    "As a warm-up,",
    "Before lunch,",
    "Now",
    "Once more,",
)

Task = tuple[str, str]
"""An instruction and its input (empty: none)."""


@dataclass(frozen=True)
class _Form:
    """A form of task: how to make one, and how to answer it from its text (the pattern's groups)."""

    category: str
    make: Callable[[random.Random], Task]
    pattern: re.Pattern[str]
    answer: Callable[[re.Match[str]], str]


def _lead(rng: random.Random) -> str:
    return f"{rng.choice(_WAYS)} " if rng.random() < 0.7 else ""


def _sum(rng: random.Random) -> Task:
    person, thing = rng.choice(_PEOPLE), rng.choice(_THINGS)
    a, b = rng.randrange(11, 400), rng.randrange(11, 400)
    return f"{person} has {a} {thing} and buys {b} more; how many {thing} does {person} have now?", ""


def _product(rng: random.Random) -> Task:
    return (
        f"{_lead(rng)}multiply {rng.randrange(3, 60)} by {rng.randrange(3, 30)} and give the number only.",
        "",
    )


def _before(rng: random.Random) -> Task:
    a, b, c = rng.sample(_PEOPLE, 3)
    return f"{a} finished before {b}, and {b} finished before {c}; who of the three finished last?", ""


def _day(rng: random.Random) -> Task:
    day, place = rng.choice(_DAYS), rng.choice(_PLACES)
    return (
        f"A boat to {place} leaves {rng.randrange(2, 30)} days after a {day}; on which day of the week is that?",
        "",
    )


def _capital(rng: random.Random) -> Task:
    return f"{_lead(rng)}name the city that is the capital of {rng.choice(list(_CAPITALS))}.", ""


def _passage(rng: random.Random) -> Task:
    person, place, thing = rng.choice(_PEOPLE), rng.choice(_PLACES), rng.choice(_THINGS)
    year, day = rng.randrange(1950, 2024), rng.choice(_DAYS)
    text = f"{person} opened a shop for {thing} in {place} in {year}. It closes on {day}."
    return f"{_lead(rng)}say in which city the shop for {thing} of this passage was opened.", text


def _json_fields(rng: random.Random) -> Task:
    person, thing, place = rng.choice(_PEOPLE), rng.choice(_THINGS), rng.choice(_PLACES)
    text = f"{person} ordered {rng.randrange(2, 90)} {thing} for delivery in {place}."
    return (
        f"{_lead(rng)}extract name, count, item and city from this {rng.choice(_ADJECTIVES)} note as JSON.",
        text,
    )


def _feeling(rng: random.Random) -> Task:
    word = rng.choice(_GOOD if rng.random() < 0.5 else _BAD)
    text = f"The {rng.choice(_THINGS)} that {rng.choice(_PEOPLE)} sent from {rng.choice(_PLACES)} are {word}."
    return (
        f"{_lead(rng)}classify the remark about {rng.choice(_ADJECTIVES)} goods as positive or negative.",
        text,
    )


def _summary(rng: random.Random) -> Task:
    person, place, day = rng.choice(_PEOPLE), rng.choice(_PLACES), rng.choice(_DAYS)
    text = f"{person} travelled to {place} on {day}. The weather was {rng.choice(_ADJECTIVES)}. Nobody minded."
    return f"{_lead(rng)}put what {person} did into one short sentence of six words or so.", text


def _shout(rng: random.Random) -> Task:
    text = f"the {rng.choice(_ADJECTIVES)} {rng.choice(_THINGS)} of {rng.choice(_PLACES)}"
    return f"{_lead(rng)}rewrite this {rng.choice(_ADJECTIVES)} phrase in capital letters throughout.", text


def _ideas(rng: random.Random) -> Task:
    adjective, thing, place = rng.choice(_ADJECTIVES), rng.choice(_THINGS), rng.choice(_PLACES)
    return f"{_lead(rng)}list three uses for {adjective} {thing} at a fair in {place}.", ""


def _verse(rng: random.Random) -> Task:
    adjective, thing, person = rng.choice(_ADJECTIVES), rng.choice(_THINGS), rng.choice(_PEOPLE)
    return f"{_lead(rng)}compose two lines about {adjective} {thing} and {person}.", ""


def _function(rng: random.Random) -> Task:
    verb = rng.choice(("add", "subtract", "multiply"))
    name = f"{verb}_{rng.choice(_THINGS)}"
    return f"{_lead(rng)}give a Python function {name}(a, b) that returns the result of the verb {verb}.", ""


def _commas(rng: random.Random) -> Task:
    words = rng.sample(_THINGS, 4)
    return (
        f"{_lead(rng)}sort these {rng.choice(_ADJECTIVES)} words by alphabet, separated by commas, nothing else.",
        " ".join(words),
    )


def _reverse(rng: random.Random) -> Task:
    return (
        f"{_lead(rng)}answer with the word {rng.choice((*_THINGS, *_ADJECTIVES))} spelled backwards in brackets.",
        "",
    )


def _json_of(match: re.Match[str]) -> str:
    name, count, item, city = match.groups()
    return json.dumps({"name": name, "count": int(count), "item": item, "city": city})


def _code_of(match: re.Match[str]) -> str:
    name, verb = match.groups()
    sign = {"add": "+", "subtract": "-", "multiply": "*"}[verb]
    return f"def {name}(a, b):\n    return a {sign} b"


_FORMS = (
    _Form("math", _sum, re.compile(r"has (\d+) \w+ and buys (\d+) more"), lambda m: str(int(m[1]) + int(m[2]))),
    _Form("math", _product, re.compile(r"[Mm]ultiply (\d+) by (\d+)"), lambda m: str(int(m[1]) * int(m[2]))),
    _Form(
        "reasoning",
        _before,
        re.compile(r"finished before \w+, and \w+ finished before (\w+);"),
        lambda m: m[1],
    ),
    _Form(
        "reasoning",
        _day,
        re.compile(r"leaves (\d+) days after a (\w+);"),
        lambda m: _DAYS[(_DAYS.index(m[2]) + int(m[1])) % 7],
    ),
    _Form("open question answering", _capital, re.compile(r"capital of (\w+)"), lambda m: _CAPITALS[m[1]]),
    _Form(
        "closed question answering",
        _passage,
        re.compile(r"opened a shop for \w+ in (\w+) in"),
        lambda m: m[1],
    ),
    _Form("extraction", _json_fields, re.compile(r"(\w+) ordered (\d+) (\w+) for delivery in (\w+)\."), _json_of),
    _Form(
        "classification",
        _feeling,
        re.compile(r"sent from \w+ are (\w+)\."),
        lambda m: "positive" if m[1] in _GOOD else "negative",
    ),
    _Form("summarization", _summary, re.compile(r"(\w+ travelled to \w+ on \w+)\."), lambda m: f"{m[1]}."),
    _Form(
        "rewriting",
        _shout,
        re.compile(r"capital letters throughout\.\s+(.+)"),
        lambda m: m[1].strip().upper(),
    ),
    _Form(
        "brainstorming",
        _ideas,
        re.compile(r"three uses for (\w+ \w+) at a fair in (\w+)"),
        lambda m: f"1. Sell {m[1]} from a stall.\n2. Give {m[1]} as prizes.\n3. Show {m[1]} made in {m[2]}.",
    ),
    _Form(
        "creative writing",
        _verse,
        re.compile(r"two lines about (\w+ \w+) and (\w+)"),
        lambda m: f"Under the moon lay {m[1]},\nand {m[2]} counted each one twice.",
    ),
    _Form(
        "coding",
        _function,
        re.compile(r"function (\w+)\(a, b\) that returns the result of the verb (\w+)"),
        _code_of,
    ),
    _Form(
        "format following",
        _commas,
        re.compile(r"nothing else\.\s+([a-z ]+)"),
        lambda m: ", ".join(sorted(m[1].split())),
    ),
    _Form(
        "format following",
        _reverse,
        re.compile(r"the word (\w+) spelled backwards"),
        lambda m: f"[{m[1][::-1]}]",
    ),
)
CATEGORIES = tuple(dict.fromkeys(form.category for form in _FORMS))

_ASKS_FOR_TASKS = re.compile(
    r"(?:of one kind: |numbered series of different )([A-Za-z ]+?)(?:\.| tasks)", re.IGNORECASE
)
_WANTED = re.compile(r"Write (\d+) more tasks of this kind, numbered from (\d+)")
_LAST_NUMBER = re.compile(r"Task (\d+):\s*$")
_CONTINUED = 3
_FLAWED = 0.1


def write(prompt: str, rng: random.Random) -> str:
    """Tasks if the prompt asks for some, else the answer to a task."""
    asked = _ASKS_FOR_TASKS.search(prompt)
    if asked is not None:
        return _write_tasks(prompt, asked[1], rng)
    for form in _FORMS:
        found = form.pattern.search(prompt)
        if found is not None:
            return form.answer(found)
    return f"This is a simulated answer, number {rng.randrange(10_000)}."


def _write_tasks(prompt: str, name: str, rng: random.Random) -> str:
    forms = [f for f in _FORMS if f.category == name.strip().lower()] or list(_FORMS)
    wanted = _WANTED.search(prompt)
    last = _LAST_NUMBER.search(prompt)
    count, number = (int(wanted[1]), int(wanted[2])) if wanted else (_CONTINUED, int(last[1]) if last else 1)
    pieces = []
    for place in range(count):
        instruction, text = rng.choice(forms).make(rng)
        if rng.random() < _FLAWED:
            instruction = rng.choice(("", "Draw a picture of it.", "Sum it up."))
        head = "" if last is not None and place == 0 else f"Task {number + place}:"
        pieces.append(f"{head} {_sentence(instruction)}\nInput: {text or '<noinput>'}\n")
    return "\n".join(pieces)


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]
