"""The skills of the ground `final`, which is run once, at the very end. Wordings: final.yaml."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from itertools import pairwise

from benchmarks.teachers.development import Sum
from benchmarks.teachers.skills import (
    Check,
    Skill,
    Words,
    all_of,
    another,
    base_slots,
    contains,
    joined,
    one_of,
    side,
    steady,
    whole_number,
)
from benchmarks.teachers.wording import Pool, Slots, filled, pattern


class Bin(Skill):
    """The bin that some waste belongs in: a rule of the house that follows what it is made of."""

    def draw(self, rng: random.Random, words: Words, band: int) -> Slots:
        sort = rng.choice(list(self.texts["wastes"]))
        return self.read({"waste": rng.choice(self.texts["wastes"][sort][side(words.held_out)][band])})

    def read(self, slots: Slots) -> Slots:
        for sort, told in self.texts["wastes"].items():
            for bands in told.values():
                for band, wastes in enumerate(bands):
                    if slots["waste"].lower() in wastes:
                        return slots | {"bin": sort, "rarity": str(band)}
        raise KeyError(slots["waste"])

    def band(self, slots: Slots) -> int:
        return int(slots["rarity"])

    def answer(self, slots: Slots) -> str:
        return slots["bin"]

    def wrong(self, slots: Slots, rng: random.Random) -> str:
        return another(rng, list(self.texts["wastes"]), slots["bin"])

    def check(self, slots: Slots) -> Check:
        colours = [sort.split()[0] for sort in self.texts["wastes"]]
        return one_of(colours, slots["bin"].split()[0])

    def interchangeable(self, held_out: bool) -> list[Sequence[str]]:
        of_side = [told[side(held_out)] for told in self.texts["wastes"].values()]
        return [[waste for bands in of_side for waste in bands[band]] for band in range(3)]


class Timetable(Skill):
    """Which of two, three or four places opens, closes or starts at a certain hour."""

    VERBS = (("opens", "closes", "wakes", "fills"), ("shuts", "empties"))
    _FACT = re.compile(r"the (\w+) (\w+) at (\d+)")

    def draw(self, rng: random.Random, words: Words, band: int) -> Slots:
        houses = self.texts["held_houses" if words.held_out else "houses"]
        named, hours = rng.sample(houses, band + 2), rng.sample(range(5, 23), band + 2)
        verb = rng.choice(self.VERBS[words.held_out])
        facts = [f"the {house} {verb} at {hour}" for house, hour in zip(named, hours, strict=True)]
        return {"facts": joined(facts), "does": verb, "hour": str(rng.choice(hours))}

    def read(self, slots: Slots) -> Slots:
        return slots | {"does": self._FACT.findall(slots["facts"].lower())[0][1]}

    def _times(self, slots: Slots) -> dict[str, str]:
        return {hour: house for house, _, hour in self._FACT.findall(slots["facts"].lower())}

    def band(self, slots: Slots) -> int:
        return len(self._times(slots)) - 2

    def answer(self, slots: Slots) -> str:
        return self._times(slots)[slots["hour"]]

    def wrong(self, slots: Slots, rng: random.Random) -> str:
        return another(rng, list(self._times(slots).values()), self.answer(slots))

    def check(self, slots: Slots) -> Check:
        return one_of(list(self._times(slots).values()), self.answer(slots))

    def interchangeable(self, held_out: bool) -> list[Sequence[str]]:
        return [self.texts["held_houses" if held_out else "houses"]]


class Tags(Skill):
    """Two or three values of an order as `key=value; key=value`; the hard ones name another order."""

    KEYS = ("item and city", "item, count and city")

    def draw(self, rng: random.Random, words: Words, band: int) -> Slots:
        slots = base_slots(rng, words)
        slots |= {"m": str(rng.randrange(2, 60)), "others": f"{slots['gadget']}s"}
        line = rng.choice(self.lines("notes", words.held_out))
        if band == 2:
            line += " " + rng.choice(self.lines("besides", words.held_out))
        return self.read({"note": filled(line, slots, large=False), "keys": self.KEYS[band > 0]})

    def read(self, slots: Slots) -> Slots:
        for form in self._forms:
            found = form.fullmatch(slots["note"])
            if found is not None:
                told = {"m": "", "others": "", **found.groupdict()}
                return slots | {f"note_{name}": told[name] for name in ("n", "things", "place", "m", "others")}
        raise ValueError(slots["note"])

    @property
    def _forms(self) -> list[re.Pattern[str]]:
        return self.remembered(
            "forms",
            lambda: [
                pattern(" ".join(filter(None, (note, besides))))
                for held_out in (False, True)
                for besides in ("", *self.lines("besides", held_out))
                for note in self.lines("notes", held_out)
            ],
        )

    def band(self, slots: Slots) -> int:
        return 2 if slots["note_m"] else self.KEYS.index(slots["keys"].lower())

    def _told(self, slots: Slots, item: str, count: str) -> str:
        values = {"item": item, "count": count, "city": slots["note_place"]}
        return "; ".join(f"{key}={value}" for key, value in values.items() if key in slots["keys"].lower())

    def answer(self, slots: Slots) -> str:
        return self._told(slots, slots["note_things"], slots["note_n"])

    def wrong(self, slots: Slots, rng: random.Random) -> str:
        if slots["note_m"]:
            return self._told(slots, slots["note_others"], slots["note_m"])
        return self._told(slots, slots["note_place"], slots["note_things"])

    def check(self, slots: Slots) -> Check:
        form = [{"kind": "separator", "text": "=", "parts": len(self.answer(slots).split("="))}]
        return all_of(("match", {"aliases": [self.answer(slots)], "max_words": 30}), ("format", {"constraints": form}))


class Intent(Skill):
    """offer, request or refusal: plainly said, said of an adjective or a number, said after a polite phrase."""

    def draw(self, rng: random.Random, words: Words, band: int) -> Slots:
        intent = rng.choice(list(self.texts["frames"]))
        frames = self._frames(intent, words.held_out)
        longer = [frame for frame in frames if "{adj}" in frame or "{n}" in frame]
        speech = rng.choice([frame for frame in frames if frame not in longer] if band == 0 else longer)
        if band == 2:
            speech = f"{rng.choice(self.texts['held_polite' if words.held_out else 'polite'])}, {speech}"
        return {"speech": filled(speech, base_slots(rng, words), large=False)}

    def _frames(self, intent: str, held_out: bool) -> Sequence[str]:
        told = self.texts["frames"][intent]
        return self.remembered((intent, held_out), lambda: [f.strip() for f in Pool.of(told).of_side(held_out)])

    @property
    def _forms(self) -> list[tuple[str, int, re.Pattern[str]]]:
        """(intent, band, pattern) of all that can be said."""
        polite = [*self.texts["polite"], *self.texts["held_polite"]]
        return self.remembered(
            "forms",
            lambda: [
                (intent, 2 if before else int("{adj}" in frame or "{n}" in frame), pattern(before + frame))
                for before in ("", *(f"{phrase}, " for phrase in polite))
                for intent in self.texts["frames"]
                for held_out in (False, True)
                for frame in self._frames(intent, held_out)
            ],
        )

    def _place(self, slots: Slots) -> tuple[str, int]:
        return next((intent, band) for intent, band, form in self._forms if form.fullmatch(slots["speech"]))

    def band(self, slots: Slots) -> int:
        return self._place(slots)[1]

    def answer(self, slots: Slots) -> str:
        return self._place(slots)[0]

    def wrong(self, slots: Slots, rng: random.Random) -> str:
        return another(rng, list(self.texts["frames"]), self.answer(slots))

    def check(self, slots: Slots) -> Check:
        return one_of(list(self.texts["frames"]), self.answer(slots))


class Minutes(Skill):
    """One line that says who does what and when, out of two to four sentences more."""

    _CORE = re.compile(r"(?:^|(?<=\. ))(\w+ (\w+) the \w+ (\w+) in (\w+))\.")
    MOST_WORDS = 13

    def draw(self, rng: random.Random, words: Words, band: int) -> Slots:
        slots = base_slots(rng, words) | {"deed": rng.choice(self.pool("promises", words.held_out))}
        chatter = rng.sample(self.lines("chatter", words.held_out), band + 2)
        place = rng.randrange(len(chatter) + 1)
        core = filled("{person} {deed} the {adj} {things} in {day}.", slots)
        return {"note": " ".join([*chatter[:place], core, *chatter[place:]]), "person": slots["person"]}

    def _core(self, slots: Slots) -> tuple[str, ...]:
        deeds = {*self.pool("promises", False), *self.pool("promises", True)}
        return next(found for found in self._CORE.findall(slots["note"]) if found[1] in deeds)

    def read(self, slots: Slots) -> Slots:
        return slots | {"person": self.answer(slots).split()[0]}

    def band(self, slots: Slots) -> int:
        return slots["note"].count(".") - 3

    def answer(self, slots: Slots) -> str:
        return self._core(slots)[0]

    def wrong(self, slots: Slots, rng: random.Random) -> str:
        chatter = [line for line in slots["note"].split(". ") if self.answer(slots) not in line]
        return rng.choice(chatter).rstrip(".")

    def check(self, slots: Slots) -> Check:
        told, _, things, month = self._core(slots)
        facts = {"required": [[told.split()[0]], [things], [month]]}
        return all_of(("facts", facts), ("words", {"max": self.MOST_WORDS}))

    def interchangeable(self, held_out: bool) -> list[Sequence[str]]:
        return [self.pool("promises", held_out)]


class Negation(Skill):
    """The negative of a sentence: plain, with an adjective, with a place besides."""

    _SENTENCE = re.compile(r"(\w+) (\w+) (the \w+(?: \w+)?(?: at \w+)?)", re.IGNORECASE)
    FORMS = ("{person} {verb} the {thing}", "{person} {verb} the {adj} {thing}")

    def draw(self, rng: random.Random, words: Words, band: int) -> Slots:
        slots = base_slots(rng, words) | {"verb": rng.choice(list(self.texts["verbs"][side(words.held_out)]))}
        return {"sentence": filled(self.FORMS[band > 0] + (" at {place}" if band == 2 else ""), slots)}

    def _parts(self, slots: Slots) -> tuple[str, str, str]:
        found = self._SENTENCE.fullmatch(slots["sentence"])
        if found is None:
            raise ValueError(slots["sentence"])
        person, verb, what = found.groups()
        return person, (self.texts["verbs"]["taught"] | self.texts["verbs"]["held_out"])[verb], what

    def band(self, slots: Slots) -> int:
        what = self._parts(slots)[2]
        return 2 if " at " in what else int(what.count(" ") > 1)

    def answer(self, slots: Slots) -> str:
        person, verb, what = self._parts(slots)
        return f"{person} does not {verb} {what}"

    def wrong(self, slots: Slots, rng: random.Random) -> str:
        person, verb, what = self._parts(slots)
        return rng.choice((f"{what.capitalize()} does not {verb} {person}", f"{person} did {verb} {what}"))

    def check(self, slots: Slots) -> Check:
        return contains(self.answer(slots), 24)

    def interchangeable(self, held_out: bool) -> list[Sequence[str]]:
        return [list(self.texts["verbs"][side(held_out)])]


class Titles(Skill):
    """Two, three or four titles on a subject that begin with How."""

    COUNTS = ("two", "three", "four")

    def draw(self, rng: random.Random, words: Words, band: int) -> Slots:
        return {"count": self.COUNTS[band]}

    def band(self, slots: Slots) -> int:
        return self.COUNTS.index(slots["count"].lower())

    def _titles(self, slots: Slots) -> list[str]:
        verbs = steady(slots["things"], slots["count"]).sample(self.texts["verbs"].split(), self.band(slots) + 2)
        return [f"{number}. How to {verb} {slots['things']}" for number, verb in enumerate(verbs, 1)]

    def answer(self, slots: Slots) -> str:
        return "\n".join(self._titles(slots))

    def wrong(self, slots: Slots, rng: random.Random) -> str:
        titles = self._titles(slots)
        return "\n".join(rng.choice((titles[1:], [title.replace("How to", "You") for title in titles])))

    def check(self, slots: Slots) -> Check:
        count = self.band(slots) + 2
        items = {"min_items": count, "max_items": count, "max_words_per_item": 7, "min_distinct": 0.0}
        named = [{"kind": "keyword_count", "word": word, "min": count} for word in ("How", slots["things"])]
        return all_of(("list_items", items), ("format", {"constraints": named}))


class Refrain(Skill):
    """A line on a subject that says a word twice, three times or four times."""

    TIMES = ("twice", "three times", "four times")

    def draw(self, rng: random.Random, words: Words, band: int) -> Slots:
        return {"word": rng.choice(words["sights"]), "times": self.TIMES[band]}

    def band(self, slots: Slots) -> int:
        return self.TIMES.index(slots["times"].lower())

    def _line(self, slots: Slots, times: int) -> str:
        line = steady(slots["things"], slots["word"], slots["times"]).choice(self.texts["lines"])
        return filled(line, slots | {"refrain": joined([slots["word"]] * times)})

    def answer(self, slots: Slots) -> str:
        return self._line(slots, self.band(slots) + 2)

    def wrong(self, slots: Slots, rng: random.Random) -> str:
        return self._line(slots, self.band(slots) + rng.choice((1, 3)))

    def check(self, slots: Slots) -> Check:
        form = [
            {"kind": "keyword_count", "word": slots["word"], "count": self.band(slots) + 2},
            {"kind": "keywords", "include": [slots["things"]]},
        ]
        return all_of(("format", {"constraints": form}), ("words", {"max": 28}))


class Change(Sum):
    """One number taken from another: below ten, below a hundred with one digit off, below a hundred with two off."""

    RANGES = (((5, 10), (2, 5)), ((20, 100), (2, 10)), ((50, 100), (11, 50)))

    def draw(self, rng: random.Random, words: Words, band: int) -> Slots:
        first, second = (str(rng.randrange(*bounds)) for bounds in self.RANGES[band])
        return {"a": first, "b": second}

    def result(self, a: int, b: int) -> int:
        if a <= b:
            raise ValueError
        return a - b


class Remainder(Sum):
    """What a division leaves over: beyond the bundled student."""

    RANGES = (((40, 100), (6, 10)), ((100, 500), (7, 20)), ((500, 1000), (20, 50)))

    def draw(self, rng: random.Random, words: Words, band: int) -> Slots:
        (low, high), bounds = self.RANGES[band]
        divisor = rng.randrange(*bounds)
        return {"a": str(rng.choice([a for a in range(low, high) if a % divisor])), "b": str(divisor)}

    def band(self, slots: Slots) -> int:
        whole = int(slots["a"])
        return 0 if whole < 100 else 1 if whole < 500 else 2

    def result(self, a: int, b: int) -> int:
        return a % b


class Queue(Skill):
    """Who has a certain place: three in a row told from the front, three in any order, four in any order."""

    PLACES = ("first", "second", "third", "fourth")
    _FACT = re.compile(r"(\w+) stands before (\w+)", re.IGNORECASE)

    def draw(self, rng: random.Random, words: Words, band: int) -> Slots:
        people = rng.sample(words["people"], 4 if band == 2 else 3)
        facts = [f"{one} stands before {other}" for one, other in pairwise(people)]
        if band:
            facts = facts[1:] + facts[:1] if band == 1 else rng.sample(facts, len(facts))
        return {"facts": joined(facts), "nth": rng.choice(self.PLACES[: len(people)])}

    def _row(self, slots: Slots) -> list[str]:
        """The people, from the front."""
        behind = dict(self._FACT.findall(slots["facts"]))
        row = [next(one for one in behind if one not in behind.values())]
        while row[-1] in behind:
            row.append(behind[row[-1]])
        return row

    def band(self, slots: Slots) -> int:
        first = self._FACT.search(slots["facts"])
        return 2 if len(self._row(slots)) > 3 else int(first is not None and first[1] != self._row(slots)[0])

    def answer(self, slots: Slots) -> str:
        return self._row(slots)[self.PLACES.index(slots["nth"].lower())]

    def wrong(self, slots: Slots, rng: random.Random) -> str:
        return another(rng, self._row(slots), self.answer(slots))

    def check(self, slots: Slots) -> Check:
        return one_of(sorted(self._row(slots)), self.answer(slots))


class Clock(Skill):
    """The hour on a dial of twelve after one to three, four to eight, nine to thirty hours."""

    COUNTS = (range(2, 4), range(4, 9), range(9, 31))

    def draw(self, rng: random.Random, words: Words, band: int) -> Slots:
        hour, counts = rng.randrange(1, 13), self.COUNTS[band]
        return {"hour": str(hour), "count": str(rng.choice([count for count in counts if count % 12]))}

    def band(self, slots: Slots) -> int:
        count = int(slots["count"])
        return 0 if count < 4 else 1 if count < 9 else 2

    def answer(self, slots: Slots) -> str:
        return str((int(slots["hour"]) + int(slots["count"]) - 1) % 12 + 1)

    def wrong(self, slots: Slots, rng: random.Random) -> str:
        return str((int(self.answer(slots)) - 1 + rng.choice((1, 11))) % 12 + 1)

    def check(self, slots: Slots) -> Check:
        return whole_number(int(self.answer(slots)))


class Lists(Skill):
    """A Python expression on a list: a function, a method with a number, a function of a function."""

    OUTER, INNER, METHODS = ("len", "max", "min", "sum"), ("set", "sorted", "reversed"), ("count", "index")

    def draw(self, rng: random.Random, words: Words, band: int) -> Slots:
        jobs = [rng.choice(self.METHODS if band == 1 else (*self.OUTER, *self.INNER))]
        if band == 2:
            jobs = [rng.choice(self.INNER[:2]), rng.choice(self.OUTER)]  # an iterator has no length
        told = self.texts["jobs"][side(words.held_out)]
        x = str(rng.randrange(2, 10))
        parts = [filled(rng.choice(told[job]), {"x": x}, large=False) for job in jobs]
        return {"job": " and then ".join(parts), "name": rng.choice(words["things"]) + "s"}

    def _steps(self, slots: Slots) -> list[tuple[str, str]]:
        """(function, argument) in the order in which they are done."""
        return [self._step(part) for part in slots["job"].split(" and then ")]

    def _step(self, told: str) -> tuple[str, str]:
        for function, form in self._forms:
            found = form.fullmatch(told)
            if found is not None:
                return function, found.groupdict().get("x", "")
        raise ValueError(told)

    @property
    def _forms(self) -> list[tuple[str, re.Pattern[str]]]:
        return self.remembered(
            "forms",
            lambda: [
                (function, pattern(form))
                for functions in self.texts["jobs"].values()
                for function, forms in functions.items()
                for form in forms
            ],
        )

    def band(self, slots: Slots) -> int:
        steps = self._steps(slots)
        return 2 if len(steps) > 1 else int(bool(steps[0][1]))

    def _code(self, name: str, steps: Sequence[tuple[str, str]]) -> str:
        told = name
        for function, argument in steps:
            told = f"{told}.{function}({argument})" if argument else f"{function}({told})"
        return told

    def answer(self, slots: Slots) -> str:
        return self._code(slots["name"], self._steps(slots))

    def wrong(self, slots: Slots, rng: random.Random) -> str:
        *before, (function, argument) = self._steps(slots)
        return self._code(
            slots["name"], [*before, (another(rng, self.METHODS if argument else self.OUTER, function), argument)]
        )

    def check(self, slots: Slots) -> Check:
        used = {function for function, _ in self._steps(slots)}
        others = [name for name in (*self.OUTER, *self.INNER, *self.METHODS) if name not in used]
        return contains(self.answer(slots), 16, others)


class Hashtags(Skill):
    """Two, three or five words as hashtags."""

    def draw(self, rng: random.Random, words: Words, band: int) -> Slots:
        return {"list": ", ".join(rng.sample(words["things"], (2, 3, 5)[band]))}

    def _words(self, slots: Slots) -> list[str]:
        return slots["list"].lower().split(", ")

    def band(self, slots: Slots) -> int:
        return min(len(self._words(slots)) - 2, 2)

    def answer(self, slots: Slots) -> str:
        return " ".join(f"#{word}" for word in self._words(slots))

    def wrong(self, slots: Slots, rng: random.Random) -> str:
        words = self._words(slots)
        return rng.choice((f"#{' '.join(words)}", " ".join(f"#{word}" for word in words[1:]), ", ".join(words)))

    def check(self, slots: Slots) -> Check:
        words = self._words(slots)
        form = [{"kind": "letter_count", "letter": "#", "count": len(words)}]
        return all_of(("format", {"constraints": form}), contains(" ".join(words), 30))


SKILLS: dict[str, type[Skill]] = {
    "bin": Bin, "timetable": Timetable, "tags": Tags, "intent": Intent, "minutes": Minutes, "negation": Negation,
    "titles": Titles, "refrain": Refrain, "change": Change, "remainder": Remainder, "queue": Queue, "clock": Clock,
    "lists": Lists, "hashtags": Hashtags,
}  # fmt: skip
