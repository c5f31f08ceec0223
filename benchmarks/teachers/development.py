"""The skills of the ground `development`: what their slots hold, and the right answers. Wordings: development.yaml."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Sequence
from itertools import pairwise

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
from benchmarks.teachers.wording import Slots, filled, pattern


class Zone(Skill):
    """The parcel zone of a country: a rule of the house that follows the continents, which the student knows."""

    def draw(self, rng: random.Random, words: Words, band: int) -> Slots:
        return self.read({"country": rng.choice(self.interchangeable(words.held_out)[band])})

    def read(self, slots: Slots) -> Slots:
        for zone, (continent, told) in enumerate(self.texts["countries"].items(), 1):
            for bands in told.values():
                for band, countries in enumerate(bands):
                    if slots["country"] in countries:
                        return slots | {"zone": f"zone {zone}", "continent": continent, "rarity": str(band)}
        raise KeyError(slots["country"])

    def band(self, slots: Slots) -> int:
        return int(slots["rarity"])

    def answer(self, slots: Slots) -> str:
        return slots["zone"]

    def wrong(self, slots: Slots, rng: random.Random) -> str:
        return another(rng, self._zones, slots["zone"])

    def check(self, slots: Slots) -> Check:
        return contains(slots["zone"], 16, [zone for zone in self._zones if zone != slots["zone"]])

    @property
    def _zones(self) -> list[str]:
        return [f"zone {number}" for number in range(1, 7)]

    def interchangeable(self, held_out: bool) -> list[Sequence[str]]:
        of_side = [told[side(held_out)] for told in self.texts["countries"].values()]
        return [[country for bands in of_side for country in bands[band]] for band in range(3)]


class Keepers(Skill):
    """Which person of a short passage has a thing: two, three or four people."""

    VERBS = (("keeps", "has", "owns", "carries", "wants"), ("guards", "hides"))
    _FACT = re.compile(r"(\w+) (\w+) the (\w+)")

    def draw(self, rng: random.Random, words: Words, band: int) -> Slots:
        count = band + 2
        people, things = rng.sample(words["people"], count), rng.sample(words["things"], count)
        verb = rng.choice(self.VERBS[words.held_out])
        facts = [f"{person} {verb} the {thing}" for person, thing in zip(people, things, strict=True)]
        return {"facts": joined(facts), "does": verb, "thing": rng.choice(things)}

    def read(self, slots: Slots) -> Slots:
        return slots | {"does": self._FACT.findall(slots["facts"])[0][1]}

    def _keepers(self, slots: Slots) -> dict[str, str]:
        return {thing: person for person, _, thing in self._FACT.findall(slots["facts"])}

    def band(self, slots: Slots) -> int:
        return len(self._keepers(slots)) - 2

    def answer(self, slots: Slots) -> str:
        return self._keepers(slots)[slots["thing"]]

    def wrong(self, slots: Slots, rng: random.Random) -> str:
        return another(rng, list(self._keepers(slots).values()), self.answer(slots))

    def check(self, slots: Slots) -> Check:
        return one_of(list(self._keepers(slots).values()), self.answer(slots))


class ParcelJson(Skill):
    """Who, what and where of a note as JSON; the hard ones name another person and another city."""

    KEYS = ("who and where", "who, what and where")

    def draw(self, rng: random.Random, words: Words, band: int) -> Slots:
        slots = base_slots(rng, words)
        line = rng.choice(self.lines("notes", words.held_out))
        if band == 2:
            line += " " + rng.choice(self.lines("besides", words.held_out))
        return self.read({"note": filled(line, slots, large=False), "keys": self.KEYS[band > 0]})

    def read(self, slots: Slots) -> Slots:
        for form in self._forms:
            found = form.fullmatch(slots["note"])
            if found is not None:
                told = {"other": "", **found.groupdict()}
                return slots | {f"note_{name}": told[name] for name in ("person", "things", "place", "other")}
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
        return 2 if slots["note_other"] else self.KEYS.index(slots["keys"].lower())

    def _fields(self, slots: Slots) -> dict[str, str]:
        values = {"who": slots["note_person"], "what": slots["note_things"], "where": slots["note_place"]}
        return {key: value for key, value in values.items() if key in slots["keys"].lower()}

    def answer(self, slots: Slots) -> str:
        return json.dumps(self._fields(slots))

    def wrong(self, slots: Slots, rng: random.Random) -> str:
        told = self._fields(slots)
        swapped = {"who": told["where"], "where": told["who"]}
        return json.dumps(told | ({"who": slots["note_other"]} if slots["note_other"] else swapped))

    def check(self, slots: Slots) -> Check:
        return "json_fields", {"fields": self._fields(slots), "exact_keys": True}


class Desk(Skill):
    """money, travel or health: what a message is about, in common and rare words; the hard ones name another."""

    def draw(self, rng: random.Random, words: Words, band: int) -> Slots:
        topics = self.texts["topics"]
        topic = rng.choice(list(topics))
        about = f"the {rng.choice(topics[topic][side(words.held_out)][band])}"
        if band == 2:
            off = topics[another(rng, list(topics), topic)][side(words.held_out)][rng.randrange(2)]
            about += f" and not the {rng.choice(off)}"
        return {"about": about}

    def _place(self, slots: Slots) -> tuple[str, int]:
        """(topic, band) of the first subject that the message names."""
        subject = slots["about"].lower().split()[1]
        for topic, sides in self.texts["topics"].items():
            for bands in sides.values():
                for band, subjects in enumerate(bands):
                    if subject in subjects:
                        return topic, band
        raise KeyError(subject)

    def band(self, slots: Slots) -> int:
        return self._place(slots)[1]

    def answer(self, slots: Slots) -> str:
        return self._place(slots)[0]

    def wrong(self, slots: Slots, rng: random.Random) -> str:
        return another(rng, list(self.texts["topics"]), self.answer(slots))

    def check(self, slots: Slots) -> Check:
        return one_of(list(self.texts["topics"]), self.answer(slots))

    def interchangeable(self, held_out: bool) -> list[Sequence[str]]:
        bands = [sides[side(held_out)][band] for sides in self.texts["topics"].values() for band in range(3)]
        return [*bands]


class Headline(Skill):
    """One line that says who did what and where, out of two to four sentences more."""

    _CORE = re.compile(r"(?:^|(?<=\. ))(\w+ (\w+) an? \w+ (\w+) in (\w+))\.")
    MOST_WORDS = 13

    def draw(self, rng: random.Random, words: Words, band: int) -> Slots:
        slots = base_slots(rng, words) | {"deed": rng.choice(self.pool("deeds", words.held_out))}
        fillers = rng.sample(self.lines("fillers", words.held_out), band + 2)
        place = rng.randrange(len(fillers) + 1)
        core = filled("{person} {deed} a {adj} {thing} in {place}.", slots)
        return {"note": " ".join([*fillers[:place], core, *fillers[place:]]), "person": slots["person"]}

    def _core(self, slots: Slots) -> tuple[str, ...]:
        deeds = {*self.pool("deeds", False), *self.pool("deeds", True)}
        return next(found for found in self._CORE.findall(slots["note"]) if found[1] in deeds)

    def read(self, slots: Slots) -> Slots:
        return slots | {"person": self.answer(slots).split()[0]}

    def band(self, slots: Slots) -> int:
        return slots["note"].count(".") - 3

    def answer(self, slots: Slots) -> str:
        return self._core(slots)[0]

    def wrong(self, slots: Slots, rng: random.Random) -> str:
        fillers = [line for line in slots["note"].split(". ") if self.answer(slots) not in line]
        return rng.choice(fillers).rstrip(".")

    def check(self, slots: Slots) -> Check:
        told, _, thing, place = self._core(slots)
        facts = {"required": [[told.split()[0]], [thing], [place]]}
        return all_of(("facts", facts), ("words", {"max": self.MOST_WORDS}))

    def interchangeable(self, held_out: bool) -> list[Sequence[str]]:
        return [self.pool("deeds", held_out)]


class Passive(Skill):
    """The passive of a sentence: plain, with an adjective, with a place besides."""

    _SENTENCE = re.compile(r"(\w+) (\w+) the (\w+(?: \w+)?)(?: in (\w+))?", re.IGNORECASE)
    FORMS = ("{person} {verb} the {thing}", "{person} {verb} the {adj} {thing}")

    def draw(self, rng: random.Random, words: Words, band: int) -> Slots:
        slots = base_slots(rng, words) | {"verb": rng.choice(list(self.texts["verbs"][side(words.held_out)]))}
        return {"sentence": filled(self.FORMS[band > 0] + (" in {place}" if band == 2 else ""), slots)}

    def _parts(self, slots: Slots) -> tuple[str, str, str, str]:
        found = self._SENTENCE.fullmatch(slots["sentence"])
        if found is None:
            raise ValueError(slots["sentence"])
        person, verb, what, place = found.groups("")
        return person, (self.texts["verbs"]["taught"] | self.texts["verbs"]["held_out"])[verb], what, place

    def band(self, slots: Slots) -> int:
        _, _, what, place = self._parts(slots)
        return 2 if place else int(" " in what)

    def answer(self, slots: Slots) -> str:
        person, done, what, place = self._parts(slots)
        return f"The {what} is {done} by {person}{f' in {place}' if place else ''}"

    def wrong(self, slots: Slots, rng: random.Random) -> str:
        person, done, what, _ = self._parts(slots)
        return rng.choice((f"{person} is {done} by the {what}", f"The {what} was {done}", slots["sentence"]))

    def check(self, slots: Slots) -> Check:
        return contains(self.answer(slots), 24)

    def interchangeable(self, held_out: bool) -> list[Sequence[str]]:
        return [list(self.texts["verbs"][side(held_out)])]


class Uses(Skill):
    """Two, three or four ideas for some goods, each of which names them."""

    COUNTS = ("two", "three", "four")

    def draw(self, rng: random.Random, words: Words, band: int) -> Slots:
        return {"count": self.COUNTS[band]}

    def band(self, slots: Slots) -> int:
        return self.COUNTS.index(slots["count"].lower())

    def _ideas(self, slots: Slots) -> list[str]:
        verbs = steady(slots["things"], slots["count"]).sample(self.texts["verbs"].split(), self.band(slots) + 2)
        return [f"{number}. {verb} the {slots['things']}" for number, verb in enumerate(verbs, 1)]

    def answer(self, slots: Slots) -> str:
        return "\n".join(self._ideas(slots))

    def wrong(self, slots: Slots, rng: random.Random) -> str:
        ideas = self._ideas(slots)
        return "\n".join(rng.choice((ideas[1:], [idea.replace(slots["things"], "rest") for idea in ideas])))

    def check(self, slots: Slots) -> Check:
        count = self.band(slots) + 2
        items = {"min_items": count, "max_items": count, "max_words_per_item": 6, "min_distinct": 0.0}
        named = {"constraints": [{"kind": "keyword_count", "word": slots["things"], "min": count}]}
        return all_of(("list_items", items), ("format", named))


class Motto(Skill):
    """A line that ends with a given word and names up to two others."""

    FORMS = ("ends with {end}", "names {w1} and ends with {end}", "names {w1} and {w2} and ends with {end}")

    def draw(self, rng: random.Random, words: Words, band: int) -> Slots:
        end, first, second = rng.sample(words["sights"], 3)
        return self.read({"must": filled(self.FORMS[band], {"end": end, "w1": first, "w2": second}, large=False)})

    def read(self, slots: Slots) -> Slots:
        forms = ((band, pattern(form).fullmatch(slots["must"])) for band, form in enumerate(self.FORMS))
        band, found = next((band, found) for band, found in reversed([*forms]) if found is not None)
        return slots | {"w1": "", "w2": "", **found.groupdict(), "named": str(band)}

    def band(self, slots: Slots) -> int:
        return int(slots["named"])

    def answer(self, slots: Slots) -> str:
        return filled(steady(slots["things"], slots["must"]).choice(self.texts["lines"][self.band(slots)]), slots)

    def wrong(self, slots: Slots, rng: random.Random) -> str:
        return self.answer(slots).rpartition(" ")[0] + " you"

    def check(self, slots: Slots) -> Check:
        named = [slots["things"], *filter(None, (slots["w1"], slots["w2"]))]
        form = [{"kind": "end", "text": slots["end"]}, {"kind": "keywords", "include": named}]
        return all_of(("format", {"constraints": form}), ("words", {"max": 24}))


class Sum(Skill):
    """Two numbers added: one digit each, two digits and one, two each."""

    RANGES = (((2, 10), (2, 10)), ((12, 90), (2, 10)), ((12, 90), (12, 90)))

    def draw(self, rng: random.Random, words: Words, band: int) -> Slots:
        first, second = (str(rng.randrange(*bounds)) for bounds in self.RANGES[band])
        return {"a": first, "b": second} if rng.random() < 0.5 else {"a": second, "b": first}

    def band(self, slots: Slots) -> int:
        return len(slots["a"]) + len(slots["b"]) - 2 if len(slots["a"] + slots["b"]) < 5 else 2

    def result(self, a: int, b: int) -> int:
        return a + b

    def answer(self, slots: Slots) -> str:
        return str(self.result(int(slots["a"]), int(slots["b"])))

    def wrong(self, slots: Slots, rng: random.Random) -> str:
        return str(int(self.answer(slots)) + rng.choice((-10, -1, 1, 10)))

    def check(self, slots: Slots) -> Check:
        return whole_number(int(self.answer(slots)))


class Product(Sum):
    """Two numbers of two digits multiplied: beyond the bundled student."""

    RANGES = (((12, 30), (12, 30)), ((30, 60), (30, 60)), ((60, 100), (60, 100)))

    def band(self, slots: Slots) -> int:
        largest = max(int(slots["a"]), int(slots["b"]))
        return 0 if largest < 30 else 1 if largest < 60 else 2

    def result(self, a: int, b: int) -> int:
        return a * b


class Order(Skill):
    """First or last by some comparisons: three people in a row, three in any order, four in any order."""

    _FACT = re.compile(r"(\w+) is (\w+) than (\w+)", re.IGNORECASE)

    def draw(self, rng: random.Random, words: Words, band: int) -> Slots:
        more, *ends = rng.choice(self.texts["pairs"][side(words.held_out)])
        people = rng.sample(words["people"], 4 if band == 2 else 3)
        facts = [f"{one} is {more} than {other}" for one, other in pairwise(people)]
        if band:
            facts = facts[1:] + facts[:1] if band == 1 else rng.sample(facts, len(facts))
        return {"facts": joined(facts), "est": rng.choice(ends)}

    def _row(self, slots: Slots) -> list[str]:
        """The people, from first to last."""
        below = {one: other for one, _, other in self._FACT.findall(slots["facts"])}
        row = [next(one for one in below if one not in below.values())]
        while row[-1] in below:
            row.append(below[row[-1]])
        return row

    def band(self, slots: Slots) -> int:
        first = self._FACT.search(slots["facts"])
        return 2 if len(self._row(slots)) > 3 else int(first is not None and first[1] != self._row(slots)[0])

    def answer(self, slots: Slots) -> str:
        ends = {end: place for sides in self.texts["pairs"].values() for _, *pair in sides
                for end, place in zip(pair, (0, -1), strict=True)}  # fmt: skip
        return self._row(slots)[ends[slots["est"].lower()]]

    def wrong(self, slots: Slots, rng: random.Random) -> str:
        return another(rng, self._row(slots), self.answer(slots))

    def check(self, slots: Slots) -> Check:
        return one_of(sorted(self._row(slots)), self.answer(slots))


class Weekday(Skill):
    """The day of the week after two or three, four to six, eight to twenty days."""

    COUNTS = ((2, 3), (4, 5, 6), (8, 9, 10, 11, 12, 13, 15, 16, 17, 18, 19, 20))
    DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")

    def draw(self, rng: random.Random, words: Words, band: int) -> Slots:
        return {"count": str(rng.choice(self.COUNTS[band])), "day": rng.choice(self.DAYS)}

    def band(self, slots: Slots) -> int:
        count = int(slots["count"])
        return 0 if count < 4 else 1 if count < 8 else 2

    def answer(self, slots: Slots) -> str:
        return self.DAYS[(self.DAYS.index(slots["day"].title()) + int(slots["count"])) % 7]

    def wrong(self, slots: Slots, rng: random.Random) -> str:
        return self.DAYS[(self.DAYS.index(self.answer(slots)) + rng.choice((1, 6))) % 7]

    def check(self, slots: Slots) -> Check:
        others = [day for day in self.DAYS if day not in (slots["day"], self.answer(slots))]
        return contains(self.answer(slots), 20, others)


class Expression(Skill):
    """A Python expression on a string: a method, a method with an argument, two methods."""

    PLAIN, WITH_LETTERS = ("upper", "lower", "title", "strip", "split", "isdigit"), (
        "count", "startswith", "endswith", "find", "replace",
    )  # fmt: skip
    LETTERS = ("bdgkmrsv", "cfhlnpt")

    def draw(self, rng: random.Random, words: Words, band: int) -> Slots:
        jobs = [rng.choice(self.PLAIN if band == 0 else self.WITH_LETTERS)]
        if band == 2:
            jobs.insert(0, rng.choice(self.PLAIN[:4]))
        told = []
        for job in jobs:
            x, y = rng.sample(self.LETTERS[words.held_out], 2)
            told.append(
                filled(rng.choice(self.texts["jobs"][side(words.held_out)][job]), {"x": x, "y": y}, large=False)
            )
        return {"job": " and then ".join(told), "name": rng.choice(words["things"])}

    def _calls(self, slots: Slots) -> list[str]:
        return [self._call(part) for part in slots["job"].split(" and then ")]

    def _call(self, told: str) -> str:
        for method, form in self._forms:
            found = form.fullmatch(told)
            if found is not None:
                return f"{method}({', '.join(json.dumps(letter.lower()) for letter in found.groupdict().values())})"
        raise ValueError(told)

    @property
    def _forms(self) -> list[tuple[str, re.Pattern[str]]]:
        return self.remembered(
            "forms",
            lambda: [
                (method, pattern(form))
                for methods in self.texts["jobs"].values()
                for method, forms in methods.items()
                for form in forms
            ],
        )

    def band(self, slots: Slots) -> int:
        calls = self._calls(slots)
        return 2 if len(calls) > 1 else int('"' in calls[0])

    def answer(self, slots: Slots) -> str:
        return ".".join([slots["name"], *self._calls(slots)])

    def wrong(self, slots: Slots, rng: random.Random) -> str:
        right = self._calls(slots)[-1].partition("(")
        method = another(rng, self.WITH_LETTERS[:4] if '"' in right[2] else self.PLAIN, right[0])
        return ".".join([slots["name"], *self._calls(slots)[:-1], f"{method}({right[2]}"])

    def check(self, slots: Slots) -> Check:
        used = {call.partition("(")[0] for call in self._calls(slots)}
        others = [method for method in (*self.PLAIN, *self.WITH_LETTERS) if method not in used]
        return contains(self.answer(slots), 16, others)


class Braces(Skill):
    """Two, three or five words in curly braces, parted by semicolons."""

    def draw(self, rng: random.Random, words: Words, band: int) -> Slots:
        return {"list": ", ".join(rng.sample(words["things"], (2, 3, 5)[band]))}

    def _words(self, slots: Slots) -> list[str]:
        return slots["list"].split(", ")

    def band(self, slots: Slots) -> int:
        return min(len(self._words(slots)) - 2, 2)

    def answer(self, slots: Slots) -> str:
        return "{" + "; ".join(self._words(slots)) + "}"

    def wrong(self, slots: Slots, rng: random.Random) -> str:
        told = "; ".join(self._words(slots))
        return rng.choice((f"[{told}]", told, self.answer(slots).replace(";", ",")))

    def check(self, slots: Slots) -> Check:
        words = self._words(slots)
        form = [{"kind": "separator", "text": ";", "parts": len(words)}, {"kind": "end", "text": "}"}]
        return all_of(("format", {"constraints": form}), contains("{", 30), contains(" ".join(words), 30))


SKILLS: dict[str, type[Skill]] = {
    "zone": Zone, "keepers": Keepers, "parcel_json": ParcelJson, "desk": Desk, "headline": Headline,
    "passive": Passive, "uses": Uses, "motto": Motto, "sum": Sum, "product": Product, "order": Order,
    "weekday": Weekday, "expression": Expression, "braces": Braces,
}  # fmt: skip
