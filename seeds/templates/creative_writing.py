"""Creative-writing items made from templates: six small forms with required words and a countable shape.

The references are put together from patterns with slots. They are plain, but they show that the asked form
can be met; the verifier looks at the form and the required words, never at the wording of the reference.
"""

from __future__ import annotations

import random
from typing import Any

VERSE_SUBJECTS = [
    ("a river", "heron", "willow"),
    ("an old mill", "owl", "wheel"),
    ("a market square", "pigeon", "bell"),
    ("a mountain hut", "goat", "lantern"),
    ("a railway station", "porter", "suitcase"),
    ("a harbour", "gull", "anchor"),
    ("a village school", "teacher", "chalk"),
    ("a circus", "juggler", "trumpet"),
    ("a vineyard", "fox", "barrel"),
]
VERSE_PATTERNS = [
    [
        "I came upon {place} at the break of the day,",
        "The {first} was awake and had nothing to say,",
        "I sat by the {second} and hummed an old tune,",
        "And there I was still at the rise of the moon.",
    ],
    [
        "There is {place} that I visit in dreams,",
        "Where nothing at all is as small as it seems,",
        "The {first} is as tall as a tower of stone,",
        "The {second} can whistle a song of its own.",
    ],
    [
        "Take me along to {place} far from here,",
        "The {first} will greet us for most of the year,",
        "We'll borrow the {second}, we'll stay for the night,",
        "And leave with the sun when the morning is bright.",
    ],
]

SPEAKERS = [
    ("Broom", "Carpet", "the dust", "dust"),
    ("Baker", "Thief", "a missing pie", "pie"),
    ("Moon", "Owl", "a bad night's sleep", "sleep"),
    ("Pirate", "Dentist", "a gold tooth", "tooth"),
    ("Left Shoe", "Right Shoe", "a puddle", "puddle"),
    ("Queen", "Cook", "burnt soup", "soup"),
    ("Whale", "Fisherman", "a torn net", "net"),
    ("Pencil", "Eraser", "a spelling mistake", "mistake"),
    ("Giant", "Tailor", "a pair of trousers", "trousers"),
]
SHORT_TALKS = [
    [
        "{one}: We need to speak about {topic}.",
        "{other}: I hoped that nobody would bring that up.",
        "{one}: Did you think I would not notice?",
        "{other}: Give me a day, and I will set it right.",
    ],
    [
        "{one}: Have you come to laugh at me?",
        "{other}: No, I have come because of {topic}.",
        "{one}: So you know about it already.",
        "{other}: The whole town knows, but I alone have brought cake.",
    ],
]
LONG_TALKS = [
    [
        "{one}: I am told you have a view on {topic}.",
        "{other}: I have three views, and you will like none of them.",
        "{one}: Then start with the kindest.",
        "{other}: It was partly my fault.",
        "{one}: And the worst?",
        "{other}: It was mostly yours.",
    ],
    [
        "{one}: You are late again.",
        "{other}: I was held up by {topic}.",
        "{one}: That is what you said last week.",
        "{other}: Last week it was a lie.",
        "{one}: And how am I to know that today it is true?",
        "{other}: Because today I am sorry.",
    ],
]

BRANDS = [
    (
        "Wellspring",
        "a bottle that filters water",
        "thirst",
        ["Wellspring: thirst has met its match.", "Any stream, any thirst: Wellspring."],
    ),
    (
        "Nightjar",
        "a lamp for reading in bed",
        "chapter",
        ["Just one more chapter, says Nightjar.", "Nightjar lights the chapter, not the room."],
    ),
    (
        "Oat and About",
        "a breakfast bar for walkers",
        "path",
        ["Oat and About: eat well, lose the path.", "The path is long. Bring Oat and About."],
    ),
    (
        "Featherlane",
        "a very light running shoe",
        "miles",
        ["Featherlane: more miles, less shoe.", "Count the miles, forget the Featherlane."],
    ),
    (
        "Snugbarn",
        "a woollen blanket",
        "winter",
        ["Snugbarn. Let winter knock.", "Winter stays outside with Snugbarn."],
    ),
    (
        "Tidytail",
        "a brush for long-haired dogs",
        "fur",
        ["Tidytail: love the dog, lose the fur.", "Less fur on the sofa, thanks to Tidytail."],
    ),
    (
        "Sprig",
        "a window box for herbs",
        "kitchen",
        ["Sprig: your kitchen has gone green.", "A garden for every kitchen: Sprig."],
    ),
    (
        "Chimeworks",
        "a doorbell that plays birdsong",
        "birds",
        ["Chimeworks: let the birds announce your guests.", "Visitors ring, birds sing: Chimeworks."],
    ),
]

GIFTS = [
    ("Aunt Rosa", "the blue scarf", "scarf", "It kept me warm on the first cold walk of the year", "Theo"),
    ("Cousin Lars", "the fishing rod", "rod", "I have already caught one boot and one trout", "Hana"),
    (
        "Grandpa Joe",
        "the pocket telescope",
        "telescope",
        "Last night I counted four moons next to Jupiter",
        "Mia",
    ),
    (
        "Doctor Castellano",
        "the orchid",
        "orchid",
        "It stands by my bed and has opened two new flowers",
        "Ravi",
    ),
    ("Aunt Bea", "the waffle iron", "waffle", "Our Sundays smell of butter now", "Jonah"),
    (
        "Coach Adeyemi",
        "the signed football",
        "football",
        "It lives on the shelf where nobody may kick it",
        "Luca",
    ),
    ("Tanya", "the box of paints", "paints", "I have used up nearly all the green on one frog", "Elif"),
    ("Uncle Sven", "the wooden sledge", "sledge", "It is faster than anything else on our hill", "Clara"),
]

OPENINGS = [
    ("The letter had no stamp.", "cupboard", "staircase"),
    ("Nobody had ordered the piano.", "ladder", "kettle"),
    ("On Thursday the river ran backwards.", "windmill", "bucket"),
    ("My grandfather kept a cloud in a jar.", "cellar", "whistle"),
    ("The last bus was driven by a bear.", "ticket", "blanket"),
    ("Every door in the hotel was locked.", "needle", "mirror"),
    ("It was the parrot who told the truth.", "clock", "walnut"),
    ("At noon all the bells fell silent.", "rope", "pigeon"),
]
STORY_PATTERNS = [
    [
        "I found the first clue in a drawer: a drawing of a {first} and a {second}.",
        "For three days I asked everyone I met, and they only shook their heads.",
        "Then a child took my hand and showed me what it meant.",
    ],
    [
        "People talked of nothing else, and some said that a {first} was the cause.",
        "I took a lamp and a {second} and set out before dawn.",
        "What I saw at the end of the road I have never told until today.",
    ],
    [
        "My sister laughed and pointed at the {first}.",
        "Behind it lay a {second} that neither of us had seen before.",
        "We looked at each other, and we knew that the summer had begun at last.",
    ],
]

CELEBRATED = [
    (
        "Ingrid",
        "thirty",
        "chess",
        "Our queen of chess is feeling fine,",
        "And thirty years have made her shine,",
    ),
    ("Omar", "eleven", "football", "He kicks a football round the bend,", "Eleven goals and still no end,"),
    (
        "Beatriz",
        "seventy",
        "roses",
        "Her roses bloom from spring to fall,",
        "And seventy suits her best of all,",
    ),
    ("Callum", "forty", "cheese", "He knows each cheese by smell alone,", "At forty he is nearly grown,"),
    ("Yuki", "nineteen", "surfing", "She goes out surfing in the rain,", "Nineteen, and off to sea again,"),
    ("Fatima", "sixty", "puzzles", "Her puzzles all are solved by three,", "At sixty she is quick and free,"),
    ("Mateus", "eight", "dinosaurs", "He calls all dinosaurs by name,", "Now he is eight, and none is tame,"),
    (
        "Helga",
        "ninety",
        "dancing",
        "Her dancing shoes are by the door,",
        "At ninety she still asks for more,",
    ),
]
WISHES = [
    "So cut the cake and raise a glass:",
    "So let us sing till windows shake:",
    "We clap, we cheer, we shout out loud:",
]


def items(rng: random.Random) -> list[dict[str, Any]]:
    """Fifty items: verses, dialogues, slogans, notes, story openings and birthday rhymes."""
    made = [*_verses(rng), *_talks(rng), *_slogans(rng), *_notes(rng), *_stories(rng), *_wishes(rng)]
    return [{"id": f"creative_writing-t{number:03d}", **item} for number, item in enumerate(made, 1)]


def _verses(rng: random.Random) -> list[dict[str, Any]]:
    """Four lines about a place with two given words (9 items)."""
    made = []
    for place, first, second in VERSE_SUBJECTS:
        prompt = rng.choice(
            [
                'Write a poem of exactly four lines about {place}. Use the words "{first}" and "{second}".',
                'Four lines of verse about {place}, please, with the words "{first}" and "{second}" in them.',
            ]
        ).format(place=place, first=first, second=second)
        lines = [line.format(place=place, first=first, second=second) for line in rng.choice(VERSE_PATTERNS)]
        parts = [_words_used(first, second), _shape({"kind": "lines", "count": 4}), _length(12, 70)]
        made.append(_item("two-word-verse", prompt, parts, "\n".join(lines), "easy"))
    return made


def _talks(rng: random.Random) -> list[dict[str, Any]]:
    """A dialogue with marked speakers (9 items)."""
    made = []
    for one, other, topic, word in SPEAKERS:
        count = rng.choice([4, 6])
        prompt = (
            f"Write a dialogue of {'four' if count == 4 else 'six'} lines between {one} and {other}. "
            f'They talk about {topic}. Each line starts with "{one}:" or "{other}:".'
        )
        talk = rng.choice(LONG_TALKS if count == 6 else SHORT_TALKS)
        lines = [line.format(one=one, other=other, topic=topic) for line in talk]
        shape = _shape(
            {"kind": "lines", "count": count},
            {"kind": "keyword_count", "word": one, "min": count // 2 - 1},
            {"kind": "keyword_count", "word": other, "min": count // 2 - 1},
        )
        parts = [_words_used(word), shape, _length(4 * count, 30 * count)]
        made.append(_item("short-dialogue", prompt, parts, "\n".join(lines), "easy" if count == 4 else "medium"))
    return made


def _slogans(rng: random.Random) -> list[dict[str, Any]]:
    """A quoted slogan with the brand and one more word (8 items)."""
    made = []
    for brand, product, word, slogans in BRANDS:
        limit = rng.randint(10, 12)
        prompt = (
            f"{brand} is {product}. Write a slogan for it, in double quotes and with at most {limit} words. "
            f'Use the name {brand} and the word "{word}".'
        )
        reference = f'"{rng.choice(slogans)}"'
        parts = [_words_used(brand, word), _shape({"kind": "quoted"}), _length(4, limit)]
        made.append(_item("brand-slogan", prompt, parts, reference, "medium"))
    return made


def _notes(rng: random.Random) -> list[dict[str, Any]]:
    """A thank-you note with a given greeting and signature (8 items)."""
    made = []
    for giver, gift, word, remark, sender in GIFTS:
        limit = rng.choice([50, 60, 70])
        prompt = (
            f'Write a short thank-you note for {gift}. Begin with "Dear {giver}" and end with '
            f'the name {sender}. Use the word "{word}" and at most {limit} words.'
        )
        thanks = rng.choice(["Thank you very much for", "A thousand thanks for", "How kind of you to send me"])
        reference = f"Dear {giver},\n{thanks} {gift}! {remark}. I hope to see you soon.\nWarm wishes,\n{sender}"
        shape = _shape({"kind": "start", "text": f"Dear {giver}"}, {"kind": "end", "text": sender})
        made.append(_item("thank-you-note", prompt, [_words_used(word), shape, _length(12, limit)], reference, "easy"))
    return made


def _stories(rng: random.Random) -> list[dict[str, Any]]:
    """A story that goes on from a given first sentence (8 items)."""
    made = []
    for opening, first, second in OPENINGS:
        prompt = (
            f'Tell a very short story that begins with the sentence "{opening}" and goes on for three to '
            f'five more sentences. Use the words "{first}" and "{second}".'
        )
        reference = " ".join([opening, *rng.choice(STORY_PATTERNS)]).format(first=first, second=second)
        shape = _shape({"kind": "start", "text": opening}, {"kind": "sentences", "min": 4, "max": 6})
        parts = [_words_used(first, second), shape, _length(25, 130)]
        made.append(_item("given-opening", prompt, parts, reference, "medium"))
    return made


def _wishes(rng: random.Random) -> list[dict[str, Any]]:
    """A birthday verse of four lines with a fixed last line (8 items)."""
    made = []
    for name, age, hobby, first, second in CELEBRATED:
        last_line = f"Happy birthday, {name}!"
        prompt = (
            f"{name} turns {age} and loves {hobby}. Write a birthday verse of exactly four lines that has "
            f'the words "{age}" and "{hobby}" in it. The last line must be "{last_line}"'
        )
        reference = "\n".join([first, second, rng.choice(WISHES), last_line])
        shape = _shape({"kind": "lines", "count": 4}, {"kind": "end", "text": last_line})
        parts = [_words_used(age, hobby), shape, _length(12, 60)]
        made.append(_item("birthday-verse", prompt, parts, reference, "hard"))
    return made


def _part(verifier: str, **args: Any) -> dict[str, Any]:
    return {"verifier": verifier, "args": args}


def _words_used(*required: str) -> dict[str, Any]:
    """Each word in the asked form or in its plain plural or singular."""
    return _part("facts", required=[_forms(word) for word in required])


def _forms(word: str) -> list[str]:
    return [word, word.removesuffix("s")] if word.endswith("s") else [word, f"{word}s"]


def _shape(*constraints: dict[str, Any]) -> dict[str, Any]:
    return _part("format", constraints=list(constraints))


def _length(fewest: int, most: int) -> dict[str, Any]:
    return _part("words", min=fewest, max=most)


def _item(name: str, prompt: str, parts: list[dict[str, Any]], reference: str, difficulty: str) -> dict[str, Any]:
    return {
        "category": "creative_writing",
        "prompt": prompt,
        "verifier": "all",
        "args": {"of": [*parts, _part("copy_limit", max_share=0.4)]},
        "reference": reference,
        "difficulty": difficulty,
        "cluster": f"creative_writing-{name}",
        "origin": f"template:{name}",
    }
