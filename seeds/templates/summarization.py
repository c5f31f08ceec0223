"""Evaluation items for summarization, made from templates.

Belongs here: short invented texts whose key facts are drawn at random, so that the reference and the facts
which a summary must keep are known. Does not belong here: texts written by hand.

A summary passes when it keeps the facts, obeys the length and is not lifted from the text word by word.
"""

from __future__ import annotations

import random
from typing import Any

Item = dict[str, Any]
Fact = list[str]
"""One fact with its accepted spellings."""


def _spellings(text: str) -> Fact:
    """The spellings of one fact, written with commas between them."""
    return text.split(", ")


DAYS = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]
NUMBER_WORDS = {5: "five", 6: "six", 7: "seven", 8: "eight", 9: "nine", 10: "ten", 11: "eleven", 12: "twelve"}

EVENTS: list[tuple[str, Fact]] = [
    ("a kite festival", ["kite", "kites"]),
    ("a puppet show", ["puppet", "puppets"]),
    ("a plant swap", ["plant", "plants"]),
    ("a chess tournament", ["chess"]),
    ("a book fair", ["book", "books"]),
    ("a pottery course", ["pottery"]),
    ("a toy market", ["toy", "toys"]),
    ("a lantern parade", ["lantern", "lanterns"]),
    ("a cheese tasting", ["cheese", "cheeses"]),
    ("a robot contest", ["robot", "robots"]),
    ("a knitting evening", ["knitting", "knit"]),
    ("a folk dance", ["dance", "dancing"]),
]
PLACES: list[tuple[str, Fact]] = [
    ("the old harbor", ["harbor", "harbour"]),
    ("the castle yard", ["castle"]),
    ("the fire station", ["fire station"]),
    ("the city park", ["park"]),
    ("the railway museum", ["museum"]),
    ("the youth club", ["youth club", "club"]),
    ("the market hall", ["market hall", "hall"]),
    ("the botanical garden", ["garden"]),
    ("the village school", ["school"]),
    ("the brewery", ["brewery"]),
]
HOSTS = ["the rotary club", "a group of students", "the parish", "the local paper", "three young families"]
ASIDES = [
    "The first one, two years ago, was such a success that people had to be turned away.",
    "Nobody needs to sign up, and there will be tea and cake for all.",
    "Most of the work is done by volunteers, who have been busy since spring.",
    "In case of rain, a big tent will be put up.",
    "The money that is raised goes to the children's ward of the hospital.",
]

DELAY_CAUSES: list[tuple[str, str, Fact]] = [
    ("a swan had settled on the track and refused to move", "A swan on the track", ["swan"]),
    ("a tree had been blown across the line", "A fallen tree", ["tree"]),
    ("the driver had locked himself out of the cab", "A driver locked out of his cab", ["driver", "locked"]),
    ("thieves had stolen a piece of copper cable", "Stolen cable", ["cable", "thieves", "copper"]),
    ("a truck had got stuck under a bridge", "A truck caught below a bridge", ["truck", "lorry"]),
    ("thick fog had hidden the signals", "Thick fog", ["fog"]),
    ("a door of the last carriage would not close", "A jammed door", ["door"]),
    ("a balloon had become tangled in the wires", "A balloon in the wires", ["balloon"]),
    ("sheep had wandered into a tunnel", "Sheep inside a tunnel", ["sheep"]),
    ("a water main had burst beside the line", "A burst water pipe", ["water", "pipe", "flood", "flooding"]),
]
TOWNS = ["Ashby", "Brill", "Corley", "Denholm", "Ellory", "Farrow", "Garvey", "Holt", "Ilston", "Jarrow"]

TASKS: list[tuple[str, str, Fact]] = [
    ("offered to ring the printer about the posters tomorrow", "call about posters", ["poster", "posters"]),
    ("offered to borrow two long ladders from work", "get two ladders", ["ladder", "ladders"]),
    ("decided to bake bread rolls for the whole crowd", "bake rolls", ["rolls", "bread"]),
    ("promised to repair the broken microphone", "fix the microphone", ["microphone", "mic"]),
    ("wanted to write to the mayor about the street lights", "write to the mayor", ["mayor"]),
    ("was willing to do the flowers", "arrange the flowers", ["flower", "flowers"]),
    ("agreed to count the money when it is over", "count the cash", ["money", "cash"]),
    ("had a van free to fetch the chairs", "pick up chairs", ["chair", "chairs"]),
    ("volunteered to look for cheaper insurance", "find cheaper insurance", ["insurance"]),
    ("did not mind cleaning the windows again", "clean windows", ["window", "windows"]),
]
NAME_TRIPLES = [
    ("Alma", "Bruno", "Chidi"),
    ("Dagny", "Elias", "Fatou"),
    ("Gita", "Henrik", "Isla"),
    ("Jorge", "Kaia", "Levi"),
    ("Maren", "Nikhil", "Olga"),
    ("Paolo", "Quentin", "Rania"),
    ("Sanna", "Tariq", "Ulla"),
    ("Viktor", "Wanda", "Zeno"),
]

POLLS: list[tuple[str, str, list[str]]] = [
    ("pupils", "what they would like for lunch", ["pizza", "lentil soup", "pancakes"]),
    ("villagers", "what should be built on the empty lot", ["playground", "bakery", "car park"]),
    ("nurses", "which shift they like best", ["early shift", "late shift", "night shift"]),
    ("hikers", "where they want to walk next", ["coast", "gorge", "glacier"]),
    ("readers", "what they miss in the magazine", ["crosswords", "recipes", "travel tips"]),
    ("tenants", "which color the stairs should have", ["yellow", "blue", "gray"]),
    ("gardeners", "what pest troubles them most", ["slugs", "moles", "aphids"]),
    ("players", "what the team should be called", ["Hawks", "Badgers", "Comets"]),
]

REVIEWS: list[tuple[str, str, str, Fact]] = [
    (
        "umbrella",
        "I have walked through two storms with it and it did not bend once",
        "strong",
        _spellings("strong, sturdy, storm, storms, wind, bend, stable, robust, durable, tough"),
    ),
    (
        "lamp",
        "Its light is so soft and warm that my eyes never get tired",
        "kind to the eyes",
        _spellings("light, soft, warm, eyes, gentle"),
    ),
    (
        "toaster",
        "Both sides of the bread come out evenly brown, day after day",
        "good at browning evenly",
        _spellings("even, evenly, brown, browning, browns, browned, toasts"),
    ),
    (
        "suitcase",
        "The four wheels roll over cobbles as if they were glass",
        "smooth to roll",
        _spellings("wheel, wheels, roll, rolls, rolling, smooth, smoothly"),
    ),
    (
        "tent",
        "One person can put it up in less than five minutes",
        "quick to set up",
        _spellings("quick, quickly, fast, easy, easily, five minutes, set up, put up, minutes"),
    ),
    (
        "watch",
        "The battery has now lasted for three weeks without a charge",
        "long-lasting on a charge",
        _spellings("battery, charge, lasts, long lasting"),
    ),
    (
        "chair",
        "I sit on it for nine hours and my back feels fine in the evening",
        "comfortable for the back",
        _spellings("comfortable, back, comfy, comfort"),
    ),
    (
        "blender",
        "Even frozen berries and nuts turn to cream within seconds",
        "powerful",
        _spellings("powerful, power, strong, fast, quick, quickly, frozen, berries, smooth, blends"),
    ),
]
FLAWS: list[tuple[str, str, Fact]] = [
    (
        "What a pity that the smell of glue has not gone away after a month",
        "smells",
        _spellings("smell, smells, glue, stinks, odor, odour, smelly, smelling"),
    ),
    (
        "Sadly, the color in the shop was green and mine turned out to be purple",
        "came in the wrong color",
        _spellings("color, colour, purple"),
    ),
    (
        "The price of 189 dollars, on the other hand, is a cheek",
        "costs too much",
        _spellings("price, priced, expensive, costs, cost, 189, pricey, overpriced, costly"),
    ),
    (
        "The manual, though, is printed in letters that an ant could not read",
        "has an unreadable manual",
        _spellings("manual, instructions"),
    ),
    (
        "It is only sad that it weighs as much as a small calf",
        "is very heavy",
        _spellings("heavy, weight, weighs"),
    ),
    (
        "My one complaint is that it took seven weeks to arrive",
        "arrived very late",
        _spellings("seven weeks, 7 weeks, late, slow, delivery, shipping, arrive, arrived, delivered"),
    ),
    (
        "Then again, the box was torn and a screw was missing",
        "lacked a screw on arrival",
        _spellings("screw, box, torn, packaging, missing"),
    ),
    (
        "It makes a noise like an angry goose, though",
        "is noisy",
        _spellings("noise, noisy, loud, goose"),
    ),
]

LESSONS: list[tuple[str, Fact]] = [
    ("yoga class", ["yoga"]),
    ("Spanish lesson", ["spanish"]),
    ("first-aid course", ["first aid"]),
    ("sewing circle", ["sewing"]),
    ("judo training", ["judo"]),
    ("choir rehearsal", ["choir", "rehearsal"]),
    ("cooking class", ["cooking"]),
    ("drum workshop", ["drum", "drums", "drumming"]),
]
ROOMS = ["gym", "cellar", "library", "canteen", "chapel", "attic", "pavilion", "greenhouse", "lobby", "barn"]


def items(rng: random.Random) -> list[Item]:
    """Fifty items from six templates, the same for the same state of `rng`."""
    made = [
        *_event_notices(rng, 10),
        *_train_delays(rng, 8),
        *_product_reviews(rng, 8),
        *_task_notes(rng, 8),
        *_poll_results(rng, 8),
        *_corrected_notices(rng, 8),
    ]
    return [{"id": f"summarization-t{number:03d}", **item} for number, item in enumerate(made, start=1)]


def _event_notices(rng: random.Random, count: int) -> list[Item]:
    ask = "Write one sentence of at most 20 words which says what will take place, on which day and where."
    made = []
    for (event, event_words), (place, place_words) in zip(
        rng.sample(EVENTS, count), rng.sample(PLACES, count), strict=True
    ):
        day, host, aside = rng.choice(DAYS), rng.choice(HOSTS), rng.choice(ASIDES)
        text = (
            f"There is something to look forward to again, and {host} would like everybody to know about it: "
            f"{event} is being prepared. {aside} It all begins next {day} at {rng.randint(2, 6)} in the "
            f"afternoon. Those who do not know the way to {place} can simply follow the yellow signs."
        )
        reference = f"On {day}, {place} hosts {event}."
        required = [event_words, [day], place_words]
        made.append(_item("event-notice", "easy", ask, text, required, 20, reference))
    return made


def _train_delays(rng: random.Random, count: int) -> list[Item]:
    ask = "Why was the train late, and by how many minutes? Answer in one sentence of at most 20 words."
    causes, towns = rng.sample(DELAY_CAUSES, count), rng.sample(TOWNS, count)
    minutes = rng.sample(range(22, 59), count)
    made = []
    for (cause, short_cause, cause_words), town, delay in zip(causes, towns, minutes, strict=True):
        text = (
            f"The people who wait for the morning train to {town} have learned to be patient. Today they had "
            f"to stand on the platform for {delay} minutes longer than planned, some without an umbrella. "
            f"As it turned out, {cause}. The railway has said sorry and handed out free coffee."
        )
        reference = f"{short_cause} held up the {town} train for {delay} minutes."
        made.append(_item("train-delay", "easy", ask, text, [cause_words, [str(delay)]], 20, reference))
    return made


def _product_reviews(rng: random.Random, count: int) -> list[Item]:
    ask = (
        "Sum up this review in one sentence of at most 20 words. Name the product, "
        "one thing the customer likes and one thing the customer dislikes."
    )
    made = []
    for (product, praise, short_praise, praise_words), (flaw, short_flaw, flaw_words) in zip(
        rng.sample(REVIEWS, count), rng.sample(FLAWS, count), strict=True
    ):
        owner, month = rng.choice(["aunt", "son", "wife"]), rng.choice(["March", "April", "June"])
        text = (
            f"After a lot of thinking I ordered this {product} for my {owner} in {month}, and then I kept it "
            f"myself. {praise}. I could stop here and give it five stars. {flaw}."
        )
        reference = f"The {product} is {short_praise}, but it {short_flaw}."
        required = [[product], praise_words, flaw_words]
        made.append(_item("product-review", "medium", ask, text, required, 20, reference))
    return made


def _task_notes(rng: random.Random, count: int) -> list[Item]:
    ask = (
        "Turn these notes into exactly three bullets with dashes, one for each person, "
        'in the form "- Name: task". Use at most six words in each bullet.'
    )
    made = []
    for names in rng.sample(NAME_TRIPLES, count):
        jobs = rng.sample(TASKS, 3)
        text = (
            f"It was late when we came to the last point. {names[0]} {jobs[0][0]}. After a long silence "
            f"{names[1]} {jobs[1][0]}, which made everybody smile. In the end {names[2]}, who had been on "
            f"the phone most of the time, {jobs[2][0]}."
        )
        reference = "\n".join(f"- {name}: {short}" for name, (_, short, _) in zip(names, jobs, strict=True))
        required = [[name] for name in names] + [job_words for _, _, job_words in jobs]
        constraint = {"kind": "bullets", "count": 3}
        made.append(_item("task-notes", "medium", ask, text, required, 24, reference, constraints=[constraint]))
    return made


def _poll_results(rng: random.Random, count: int) -> list[Item]:
    ask = (
        "Sum up this poll in one sentence of at most 20 words: how many people "
        "answered altogether, and which choice got the most votes?"
    )
    totals = rng.sample(range(33, 60), count)
    made = []
    for (people, question, options), total in zip(rng.sample(POLLS, count), totals, strict=True):
        options = rng.sample(options, 3)
        most = total // 2 + rng.randint(1, 3)
        second = (total - most) // 2 + rng.randint(1, 3)
        votes = dict(zip(options, [most, second, total - most - second], strict=True))
        told = rng.sample(options, 3)
        text = (
            f"For a week, a box stood at the entrance, and the {people} could say {question}. "
            f'When it was opened, there were {votes[told[0]]} slips for "{told[0]}" in it. '
            f'Another {votes[told[1]]} said "{told[1]}", and {votes[told[2]]} were for "{told[2]}".'
        )
        winner = max(votes, key=votes.__getitem__)
        reference = f'Of {total} {people}, more than half voted for "{winner}".'
        required = [[str(total)], [winner]]
        made.append(_item("poll-result", "medium", ask, text, required, 20, reference))
    return made


def _corrected_notices(rng: random.Random, count: int) -> list[Item]:
    ask = (
        "Say in one sentence of at most 20 words what takes place, on which day, at what hour and in which "
        "room. Give only what is true in the end, and leave out everything that has been changed."
    )
    made = []
    for lesson, lesson_words in rng.sample(LESSONS, count):
        old_day, day = rng.sample(DAYS, 2)
        old_room, room = rng.sample(ROOMS, 2)
        hour = rng.choice(sorted(NUMBER_WORDS))
        text = (
            f"To all who come to the {lesson}: we meet on {old_day} in the {old_room}. "
            f"P.S. The key to the {old_room} has been lost, which means that we have to use the {room}. "
            f"P.P.S. I have just heard that our teacher is away on {old_day}. She can come on {day} instead, "
            f"and we start when the clock strikes {NUMBER_WORDS[hour]}."
        )
        reference = f"The {lesson} takes place on {day} at {hour} in the {room}."
        required = [lesson_words, [day], [room], [str(hour), NUMBER_WORDS[hour]]]
        forbidden = [old_day, old_room]
        made.append(_item("corrected-notice", "hard", ask, text, required, 20, reference, forbidden=forbidden))
    return made


def _item(
    template: str,
    difficulty: str,
    ask: str,
    text: str,
    required: list[Fact],
    max_words: int,
    reference: str,
    *,
    forbidden: list[str] | None = None,
    constraints: list[dict[str, Any]] | None = None,
) -> Item:
    """An item without its id. The copy limit looks at the text alone: words of the question may be used."""
    facts: dict[str, Any] = {"required": required}
    if forbidden:
        facts["forbidden"] = forbidden
    parts: list[dict[str, Any]] = [
        {"verifier": "facts", "args": facts},
        {"verifier": "words", "args": {"min": 5, "max": max_words}},
        {"verifier": "copy_limit", "args": {"source": text, "max_share": 0.6}},
    ]
    if constraints:
        parts.append({"verifier": "format", "args": {"constraints": constraints}})
    return {
        "category": "summarization",
        "prompt": f"{ask}\n\n{text}",
        "verifier": "all",
        "args": {"of": parts},
        "reference": reference,
        "difficulty": difficulty,
        "cluster": f"summarization-{template}",
        "origin": f"template:{template}",
    }
