"""What the simulated teacher writes: tasks that follow its demonstrations, answers in three styles, and some faults."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from benchmarks.teachers.asking import Asked, Shown, read_prompt, several_in, styles_in
from benchmarks.teachers.ground import Ground, Reading
from benchmarks.teachers.skills import BANDS, STYLES, Skill, Style, Task, Words, base_slots
from benchmarks.teachers.wording import Slots

FOLLOWED = 0.7
"""Share of tasks whose skill, band and style are those of a demonstration; the others are the teacher's own."""
WRONG, FLAWED = 0.05, 0.03
OWN_BANDS = (0.3, 0.4, 0.3)
OWN_STYLES = (0.3, 0.3, 0.4)
"""Shares of short answers, answers with steps and verbose ones where nothing asks for a style: teachers talk a lot."""

FAVOURITES = 7
"""Tasks of each skill and band that the teacher comes back to."""
REPEATED, VARIED = 0.35, 0.2
"""Shares of its tasks that repeat a favourite, and that vary one. The others are new."""
REPEATED_RANGE, VARIED_RANGE = (0.87, 1.0), (0.72, 0.84)
"""ROUGE-L F1 with the favourite."""

_OFF_TOPIC = ("Tell me a joke about a duck.", "How are you today, my friend?", "Sum it up.", "What do you think?")
_CONDITIONS = (
    "Answer on a single line and add nothing else.",
    "Keep the wording plain enough for a child of ten.",
    "Leave out any greeting at the start.",
)
_RUNS_TRIED = 20
_UNKNOWN = "I am not sure what is asked here."


@dataclass(frozen=True)
class Plan:
    """What a task to write is of."""

    skill: Skill
    band: int
    style: Style


class Author:
    """Writes for one ground. What it writes depends on the prompt and the seed alone."""

    def __init__(self, ground: Ground) -> None:
        self.ground = ground

    def write(self, prompt: str, seed: object = None, schema: Mapping[str, Any] | None = None) -> str:
        """The text for a prompt. `schema`: of the JSON that is wanted, if the request has one."""
        asked = read_prompt(prompt, self.ground.categories, schema)
        rng = random.Random(f"{self.ground.name}\n{seed}\n{prompt}")
        match asked.kind:
            case "series":
                return self._series(asked, rng)
            case "evolve":
                return self._evolved(asked, rng)
            case "gain":
                return "same" if asked.instruction.split() == asked.after.split() else "different"
            case "classify":
                return "yes" if self._skill(asked.instruction).category == "classification" else "no"
            case "labelled":
                return self._labelled(asked, rng)
            case "instances":
                return self._instances(asked, rng)
        return self._answered(asked, rng)

    def task(self, skill: Skill, band: int, rng: random.Random) -> Task:
        """A task in the teacher's own way: often one of its favourites again, or a variation of one."""
        chance = rng.random()
        if chance >= REPEATED + VARIED:
            return self.ground.new_task(skill, band, rng)
        favourite = _favourite(self.ground, skill, band, rng.randrange(FAVOURITES))
        low, high = REPEATED_RANGE if chance < REPEATED else VARIED_RANGE
        return self.ground.changed(favourite, low, high, rng)

    def _series(self, asked: Asked, rng: random.Random) -> str:
        plans = [self._plan(asked, rng) for _ in range(asked.wanted)]
        tasks = [self.task(plan.skill, plan.band, rng) for plan in plans]
        if asked.as_json:
            rows = [self._object(task, plan, asked, rng) for task, plan in zip(tasks, plans, strict=True)]
            return json.dumps({"examples": rows}, ensure_ascii=False)
        answered = any(shown.output is not None for shown in asked.demonstrations)
        parts = []
        for number, (task, plan) in enumerate(zip(tasks, plans, strict=True), asked.number):
            instruction, text_input = self._told(task, rng)
            told = f"Task {number}: {instruction}"
            if asked.shows_inputs:
                told += f"\nInput: {text_input or '<noinput>'}"
            if answered:
                told += f"\nOutput: {self._output(task, plan.style, asked, rng)}"
            parts.append(told)
        text = ("\n\n" if asked.shows_inputs else "\n").join(parts)
        return text.removeprefix(f"Task {asked.number}:") if asked.continues else text

    def _plan(self, asked: Asked, rng: random.Random) -> Plan:
        """Skill, band and style together as a demonstration has them, or the teacher's own."""
        skills = self.ground.of_category(asked.category or "") or [*self.ground.skills.values()]
        shown = [plan for plan in map(self._shown, asked.demonstrations) if plan is not None]
        fitting = [plan for plan in shown if asked.category is None or plan.skill.category == asked.category]
        own = Plan(rng.choice(skills), *self._own(rng))
        plan = rng.choice(fitting) if fitting and rng.random() < FOLLOWED else own
        band, style = plan.band, plan.style
        if asked.band is not None:
            band = asked.band if rng.random() < FOLLOWED else band
        if all(demonstration.output is None for demonstration in asked.demonstrations):
            style = own.style
        if asked.styles and not asked.several:
            style = rng.choice(asked.styles)
        return Plan(plan.skill, band, style)

    def _own(self, rng: random.Random) -> tuple[int, Style]:
        return rng.choices(range(len(BANDS)), OWN_BANDS)[0], rng.choices(STYLES, OWN_STYLES)[0]

    def _shown(self, shown: Shown) -> Plan | None:
        """What a demonstration is of; None if it is of no skill of the ground."""
        reading = self.ground.read(shown.instruction, shown.input)
        if reading is None:
            return None
        band = reading.skill.band(reading.slots) if reading.complete else 1
        return Plan(reading.skill, band, reading.skill.style_of(shown.output or ""))

    def _told(self, task: Task, rng: random.Random) -> tuple[str, str]:
        """(instruction, input); some are flawed: empty, cut off, or of no use."""
        instruction, text_input = task.told()
        if rng.random() >= FLAWED:
            return instruction, text_input
        words = instruction.split()
        return rng.choice(("", " ".join(words[: len(words) // 3]), rng.choice(_OFF_TOPIC))), ""

    def _output(self, task: Task, style: Style, asked: Asked, rng: random.Random) -> str:
        if asked.several:
            return "\n".join(f"{name.title()}: {self._said(task.skill, task.slots, name, rng)}" for name in STYLES)
        return self._said(task.skill, task.slots, style, rng)

    def _said(self, skill: Skill, slots: Slots, style: Style, rng: random.Random) -> str:
        """The answer in a style; one in twenty is wrong."""
        answer = skill.wrong(slots, rng) if rng.random() < WRONG else skill.answer(slots)
        return skill.styled(slots, answer, style, rng)

    def _object(self, task: Task, plan: Plan, asked: Asked, rng: random.Random) -> dict[str, Any]:
        """An example as JSON, with the fields that the schema names."""
        instruction, text_input = self._told(task, rng)
        row: dict[str, Any] = {"instruction": instruction, "input": text_input}
        for name, told in asked.fields.items() or {"output": {"type": "string"}}.items():
            if name in row:
                continue
            if told.get("type") == "array":
                row[name] = [self._said(task.skill, task.slots, style, rng) for style in STYLES]
            else:
                row[name] = self._said(task.skill, task.slots, _style_in(name) or plan.style, rng)
        return row

    def _evolved(self, asked: Asked, rng: random.Random) -> str:
        """A harder task of the same kind, the task with one more condition, or, for breadth, another one."""
        head = " " if asked.continues else "Task 2: "
        reading = self.ground.read(asked.instruction, asked.input)
        chance = rng.random()
        if chance < FLAWED:
            return head + rng.choice((asked.instruction, "Answer the given prompt in rhyme.", ""))
        if "entirely new task" in asked.prompt.lower() or (reading is None and rng.random() < 0.5):
            skill = reading.skill if reading else self._skill_of_category(asked, rng)
            instruction, text_input = self.task(skill, self._own(rng)[0], rng).told()
        elif reading is not None and reading.complete and chance < 0.6:
            band = min(reading.skill.band(reading.slots) + 1, 2)
            task = self.ground.new_task(reading.skill, band, rng, wording=reading.wording)
            instruction, text_input = task.told()
        else:
            instruction, text_input = f"{asked.instruction} {rng.choice(_CONDITIONS)}", asked.input
        return f"{head}{instruction}\nInput: {text_input or '<noinput>'}\n"

    def _skill_of_category(self, asked: Asked, rng: random.Random) -> Skill:
        skills = self.ground.of_category(asked.category or "")
        return rng.choice(skills) if skills else self._skill(asked.instruction)

    def _skill(self, instruction: str) -> Skill:
        reading = self.ground.read(instruction, "")
        return reading.skill if reading else self.ground.nearest_skill(instruction)

    def _instances(self, asked: Asked, rng: random.Random) -> str:
        pairs = []
        for text_input, reading in self._inputs(asked.instruction, rng):
            style = rng.choice(asked.styles) if asked.styles else self._own(rng)[1]
            said = self._said(reading.skill, reading.slots, style, rng) if reading else _UNKNOWN
            pairs.append((text_input, said))
        told = "\n\n".join(
            f"Example {number}\nInput: {text_input or '<noinput>'}\nOutput: {said}"
            for number, (text_input, said) in enumerate(pairs, 1)
        )
        return told.removeprefix("Example 1\nInput:") if asked.continues else told

    def _labelled(self, asked: Asked, rng: random.Random) -> str:
        pairs: dict[str, str] = {}
        for text_input, reading in self._inputs(asked.instruction, rng):
            label = self._said(reading.skill, reading.slots, "short", rng) if reading else _UNKNOWN
            pairs.setdefault(label, text_input)
        told = "\n\n".join(f"Class label: {label}\nInput: {given or '<noinput>'}" for label, given in pairs.items())
        return told.removeprefix("Class label:") if asked.continues else told

    def _inputs(self, instruction: str, rng: random.Random) -> list[tuple[str, Reading | None]]:
        """Inputs for an instruction, two where it needs one, each with the task that the two make."""
        reading = self.ground.read(instruction, "")
        if reading is None or reading.complete:
            return [("", reading)]
        return [self._input(reading, rng) for _ in range(2)]

    def _input(self, reading: Reading, rng: random.Random) -> tuple[str, Reading]:
        skill, words = reading.skill, Words(self.ground.words, held_out=False)
        slots = base_slots(rng, words) | skill.draw(rng, words, self._own(rng)[0])
        for name, value in reading.slots.items():  # what the instruction speaks of must be what the input speaks of
            if name in slots and slots[name] != value:
                old = slots[name]
                slots = {n: re.sub(rf"\b{re.escape(old)}\b", value, told) for n, told in slots.items()}
        slots = skill.read(slots)
        return reading.wording.fill(slots)[1], Reading(skill, reading.wording, slots, complete=True)

    def _answered(self, asked: Asked, rng: random.Random) -> str:
        """The answer to a task, in the style that the prompt names beside it, or one in each of several."""
        found = self._found(asked.instruction)
        if found is None:
            return _UNKNOWN
        (skill, _, slots, _, _), beside = found
        styles = styles_in(beside)
        if several_in(beside):
            said = [self._said(skill, slots, style, rng) for style in (styles or STYLES)]
            if asked.as_json or "json" in beside.lower():
                return json.dumps({"answers": said}, ensure_ascii=False)
            return "\n".join(f"Answer {number}: {text}" for number, text in enumerate(said, 1))
        style = rng.choice(styles) if styles else self._own(rng)[1]
        return self._said(skill, slots, style, rng)

    def _found(self, prompt: str) -> tuple[Reading, str] | None:
        """The task in a prompt, the longest run of its paragraphs that is one, and what else the prompt says."""
        parts = [part.strip() for part in re.split(r"\n\s*\n", prompt) if part.strip()]
        parts = [re.sub(r"\A(?:Task|Instruction|Question|Input):\s*", "", part) for part in parts]
        wishes = [part for part in parts if _is_wish(part) and self.ground.read(part, "") is None]
        parts = [part for part in parts if part not in wishes]
        runs = [(first, last) for first in range(len(parts)) for last in range(first + 1, len(parts) + 1)]
        for first, last in sorted(runs, key=lambda run: run[0] - run[1])[:_RUNS_TRIED]:
            reading = self.ground.read(parts[first], " ".join(parts[first + 1 : last]))
            if reading is not None and reading.complete:
                return reading, "\n".join([*wishes, *parts[:first], reading.rest, *parts[last:]])
        return None


def _is_wish(part: str) -> bool:
    """Whether a paragraph says how to answer."""
    return bool(styles_in(part)) or several_in(part)


def _style_in(name: str) -> Style | None:
    """The style that a field's name asks for."""
    told = {
        "short": ("short", "brief", "bare"),
        "steps": ("step", "working"),
        "verbose": ("verbose", "long", "sentence"),
    }
    return next((style for style in STYLES if any(word in name.lower() for word in told[style])), None)


@lru_cache(maxsize=4096)
def _favourite(ground: Ground, skill: Skill, band: int, number: int) -> Task:
    return ground.new_task(skill, band, random.Random(f"favourite {ground.name} {skill.name} {band} {number}"))
