"""Evaluation items for `format_following`, made from templates.

Seven templates, one for each family of form: lists, case, JSON, first and last words, repetition, counted
sentences, placeholders. Each item also asks for its own subject, so that an answer of the right form about
something else does not pass.
"""

import json
import random
from typing import Any, NamedTuple

Item = dict[str, Any]
Constraint = dict[str, Any]


def items(rng: random.Random) -> list[Item]:
    """Return the 50 template items; the same state of `rng` gives the same items."""
    made = [
        *_short_lists(rng),
        *_letter_case(rng),
        *_json_records(rng),
        *_start_and_end(rng),
        *_repetition(rng),
        *_counted_sentences(rng),
        *_placeholders(rng),
    ]
    numbered = enumerate(made, 1)
    return [{"id": f"format_following-t{n:03d}", "category": "format_following", **item} for n, item in numbered]


def _item(
    template: str,
    difficulty: str,
    prompt: str,
    reference: str,
    constraints: list[Constraint],
    required: list[list[str]] | None = None,
) -> Item:
    """One item without its id; `required` are facts beside the form, each with its spellings."""
    verifier, args = "format", {"constraints": constraints}
    if required:
        parts = [{"verifier": "format", "args": args}, {"verifier": "facts", "args": {"required": required}}]
        verifier, args = "all", {"of": parts}
    return {
        "prompt": prompt,
        "verifier": verifier,
        "args": args,
        "reference": reference,
        "difficulty": difficulty,
        "cluster": f"format_following-{template}",
        "origin": f"template:{template}",
    }


_MEMBERS = {
    "colours": "red blue green yellow orange purple brown black white pink grey gray violet",
    "days of the week": "monday tuesday wednesday thursday friday saturday sunday",
    "months": "january february march april june july may august september october november december",
    "pets": "dog cat hamster rabbit fish parrot goldfish turtle dogs cats hamsters rabbits parrots turtles",
    "musical instruments": "piano violin guitar drum flute trumpet drums cello saxophone harp clarinet organ",
    "parts of the body": "arm leg head hand foot nose arms legs hands feet ear ears eye eyes heart mouth",
    "pieces of furniture": "table chair sofa bed desk shelf couch bookshelf wardrobe stool armchair cabinet",
    "sports": "tennis basketball soccer swimming hockey golf football volleyball baseball rugby running",
}


def _short_lists(rng: random.Random) -> list[Item]:
    """A few members of a well-known group, as bullets, as numbers or as bare lines."""
    styles = [
        (" as bullet points, each on a line that starts with a dash", "bullets", "- {word}"),
        (" as a numbered list (1., 2. and so on) with one on each line", "numbered", "{number}. {word}"),
        (", one on each line, without bullets, numbers or other words", "lines", "{word}"),
    ]
    made = []
    for place, (group, members) in enumerate(_MEMBERS.items()):
        how, kind, line = styles[place % len(styles)]
        count = rng.randint(3, 6)
        chosen = rng.sample(members.split()[:6], count)
        constraints: list[Constraint] = [{"kind": kind, "count": count}, {"kind": "words", "max": 4 * count}]
        reference = "\n".join(line.format(number=n, word=word.capitalize()) for n, word in enumerate(chosen, 1))
        prompt = f"List exactly {count} {group}{how}."
        made.append(_item("short-list", "easy", prompt, reference, constraints, [members.split()]))
    return made


def _letter_case(rng: random.Random) -> list[Item]:
    """A sentence to be copied in another case; the words must stay."""
    sentences = rng.sample(
        [
            "Our cat Minka sleeps under the old stove",
            "The ferry to Malta leaves on Tuesday morning",
            "Doctor Weber opens her practice at noon",
            "Uncle Jonas repairs clocks in Vienna",
            "A kind stranger carried the heavy suitcase",
            "Please bring warm boots to the Alps",
            "Grandma bakes plum cake for Easter",
        ],
        7,
    )
    styles = [
        ("entirely in capital letters", "all_upper", str.upper, "easy"),
        ("entirely in lower-case letters", "all_lower", str.lower, "easy"),
        ("so that every word begins with a capital letter", "title_case", str.title, "medium"),
    ]
    made = []
    for place, sentence in enumerate(sentences):
        how, kind, change, difficulty = styles[place % len(styles)]
        kept = [word for word in sentence.split() if len(word) > 3]
        constraints: list[Constraint] = [
            {"kind": kind},
            {"kind": "keywords", "include": kept},
            {"kind": "words", "max": len(sentence.split()) + 1},
        ]
        prompt = f"Copy this sentence {how}. Write only the changed sentence.\n\n{sentence}."
        made.append(_item("letter-case", difficulty, prompt, change(sentence) + ".", constraints))
    return made


def _json_records(rng: random.Random) -> list[Item]:
    """One sentence that becomes a JSON object with given keys."""
    orders = [
        ("Marta", "customer", "lamp", "item"),
        ("Pedro", "guest", "salad", "dish"),
        ("Aiko", "reader", "atlas", "book"),
        ("Olu", "gardener", "shovel", "tool"),
        ("Ingrid", "pupil", "notebook", "supply"),
        ("Tariq", "painter", "brush", "material"),
        ("Lucie", "member", "racket", "equipment"),
    ]
    made = []
    for place, (person, role, thing, kind) in enumerate(orders):
        amount = rng.randint(21, 79)
        keys = [role, kind, "price"] if place % 2 else [role, kind]
        values = dict(zip(keys, [person, thing, amount], strict=False))
        price = f" and pays {amount} euros" if place % 2 else ""
        names = " and ".join([", ".join(f'"{key}"' for key in keys[:-1]), f'"{keys[-1]}"'])
        prompt = (
            f"Turn the sentence into a JSON object with the keys {names}. Reply with the JSON alone.\n\n"
            f"The {role} {person} takes one {thing}{price}."
        )
        required = [[str(value)] for value in values.values()]
        constraints: list[Constraint] = [{"kind": "json", "keys": keys}]
        made.append(_item("json-record", "medium", prompt, json.dumps(values), constraints, required))
    return made


class _Message(NamedTuple):
    """What a short message is about, the words which show that it is, and a sentence that says it."""

    task: str
    start: str
    spellings: list[str]
    sentence: str


def _start_and_end(rng: random.Random) -> list[Item]:
    """A short message whose first and last words are given."""
    messages = [
        _Message(
            "telling your sister that her bicycle is repaired",
            "Good news",
            ["bicycle", "bike"],
            "your bicycle is repaired and waits in the garage.",
        ),
        _Message(
            "asking a colleague for the key to the office",
            "Quick question",
            ["key", "keys"],
            "could you lend me the key to the office?",
        ),
        _Message(
            "inviting a friend to a picnic",
            "Hello my friend",
            ["picnic"],
            "would you like to come to our picnic by the lake?",
        ),
        _Message(
            "saying sorry to a teacher for missing homework",
            "I am sorry",
            ["homework", "assignment"],
            "I forgot my homework at home.",
        ),
        _Message(
            "praising the cook for the soup",
            "What a meal",
            ["soup"],
            "your soup was the best that I ever had.",
        ),
        _Message(
            "reminding a tenant to close the windows",
            "A short reminder",
            ["window", "windows"],
            "please close all windows before you leave.",
        ),
        _Message(
            "wishing a runner luck for the marathon",
            "Dear champion",
            ["marathon", "race", "run", "running"],
            "we wish you strong legs for the marathon.",
        ),
    ]
    endings = rng.sample(
        [
            "See you soon!",
            "Many thanks!",
            "Take care.",
            "Yours, Kim",
            "Have a nice day!",
            "That is all.",
            "With love, Toni",
        ],
        len(messages),
    )
    made = []
    for message, ending in zip(messages, endings, strict=True):
        prompt = (
            f'Write a message of one to three sentences {message.task}. It must begin with "{message.start}" '
            f'and the last words must be "{ending}" exactly as given.'
        )
        constraints: list[Constraint] = [
            {"kind": "start", "text": message.start},
            {"kind": "end", "text": ending},
            {"kind": "words", "min": 8, "max": 80},
        ]
        reference = f"{message.start}, {message.sentence} {ending}"
        made.append(_item("start-and-end", "medium", prompt, reference, constraints, [message.spellings]))
    return made


def _repetition(rng: random.Random) -> list[Item]:
    """One word, written a given number of times with a given separator."""
    chosen = rng.sample(["apple", "button", "castle", "desert", "engine", "feather", "guitar", "hammer"], 7)
    separators = [
        (", ", "a comma and a space"),
        (" - ", "a hyphen with a space on both sides"),
        ("; ", "a semicolon"),
    ]
    made = []
    for place, word in enumerate(chosen):
        mark, mark_name = separators[place % len(separators)]
        count = rng.randint(3, 6)
        prompt = (
            f'Write the word "{word}" exactly {count} times in a row, separated by {mark_name}. Write nothing else.'
        )
        constraints: list[Constraint] = [
            {"kind": "keyword_count", "word": word, "min": count, "max": count},
            {"kind": "words", "min": count, "max": count},
            {"kind": "separator", "text": mark.strip(), "parts": count},
        ]
        difficulty = "easy" if count < 5 else "medium"
        made.append(_item("repetition", difficulty, prompt, mark.join([word] * count), constraints))
    return made


_SENTENCES = {
    "bicycles": (
        ["bicycle", "bicycles", "bike", "bikes", "cycling"],
        [
            "A bicycle has two wheels.",
            "You move it with your legs.",
            "It needs no fuel.",
            "Many people ride to work.",
        ],
    ),
    "elephants": (
        ["elephant", "elephants", "trunk", "trunks"],
        [
            "Elephants are huge animals.",
            "They eat grass and leaves.",
            "Their trunks can lift heavy logs.",
            "They live in families.",
        ],
    ),
    "the moon": (
        ["moon", "lunar"],
        [
            "The moon circles the earth.",
            "It shines at night.",
            "People first walked on it long ago.",
            "It has no air.",
        ],
    ),
    "libraries": (
        ["library", "libraries"],
        [
            "A library lends books.",
            "Reading there is free.",
            "It is quiet inside.",
            "Students like to work there.",
        ],
    ),
    "chocolate": (
        ["chocolate", "cocoa", "cacao"],
        [
            "Chocolate is made from cocoa beans.",
            "It melts in warm hands.",
            "Children love it.",
            "Dark kinds taste bitter.",
        ],
    ),
    "deserts": (
        ["desert", "deserts", "sand"],
        [
            "Deserts are very dry places.",
            "Days there are hot.",
            "Nights can be cold.",
            "Few plants grow in the sand.",
        ],
    ),
    "robots": (
        ["robot", "robots", "machines"],
        [
            "Robots are machines that work alone.",
            "Some build cars.",
            "Others clean floors.",
            "They follow a program.",
        ],
    ),
}


def _counted_sentences(rng: random.Random) -> list[Item]:
    """A given number of sentences under one further limit."""
    limits: list[tuple[str, Constraint, str]] = [
        ("Do not use any commas.", {"kind": "no_commas"}, "easy"),
        ("Do not use any digits, and stay under forty words.", {"kind": "words", "max": 39}, "medium"),
        ("Do not use any word of more than nine letters.", {"kind": "word_max_length", "n": 9}, "hard"),
    ]
    made = []
    for place, (subject, (spellings, sentences)) in enumerate(_SENTENCES.items()):
        limit, extra, difficulty = limits[place % len(limits)]
        count = rng.randint(3, 4)
        prompt = f"Write exactly {count} sentences about {subject}. {limit}"
        constraints: list[Constraint] = [{"kind": "sentences", "count": count}, extra]
        if "digits" in limit:
            constraints.append({"kind": "no_digits"})
        reference = " ".join(sentences[:count])
        made.append(_item("counted-sentences", difficulty, prompt, reference, constraints, [spellings]))
    return made


def _placeholders(rng: random.Random) -> list[Item]:
    """A message form with at least so many placeholders, and sometimes no digits or no commas."""
    messages = [
        (
            "a text telling a guest that the hotel room is booked",
            ["hotel", "room"],
            "Hi [name] your hotel room in [city] is booked from [day]. Your host [host]",
        ),
        (
            "a note that the delivery of a sofa will be late",
            ["sofa", "delivery"],
            "Dear [name] your sofa comes later than planned on [day]. Questions? Call [number]. [company]",
        ),
        (
            "a birthday greeting",
            ["birthday"],
            "Happy birthday [name]! I hope that being [age] feels great. Greetings from [city] and [sender]",
        ),
        (
            "a notice that someone found a wallet",
            ["wallet"],
            "A [colour] wallet was found at [place] on [day]. Please call [number]",
        ),
        (
            "a thank-you card for a donation",
            ["donation", "gift", "donating"],
            "Dear [name] thank you for your donation of [amount] to [charity]. Yours [sender]",
        ),
        (
            "a short reference for a former employee",
            ["employee", "worked", "work"],
            "[name] worked at [company] from [start] to [end] and was always reliable.",
        ),
        (
            "a message cancelling a yoga class",
            ["yoga", "class"],
            "Dear [name] the yoga class on [day] at [time] is cancelled. Yours [teacher]",
        ),
    ]
    made = []
    for place, (task, spellings, reference) in enumerate(messages):
        count = rng.randint(2, 4)
        extra: Constraint = {"kind": "no_commas"} if place % 2 else {"kind": "no_digits"}
        limit = "Do not use commas." if place % 2 else "Do not use any digits."
        prompt = f"Write {task}, with at least {count} placeholders in square brackets for what changes. {limit}"
        constraints: list[Constraint] = [{"kind": "placeholders", "min": count}, extra]
        difficulty = "medium" if count < 4 else "hard"
        made.append(_item("placeholders", difficulty, prompt, reference, constraints, [spellings]))
    return made
