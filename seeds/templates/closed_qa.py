"""Closed question answering: an invented passage, a question, and an answer that the passage alone decides.

Names, places and numbers are drawn afresh for every item, so nothing can be answered from memory. The facts
that were not asked for are the traps: they are forbidden in the answer where naming one shows a misreading.
Answers are kept far shorter than the passage, so that reciting the passage is never accepted.
"""

from __future__ import annotations

import random

CATEGORY = "closed_qa"
LETTERS = "ABCD"
MAX_ANSWER_WORDS = 25

TOWNS = (
    "Alder", "Birchley", "Coldham", "Dunwick", "Elmstead", "Farrow", "Glenby", "Hexley", "Ivybridge",
    "Kelston", "Larkfield", "Merrow", "Norwood", "Oakham", "Penrith", "Ravenby", "Selkirk", "Thornbury",
    "Upton", "Westerly",
)  # fmt: skip
PEOPLE = (
    "Amara", "Bruno", "Chiara", "Dmitri", "Esther", "Farid", "Greta", "Hamid", "Ingrid", "Jonas",
    "Keiko", "Lorenzo", "Mei", "Nikhil", "Olga", "Pablo", "Quentin", "Rosa", "Stefan", "Tamsin", "Umar",
    "Vera", "Wilma", "Yusuf",
)  # fmt: skip
TEAMS = ("accounts", "the warehouse", "customer support", "design", "purchasing", "the legal office")
ROOMS = (
    "the town hall", "the old mill", "the sports centre", "the church hall", "the school gym",
    "the boathouse", "the city theatre", "the fire station",
)  # fmt: skip
EVENTS = (
    "flower show", "quiz night", "craft fair", "book sale", "chess evening", "choir rehearsal",
    "repair workshop", "swap market",
)  # fmt: skip
WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
REASONS = {
    "a burst water pipe": ["burst water pipe", "burst pipe", "water pipe", "pipe"],
    "a broken boiler": ["broken boiler", "boiler"],
    "a storm warning": ["storm warning", "storm"],
    "a missing permit": ["missing permit", "permit"],
    "a leaking roof": ["leaking roof", "leaky roof", "roof"],
    "a bus strike": ["bus strike", "strike"],
    "a wasp nest by the door": ["wasp nest", "wasp", "wasps", "wasps nest", "wasp's nest"],
    "a power cut": ["power cut", "power failure", "power outage", "no power"],
}
GOODS = {
    "kettle": (18, 45),
    "toaster": (20, 60),
    "desk lamp": (12, 38),
    "wool blanket": (25, 70),
    "garden hose": (15, 40),
    "suitcase": (35, 90),
    "alarm clock": (9, 30),
    "frying pan": (16, 55),
    "umbrella": (8, 26),
    "bookshelf": (40, 120),
}
LABEL_SETS = (
    ("true", "false"),
    ("supported", "contradicted"),
    ("confirmed", "denied"),
    ("fits", "conflicts"),
)
LABEL_FORMS = {
    "true": ["correct"],
    "false": ["untrue", "incorrect"],
    "supported": ["supports"],
    "contradicted": ["contradicts", "contradiction"],
    "confirmed": ["confirms"],
    "denied": ["denies"],
    "fits": ["fit"],
    "conflicts": ["conflict", "conflicting"],
}


def items(rng: random.Random) -> list[dict]:
    """Fifty items from six templates; all names and numbers are drawn from `rng`."""
    drafts = [
        *_departures(rng, 9),
        *_staff(rng, 9),
        *_prices(rng, 8),
        *_moved_events(rng, 8),
        *_claims(rng, 8),
        *_rainfall(rng, 8),
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


def _match(aliases: list[str], forbidden: list[str] | None = None) -> dict:
    args: dict = {"aliases": aliases, "max_words": MAX_ANSWER_WORDS}
    return args | ({"forbidden": forbidden} if forbidden else {})


def _short_number(value: int) -> dict:
    """A number, and few words around it: a recited passage would end in some number as well."""
    words = {"verifier": "words", "args": {"max": MAX_ANSWER_WORDS}}
    return {"of": [{"verifier": "numeric", "args": {"value": value}}, words]}


def _clock_forms(hour: int, minute: int) -> list[str]:
    """The usual ways to write one time of the day after noon."""
    twelve = f"{hour - 12}:{minute:02d}"
    return [f"{hour}:{minute:02d}", f"{hour}.{minute:02d}", twelve, f"{twelve} pm", f"{twelve}pm"]


def _departures(rng: random.Random, count: int) -> list[dict]:
    """Four trains with time and platform; asks for the time, the platform or the destination in turn."""
    drafts = []
    for index, town in enumerate(rng.sample(TOWNS, count)):
        others = rng.sample([name for name in TOWNS if name != town], 3)
        towns = rng.sample([town, *others], 4)
        hours = sorted(rng.sample(range(13, 23), 4))
        times = [(hour, rng.randrange(1, 60)) for hour in hours]
        platforms = rng.sample(range(1, 21), 4)
        place = towns.index(town)
        lines = " ".join(
            f"The train to {name} leaves at {hour}:{minute:02d} from platform {platform}."
            for name, (hour, minute), platform in zip(towns, times, platforms, strict=True)
        )
        passage = f"{lines} Seats can be reserved at the counter until twenty minutes before each departure."
        if index % 3 == 0:
            question = f"When does the train to {town} leave? Answer with the time."
            forms = _clock_forms(*times[place])
            verifier, args, reference = "match", _match(forms), f"At {forms[0]}"
        elif index % 3 == 1:
            question = f"From which platform does the train to {town} leave? Give the number."
            value = platforms[place]
            verifier, args, reference = "all", _short_number(value), f"Platform {value}"
        else:
            question = f"To which town does the train on platform {platforms[place]} go? Name the town."
            verifier, args, reference = "match", _match([town], others), town
        drafts.append(_draft("departures", f"{passage}\n\n{question}", verifier, args, reference, "easy"))
    return drafts


def _staff(rng: random.Random, count: int) -> list[dict]:
    """Three colleagues with team and first year; asks for the newest, the oldest or a team's."""
    drafts = []
    for index, person in enumerate(rng.sample(PEOPLE, count)):
        others = rng.sample([name for name in PEOPLE if name != person], 2)
        low, middle, high = sorted(rng.sample(range(2001, 2024), 3))
        teams = rng.sample(TEAMS, 3)
        year, rest = {0: (high, [low, middle]), 1: (low, [middle, high]), 2: (middle, [low, high])}[index % 3]
        question = (
            "Which of the three joined the company most recently?",
            "Which of the three has worked at the company longest?",
            f"Who works in {teams[0]}?",
        )[index % 3]
        rows = list(zip([person, *others], teams, [year, *rest], strict=True))
        rng.shuffle(rows)
        lines = " ".join(f"{name} works in {team} and joined the company in {joined}." for name, team, joined in rows)
        passage = f"{lines} All three share the kitchen on the ground floor and take turns to water its plants."
        prompt = f"{passage}\n\n{question} Reply with the name."
        difficulty = "easy" if index % 3 == 2 else "medium"
        drafts.append(_draft("staff", prompt, "match", _match([person], others), person, difficulty))
    return drafts


def _prices(rng: random.Random, count: int) -> list[dict]:
    """Three goods and their prices; asks for the cheapest, or for the sum of three pieces."""
    drafts = []
    goods = rng.sample(sorted(GOODS), count)
    totals: set[int] = set()
    for index, good in enumerate(goods):
        others = rng.sample([name for name in sorted(GOODS) if name != good], 2)
        price = rng.randrange(*GOODS[good])
        # The other two cost more, whatever such goods cost elsewhere, so that the passage alone decides.
        first, second = (price + extra for extra in rng.sample(range(2, 30), 2))
        total = 2 * price + first
        while total in totals:
            first, total = first + 30, total + 30
        totals.add(total)
        rows = list(zip([good, *others], [price, first, second], strict=True))
        rng.shuffle(rows)
        listing = ", ".join(f"one {name} for {amount} dollars" for name, amount in rows)
        passage = (
            f"This week at the market hall shop: {listing}. Prices include tax. "
            "Goods are handed over at the side entrance, and the shop does not deliver to other towns."
        )
        if index % 2 == 1:
            question = (
                f"What do two pieces of the {good} and one {others[0]} cost together, in dollars? Give the number."
            )
            draft = ("all", _short_number(total), f"{total} dollars", "hard")
        else:
            question = "Which of the three goods is the cheapest? Name it."
            draft = ("match", _match([good, f"{good}s"], others), f"The {good}", "easy")
        drafts.append(_draft("prices", f"{passage}\n\n{question}", *draft))
    return drafts


def _moved_events(rng: random.Random, count: int) -> list[dict]:
    """An event that was moved; the old day or place is forbidden in the answer, or the reason is wanted."""
    drafts = []
    reasons = rng.sample(sorted(REASONS), count)
    new_rooms = rng.sample(ROOMS, count)
    events = rng.sample(EVENTS, count)
    new_days = rng.sample(WEEKDAYS, len(WEEKDAYS))
    for index in range(count):
        old_room = rng.choice([room for room in ROOMS if room != new_rooms[index]])
        new_day = new_days[index % len(new_days)]
        old_day = rng.choice([day for day in WEEKDAYS if day != new_day])
        passage = (
            f"The {events[index]} was planned for {old_day} in {old_room}. Because of {reasons[index]} "
            f"it cannot take place as planned. It has been moved to {new_day} and will be held in "
            f"{new_rooms[index]}. Everyone who bought a ticket from {rng.choice(PEOPLE)} "
            "may keep it, as it remains valid."
        )
        question, args, reference, difficulty = (
            (
                f"On which day will the {events[index]} really take place? Name the day.",
                _match([new_day], [old_day]),
                f"On {new_day}",
                "easy",
            ),
            (
                f"Where will the {events[index]} be held after the change? Answer in a few words.",
                _match([new_rooms[index].removeprefix("the ")], [old_room.removeprefix("the ")]),
                f"In {new_rooms[index]}",
                "easy",
            ),
            (
                f"Why could the {events[index]} not take place as planned? Answer in a few words.",
                _match(REASONS[reasons[index]]),
                f"Because of {reasons[index]}",
                "medium",
            ),
        )[index % 3]
        drafts.append(_draft("moved_event", f"{passage}\n\n{question}", "match", args, reference, difficulty))
    return drafts


def _claims(rng: random.Random, count: int) -> list[dict]:
    """A claim that compares two people; each label set and each side of it is used equally often."""
    drafts = []
    for index in range(count):
        labels = LABEL_SETS[index % len(LABEL_SETS)]
        holds = (index // len(LABEL_SETS) + index) % 2 == 0
        boxes = dict(zip(rng.sample(PEOPLE, 3), rng.sample(range(12, 60), 3), strict=True))
        town = rng.choice(TOWNS)
        filled = ", ".join(f"{person} filled {number}" for person, number in boxes.items())
        passage = (
            f"{', '.join(boxes)} and no one else picked apples near {town} that day. They counted their "
            f"boxes: {filled}. In the evening they shared a pie and drove home."
        )
        fewer, more = sorted(rng.sample(sorted(boxes), 2), key=boxes.__getitem__)
        if not holds:
            fewer, more = more, fewer
        claim = f"{more} filled more boxes than {fewer}."
        answer = labels[0] if holds else labels[1]
        aliases = {label: LABEL_FORMS[label] for label in labels}
        question = f"Claim: {claim}\nJudge the claim by the text. Reply with one word: {labels[0]} or {labels[1]}."
        args = {"labels": list(labels), "answer": answer, "aliases": aliases}
        drafts.append(_draft("claim", f"{passage}\n\n{question}", "label", args, answer, "medium"))
    return drafts


def _rainfall(rng: random.Random, count: int) -> list[dict]:
    """Four villages and their rain; asks for a place in the order from wettest to driest by letter."""
    shift = rng.randrange(len(LETTERS))
    questions = {
        0: ("Which village had the most rain?", "medium"),
        1: ("Which village had the second most rain?", "hard"),
        2: ("Which village had the second least rain?", "hard"),
        3: ("Which village had the least rain?", "medium"),
    }
    drafts = []
    for index in range(count):
        towns = rng.sample(TOWNS, 4)
        ranked = sorted(rng.sample(range(15, 95), 4), reverse=True)
        rank = (0, 2, 3, 1)[index % 4]
        # Places and letters both go round by four; the extra step keeps a place from having one letter.
        answer = LETTERS[(index + index // len(LETTERS) + shift) % len(LETTERS)]
        amounts = [amount for amount in ranked if amount != ranked[rank]]
        rng.shuffle(amounts)
        amounts.insert(LETTERS.index(answer), ranked[rank])
        rows = list(zip(towns, amounts, strict=True))
        # The sentence order differs from the option order, so that the position alone gives nothing away.
        spoken = rng.sample(rows, len(rows))
        listing = ", ".join(f"{amount} mm of rain fell in {town}" for town, amount in spoken)
        passage = f"In the first week of the month, {listing}. The rivers stayed within their banks everywhere."
        options = dict(zip(LETTERS, towns, strict=True))
        choices = "\n".join(f"{letter}) {town}" for letter, town in options.items())
        question, difficulty = questions[rank]
        prompt = f"{passage}\n\n{question}\n{choices}\nReply with one letter."
        args = {"options": options, "answer": answer}
        drafts.append(_draft("rainfall", prompt, "choice", args, f"{answer}) {options[answer]}", difficulty))
    return drafts
