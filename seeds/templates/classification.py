"""Evaluation items for the category `classification`, written from templates.

Each template has a label set of its own and asks for each of its labels once, so that no constant answer does
well. Wherever a rule decides the label, numbers are drawn from the range which the rule gives to that label.
"""

import random
from datetime import date, timedelta
from typing import Any

Item = dict[str, Any]

PARCEL_BANDS = ("envelope", "satchel", "carton", "crate", "pallet")
INVOICE_STATES = ("current", "reminder", "warning", "suspended", "collections")
SENTENCE_PARTS = {
    "noun": ("sailor", "goat", "painter", "farmer", "kitten", "postman"),
    "verb": ("waited", "slept", "sang", "laughed", "stumbled", "rested"),
    "adjective": ("tired", "cheerful", "clumsy", "young", "hungry", "famous"),
    "adverb": ("quietly", "happily", "briefly", "often", "patiently", "slowly"),
    "preposition": ("near", "behind", "under", "inside", "above", "beside"),
}
PLACES = ("bridge", "barn", "market hall", "oak tree", "chapel", "windmill")
# Base form, third person, past, past participle, -ing form.
VERBS = (
    ("write", "writes", "wrote", "written", "writing"),
    ("sell", "sells", "sold", "sold", "selling"),
    ("hide", "hides", "hid", "hidden", "hiding"),
    ("bring", "brings", "brought", "brought", "bringing"),
    ("choose", "chooses", "chose", "chosen", "choosing"),
    ("steal", "steals", "stole", "stolen", "stealing"),
)
TENSES = {
    "simple present": "{} {v[1]} it every spring",
    "simple past": "{} {v[2]} it in the end",
    "simple future": "{} will {v[0]} it before long",
    "past perfect": "{} had {v[3]} it by then",
    "present progressive": "{} is {v[4]} it right now",
}
PEOPLE = ("Agnes", "Boris", "Chiara", "Dmitri", "Edith", "Faisal", "Gudrun")
PRODUCTS = ("toaster", "office chair", "headset", "tent", "rice cooker", "treadmill")
DESKS = {
    "warranty": "The {} I bought five months ago has stopped working. Will you repair it free of charge?",
    "payment": "When I try to pay for the {}, my credit card is turned down. Is there another way to pay?",
    "shipping": "The courier has had my {} for nine days now. When will it reach me?",
    "login": "I wanted to rate my {}, but your site says that my password is wrong. How do I get a new one?",
    "careers": "I design things like the {} for a living. Do you have any open positions for me?",
    "suppliers": "Our plant makes parts for every {} on the market. Who at your company buys such parts?",
}
ANIMALS = {
    "reptile": ("crocodile", "gecko", "tortoise", "cobra"),
    "amphibian": ("frog", "newt", "toad", "salamander"),
    "fish": ("trout", "salmon", "tuna", "herring"),
    "arachnid": ("spider", "scorpion", "tick", "tarantula"),
    "crustacean": ("lobster", "crab", "shrimp", "crayfish"),
}
TOOLS = {
    "baker": ("a rolling pin", "a proofing basket", "a dough scraper"),
    "tailor": ("pinking shears", "a pin cushion", "a measuring tape for waists"),
    "surgeon": ("a scalpel", "sterile gloves and a clamp", "a bone saw"),
    "beekeeper": ("a smoker and a veil", "a honey extractor", "a hive tool"),
    "potter": ("a kiln", "a throwing wheel", "glaze and a clay cutter"),
    "plumber": ("a pipe wrench", "a drain snake", "thread seal tape"),
}
# From December on, as the meteorological seasons are: winter comes first in the north, summer in the south.
MONTHS = (
    "December", "January", "February", "March", "April", "May",
    "June", "July", "August", "September", "October", "November",
)  # fmt: skip
SEASONS = ("winter", "spring", "summer", "autumn")


def _row(prompt: str, verifier: str, args: Item, reference: str, difficulty: str) -> Item:
    """What a template decides about an item; `items` adds what names it."""
    return {
        "prompt": prompt,
        "verifier": verifier,
        "args": args,
        "reference": reference,
        "difficulty": difficulty,
    }


def _label_row(prompt: str, labels: list[str], answer: str, difficulty: str) -> Item:
    """An item whose answer is one label out of those which its prompt names."""
    return _row(prompt, "label", {"labels": labels, "answer": answer}, answer, difficulty)


def _shuffled(rng: random.Random, values: list[str]) -> list[str]:
    """The values in random order, so that the place in a list tells nothing about the answer."""
    return rng.sample(values, len(values))


def _either(labels: list[str]) -> str:
    """a, b or c."""
    return f"{', '.join(labels[:-1])} or {labels[-1]}"


def _angles(rng: random.Random) -> list[Item]:
    """The name of an angle by its size."""
    degrees = {
        "acute": rng.randint(5, 85),
        "right": 90,
        "obtuse": rng.randint(95, 175),
        "straight": 180,
        "reflex": rng.randint(185, 355),
    }
    rows = []
    for answer, size in degrees.items():
        labels = _shuffled(rng, list(degrees))
        prompt = f"An angle measures {size} degrees. Is it {_either(labels)}? Answer with one word."
        rows.append(_label_row(prompt, labels, answer, "easy"))
    return rows


def _parcels(rng: random.Random) -> list[Item]:
    """A band out of five, by weight and stated limits."""
    rows = []
    for index, answer in enumerate(PARCEL_BANDS):
        limits = [rng.randint(1, 4), rng.randint(8, 15), rng.randint(25, 40), rng.randint(80, 150)]
        edges = [0, *limits, 400]
        weight = rng.randint(edges[index] + 1, edges[index + 1])
        steps = [f"{band} up to {limit} kg" for band, limit in zip(PARCEL_BANDS, limits, strict=False)]
        prompt = (
            f"Which packaging does this shipment get? The bands are: {', '.join(steps)}, "
            f"{PARCEL_BANDS[-1]} above that. Answer with the band only.\n\nShipment: {weight} kg"
        )
        rows.append(_label_row(prompt, list(PARCEL_BANDS), answer, "medium"))
    return rows


def _invoices(rng: random.Random) -> list[Item]:
    """The state of an unpaid invoice, by the days between two dates and stated limits."""
    rows = []
    limits = (0, 14, 30, 60, 120)
    for index, answer in enumerate(INVOICE_STATES):
        late = -rng.randint(1, 9) if index == 0 else rng.randint(limits[index - 1] + 1, limits[index])
        due = date(2024, 3, 1) + timedelta(days=rng.randint(0, 150))
        today = due + timedelta(days=late)
        prompt = (
            "An unpaid invoice is current until its due date has passed, then reminder for days 1 to 14 "
            "after it, warning for days 15 to 30, suspended for days 31 to 60, and collections from day 61. "
            f"Which state does this one have? Give the state only.\n\nDue: {due.isoformat()}. "
            f"Today: {today.isoformat()}."
        )
        rows.append(_label_row(prompt, list(INVOICE_STATES), answer, "hard"))
    return rows


def _parts_of_speech(rng: random.Random) -> list[Item]:
    """The part of speech of one word of a sentence put together from words of known kinds."""
    rows = []
    for answer in SENTENCE_PARTS:
        word = {kind: rng.choice(words) for kind, words in SENTENCE_PARTS.items()}
        labels = _shuffled(rng, list(SENTENCE_PARTS))
        prompt = (
            f'What part of speech is the word "{word[answer]}" in this sentence? '
            f"Choose {_either(labels)}.\n\n"
            f"The {word['adjective']} {word['noun']} {word['verb']} {word['adverb']} "
            f"{word['preposition']} the {rng.choice(PLACES)}."
        )
        rows.append(_label_row(prompt, labels, answer, "medium"))
    return rows


def _tenses(rng: random.Random) -> list[Item]:
    """The tense of a sentence built from a table of verb forms."""
    rows = []
    for (answer, pattern), verb in zip(TENSES.items(), rng.sample(VERBS, len(TENSES)), strict=True):
        labels = _shuffled(rng, list(TENSES))
        sentence = pattern.format(rng.choice(PEOPLE), v=verb)
        prompt = f"Name the tense of the verb: {_either(labels)}.\n\nSentence: {sentence}."
        rows.append(_label_row(prompt, labels, answer, "medium"))
    return rows


def _desks(rng: random.Random) -> list[Item]:
    """The desk of a shop which should answer a customer."""
    rows = []
    for (answer, message), product in zip(DESKS.items(), rng.sample(PRODUCTS, len(DESKS)), strict=True):
        labels = _shuffled(rng, list(DESKS))
        prompt = (
            f"Forward this email to the right desk of the shop. Desks: {', '.join(labels)}. "
            f"Write the name of the desk only.\n\nEmail: {message.format(product)}"
        )
        rows.append(_label_row(prompt, labels, answer, "easy"))
    return rows


def _animals(rng: random.Random) -> list[Item]:
    """The class of an animal."""
    rows = []
    for answer, members in ANIMALS.items():
        labels = _shuffled(rng, list(ANIMALS))
        prompt = f"Put this animal into a class: {_either(labels)}. One word is enough.\n\n{rng.choice(members)}"
        rows.append(_label_row(prompt, labels, answer, "easy"))
    return rows


def _seasons(rng: random.Random) -> list[Item]:
    """The season in a month, which depends on the half of the globe."""
    rows = []
    for index, answer in enumerate(SEASONS):
        southern = rng.random() < 0.5
        month = MONTHS[(3 * index + rng.randrange(3) + (6 if southern else 0)) % 12]
        labels = _shuffled(rng, list(SEASONS))
        prompt = (
            f"What season is it in {month} in a country of the "
            f"{'southern' if southern else 'northern'} hemisphere: {_either(labels)}? Give one word."
        )
        args = {"labels": labels, "answer": answer, "aliases": {"autumn": ["fall"]}}
        rows.append(_row(prompt, "label", args, answer, "hard"))
    return rows


def _priorities(rng: random.Random) -> list[Item]:
    """The priority of an outage, by two conditions."""
    levels = ["P1", "P2", "P3", "P4"]
    cases = [(everyone, workaround) for everyone in (True, False) for workaround in (False, True)]
    systems = rng.sample(["card readers", "door locks", "printers", "payroll forms", "phone lines"], len(cases))
    rows = []
    for answer, (everyone, workaround), system in zip(levels, cases, systems, strict=True):
        town = rng.choice(("Turin", "Lyon", "Graz"))
        reach = "all offices" if everyone else f"the {town} office, but in no other"
        detour = "Staff can use the old ones until then." if workaround else "Nothing can replace them until then."
        prompt = (
            "Give the priority of the outage.\n"
            "P1: all offices hit, no workaround. P2: all offices hit, with a workaround. "
            "P3: some offices hit, no workaround. P4: some offices hit, with a workaround.\n\n"
            f"Outage: The {system} have failed in {reach}. A repair takes two days. {detour}"
        )
        rows.append(_label_row(prompt, levels, answer, "hard"))
    return rows


def _crafts(rng: random.Random) -> list[Item]:
    """Whose tool it is, as a choice of four; the right letters follow one another."""
    rows = []
    for index, (craft, tools) in enumerate(TOOLS.items()):
        options = rng.sample([name for name in TOOLS if name != craft], 3)
        options.insert(index % 4, craft)
        by_letter = dict(zip("ABCD", options, strict=True))
        lines = "\n".join(f"{letter}) {name}" for letter, name in by_letter.items())
        answer = "ABCD"[index % 4]
        prompt = f"Who uses this at work: {rng.choice(tools)}?\n\n{lines}\n\nAnswer with one letter."
        args = {"options": by_letter, "answer": answer}
        rows.append(_row(prompt, "choice", args, answer, "easy"))
    return rows


TEMPLATES = (
    ("angles", _angles),
    ("parcels", _parcels),
    ("invoices", _invoices),
    ("parts-of-speech", _parts_of_speech),
    ("tenses", _tenses),
    ("desks", _desks),
    ("animals", _animals),
    ("seasons", _seasons),
    ("priorities", _priorities),
    ("crafts", _crafts),
)


def items(rng: random.Random) -> list[Item]:
    """Fifty items of ten templates; the same `rng` state gives the same items."""
    built: list[Item] = []
    for name, template in TEMPLATES:
        for row in template(rng):
            head = {"id": f"classification-t{len(built) + 1:03d}", "category": "classification"}
            built.append(head | row | {"cluster": f"classification-{name}", "origin": f"template:{name}"})
    return built
