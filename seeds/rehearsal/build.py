"""Rewrites `seed_tasks.jsonl` and `evaluation_items.jsonl` of the rehearsal. The same at every run.

    python seeds/rehearsal/build.py

Both come from the skills of the simulated teacher. Seed tasks have its own wordings and words; evaluation items
have wordings and words that it never uses, so that a better score means a skill learnt, not a text remembered.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from sedi_dagster.testing.skills import HELD_OUT, REHEARSED, Skill, Slots

FOLDER = Path(__file__).resolve().parent
SEED_TASKS = 24
ITEMS = 24


def seed_tasks(skill: Skill) -> list[dict[str, Any]]:
    """Different tasks of a skill, with their answers."""
    rng = random.Random(f"seed tasks {skill.category}")
    tasks: dict[str, dict[str, Any]] = {}
    while len(tasks) < SEED_TASKS:
        instruction, _ = skill.task(rng)
        answer = skill.answer_to(instruction)
        tasks[instruction] = {"instruction": instruction, "input": "", "output": answer, "category": _id(skill)}
    return list(tasks.values())


def evaluation_items(skill: Skill) -> list[dict[str, Any]]:
    """Different items of a skill, its held-out wordings in turn."""
    rng = random.Random(f"evaluation items {skill.category}")
    items: dict[str, dict[str, Any]] = {}
    while len(items) < ITEMS:
        slots = skill.draw(rng, HELD_OUT)
        wording = skill.held_out[len(items) % len(skill.held_out)]
        prompt, reference = wording.format(**slots), skill.answer(slots)
        verifier, arguments = VERIFIERS[_id(skill)](slots, reference)
        items[prompt] = {
            "id": f"rehearsal-{_id(skill)}-{len(items) + 1:02}",
            "category": _id(skill),
            "prompt": prompt,
            "verifier": verifier,
            "args": arguments,
            "reference": reference,
            "difficulty": "easy",
            "cluster": f"rehearsal-{_id(skill)}-{len(items) % len(skill.held_out) + 1}",
            "origin": "template:rehearsal",
        }
    return list(items.values())


def _id(skill: Skill) -> str:
    return skill.category.replace(" ", "_")


def _same_words(slots: Slots, reference: str) -> tuple[str, dict[str, Any]]:
    return "match", {"aliases": [reference], "whole": True}


def _bracketed(slots: Slots, reference: str) -> tuple[str, dict[str, Any]]:
    words = slots["words"].split()
    constraints = [
        {"kind": "start", "text": "["},
        {"kind": "separator", "text": "+", "parts": len(words)},
        {"kind": "end", "text": "]"},
    ]
    _, same_words = _same_words(slots, slots["words"])
    parts = [{"verifier": "format", "args": {"constraints": constraints}}, {"verifier": "match", "args": same_words}]
    return "all", {"of": parts}


VERIFIERS: Mapping[str, Callable[[Slots, str], tuple[str, dict[str, Any]]]] = {
    "extraction": lambda slots, reference: ("json_fields", {"fields": json.loads(reference), "exact_keys": True}),
    "classification": lambda slots, reference: ("label", {"labels": ["praise", "complaint"], "answer": reference}),
    "rewriting": _same_words,
    "format_following": _bracketed,
    "math": lambda slots, reference: ("numeric", {"value": int(reference)}),
}


def built() -> dict[str, str]:
    """What the files should hold, by name."""
    files = {"seed_tasks.jsonl": seed_tasks, "evaluation_items.jsonl": evaluation_items}
    return {
        name: "".join(json.dumps(row, ensure_ascii=False) + "\n" for skill in REHEARSED for row in make(skill))
        for name, make in files.items()
    }


if __name__ == "__main__":
    for name, text in built().items():
        (FOLDER / name).write_text(text, encoding="utf-8")
