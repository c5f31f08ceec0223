"""A ground: skills over the twelve categories with their words, and the tasks that can be made of them."""

from __future__ import annotations

import importlib
import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from rapidfuzz.distance import Indel

from benchmarks.teachers.skills import Skill, Task, Words, base_slots
from benchmarks.teachers.wording import Pool, Slots, Wording, pattern

GROUNDS = ("development", "final")
FOLDER = Path(__file__).resolve().parent
OPENING_SHARE, CLOSING_SHARE = 0.3, 0.35
_SENTENCES_TRIED = 3
_TOKEN = re.compile(r"[a-z0-9]+")
_NUMBER = re.compile(r"\d+")
_UNREADABLE = (KeyError, ValueError, IndexError, StopIteration, AttributeError)
_EVERYBODYS = ("people", "places", "things", "adjectives", "events", "days", "sights")
_CHANGES_TRIED = 40


class Reading(NamedTuple):
    """A text as a task of a skill. Not `complete`: its input is missing, and with it some of the slots.

    `rest`: sentences at the ends that are no part of the task.
    """

    skill: Skill
    wording: Wording
    slots: Slots
    complete: bool
    rest: str = ""


@dataclass(frozen=True, eq=False)
class Ground:
    """A set of skills with everything that their tasks are made of.

    Attributes: skills: by name. words: by kind. around: openings and closings, by whom they are used.
    categories: entries of the product's categories file.
    """

    name: str
    skills: dict[str, Skill]
    words: dict[str, Pool]
    openings: Pool
    closings: Pool
    categories: list[dict[str, Any]]

    def of_category(self, category: str) -> list[Skill]:
        return [skill for skill in self.skills.values() if skill.category == category]

    def new_task(
        self, skill: Skill, band: int, rng: random.Random, held_out: bool = False, wording: Wording | None = None
    ) -> Task:
        """A task that nobody wrote before, as far as chance goes."""
        words = Words(self.words, held_out)
        base = base_slots(rng, words)
        slots = skill.read(base | skill.draw(rng, words, band))
        openings, closings = (pool.of_side(held_out) for pool in (self.openings, self.closings))
        return Task(
            skill,
            wording or rng.choice(skill.wordings(held_out)),
            slots,
            rng.choice(openings) if rng.random() < OPENING_SHARE else "",
            rng.choice(closings) if rng.random() < CLOSING_SHARE else "",
        )

    def changed(self, task: Task, low: float, high: float, rng: random.Random) -> Task:
        """The task with words changed, one after the other, until its ROUGE-L F1 with the original is in a range.

        As near to the range as can be, where the task has too few words that can change.
        """
        before = _tokens(task.told()[0])
        for _ in range(_CHANGES_TRIED):
            candidate = self._one_change(task, rng)
            alike = Indel.normalized_similarity(before, _tokens(candidate.told()[0]))
            if alike >= low:
                task = candidate
            if low <= alike <= high:
                break
        return task

    def _one_change(self, task: Task, rng: random.Random) -> Task:
        """One word or number of the task replaced by one of its kind, wherever the task has it."""
        slots = task.slots
        used = {
            name: slots[name] for name in re.findall(r"\{(\w+)\}", f"{task.opening}{task.wording.text}{task.closing}")
        }
        present = " ".join(used.values())
        found = re.findall(r"[\w'-]+", present)
        if not found:
            return task
        old = rng.choice(found)
        if _NUMBER.fullmatch(old):
            new = str(rng.randrange(10 ** (len(old) - 1) + 1, 10 ** len(old)))
        else:
            stem = old.removesuffix("s")
            group = next((g for g in self._groups(task.skill) if old in g or stem in g), None)
            options = [word for word in group or () if word not in found and f"{word}s" not in found]
            if not options:
                return task
            old = old if group and old in group else stem
            new = rng.choice(options)
        swap = re.compile(rf"\b{re.escape(old)}(?=s?\b)")
        try:
            changed = task.skill.read({name: swap.sub(new, value) for name, value in slots.items()})
            candidate = replace(task, slots=changed)
            _ = candidate.band, candidate.answer
        except _UNREADABLE:
            return task
        return candidate

    def _groups(self, skill: Skill) -> Iterator[Sequence[str]]:
        yield from skill.interchangeable(held_out=False)
        yield from (self.words[kind].taught for kind in _EVERYBODYS)

    def read(self, instruction: str, text_input: str) -> Reading | None:
        """What a text says if it is of a skill of this ground, in a wording of the teacher's."""
        return _read(self, " ".join(instruction.split()), " ".join(text_input.split()))

    def around(self, pool: Pool, form: str) -> re.Pattern[str]:
        """Finds the openings or closings of the teacher's in a text."""
        return _around(self, pool, form)

    def nearest_skill(self, instruction: str) -> Skill:
        """The skill whose wordings an instruction has most words in common with."""
        told = set(_tokens(instruction))

        def common(skill: Skill) -> float:
            return max(len(told & words) / len(words) for w in skill.taught for words in [set(_tokens(w.instruction))])

        return max(self.skills.values(), key=common)


@cache
def _around(ground: Ground, pool: Pool, form: str) -> re.Pattern[str]:
    anonymous = (re.sub(r"\?P<\w+>", "?:", pattern(line.strip()).pattern) for line in pool.taught)
    return re.compile(form.format("|".join(anonymous)), re.IGNORECASE)


@cache
def load_ground(name: str) -> Ground:
    """The ground of this name, one of `GROUNDS`."""
    told = yaml.safe_load((FOLDER / f"{name}.yaml").read_text(encoding="utf-8"))
    kinds: dict[str, type[Skill]] = importlib.import_module(f"benchmarks.teachers.{name}").SKILLS
    return Ground(
        name,
        {skill: kinds[skill](skill, texts) for skill, texts in told["skills"].items()},
        {kind: Pool.of(words) for kind, words in told["words"].items()},
        Pool.of(told["before"]),
        Pool.of(told["after"]),
        told["categories"],
    )


@lru_cache(maxsize=50_000)
def _read(ground: Ground, instruction: str, text_input: str) -> Reading | None:
    for told, rest in _without_surroundings(ground, instruction):
        for skill in ground.skills.values():
            for wording in skill.taught:
                slots = wording.read(told, text_input)
                if slots is None:
                    continue
                slots = _completed(slots)
                if wording.input and not text_input:
                    return Reading(skill, wording, slots, False, rest)
                try:
                    slots = skill.read(slots)
                    _ = skill.band(slots), skill.answer(slots)
                except _UNREADABLE:
                    continue
                return Reading(skill, wording, slots, True, rest)
    return None


def _without_surroundings(ground: Ground, instruction: str) -> Iterator[tuple[str, str]]:
    """The instruction without opening and closing, then without some sentences more at its ends; and these."""
    told = ground.around(ground.openings, r"\A(?:{}) ").sub("", instruction.strip())
    told = ground.around(ground.closings, r" (?:{})\Z").sub("", told)
    yield told, ""
    sentences = re.split(r"(?<=[.?!]) ", told)
    for count in range(1, min(_SENTENCES_TRIED, len(sentences) - 1) + 1):
        for part, rest in ((sentences[:-count], sentences[-count:]), (sentences[count:], sentences[:count])):
            yield ground.around(ground.closings, r" (?:{})\Z").sub("", " ".join(part)), " ".join(rest)


def _tokens(text: str) -> list[str]:
    """Of its own, so that a change of the product's does not change the teacher."""
    return _TOKEN.findall(text.lower())


def _completed(slots: Slots) -> Slots:
    """With `thing` and `things` following from one another."""
    if "things" in slots and "thing" not in slots:
        return slots | {"thing": slots["things"].removesuffix("s")}
    return slots | {"things": f"{slots['thing']}s"} if "thing" in slots else slots
