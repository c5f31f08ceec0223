"""Skills that the simulated teacher can teach: tasks by template, each with the answer that follows from its text.

A skill has wordings with slots. Who knows a wording can make a task of it and read the slots back out of a task, so
a server that was started anew answers a task that another wrote. The tasks are simple and of few forms; they show how
the loop moves, not how good data looks.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

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


TAUGHT = Words(
    people=tuple("Ada Boris Clara Dev Elif Farid Greta Hugo Ines Jonas Keiko Lars Mina Noor Otis Priya".split()),
    things=tuple(
        "apples boots candles drums engines forks gloves hats jars kites lamps mugs nails ovens pens quilts".split()
    ),
    places=tuple("Lisbon Oslo Nairobi Quito Hanoi Turin Bergen Cairo Dublin Lagos Seoul Tunis".split()),
    adjectives=tuple(
        "quiet bright narrow heavy gentle sudden early bitter smooth honest rapid modest".split(),
    ),
    praise=tuple("lovely excellent delightful superb wonderful splendid perfect charming".split()),
    complaint=tuple("dreadful broken disappointing awful faulty unpleasant useless rotten".split()),
)
"""The simulated teacher's own."""

HELD_OUT = Words(
    people=tuple("Agnes Bruno Celia Dario Edda Felix Gilda Henrik".split()),
    things=tuple("anchors baskets carpets dishes easels flutes goggles hammocks".split()),
    places=tuple("Zagreb Malmo Porto Lyon Basel Gdansk Perth Leeds".split()),
    adjectives=tuple("silver hollow frozen golden tender ancient".split()),
    praise=tuple("magnificent brilliant fabulous terrific".split()),
    complaint=tuple("horrible defective shoddy miserable".split()),
)
"""For evaluation items: the simulated teacher never writes these."""


@dataclass(frozen=True)
class Skill:
    """A kind of task.

    Attributes:
        category: as the project names it.
        wordings: with `{slots}`. Instruction and input are parted by a line break, if there is an input.
        held_out: wordings of the evaluation items.
        draw: fills the slots.
        answer: follows from the slots alone.
    """

    category: str
    wordings: tuple[str, ...]
    draw: Callable[[random.Random, Words], dict[str, str]]
    answer: Callable[[Slots], str]
    held_out: tuple[str, ...] = ()

    @cached_property
    def _patterns(self) -> list[re.Pattern[str]]:
        return [_pattern(wording) for wording in self.wordings]

    def make(self, rng: random.Random) -> tuple[str, str]:
        """A task: instruction and input (empty: none)."""
        text = rng.choice(self.wordings).format(**self.draw(rng, TAUGHT))
        instruction, _, given = text.partition("\n")
        return instruction, given

    def read(self, prompt: str) -> str | None:
        """The answer, if the prompt is a task of this skill."""
        for pattern in self._patterns:
            found = pattern.search(prompt)
            if found is not None:
                return self.answer(found.groupdict())
        return None


def _pattern(wording: str) -> re.Pattern[str]:
    """Finds a task of this wording; the slots are its groups."""
    parts = re.split(r"\{(\w+)\}", wording)
    pattern, seen = "", set[str]()
    for place, part in enumerate(parts):
        if place % 2 == 0:
            pattern += re.escape(part).replace("\\\n", r"\s+")
        else:
            pattern += rf"(?P={part})" if part in seen else rf"(?P<{part}>[^\n.:;]+?)"
            seen.add(part)
    return re.compile(pattern + r"(?=\W|$)")


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
    row = [rng.choice(words.adjectives), *rng.sample(words.things, 2), rng.choice(words.places).lower()]
    rng.shuffle(row)
    return {"words": " ".join(row[: rng.choice((3, 4))])}


def _two_numbers(rng: random.Random, words: Words) -> dict[str, str]:
    return _delivery(rng, words) | {"a": str(rng.randrange(11, 100)), "b": str(rng.randrange(11, 100))}


EXTRACTION = Skill(
    "extraction",
    (
        "Give who and where as JSON: {person} sent {count} {thing} to {place}.",
        "{person} will collect {count} {thing} in {place}: write it as JSON with the keys who and where.",
        "JSON with who and where, nothing else, for this entry: {count} {thing}, {place}, paid by {person}.",
        "Turn the note into JSON (who, where). It says that {person} lost {count} {thing} near {place}.",
        "Note who and where in a JSON object: in {place} a shop owes {person} {count} {thing}.",
        "Which person and which city? Reply in JSON, keys who and where: {person} stored {count} {thing} in {place}.",
    ),
    _delivery,
    lambda slots: json.dumps({"who": slots["person"], "where": slots["place"]}),
    held_out=(
        "Make a JSON object with who and where out of this: yesterday {person} mended {count} {thing} in {place}.",
        "From {place} came {count} {thing} for {person}. Put who and where into JSON.",
    ),
)
CLASSIFICATION = Skill(
    "classification",
    (
        "Is this praise or a complaint? The {thing} from {place} are {word}.",
        "Sort into praise or complaint: {person} calls the {count} {thing} {word}.",
        "{person} writes: your {thing} were {word}. Praise or complaint?",
        "Label with praise or complaint, one word: what {word} {thing} they sell in {place}!",
        "Complaint or praise? We found {count} {word} {thing} in {place}.",
        "Does {person} praise or complain by saying that the {thing} looked {word}? Answer praise or complaint.",
    ),
    _remark,
    lambda slots: "praise" if slots["word"] in TAUGHT.praise else "complaint",
    held_out=(
        "Decide between praise and complaint: all {thing} that {person} brought from {place} seemed {word}.",
        "A guest from {place} said the {thing} were simply {word}. Is it a complaint, or praise?",
    ),
)
REWRITING = Skill(
    "rewriting",
    (
        "Put these words in the opposite order: {words}.",
        "Write from the last word to the first: {words}.",
        "Turn the order of the words around: {words}.",
        "Say it backwards, word by word: {words}.",
        "Repeat the words, but begin with the last one: {words}.",
    ),
    _word_row,
    lambda slots: " ".join(reversed(slots["words"].split())),
    held_out=("Reverse how the words are ordered: {words}.", "Words in reverse, please: {words}."),
)
FORMAT_FOLLOWING = Skill(
    "format_following",
    (
        "Join the words with plus signs, in square brackets: {words}.",
        "In square brackets and with a plus between them, list: {words}.",
        "Set {words} in square brackets, parted by plus signs.",
        "Use square brackets around, and plus signs between, the words {words}.",
        "Bracketed and joined by plus signs, how do these look: {words}?",
    ),
    _word_row,
    lambda slots: f"[{'+'.join(slots['words'].split())}]",
    held_out=(
        "Connect them by plus signs inside square brackets: {words}.",
        "Take {words}. Show them with plus signs in between and square brackets outside.",
    ),
)
MATH = Skill(
    "math",
    (
        "{person} has {a} {thing} and buys {b} more. How many {thing} is that?",
        "There are {a} {thing} in {place} and {b} in a barn. How many in all?",
        "Add {a} and {b}.",
        "Work out {a} plus {b}, as a number only.",
        "First {a} {thing} came, then {b}. What is the total?",
    ),
    _two_numbers,
    lambda slots: str(int(slots["a"]) + int(slots["b"])),
    held_out=(
        "{person} packed {a} {thing} in the morning and {b} after lunch. Give their number.",
        "Sum up {a} and {b}.",
    ),
)
