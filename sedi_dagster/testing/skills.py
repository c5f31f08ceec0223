"""Skills that the simulated teacher can teach: tasks by template, each with the answer that follows from its text.

A skill has wordings with slots. Who knows a wording can make a task of it and read the slots back out of a task, so
a server that was started anew answers a task that another wrote. The tasks are simple and of few forms; they show how
the loop moves, not how good data looks. Five skills have wordings held out, which with words held out make the
evaluation items of the rehearsal (`seeds/rehearsal/`): those the simulated teacher never writes.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache

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
    people=tuple(
        "Ada Boris Clara Dev Elif Farid Greta Hugo Ines Jonas Keiko Lars Mina Noor Otis Priya Ruth Sven Tamar Umberto "
        "Vera Wanda Xavier Yusuf Zoe Anton Bettina Carlos Dagny Emil Fatima Gustav".split()
    ),
    things=tuple(
        "apples boots candles drums engines forks gloves hats jars kites lamps mugs nails ovens pens quilts ropes "
        "saddles towels umbrellas vases wheels barrels cushions ladders mirrors needles pillows shovels tables violins "
        "wallets buttons curtains helmets magnets pencils rubies statues trumpets".split()
    ),
    places=tuple(
        "Lisbon Oslo Nairobi Quito Hanoi Turin Bergen Cairo Dublin Lagos Seoul Tunis Madrid Vienna Bogota Manila "
        "Havana Prague Geneva Ottawa Riga Kyoto Mumbai Glasgow".split()
    ),
    adjectives=tuple(
        "quiet bright narrow heavy gentle sudden early bitter smooth honest rapid modest purple distant crooked lively "
        "wooden fragile curious dusty elegant faint humble polite rusty shallow slender striped velvet weary".split(),
    ),
    praise=tuple("lovely excellent delightful superb wonderful splendid perfect charming great amazing".split()),
    complaint=tuple("dreadful broken disappointing awful faulty unpleasant useless rotten bad terrible".split()),
)
"""The simulated teacher's own."""

HELD_OUT = Words(
    people=tuple("Agnes Bruno Celia Dario Edda Felix Gilda Henrik".split()),
    things=tuple("chairs doors shirts clocks bridges flowers horses knives".split()),
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


def _later_day(slots: Slots) -> str:
    return DAYS[(DAYS.index(slots["day"]) + int(slots["count"])) % len(DAYS)]


EXTRACTION = Skill(
    "extraction",
    (
        "Give who and where as JSON: {person} sent {count} {thing} to {place}.",
        "{person} will collect {count} {thing} in {place}: write it as JSON with the keys who and where.",
        "JSON with who and where, nothing else, for this entry: {count} {thing}, {place}, paid by {person}.",
        "Turn the note into JSON (who, where). It says that {person} lost {count} {thing} near {place}.",
        "Note who and where in a JSON object: in {place} a shop owes {person} {count} {thing}.",
        "Which person and which city? Reply in JSON, keys who and where: {person} stored {count} {thing} in {place}.",
        "Fill in who and where of a JSON record. The {count} {thing} that {person} ordered wait in {place}.",
        "{place} is where {person} saw {count} {thing}. Answer with JSON that has who and where.",
        "As JSON, with who for the person and where for the city: {person} bought {count} {thing} near {place}.",
        "Who was it, and where? Only JSON. On the train from {place}, {person} found {count} {thing}.",
        "Log entry: {count} {thing} for {person}, kept at {place}. Its who and where in JSON.",
        "Extract the keys who and where into JSON: {person}, living in {place}, sells {count} {thing}.",
        "Put down in JSON who did it and where. {person} painted {count} {thing} in {place}.",
        "Two keys, who and where, in one JSON object: {place} welcomed {person} with {count} {thing}.",
    ),
    _delivery,
    lambda slots: json.dumps({"who": slots["person"], "where": slots["place"]}),
    held_out=(
        "Make a JSON object with who and where out of this: yesterday {person} mended {count} {thing} in {place}.",
        "From {place} came {count} {thing} for {person}. Put who and where into JSON.",
        "Reply with a JSON object (who, where) about this line: {person} rented {count} {thing} on a trip to {place}.",
        "Somebody stole {count} {thing} from {person} in {place}. JSON, please, that tells who and where.",
        "Summarise as JSON under who and where: {person} gave away {count} {thing} at the fair of {place}.",
        "The parcel of {person} holds {count} {thing} and goes to {place}. Show who and where as JSON.",
        "Convert to JSON having who and where: after lunch {person} unloaded {count} {thing} "
        "beside the port of {place}.",
        "State who and where, formatted as JSON: {place} has a museum to which {person} left {count} {thing}.",
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
        "One word, praise or complaint, for this review of {thing}: {word}, says {person}.",
        "The {count} {thing} we ordered turned out {word}. Would you file that under praise or complaint?",
        "Tell me if it is a complaint or praise. To {person} the {thing} of {place} are {word}.",
        "Tag: praise or complaint? Never before have I had such {word} {thing}.",
        "Read what {person} left on a card and say praise or complaint. Those {thing} are {word}.",
        "A letter from {place} speaks of {word} {thing}. Class it as complaint or praise.",
    ),
    _remark,
    lambda slots: "praise" if slots["word"] in TAUGHT.praise + HELD_OUT.praise else "complaint",
    held_out=(
        "Decide between praise and complaint: all {thing} that {person} brought from {place} seemed {word}.",
        "A guest from {place} said the {thing} were simply {word}. Is it a complaint, or praise?",
        "Choose praise or complaint for this message: I got {count} {thing} today and every one is {word}.",
        "What do you hear, praise or complaint? {person} thinks that {thing} made in {place} feel {word}.",
        "How {word} the {thing} at the inn of {place} are! Mark it as praise or as complaint.",
        "Customer {person} finds our new {thing} {word}. Which is it: complaint, praise?",
        "Give the kind of this comment, praise or complaint. After a week the {count} {thing} still seem {word} to us.",
        "Shall {person} be entered with praise or with complaint for the words {word} {thing}?",
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
        "Start at the end and go to the beginning, one word after the other: {words}.",
        "Take {words} and write it back to front, keeping each word whole.",
        "What is {words} when its words are read from right to left?",
        "The last shall be first. Order these words that way: {words}.",
        "Flip this row of words so that the final one leads: {words}.",
        "Here is a row: {words}. Give it the other way round.",
        "List {words} again with the sequence turned about.",
    ),
    _word_row,
    lambda slots: " ".join(reversed(slots["words"].split())),
    held_out=(
        "Reverse how the words are ordered: {words}.",
        "Words in reverse, please: {words}.",
        "Copy the following in backward order: {words}.",
        "Read {words} from its end to its start and note down what you get.",
        "Invert the position of every word: {words}.",
        "Which line results if {words} is reversed word for word?",
        "Mirror the sequence of words that follows: {words}.",
        "You see the words {words}. Return them last to first.",
    ),
)
FORMAT_FOLLOWING = Skill(
    "format following",
    (
        "Join the words with plus signs, in square brackets: {words}.",
        "In square brackets and with a plus between them, list: {words}.",
        "Set {words} in square brackets, parted by plus signs.",
        "Use square brackets around, and plus signs between, the words {words}.",
        "Bracketed and joined by plus signs, how do these look: {words}?",
        "Write a bracketed chain, with a plus wherever there was a space: {words}.",
        "Plus signs instead of spaces, square brackets at both ends: {words}.",
        "Here are the words {words}. Link each to the next by a plus and bracket the whole.",
        "Form of the answer: square bracket, words joined by plus, square bracket. The words: {words}.",
        "Pack {words} between square brackets and glue its words with plus signs.",
        "Open a square bracket, name {words} with a plus after all but the last, close it.",
        "Render as a list in square brackets whose separator is a plus sign: {words}.",
    ),
    _word_row,
    lambda slots: f"[ {' + '.join(slots['words'].split())} ]",
    held_out=(
        "Connect them by plus signs inside square brackets: {words}.",
        "Take {words}. Show them with plus signs in between and square brackets outside.",
        "Enclose these in square brackets and separate them by plus signs: {words}.",
        "Replace each gap by a plus, then wrap all in square brackets: {words}.",
        "Could you print {words} as one bracketed string with plus signs for gaps?",
        "Every two neighbours get a plus between them, the row gets square brackets: {words}.",
        "Please format {words} like a sum within square brackets.",
        "Square brackets outside, plus signs as glue. Apply that to {words}.",
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
        "{person} sold {a} {thing} on one day and {b} on the next. How many were sold?",
        "A cart with {a} {thing} meets one with {b}. How many do the two carry?",
        "To {a} {thing} add another {b}. Tell the number.",
        "What do {a} and {b} make together?",
        "{place} sent {a} {thing} and {person} sent {b}. Count them all.",
    ),
    _two_numbers,
    lambda slots: str(int(slots["a"]) + int(slots["b"])),
    held_out=(
        "{person} packed {a} {thing} in the morning and {b} after lunch. Give their number.",
        "Sum up {a} and {b}.",
        "If a box holds {a} {thing} and a bag holds {b}, how many are they?",
        "Find the sum of {a} and {b}, digits only.",
        "A school in {place} owned {a} {thing} before {person} donated {b}. How many does it own now?",
        "Last year {person} counted {a} {thing}, this year {b}. What do both years come to?",
        "On the left lie {a} {thing}, on the right {b}. Say how many lie there.",
        "Calculate the result of {a} increased by {b}.",
    ),
)
OTHERS = (
    Skill(
        "reasoning",
        (
            "{first} finished before {second}, and {second} finished before {third}; who of the three finished last?",
            "Who came last? {second} came after {first}, and then {third}.",
        ),
        _all_sorts,
        lambda slots: slots["third"],
    ),
    Skill(
        "reasoning",
        ("A boat to {place} leaves {count} days after a {day}; on which day of the week is that?",),
        _all_sorts,
        _later_day,
    ),
    Skill(
        "open question answering",
        (
            "Name the city that is the capital of {country}.",
            "Which city would you name as the capital of {country}, if {person} from {place} asked you?",
        ),
        _all_sorts,
        lambda slots: CAPITALS[slots["country"]],
    ),
    Skill(
        "closed question answering",
        (
            "Say in which city the shop for {thing} of this passage was opened.\n"
            "{person} opened a shop for {thing} in {place} in {year}. It closes on {day}.",
            "Where did {person} sell {thing}, according to the text?\n"
            "{person} sold {count} {thing} in {place} on a {day} in {year}.",
        ),
        _all_sorts,
        lambda slots: slots["place"],
    ),
    Skill(
        "summarization",
        (
            "Put what {person} did into one short sentence of six words or so.\n"
            "{person} travelled to {place} on {day}. The weather was {adjective}. Nobody minded.",
        ),
        _all_sorts,
        lambda slots: f"{slots['person']} travelled to {slots['place']} on {slots['day']}.",
    ),
    Skill(
        "brainstorming",
        ("List three uses for {adjective} {thing} at a fair in {place}.",),
        _all_sorts,
        lambda slots: (
            f"1. Sell {slots['adjective']} {slots['thing']} from a stall.\n2. Give {slots['thing']} as prizes.\n"
            f"3. Show {slots['thing']} made in {slots['place']}."
        ),
    ),
    Skill(
        "creative writing",
        ("Compose two lines about {adjective} {thing} and {person}.",),
        _all_sorts,
        lambda slots: (
            f"Under the moon lay {slots['adjective']} {slots['thing']},\nand {slots['person']} counted each one twice."
        ),
    ),
    Skill(
        "coding",
        ("Give a Python function {function}(a, b) that returns the result of the verb {verb}.",),
        _all_sorts,
        lambda slots: f"def {slots['function']}(a, b):\n    return a {_SIGNS[slots['verb']]} b",
    ),
)
REHEARSED = (EXTRACTION, CLASSIFICATION, REWRITING, FORMAT_FOLLOWING, MATH)
"""The skills of the rehearsal."""

SKILLS = (*REHEARSED, *OTHERS)
