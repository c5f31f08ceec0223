"""Evaluation items for rewriting, made from templates.

Belongs here: sentences built from word tables, so that the rewritten sentence follows by rule (tense, person,
voice, full forms, courtesy, plain words, reported speech). Does not belong here: changes of style that no
table can compute.

An answer passes when it has the words which the change brings in and none of those which it takes away.
"""

from __future__ import annotations

import random
from typing import Any

Item = dict[str, Any]
Fact = list[str]
"""One fact with its accepted spellings."""

ONLY = "Answer with the new sentence only."

PEOPLE = [
    "The baker",
    "My uncle",
    "The nurse",
    "Our teacher",
    "The captain",
    "The widow",
    "A clown",
    "The painter",
]
MALE_NAMES = ["Anton", "Boris", "Carlos", "Dmitri", "Emeka", "Farid", "Gustav", "Hassan"]
FEMALE_NAMES = ["Agnes", "Beatriz", "Chloe", "Dalia", "Esther", "Freya", "Gloria", "Hanna"]

PAST_FORMS: list[tuple[str, str, str]] = [
    ("buys", "bought", "a melon"),
    ("writes", "wrote", "a long letter"),
    ("feeds", "fed", "the ducks"),
    ("sings", "sang", "an old song"),
    ("drives", "drove", "to the coast"),
    ("catches", "caught", "a trout"),
    ("sweeps", "swept", "the floor"),
    ("wears", "wore", "a red scarf"),
    ("drinks", "drank", "two cups of tea"),
    ("teaches", "taught", "the parrot a new word"),
    ("forgets", "forgot", "the keys"),
    ("rides", "rode", "an old bicycle"),
    ("tells", "told", "a joke"),
    ("swims", "swam", "across the pond"),
    ("steals", "stole", "a plum"),
    ("hides", "hid", "behind a curtain"),
]

FULL_FORMS: list[tuple[str, str]] = [
    ("I'm sure", "I am sure"),
    ("He's told me", "He has told me"),
    ("We've heard", "We have heard"),
    ("They've decided", "They have decided"),
    ("It's clear", "It is clear"),
    ("You've seen", "You have seen"),
    ("She's certain", "She is certain"),
    ("I'd hoped", "I had hoped"),
]
FULL_FORM_ENDS: list[tuple[str, str, str]] = [
    ("the bees won't return", "will not", "bees"),
    ("this key doesn't fit", "does not", "key"),
    ("the twins aren't at home", "are not", "twins"),
    ("the soup isn't ready", "is not", "soup"),
    ("the judges can't agree", "cannot", "judges"),
    ("most guests haven't paid", "have not", "guests"),
    ("the plan didn't work", "did not", "plan"),
    ("the tickets weren't real", "were not", "tickets"),
]

HABITS: list[tuple[str, str, str]] = [
    ("wash", "washes", "bicycle"),
    ("call", "calls", "aunt"),
    ("water", "waters", "tomatoes"),
    ("polish", "polishes", "boots"),
    ("visit", "visits", "neighbor"),
    ("brush", "brushes", "pony"),
    ("tidy", "tidies", "desk"),
    ("play", "plays", "trumpet"),
    ("study", "studies", "stamps"),
    ("fix", "fixes", "canoe"),
    ("clean", "cleans", "aquarium"),
    ("paint", "paints", "fence"),
    ("walk", "walks", "poodle"),
    ("check", "checks", "beehives"),
]

DEEDS: list[tuple[str, str, str, str]] = [
    ("pianist", "played", "played", "waltz"),
    ("spy", "stole", "stolen", "code"),
    ("fisherman", "saw", "seen", "whale"),
    ("goat", "ate", "eaten", "tulips"),
    ("tailor", "sewed", "sewn", "uniform"),
    ("lightning", "struck", "struck", "tower"),
    ("pirate", "buried", "buried", "chest"),
    ("mechanic", "fixed", "fixed", "truck"),
    ("queen", "wore", "worn", "crown"),
    ("students", "wrote", "written", "speech"),
]

REQUESTS: list[tuple[str, str, Fact]] = [
    ("Bring me the hammer", "bring me the hammer", ["hammer"]),
    ("Turn down the radio", "turn down the radio", ["radio"]),
    ("Move your truck", "move your truck", ["truck"]),
    ("Sign this contract", "sign this contract", ["contract"]),
    ("Peel the potatoes", "peel the potatoes", ["potatoes"]),
    ("Answer the telephone", "answer the telephone", ["telephone", "phone"]),
    ("Empty the trash", "empty the trash", ["trash"]),
    ("Show me your passport", "show me your passport", ["passport"]),
]
INSULTS = ["you fool", "you lazybones", "you snail", "you clown"]

HARD_WORDS: list[tuple[str, Fact, str]] = [
    ("utilized", ["used"], "a spoon"),
    ("purchased", ["bought", "got"], "a donkey"),
    ("commenced", ["started", "began", "begun"], "the journey"),
    ("terminated", ["ended", "stopped", "finished", "closed", "cut off"], "the call"),
    ("assisted", ["helped", "aided"], "the blind man"),
    ("constructed", ["built", "made"], "a raft"),
    ("consumed", ["ate", "finished", "had"], "the pudding"),
    ("concealed", ["hid", "covered", "put away"], "the diamonds"),
    ("located", ["found", "spotted"], "the lost cow"),
    ("extinguished", ["put out", "blew out", "turned off", "put them out"], "the candles"),
    ("transported", ["carried", "took", "brought", "moved", "drove"], "the piano"),
    ("discarded", ["threw away", "threw out", "dropped", "threw", "got rid of"], "the old shoes"),
]


SAYINGS: list[tuple[str, str, Fact]] = [
    ("I have lost my", "wallet", ["had lost", "has lost", "lost"]),
    ("I am selling my", "boat", ["was selling", "is selling"]),
    ("I will marry my", "dentist", ["would marry", "will marry"]),
    ("I have found my", "glasses", ["had found", "has found", "found"]),
    ("I must return my", "books", ["had to return", "must return", "has to return"]),
    ("I am looking for my", "hamster", ["was looking for", "is looking for"]),
    ("I can repair my", "roof", ["could repair", "can repair"]),
    ("I will never leave my", "island", ["would never leave", "will never leave"]),
]
"""What somebody says, what it is about, and the verb as it is reported (the first is the usual one)."""


def items(rng: random.Random) -> list[Item]:
    """Fifty items from seven templates, the same for the same state of `rng`."""
    made = [
        *_past_tense(rng, 8),
        *_full_forms(rng, 8),
        *_courtesy(rng, 6),
        *_third_person(rng, 7),
        *_active_voice(rng, 7),
        *_plain_words(rng, 6),
        *_reported_speech(rng, 8),
    ]
    return [{"id": f"rewriting-t{number:03d}", **item} for number, item in enumerate(made, start=1)]


def _past_tense(rng: random.Random, count: int) -> list[Item]:
    verbs = rng.sample(PAST_FORMS, 2 * count)
    made = []
    for who, first, second in zip(rng.sample(PEOPLE, count), verbs[::2], verbs[1::2], strict=True):
        text = f"{who} {first[0]} {first[2]} and {second[0]} {second[2]}."
        reference = f"{who} {first[1]} {first[2]} and {second[1]} {second[2]}."
        ask = f"Change this sentence from the present tense to the past tense. {ONLY}"
        required = [[f"{verb[1]} {verb[2]}"] for verb in (first, second)]
        made.append(_item("past-tense", "easy", ask, text, required, [first[0], second[0]], reference))
    return made


def _full_forms(rng: random.Random, count: int) -> list[Item]:
    made = []
    for (short, full), (end, full_end, topic) in zip(
        rng.sample(FULL_FORMS, count), rng.sample(FULL_FORM_ENDS, count), strict=True
    ):
        short_end = next(word for word in end.split() if word.endswith("n't"))
        text = f"{short} that {end}."
        reference = f"{full} that {end.replace(short_end, full_end)}."
        ask = f'Write both short forms (words with an apostrophe) in full, like "do not" for "don\'t". {ONLY}'
        spellings = [full_end, "can not"] if full_end == "cannot" else [full_end]
        required = [[full], spellings, [topic]]
        forbidden = [short.split()[0], short_end]
        made.append(_item("full-forms", "easy", ask, text, required, forbidden, reference))
    return made


def _courtesy(rng: random.Random, count: int) -> list[Item]:
    made = []
    for command, request, topic in rng.sample(REQUESTS, count):
        insult = rng.choice(INSULTS)
        text = f"{command} this minute, {insult}!"
        ask = 'Turn this rude command into a polite question which begins with "Could you please".'
        reference = f"Could you please {request}?"
        start = {"kind": "start", "text": "Could you please"}
        forbidden = [insult.removeprefix("you "), "this minute"]
        verb = request.split()[0]
        made.append(_item("courtesy", "easy", ask, text, [[verb], topic], forbidden, reference, start))
    return made


def _third_person(rng: random.Random, count: int) -> list[Item]:
    habits = rng.sample(HABITS, 2 * count)
    made = []
    for number, (first, second) in enumerate(zip(habits[::2], habits[1::2], strict=True)):
        names, pronoun, their = (MALE_NAMES, "he", "his") if number % 2 else (FEMALE_NAMES, "she", "her")
        name = names[number]
        text = f"Every Sunday I {first[0]} my {first[2]}, and then I {second[0]} my {second[2]}."
        done = [f"{habit[1]} {their} {habit[2]}" for habit in (first, second)]
        reference = f"Every Sunday {name} {done[0]}, and then {pronoun} {done[1]}."
        ask = f'Rewrite this about {name} instead of "I", using "{pronoun}" and "{their}". {ONLY}'
        required = [[name], [done[0]], [done[1]]]
        made.append(_item("third-person", "medium", ask, text, required, ["I", "my"], reference))
    return made


def _active_voice(rng: random.Random, count: int) -> list[Item]:
    made = []
    for agent, past, participle, thing in rng.sample(DEEDS, count):
        be = "were" if thing == "tulips" else "was"
        text = f"The {thing} {be} {participle} by the {agent}."
        reference = f"The {agent} {past} the {thing}."
        ask = f"Rewrite this in the active voice, so that the one who acts comes first. {ONLY}"
        required = [[f"{agent} {verb} {thing}" for verb in (past, f"had {participle}", f"has {participle}")]]
        made.append(_item("active-voice", "medium", ask, text, required, [f"{be} {participle}"], reference))
    return made


def _plain_words(rng: random.Random, count: int) -> list[Item]:
    hard = rng.sample(HARD_WORDS, 2 * count)
    made = []
    for who, first, second in zip(rng.sample(PEOPLE, count), hard[::2], hard[1::2], strict=True):
        text = f"{who} {first[0]} {first[2]} and {second[0]} {second[2]}."
        reference = f"{who} {first[1][0]} {first[2]} and {second[1][0]} {second[2]}."
        ask = (
            f'Replace the difficult words "{first[0]}" and "{second[0]}" by short everyday words, '
            f"and keep the rest. {ONLY}"
        )
        topics = [[word[2].split()[-1]] for word in (first, second)]
        required = [first[1], second[1], *topics]
        made.append(_item("plain-words", "medium", ask, text, required, [first[0], second[0]], reference))
    return made


def _reported_speech(rng: random.Random, count: int) -> list[Item]:
    made = []
    for number, (direct, owned, shifted) in enumerate(rng.sample(SAYINGS, count)):
        names, pronoun, their = (MALE_NAMES, "he", "his") if number % 2 else (FEMALE_NAMES, "she", "her")
        name = names[number]
        text = f'"{direct} {owned}," {name} said.'
        reference = f"{name} said that {pronoun} {shifted[0]} {their} {owned}."
        ask = f'Turn the quotation into reported speech, beginning with "{name} said that {pronoun}". {ONLY}'
        tails = [f"{verb} {their} {owned}" for verb in shifted]
        start = {"kind": "start", "text": f"{name} said"}
        made.append(_item("reported-speech", "hard", ask, text, [[name], tails], ["I", "my"], reference, start))
    return made


def _item(
    template: str,
    difficulty: str,
    ask: str,
    text: str,
    required: list[Fact],
    forbidden: list[str],
    reference: str,
    constraint: dict[str, Any] | None = None,
) -> Item:
    """An item without its id. The length has room for a short preface, not for the old sentence too."""
    parts: list[dict[str, Any]] = [
        {"verifier": "facts", "args": {"required": required, "forbidden": forbidden}},
        {"verifier": "words", "args": {"min": 3, "max": len(reference.split()) + 12}},
    ]
    if constraint:
        parts.append({"verifier": "format", "args": {"constraints": [constraint]}})
    return {
        "category": "rewriting",
        "prompt": f"{ask}\n\n{text}",
        "verifier": "all",
        "args": {"of": parts},
        "reference": reference,
        "difficulty": difficulty,
        "cluster": f"rewriting-{template}",
        "origin": f"template:{template}",
    }
