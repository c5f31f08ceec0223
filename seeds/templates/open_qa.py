"""Open question answering: short questions from general knowledge, built from small tables of stable facts.

Each table holds facts that do not change from year to year and have one answer that people agree on. Answers
with more than one usual spelling carry all of them, because the item asks for knowledge, not for a spelling.
Every question of a template has a different answer, so no constant answer can do well.
"""

from __future__ import annotations

import random

CATEGORY = "open_qa"
LETTERS = "ABCD"

CAPITALS: dict[str, list[str]] = {
    "France": ["Paris"],
    "Italy": ["Rome", "Roma"],
    "Spain": ["Madrid"],
    "Japan": ["Tokyo"],
    "Greece": ["Athens"],
    "Norway": ["Oslo"],
    "Portugal": ["Lisbon", "Lisboa"],
    "Austria": ["Vienna", "Wien"],
    "Poland": ["Warsaw", "Warszawa"],
    "Hungary": ["Budapest"],
    "Ireland": ["Dublin"],
    "Canada": ["Ottawa"],
    "Australia": ["Canberra"],
    "Cuba": ["Havana", "La Habana"],
    "Peru": ["Lima"],
    "Kenya": ["Nairobi"],
    "Thailand": ["Bangkok"],
    "Finland": ["Helsinki"],
    "Iceland": ["Reykjavik", "Reykjavík"],
    "New Zealand": ["Wellington"],
    "Vietnam": ["Hanoi", "Ha Noi"],
    "Morocco": ["Rabat"],
    "Mongolia": ["Ulaanbaatar", "Ulan Bator"],
    "Uruguay": ["Montevideo"],
    "Senegal": ["Dakar"],
}

ELEMENTS: dict[str, list[str]] = {
    "H": ["hydrogen"],
    "He": ["helium"],
    "O": ["oxygen"],
    "C": ["carbon"],
    "Au": ["gold"],
    "Ag": ["silver"],
    "Fe": ["iron"],
    "Al": ["aluminium", "aluminum"],
    "Cu": ["copper"],
    "Ca": ["calcium"],
    "Cl": ["chlorine"],
    "S": ["sulfur", "sulphur"],
    "Na": ["sodium"],
    "Zn": ["zinc"],
    "Pb": ["lead"],
    "K": ["potassium"],
    "Sn": ["tin"],
    "W": ["tungsten", "wolfram"],
    "Sb": ["antimony"],
    "Xe": ["xenon"],
}

AUTHORS: dict[str, list[str]] = {
    "Hamlet": ["Shakespeare"],
    "Oliver Twist": ["Dickens"],
    "Pride and Prejudice": ["Austen"],
    "War and Peace": ["Tolstoy", "Tolstoi"],
    "Crime and Punishment": ["Dostoevsky", "Dostoyevsky", "Dostoevskii"],
    "Nineteen Eighty-Four": ["Orwell", "Eric Blair", "Eric Arthur Blair"],
    "Moby-Dick": ["Melville"],
    "The Hobbit": ["Tolkien"],
    "Frankenstein": ["Shelley"],
    "Dracula": ["Stoker"],
    "The Odyssey": ["Homer"],
    "The Divine Comedy": ["Dante"],
    "Les Misérables": ["Hugo"],
    "Jane Eyre": ["Charlotte Bronte", "Charlotte Brontë", "C. Bronte"],
    "the novel The Trial": ["Kafka"],
    "Treasure Island": ["Stevenson"],
    "The Time Machine": ["Wells"],
    "Madame Bovary": ["Flaubert"],
}
AUTHOR_FULL_NAMES: dict[str, str] = {
    "Shakespeare": "William Shakespeare",
    "Dickens": "Charles Dickens",
    "Austen": "Jane Austen",
    "Tolstoy": "Leo Tolstoy",
    "Dostoevsky": "Fyodor Dostoevsky",
    "Orwell": "George Orwell",
    "Melville": "Herman Melville",
    "Tolkien": "J. R. R. Tolkien",
    "Shelley": "Mary Shelley",
    "Stoker": "Bram Stoker",
    "Dante": "Dante Alighieri",
    "Hugo": "Victor Hugo",
    "Kafka": "Franz Kafka",
    "Stevenson": "Robert Louis Stevenson",
    "Wells": "H. G. Wells",
    "Flaubert": "Gustave Flaubert",
}

UNITS: list[tuple[str, str, str, int]] = [
    ("minute", "minutes", "seconds", 60),
    ("hour", "hours", "minutes", 60),
    ("day", "days", "hours", 24),
    ("week", "weeks", "days", 7),
    ("common foot", "feet", "inches", 12),
    ("yard", "yards", "feet", 3),
    ("metre", "metres", "centimetres", 100),
    ("kilometre", "kilometres", "metres", 1000),
    ("decade", "decades", "years", 10),
    ("century", "centuries", "years", 100),
    ("dozen", "dozen", "single items", 12),
    ("pound of weight", "pounds of weight", "ounces", 16),
    ("square metre", "square metres", "square centimetres", 10_000),
    ("right angle", "right angles", "degrees", 90),
    ("stone of body weight", "stone of body weight", "pounds", 14),
]

STUDIES: dict[str, list[str]] = {
    "plants": ["botany", "plant biology", "plant science"],
    "animals": ["zoology", "animal biology"],
    "stars, planets and the universe": ["astronomy"],
    "the mind and human behaviour": ["psychology"],
    "rocks and the structure of the Earth": ["geology"],
    "heredity and genes": ["genetics"],
    "the weather and the atmosphere": ["meteorology", "atmospheric science"],
    "past human life through things dug from the ground": ["archaeology", "archeology"],
    "the heart and its diseases": ["cardiology"],
    "languages and how they work": ["linguistics"],
    "fossils and ancient life": ["paleontology", "palaeontology"],
    "insects": ["entomology"],
    "birds": ["ornithology"],
    "earthquakes and seismic waves": ["seismology"],
    "fungi": ["mycology"],
    "the origins and history of words": ["etymology"],
}

LANDMARKS: dict[str, str] = {
    "the Eiffel Tower": "France",
    "the Taj Mahal": "India",
    "the Colosseum": "Italy",
    "the Acropolis": "Greece",
    "the temple complex of Angkor Wat": "Cambodia",
    "the rock-cut city of Petra": "Jordan",
    "the Alhambra palace": "Spain",
    "the Hagia Sophia": "Turkey",
    "Mount Fuji": "Japan",
    "Table Mountain": "South Africa",
    "Uluru (Ayers Rock)": "Australia",
    "Neuschwanstein Castle": "Germany",
}


def items(rng: random.Random) -> list[dict]:
    """Fifty items from six templates; the draw from each table depends on `rng` alone."""
    drafts = [
        *_capitals(rng, 9),
        *_elements(rng, 9),
        *_authors(rng, 9),
        *_units(rng, 8),
        *_studies(rng, 9),
        *_landmarks(rng, 6),
    ]
    return [{"id": f"{CATEGORY}-t{number:03d}", **draft} for number, draft in enumerate(drafts, start=1)]


def _draft(template: str, prompt: str, verifier: str, args: dict, reference: str, difficulty: str) -> dict:
    return {
        "category": CATEGORY,
        "prompt": prompt,
        "verifier": verifier,
        "args": args,
        "reference": reference,
        "difficulty": difficulty,
        "cluster": f"{CATEGORY}-{template}",
        "origin": f"template:{template}",
    }


def _match(aliases: list[str]) -> dict:
    return {"aliases": aliases, "max_words": 40}


def _by_position(table: dict[str, list[str]], key: str, easy_until: int, medium_until: int) -> str:
    """Tables are ordered from well known to little known, so the row's place tells how hard it is."""
    position = list(table).index(key)
    return "easy" if position < easy_until else "medium" if position < medium_until else "hard"


def _capitals(rng: random.Random, count: int) -> list[dict]:
    forms = ("What is the capital city of {}?", "Name the capital of {}.", "Which city is the capital of {}?")
    countries = rng.sample(sorted(CAPITALS), count)
    return [
        _draft(
            "capital",
            forms[index % len(forms)].format(country),
            "match",
            _match(CAPITALS[country]),
            CAPITALS[country][0],
            _by_position(CAPITALS, country, 12, 20),
        )
        for index, country in enumerate(countries)
    ]


def _elements(rng: random.Random, count: int) -> list[dict]:
    forms = (
        "Which chemical element has the symbol {}?",
        "In the periodic table, what is the name of the element written as {}?",
        "What element does the chemical symbol {} stand for?",
    )
    symbols = rng.sample(sorted(ELEMENTS), count)
    return [
        _draft(
            "element",
            forms[index % len(forms)].format(symbol),
            "match",
            _match(ELEMENTS[symbol]),
            ELEMENTS[symbol][0].capitalize(),
            _by_position(ELEMENTS, symbol, 9, 15),
        )
        for index, symbol in enumerate(symbols)
    ]


def _authors(rng: random.Random, count: int) -> list[dict]:
    forms = ("Who wrote {}?", "Name the author of {}.", "Which writer is {} by?")
    works = rng.sample(sorted(AUTHORS), count)
    return [
        _draft(
            "author",
            forms[index % len(forms)].format(work),
            "match",
            _match(AUTHORS[work]),
            AUTHOR_FULL_NAMES.get(AUTHORS[work][0], AUTHORS[work][0]),
            _by_position(AUTHORS, work, 3, 12),
        )
        for index, work in enumerate(works)
    ]


def _units(rng: random.Random, count: int) -> list[dict]:
    """Unit sizes times a small number; redrawn until all values differ."""
    drafts: list[dict] = []
    seen: set[int] = set()
    for one, many, small, factor in rng.sample(UNITS, len(UNITS)):
        amount = rng.choice((1, 2, 3, 5))
        value = amount * factor
        if value in seen or len(drafts) == count:
            continue
        seen.add(value)
        amount_text = f"one {one}" if amount == 1 else f"{amount} {many}"
        prompt = f"How many {small} make up {amount_text}? Reply with the number."
        difficulty = "easy" if amount == 1 else "medium"
        drafts.append(_draft("unit", prompt, "numeric", {"value": value}, f"{value:,} {small}", difficulty))
    return drafts


def _studies(rng: random.Random, count: int) -> list[dict]:
    forms = (
        "What is the name of the science of {}?",
        "Give the one-word name of the field that studies {}.",
        "What do we call the scientific study of {}?",
    )
    subjects = rng.sample(sorted(STUDIES), count)
    return [
        _draft(
            "study",
            forms[index % len(forms)].format(subject),
            "match",
            _match(STUDIES[subject]),
            STUDIES[subject][0].capitalize(),
            _by_position(STUDIES, subject, 5, 11),
        )
        for index, subject in enumerate(subjects)
    ]


def _landmarks(rng: random.Random, count: int) -> list[dict]:
    """Four countries to choose from; the right letter goes round so that no letter is favoured."""
    shift = rng.randrange(len(LETTERS))
    drafts = []
    for index, landmark in enumerate(rng.sample(sorted(LANDMARKS), count)):
        answer = LETTERS[(index + shift) % len(LETTERS)]
        wrong = rng.sample(sorted(set(LANDMARKS.values()) - {LANDMARKS[landmark]}), len(LETTERS) - 1)
        wrong.insert(LETTERS.index(answer), LANDMARKS[landmark])
        options = dict(zip(LETTERS, wrong, strict=True))
        listing = "\n".join(f"{letter}) {country}" for letter, country in options.items())
        prompt = f"In which country would you visit {landmark}?\n{listing}\nReply with one letter."
        args = {"options": options, "answer": answer}
        reference = f"{answer}) {options[answer]}"
        difficulty = ("easy", "medium", "hard")[(list(LANDMARKS).index(landmark) // 4)]
        drafts.append(_draft("landmark", prompt, "choice", args, reference, difficulty))
    return drafts
