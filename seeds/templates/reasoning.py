"""Evaluation items of the category reasoning, made from templates.

Seven templates: orderings, weekdays, clock times, number series, odd ones out, ranks on a scale and family
relations. Every answer is worked out from what was drawn. Within a template the answers differ as far as its
subject allows (there are only seven weekdays), so a constant answer gains little.
"""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Any

_WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


@dataclass(frozen=True)
class _Draw:
    """One draw of a template: what is asked, how it is verified, and what a good student would answer."""

    prompt: str
    verifier: str
    args: dict[str, Any]
    reference: str
    difficulty: str


def items(rng: random.Random) -> list[dict[str, Any]]:
    """Return the fifty template items, the same ones for the same state of `rng`."""
    drawn: list[dict[str, Any]] = []
    for template, make in _TEMPLATES:
        drawn += [_as_item(len(drawn) + n, template, made) for n, made in enumerate(make(rng), start=1)]
    return drawn


def _as_item(position: int, template: str, made: _Draw) -> dict[str, Any]:
    return {
        "id": f"reasoning-t{position:03d}",
        "category": "reasoning",
        "prompt": made.prompt,
        "verifier": made.verifier,
        "args": made.args,
        "reference": made.reference,
        "difficulty": made.difficulty,
        "cluster": f"reasoning-{template}",
        "origin": f"template:{template}",
    }


_PEOPLE = (
    "Abel",
    "Berta",
    "Cyrus",
    "Delia",
    "Edgar",
    "Farah",
    "Gustav",
    "Hanna",
    "Igor",
    "Julia",
    "Kamal",
    "Lydia",
)
_COMPARATIVES = (
    ("taller", "tallest", "shortest"),
    ("older", "oldest", "youngest"),
    ("faster", "fastest", "slowest"),
    ("richer", "richest", "poorest"),
)


def _ordering(rng: random.Random) -> Iterator[_Draw]:
    """A chain of comparisons in shuffled order; asks for one end or, in long chains, for the second place."""
    answers = rng.sample(_PEOPLE, 8)
    for round_number, (answer, size) in enumerate(zip(answers, (3, 3, 3, 4, 4, 4, 5, 5), strict=True)):
        more, most, least = _COMPARATIVES[round_number % len(_COMPARATIVES)]
        place, asked = rng.choice(((0, f"the {most}"), (size - 1, f"the {least}")))
        if size == 5:
            place, asked = 1, f"the second {most}"
        chain = rng.sample([name for name in _PEOPLE if name != answer], size - 1)
        chain.insert(place, answer)
        statements = [f"{first} is {more} than {second}." for first, second in pairwise(chain)]
        rng.shuffle(statements)
        question = f"Who is {asked} of the {size} people? Answer with the name only."
        difficulty = {3: "easy", 4: "medium", 5: "hard"}[size]
        args = {"labels": sorted(chain), "answer": answer}
        yield _Draw(f"{' '.join(statements)} {question}", "label", args, answer, difficulty)


def _weekday(rng: random.Random) -> Iterator[_Draw]:
    """Count days forwards or backwards from a weekday; each weekday is the answer once, one of them twice."""
    answers = [*rng.sample(range(7), 7), rng.randrange(7)]
    spans = [(2, 6, "easy")] * 3 + [(8, 20, "medium")] * 3 + [(30, 100, "hard")] * 2
    for answer, (low, high, difficulty) in zip(answers, spans, strict=True):
        days = rng.choice([days for days in range(low, high + 1) if days % 7])
        forwards = rng.random() < 0.6
        today = (answer - days) % 7 if forwards else (answer + days) % 7
        when = f"will it be in {days} days" if forwards else f"was it {days} days ago"
        prompt = f"Today is {_WEEKDAYS[today]}. Which day of the week {when}? Answer with the day only."
        forbidden = [day for n, day in enumerate(_WEEKDAYS) if n not in (today, answer)]
        args = {"aliases": [_WEEKDAYS[answer]], "forbidden": forbidden, "max_words": 12}
        yield _Draw(prompt, "match", args, _WEEKDAYS[answer], difficulty)


_JOURNEYS = (
    ("A train leaves at {start} and travels for {length}.", "At what time does it arrive?"),
    ("A film begins at {start} and runs for {length}.", "At what time is it over?"),
    ("A cake goes into the oven at {start} and bakes for {length}.", "At what time is it done?"),
    ("A ferry sets off at {start}, and the crossing takes {length}.", "At what time does it land?"),
)


def _clock(rng: random.Random) -> Iterator[_Draw]:
    """Add a duration to a time of the 24-hour clock; the answer may also be given on the 12-hour clock."""
    ends = rng.sample([end for end in range(13 * 60, 23 * 60, 5) if end % 60], 8)
    hours_of_length = [0, 0, 0, 0, 2, 2, 3, 3]
    for end, hours, (story, question) in zip(ends, hours_of_length, _JOURNEYS * 2, strict=True):
        minutes = rng.randrange(10, 55, 5)
        start = end - 60 * hours - minutes
        length = f"{hours} hours and {minutes} minutes" if hours else f"{minutes} minutes"
        carries = start % 60 + minutes >= 60
        difficulty = ("easy", "medium", "hard")[carries + (hours > 0)]
        times = [_time(end), _time(end - 12 * 60)]
        aliases = times + [time.replace(":", ".") for time in times]
        args = {"aliases": aliases, "max_words": 15}
        prompt = f"{story.format(start=_time(start), length=length)} {question}"
        yield _Draw(prompt, "match", args, _time(end), difficulty)


def _time(minutes_after_midnight: int) -> str:
    hours, minutes = divmod(minutes_after_midnight, 60)
    return f"{hours}:{minutes:02d}"


def _series(rng: random.Random) -> Iterator[_Draw]:
    """Number series with a steady step, a steady factor or a growing step."""
    used: set[int] = set()
    for kind in ("step", "step", "step", "back", "factor", "factor", "growing", "growing"):
        while True:
            terms = _series_terms(rng, kind)
            if terms[-1] not in used:
                break
        used.add(terms[-1])
        difficulty = {"step": "easy", "back": "easy", "factor": "medium", "growing": "hard"}[kind]
        shown = ", ".join(map(str, terms[:-1]))
        question = rng.choice(("Which number comes next in the series", "What number continues the row"))
        yield _Draw(f"{question} {shown}?", "numeric", {"value": terms[-1]}, str(terms[-1]), difficulty)


def _series_terms(rng: random.Random, kind: str) -> list[int]:
    """Six terms of a series, the last of which is the answer."""
    if kind == "step":
        start, step = rng.randint(1, 30), rng.choice((3, 4, 6, 7, 9, 11, 12))
        return [start + step * n for n in range(6)]
    if kind == "back":
        start, step = rng.randint(80, 120), rng.choice((3, 4, 6, 7, 9))
        return [start - step * n for n in range(6)]
    if kind == "factor":
        start, factor = rng.randint(3, 9), rng.choice((2, 3))
        return [start * factor**n for n in range(6)]
    start, first_step, growth = rng.randint(1, 9), rng.randint(2, 5), rng.randint(2, 4)
    return list(accumulate((first_step + growth * n for n in range(5)), initial=start))


_KINDS = {
    "birds": ("sparrow", "eagle", "owl", "pigeon", "robin"),
    "colours": ("purple", "green", "yellow", "pink", "brown"),
    "clothes": ("jacket", "trousers", "sweater", "skirt", "shirt"),
    "kitchen tools": ("ladle", "whisk", "grater", "spatula", "peeler"),
    "trees": ("birch", "maple", "willow", "spruce", "beech"),
    "vehicles": ("lorry", "tram", "bicycle", "taxi", "van"),
    "insects": ("ant", "beetle", "wasp", "moth", "cricket"),
    "professions": ("dentist", "plumber", "nurse", "lawyer", "tailor"),
    "weather": ("hail", "fog", "thunder", "drizzle", "blizzard"),
    "shapes": ("triangle", "hexagon", "rhombus", "oval", "trapezium"),
    "languages": ("Danish", "Swahili", "Korean", "Portuguese", "Turkish"),
    "parts of the body": ("elbow", "knee", "shoulder", "ankle", "wrist"),
}


def _odd_one_out(rng: random.Random) -> Iterator[_Draw]:
    """Four words of one kind and one of another."""
    kinds = rng.sample(sorted(_KINDS), 12)
    for kind, other in zip(kinds[:6], kinds[6:], strict=True):
        odd = rng.choice(_KINDS[other])
        words = [*rng.sample(_KINDS[kind], 4), odd]
        rng.shuffle(words)
        prompt = f"Which word does not fit with the others? {', '.join(words)}. Answer with that word only."
        yield _Draw(prompt, "label", {"labels": sorted(words), "answer": odd}, odd, "easy")


_SCALES = (
    ("spans of time is the longest", ("second", "minute", "hour", "day", "month", "year", "century")),
    ("things is the largest", ("grain of rice", "walnut", "orange", "bucket", "washing machine", "house")),
    ("is the fastest", ("snail", "tortoise", "jogger", "racing cyclist", "racing car", "jet plane")),
    (
        "is the hottest",
        ("ice cube", "cool cellar", "warm bath", "boiling water", "baking oven", "surface of the sun"),
    ),
    ("has the most people", ("couple", "football team", "school class", "village", "city", "continent")),
    ("comes last in most lives", ("birth", "first steps", "first school day", "first job", "retirement")),
)


def _scale(rng: random.Random) -> Iterator[_Draw]:
    """Four things on one scale as a multiple choice; the right letters are spread evenly."""
    letters = list("ABDABD")
    rng.shuffle(letters)
    for (question, scale), letter in zip(_SCALES, letters, strict=True):
        *others, answer = sorted(rng.sample(scale, 4), key=scale.index)
        rng.shuffle(others)
        others.insert("ABCD".index(letter), answer)
        options = dict(zip("ABCD", others, strict=True))
        listing = "\n".join(f"{key}) {option}" for key, option in options.items())
        prompt = f"Which of these {question}? Answer with the letter.\n{listing}"
        yield _Draw(prompt, "choice", {"options": options, "answer": letter}, f"{letter}) {answer}", "medium")


_FAMILY = (
    ("mother", "brother", "man", ["uncle"], "easy"),
    ("sister", "son", "boy", ["nephew"], "easy"),
    ("aunt", "son", "boy", ["cousin"], "medium"),
    ("son", "daughter", "girl", ["granddaughter", "grand-daughter", "grandchild"], "medium"),
    ("spouse", "mother", "woman", ["mother-in-law"], "medium"),
    ("daughter", "husband", "man", ["son-in-law"], "hard"),
    ("father", "daughter", "girl", ["sister"], "hard"),
    ("brother", "wife", "woman", ["sister-in-law"], "hard"),
)


def _family(rng: random.Random) -> Iterator[_Draw]:
    """Two family ties in a row and the one tie that they make together."""
    for first, second, sort, aliases, difficulty in rng.sample(_FAMILY, 6):
        name = rng.choice(_PEOPLE)
        prompt = (
            f"{name} is talking about a {sort}: the {second} of {name}'s {first}. "
            f"Which family relation is this {sort} to {name}? Answer with one word."
        )
        args = {"aliases": aliases, "forbidden": _other_ties(first, second, aliases[0]), "max_words": 12}
        yield _Draw(prompt, "match", args, aliases[0], difficulty)


def _other_ties(first: str, second: str, answer: str) -> list[str]:
    """The wrong ties, less those which the prompt or the answer holds (as sister in sister-in-law)."""
    ties = [aliases[0] for _, _, _, aliases, _ in _FAMILY]
    return [tie for tie in ties if tie not in answer and tie not in (first, second)]


_TEMPLATES: tuple[tuple[str, Callable[[random.Random], Iterator[_Draw]]], ...] = (
    ("ordering", _ordering),
    ("weekday", _weekday),
    ("clock", _clock),
    ("series", _series),
    ("odd-one-out", _odd_one_out),
    ("scale", _scale),
    ("family", _family),
)
