"""The files of a ground, as the product reads them. The same at every run.

    python -m benchmarks.teachers.grounds development FOLDER

writes `seed_tasks.jsonl` (SEDI_SEEDS), `categories.yaml` (SEDI_CATEGORIES), `decision_items.jsonl` (SEDI_ITEMS: what
decides inside the loop), `measurement_items.jsonl` (what no loop sees) and `perfect_examples.jsonl` (right answers to
tasks as the teacher would write them; in the form of seed tasks).
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from itertools import count, cycle, islice
from pathlib import Path
from typing import Any

import click
import yaml

from benchmarks.teachers.ground import GROUNDS, Ground, load_ground
from benchmarks.teachers.skills import BANDS, STYLES, Skill, Task
from sedi_dagster.records import task_prompt

SEEDS, ITEMS, PERFECT = 8, 24, 240
"""Of each category: seed tasks, items of either kind, perfect examples."""
SEED_STYLES = (0.4, 0.3, 0.3)
Row = dict[str, Any]


def write_ground(name: str, folder: Path, perfect: int = PERFECT) -> None:
    """Write the files of the ground `name` into a folder. `perfect`: perfect examples of each category."""
    ground = load_ground(name)
    folder.mkdir(parents=True, exist_ok=True)
    for file, text in ground_files(ground, perfect).items():
        (folder / file).write_text(text, encoding="utf-8")


def ground_files(ground: Ground, perfect: int = PERFECT) -> dict[str, str]:
    """What the files hold, by name."""
    decision, measurement = items(ground)
    rows = {
        "seed_tasks.jsonl": seed_tasks(ground),
        "decision_items.jsonl": decision,
        "measurement_items.jsonl": measurement,
        "perfect_examples.jsonl": perfect_examples(ground, perfect),
    }
    told = {file: "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in made) for file, made in rows.items()}
    return told | {"categories.yaml": yaml.safe_dump(ground.categories, sort_keys=False, width=120)}


def seed_tasks(ground: Ground) -> list[Row]:
    """Tasks as a person might have written them: wordings of the teacher's kind, all bands and styles, right."""

    def row(task: Task, rng: random.Random) -> Row:
        return _example(task, task.skill.styled(task.slots, task.answer, rng.choices(STYLES, SEED_STYLES)[0], rng))

    return _by_category(ground, "seed tasks", SEEDS, row)


def perfect_examples(ground: Ground, each: int) -> list[Row]:
    """Right short answers to new tasks of all bands: what a student could be trained on at best."""
    return _by_category(ground, "perfect examples", each, lambda task, rng: _example(task, task.answer))


def items(ground: Ground) -> tuple[list[Row], list[Row]]:
    """(decision items, measurement items): `ITEMS` of each category, in words that the teacher never has."""
    made: tuple[list[Row], list[Row]] = ([], [])
    for category in _categories(ground):
        prompts = set[str]()
        skills = ground.of_category(category)
        rng = random.Random(f"items {ground.name} {category}")
        turns = ITEMS // (len(skills) * len(BANDS))
        for first_turn, kind, rows in zip((0, turns), ("decision", "measurement"), made, strict=True):
            for number, (skill, band) in enumerate(islice(_in_turn(skills), ITEMS)):
                turn = first_turn + number // (len(skills) * len(BANDS))
                task = _unseen(ground, skill, band, turn, rng, prompts)
                rows.append(_item(task, kind, f"{ground.name}-{category}-{kind}-{number + 1:02}"))
    return made


def _unseen(ground: Ground, skill: Skill, band: int, turn: int, rng: random.Random, prompts: set[str]) -> Task:
    """A new item of the skill, its held-out wordings in turn."""
    wording = skill.held_out[turn % len(skill.held_out)]
    for _ in count():
        task = ground.new_task(skill, band, rng, held_out=True, wording=wording)
        if task_prompt(*task.told()) not in prompts:
            prompts.add(task_prompt(*task.told()))
            return task
    raise AssertionError


def _item(task: Task, kind: str, name: str) -> Row:
    skill = task.skill
    verifier, args = skill.check(task.slots)
    return {
        "id": name,
        "category": skill.category,
        "prompt": task_prompt(*task.told()),
        "verifier": verifier,
        "args": args,
        "reference": task.answer,
        "difficulty": BANDS[task.band],
        "cluster": f"{skill.name}-{kind}-{skill.held_out.index(task.wording) + 1}",
        "origin": "template:simulated",
    }


def _example(task: Task, output: str) -> Row:
    instruction, text_input = task.told()
    return {"instruction": instruction, "input": text_input, "output": output, "category": task.skill.category}


def _by_category(ground: Ground, purpose: str, each: int, row: Callable[[Task, random.Random], Row]) -> list[Row]:
    """`each` different rows of every category, its skills and bands in turn."""
    rows: list[Row] = []
    for category in _categories(ground):
        rng = random.Random(f"{purpose} {ground.name} {category}")
        seen: dict[str, Row] = {}
        for skill, band in _in_turn(ground.of_category(category)):
            if len(seen) == each:
                break
            task = ground.new_task(skill, band, rng)
            seen.setdefault(task_prompt(*task.told()), row(task, rng))
        rows += seen.values()
    return rows


def _in_turn(skills: list[Skill]) -> Iterator[tuple[Skill, int]]:
    return cycle([(skill, band) for band in range(len(BANDS)) for skill in skills])


def _categories(ground: Ground) -> list[str]:
    return [entry["id"] for entry in ground.categories]


@click.command(help=__doc__)
@click.argument("ground", type=click.Choice(GROUNDS))
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--perfect", default=PERFECT, show_default=True, help="Perfect examples of each category.")
def main(ground: str, folder: Path, perfect: int) -> None:
    write_ground(ground, folder, perfect)


if __name__ == "__main__":
    main()
