"""The texts of the simulated teacher: small tasks of the twelve categories, correct answers, and what else methods ask.

It recognises each prompt of `generation/prompts` by a phrase, and answers like a decent teacher: mostly correctly, with
some of the flaws for which the methods have rules.
"""

import json
import random
import re
from collections.abc import Callable

from rapidfuzz import fuzz

from sedi_dagster.records import task_prompt
from sedi_dagster.testing.skills import CLASSIFICATION, SKILLS, Skill

CATEGORIES = tuple(dict.fromkeys(skill.category for skill in SKILLS))

_FIRST_TASK = re.compile(r"\bTask \d+:")
_TASKS_FROM = re.compile(r"Write (\d+) more tasks of this kind, numbered from (\d+)")
_LAST_NUMBER = re.compile(r"Task (\d+):\s*$")
_CONTINUED = 3
_FLAWED = 0.1
_TO_EVOLVE = re.compile(
    r"^Task(?: 1)?: ([^\n]*)\nInput: ((?:(?!^Task: ).)*?)\n(?:\n|Changed:$)", re.MULTILINE | re.DOTALL
)
_LAST_INSTRUCTION = re.compile(r"^Task: (.*)", re.MULTILINE)
_PAIR = re.compile(r"^First: ((?:.|\n)*?)\n+Second: ((?:.|\n)*?)(?:\n\n|\nVerdict)", re.MULTILINE)
_KIND = re.compile(r"(?:of one kind: |series of different |of this kind: )([A-Za-z ]+?)(?:\.| tasks)")
_REQUESTED = re.compile(r"Write (\d+) more")
_CONDITIONS = (
    "Answer on a single line and add nothing that was not asked for here.",
    "Keep the wording plain enough for a child of ten to follow it.",
    "Do not use the letter z anywhere, and leave out any greeting at the start.",
    "Say first how sure you are, in one word of your own choosing.",
)


def write(prompt: str, rng: random.Random) -> str:
    """Return the text for a prompt that is recognised by its phrase; otherwise tasks or an answer."""
    for phrase, writer in _WRITERS:
        if phrase in prompt:
            return writer(prompt, rng)
    return _tasks_or_answer(prompt, rng)


def _tasks_or_answer(prompt: str, rng: random.Random) -> str:
    """Tasks if the prompt requests them, otherwise the answer to a task."""
    series = _FIRST_TASK.search(prompt)
    if series is not None:
        return _write_tasks(prompt, _requested_skills(prompt[: series.start()].lower()), rng)
    for skill in SKILLS:
        answer = skill.answer_to(prompt)
        if answer is not None:
            return answer
    return f"This is a simulated answer, number {rng.randrange(10_000)}."


def _requested_skills(head: str) -> list[Skill]:
    """The skills of the category that is named first in the text before the tasks; all skills if none is named."""
    named = [category for category in CATEGORIES if category in head]
    first = min(named, key=head.index, default=None)
    return [skill for skill in SKILLS if first in (None, skill.category)]


def _write_tasks(prompt: str, skills: list[Skill], rng: random.Random) -> str:
    requested = _TASKS_FROM.search(prompt)
    last = _LAST_NUMBER.search(prompt)
    count, number = (int(requested[1]), int(requested[2])) if requested else (_CONTINUED, int(last[1]) if last else 1)
    tasks = []
    for index in range(count):
        instruction, text = rng.choice(skills).task(rng)
        if rng.random() < _FLAWED:
            instruction = rng.choice(("", "Draw a picture of it.", "Sum it up."))
        head = "" if last is not None and index == 0 else f"Task {number + index}:"
        tasks.append(f"{head} {instruction}\nInput: {text or '<noinput>'}\n")
    return "\n".join(tasks)


def _evolved(prompt: str, rng: random.Random) -> str:
    chat = "Task 2: the instruction" in prompt
    instruction, text = _TO_EVOLVE.findall(prompt)[-1]
    head = "Task 2: " if chat else " "
    if rng.random() < _FLAWED:
        return head + rng.choice((instruction, "Answer the given prompt in rhyme.", ""))
    if "entirely new task" in prompt:
        instruction, text = (rng.choice(_skills_of_kind(prompt)) if chat else _skill_of(instruction)).task(rng)
    else:
        instruction = f"{instruction} {rng.choice(_CONDITIONS)}"
    return f"{head}{instruction}\nInput: {text or '<noinput>'}\n"


def _gain(prompt: str, rng: random.Random) -> str:
    before, after = _PAIR.findall(prompt)[-1]
    return "same" if before.split() == after.split() else "different"


def _is_classification(prompt: str, rng: random.Random) -> str:
    return "yes" if _skill_of(_LAST_INSTRUCTION.findall(prompt)[-1]) is CLASSIFICATION else "no"


def _instances(prompt: str, rng: random.Random) -> str:
    instruction = _LAST_INSTRUCTION.findall(prompt)[-1]
    skill = _skill_of(instruction)
    texts = [skill.task(rng)[1] for _ in range(2)]
    if not texts[0]:
        texts = texts[:1]
    parts = [
        f"Example {number}\nInput: {text or '<noinput>'}\nOutput: {_answer(skill, task_prompt(instruction, text), rng)}"
        for number, text in enumerate(texts, 1)
    ]
    message = "\n\n".join(parts)
    return message if "Now write examples" in prompt else message.removeprefix("Example 1\nInput:")


def _labelled(prompt: str, rng: random.Random) -> str:
    by_label: dict[str, str] = {}
    while len(by_label) < 2:
        text, _ = CLASSIFICATION.task(rng)
        by_label.setdefault(_answer(CLASSIFICATION, text, rng), text)
    message = "\n\n".join(f"Class label: {label}\nInput: {text}" for label, text in by_label.items())
    return message if "Now do the same" in prompt else message.removeprefix("Class label:")


def _examples(prompt: str, rng: random.Random) -> str:
    skills = _skills_of_kind(prompt)
    requested = _REQUESTED.search(prompt)
    examples = []
    for _ in range(int(requested[1]) if requested else 3):
        skill = rng.choice(skills)
        instruction, text = skill.task(rng)
        answer = "" if rng.random() < _FLAWED else _answer(skill, task_prompt(instruction, text), rng)
        examples.append({"instruction": instruction, "input": text, "output": answer})
    if requested:
        return json.dumps({"examples": examples}, ensure_ascii=False)
    message = "\n".join(
        f"Task {number}: {e['instruction']}\nInput: {e['input'] or '<noinput>'}\nOutput: {e['output']}\n"
        for number, e in enumerate(examples, 1)
    )
    return message.removeprefix("Task 1:")


def _skills_of_kind(prompt: str) -> list[Skill]:
    """The skills of the category that a prompt names; all skills if it names none."""
    kind = _KIND.search(prompt)
    return [skill for skill in SKILLS if kind and skill.category == kind[1].strip().lower()] or list(SKILLS)


def _skill_of(instruction: str) -> Skill:
    """The skill whose wording is most similar to the instruction."""

    def similarity(skill: Skill) -> float:
        return max(fuzz.token_set_ratio(instruction, wording.partition("\n")[0]) for wording in skill.wordings)

    return max(SKILLS, key=similarity)


def _answer(skill: Skill, text: str, rng: random.Random) -> str:
    return skill.answer_to(text) or f"This is a simulated answer, number {rng.randrange(10_000)}."


_WRITERS: tuple[tuple[str, Callable[[str, random.Random], str]], ...] = (
    ("You change tasks for teaching an assistant.", _evolved),
    ("In each pair a task is followed by a changed one.", _evolved),
    ("Do they come to the same:", _gain),
    ("Two tasks are the same if", _gain),
    ("Is the following task classification?", _is_classification),
    ("Which of these tasks are classification", _is_classification),
    ("You write examples for tasks that assign a label", _labelled),
    ("Each task below assigns a label.", _labelled),
    ("You write examples for tasks:", _instances),
    ("Each task below comes with examples of it", _instances),
    ("You write examples for teaching an assistant.", _examples),
    ("tasks, each with its answer.", _examples),
)
