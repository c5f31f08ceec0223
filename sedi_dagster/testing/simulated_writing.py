"""What the simulated teacher writes: small tasks of the twelve categories, and right answers to them."""

from __future__ import annotations

import random
import re

from sedi_dagster.testing.skills import SKILLS, Skill

CATEGORIES = tuple(dict.fromkeys(skill.category for skill in SKILLS))

_FIRST_TASK = re.compile(r"\bTask \d+:")
_WANTED = re.compile(r"Write (\d+) more tasks of this kind, numbered from (\d+)")
_LAST_NUMBER = re.compile(r"Task (\d+):\s*$")
_CONTINUED = 3
_FLAWED = 0.1


def write(prompt: str, rng: random.Random) -> str:
    """Tasks if the prompt asks for some, else the answer to a task."""
    series = _FIRST_TASK.search(prompt)
    if series is not None:
        return _write_tasks(prompt, _asked_for(prompt[: series.start()].lower()), rng)
    for skill in SKILLS:
        answer = skill.answer_to(prompt)
        if answer is not None:
            return answer
    return f"This is a simulated answer, number {rng.randrange(10_000)}."


def _asked_for(head: str) -> list[Skill]:
    """The skills of the category that is named first in what stands before the tasks; all, if none is."""
    named = [category for category in CATEGORIES if category in head]
    first = min(named, key=head.index, default=None)
    return [skill for skill in SKILLS if first in (None, skill.category)]


def _write_tasks(prompt: str, skills: list[Skill], rng: random.Random) -> str:
    wanted = _WANTED.search(prompt)
    last = _LAST_NUMBER.search(prompt)
    count, number = (int(wanted[1]), int(wanted[2])) if wanted else (_CONTINUED, int(last[1]) if last else 1)
    pieces = []
    for place in range(count):
        instruction, text = rng.choice(skills).task(rng)
        if rng.random() < _FLAWED:
            instruction = rng.choice(("", "Draw a picture of it.", "Sum it up."))
        head = "" if last is not None and place == 0 else f"Task {number + place}:"
        pieces.append(f"{head} {instruction}\nInput: {text or '<noinput>'}\n")
    return "\n".join(pieces)
