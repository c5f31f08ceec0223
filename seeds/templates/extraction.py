"""Evaluation items for the category `extraction`, written from templates.

Each template builds a short text around values drawn at random and asks for some of them. The reference is
computed from the same values, and values of the same kind that were not asked for are `forbidden`, so that
copying the whole text does not count as an answer. Within a template no two items share an answer.
"""

import json
import random
from datetime import date, timedelta
from typing import Any

Item = dict[str, Any]


def _pool(values: str) -> list[str]:
    """Values to draw from, written with commas between them."""
    return values.split(", ")


FIRST_NAMES = _pool(
    "Aline, Bashir, Celia, Dario, Elsbeth, Femi, Greta, Haruto, Irina, Joaquin, Kofi, Leonie, Mateo, Nadia, "
    "Oskar, Paloma, Quentin, Rania, Stellan, Tamsin, Umar, Viola, Wendel, Yara, Zoltan, Amadou, Brigid, Cosmo"
)
LAST_NAMES = _pool("Abbot, Brunner, Castell, Duarte, Eriksen, Fontaine, Gallo, Hadley, Ito, Jansen")
TOWNS = _pool(
    "Ashford, Brecon, Carlow, Dundee, Exeter, Falmouth, Glossop, Hexham, Inverness, Jarrow, Kendal, Ludlow, "
    "Matlock, Newquay, Oban, Penrith"
)
GOODS = _pool(
    "desk lamp, wool blanket, garden hose, tea kettle, picnic basket, wall clock, oak stool, bread knife, "
    "rain barrel, door mat, bird feeder, steel ladder, floor cushion, salad bowl, coat rack, hand saw"
)
COMPONENTS = _pool("scheduler, gateway, indexer, mailer, cache, billing, uploader, archiver, notifier")
MONTHS = _pool("January, February, March, April, May, June, July, August, September, October, November, December")


def _row(prompt: str, verifier: str, args: Item, reference: str, difficulty: str) -> Item:
    """What a template decides about an item; `items` adds what names it."""
    return {
        "prompt": prompt,
        "verifier": verifier,
        "args": args,
        "reference": reference,
        "difficulty": difficulty,
    }


def _named_only(wanted: list[str], others: list[str], max_words: int) -> Item:
    """Every wanted name and none of the others, in an answer too short to be a copy of the text."""
    facts = {"required": [[name] for name in wanted], "forbidden": others}
    words = {"max": max_words}
    return {"of": [{"verifier": "facts", "args": facts}, {"verifier": "words", "args": words}]}


def _ordinal(number: int) -> str:
    """1st, 2nd, 3rd, 4th, 11th."""
    suffix = {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}th" if 10 < number < 14 else f"{number}{suffix}"


def _written(day: date) -> str:
    """A date as the texts write it."""
    return f"{day.day} {MONTHS[day.month - 1]} {day.year}"


def _spellings(day: date) -> list[str]:
    """The usual ways to write a date; the year may be left out."""
    month = MONTHS[day.month - 1]
    days = (str(day.day), _ordinal(day.day))
    return [day.isoformat()] + [text for d in days for text in (f"{d} {month}", f"{d} of {month}", f"{month} {d}")]


def _orders(rng: random.Random, count: int) -> list[Item]:
    """An order confirmation, to be turned into JSON."""
    rows = []
    for first, good in zip(rng.sample(FIRST_NAMES, count), rng.sample(GOODS, count), strict=True):
        name = f"{first} {rng.choice(LAST_NAMES)}"
        quantity, price, postage = rng.randint(2, 9), rng.randint(6, 45), rng.randint(3, 9)
        fields = {"customer": name, "item": good, "quantity": quantity, "total": quantity * price + postage}
        prompt = (
            'Return this order as JSON with the keys "customer", "item", "quantity" and "total". '
            "Write quantity and total as plain numbers.\n\n"
            f"Thank you for your order, {name}! You bought: {good}, {quantity} pieces at {price} dollars "
            f"each. Postage comes to {postage} dollars, so the total is {fields['total']} dollars."
        )
        rows.append(_row(prompt, "json_fields", {"fields": fields}, json.dumps(fields), "easy"))
    return rows


def _log_lines(rng: random.Random, count: int) -> list[Item]:
    """Five log lines, of which one has the level ERROR."""
    rows = []
    for failing in rng.sample(COMPONENTS, count):
        others = rng.sample([name for name in COMPONENTS if name != failing], 4)
        entries = [(name, rng.choice(("INFO", "WARNING"))) for name in others]
        # Neither first nor last, so that copying the line nearest at hand does not answer.
        entries.insert(rng.randint(1, 3), (failing, "ERROR"))
        minute = rng.randint(10, 40)
        log = "\n".join(f"14:{minute + i}:0{i} {level} {name}" for i, (name, level) in enumerate(entries))
        prompt = f"Which component has an entry of level ERROR in this log? Answer with one word.\n\n{log}"
        args = {"aliases": [failing], "forbidden": others, "max_words": 8}
        rows.append(_row(prompt, "match", args, failing, "easy"))
    return rows


def _attendance(rng: random.Random, count: int) -> list[Item]:
    """Replies to an invitation: three people accept, two decline."""
    rows = []
    for _ in range(count):
        names = rng.sample(FIRST_NAMES, 5)
        coming, absent = sorted(names[:3]), sorted(names[3:])
        replies = [f"{name} will be there." for name in coming]
        replies += [f"{name} cannot make it." for name in absent]
        rng.shuffle(replies)
        prompt = f"List the people who will attend, separated by commas.\n\nReplies: {' '.join(replies)}"
        rows.append(_row(prompt, "all", _named_only(coming, absent, 14), ", ".join(coming), "easy"))
    return rows


def _due_dates(rng: random.Random, count: int) -> list[Item]:
    """An invoice with three dates, of which the date of payment is asked for."""
    rows = []
    for offset in rng.sample(range(0, 700, 7), count):
        issued = date(2023, 1, 9) + timedelta(days=offset)
        due, delivered = issued + timedelta(days=30), issued - timedelta(days=rng.randint(3, 9))
        prompt = (
            "By which date must this invoice be paid? Answer with the date only.\n\n"
            f"Invoice {rng.randint(1000, 9999)}, issued on {_written(issued)}. The goods were delivered "
            f"on {_written(delivered)}. Please pay within thirty days, that is, by {_written(due)}."
        )
        others = [_written(issued), _written(delivered)]
        args = {"aliases": _spellings(due), "forbidden": others, "max_words": 10}
        rows.append(_row(prompt, "match", args, _written(due), "medium"))
    return rows


def _table_cells(rng: random.Random, count: int) -> list[Item]:
    """A table of visitors by town and season, of which one cell is asked for."""
    rows = []
    seasons = ("spring", "summer", "autumn")
    pool = rng.sample(range(101, 1000), count * 9)
    for start in range(0, count * 9, 9):
        towns = rng.sample(TOWNS, 3)
        table = [pool[start + i : start + i + 3] for i in (0, 3, 6)]
        row, column = rng.randrange(3), rng.randrange(3)
        wanted = table[row][column]
        lines = [" | ".join(("town", *seasons))]
        lines += [" | ".join((town, *map(str, values))) for town, values in zip(towns, table, strict=True)]
        prompt = (
            f"How many visitors did {towns[row]} have in {seasons[column]}, according to the table? "
            "Give only the number.\n\n" + "\n".join(lines)
        )
        others = [str(value) for values in table for value in values if value != wanted]
        args = {"aliases": [str(wanted)], "forbidden": others, "max_words": 12}
        rows.append(_row(prompt, "match", args, str(wanted), "hard"))
    return rows


def _tickets(rng: random.Random, count: int) -> list[Item]:
    """A ticket with a change of trains; the JSON must hold the two ends of the journey."""
    rows = []
    for start in rng.sample(TOWNS, count):
        change, end = rng.sample([town for town in TOWNS if town != start], 2)
        hour, minute = rng.randint(6, 18), rng.randint(10, 59)
        fields = {"from": start, "to": end, "departs": f"{hour}:{minute}", "seat": rng.randint(11, 98)}
        prompt = (
            'Give JSON with the keys "from", "to", "departs" (as H:MM) and "seat" for the whole journey.\n\n'
            f"Ticket for {rng.choice(FIRST_NAMES)}: leave {start} at {fields['departs']}, change at {change} "
            f"(wait of {rng.randint(12, 25)} minutes), arrive in {end} at {hour + 3}:{rng.randint(10, 59)}. "
            f"Coach {rng.randint(2, 9)}, seat {fields['seat']}."
        )
        rows.append(_row(prompt, "json_fields", {"fields": fields}, json.dumps(fields), "medium"))
    return rows


def _prices_above(rng: random.Random, count: int) -> list[Item]:
    """A price list; the goods above a limit are asked for."""
    rows: list[Item] = []
    while len(rows) < count:
        goods, limit = rng.sample(GOODS, 5), rng.choice((20, 30, 40))
        prices = {good: limit + rng.choice((-1, 1)) * rng.randint(1, 15) for good in goods}
        dear = [good for good in goods if prices[good] > limit]
        cheap = [good for good in goods if prices[good] < limit]
        # A limit above or below nearly everything would make the list, or nothing, the answer.
        if not 2 <= len(dear) <= 3:
            continue
        listing = ", ".join(f"{good} {price}" for good, price in prices.items())
        prompt = (
            f"Name every product on this list that costs more than {limit} dollars, separated by commas."
            f"\n\nPrices in dollars: {listing}"
        )
        rows.append(_row(prompt, "all", _named_only(dear, cheap, 16), ", ".join(dear), "medium"))
    return rows


TEMPLATES = (
    ("orders", _orders, 8),
    ("log-lines", _log_lines, 7),
    ("attendance", _attendance, 7),
    ("due-dates", _due_dates, 7),
    ("table-cells", _table_cells, 7),
    ("tickets", _tickets, 7),
    ("prices-above", _prices_above, 7),
)


def items(rng: random.Random) -> list[Item]:
    """Fifty items of seven templates; the same `rng` state gives the same items."""
    built: list[Item] = []
    for name, template, count in TEMPLATES:
        for row in template(rng, count):
            head = {"id": f"extraction-t{len(built) + 1:03d}", "category": "extraction"}
            built.append(head | row | {"cluster": f"extraction-{name}", "origin": f"template:{name}"})
    return built
