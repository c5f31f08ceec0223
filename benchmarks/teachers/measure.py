"""What the simulated teacher is like: near-duplicates over a run, faults, tokens, nearness to the items.

python -m benchmarks.teachers.measure development [--instructions 3000]
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from typing import Any

import click

from benchmarks.teachers.author import Author
from benchmarks.teachers.ground import GROUNDS, Ground, load_ground
from benchmarks.teachers.grounds import seed_tasks
from sedi_dagster.filtering.novelty import greedy_novelty
from sedi_dagster.generation.parsing import parse_tasks
from sedi_dagster.generation.prompts import render
from sedi_dagster.records import Category

THRESHOLDS = (0.7, 0.85)
LENGTHS = (300, 1_000, 3_000)
WANTED, DEMONSTRATIONS = 4, 8


def category_of(entry: dict[str, Any]) -> Category:
    return Category(**{**entry, "verifiers": tuple(entry["verifiers"])})


def written_tasks(ground: Ground, seed: int = 0) -> Iterator[tuple[str, str]]:
    """(instruction, input) of the tasks of a long run in which all categories get the same, without end.

    The product's prompt, with eight of the human seeds drawn anew for each call.
    """
    author, seeds = Author(ground), seed_tasks(ground)
    rng = random.Random(f"measure {ground.name} {seed}")
    categories = [category_of(entry) for entry in ground.categories]
    calls = 0
    while True:
        for category in categories:
            own = [row for row in seeds if row["category"] == category.id]
            shown = rng.sample(own, min(DEMONSTRATIONS, len(own)))
            prompt = render("instructions.chat", category=category, aim="", demonstrations=shown, wanted=WANTED)
            calls += 1
            for task in parse_tasks(author.write(prompt, f"{seed} {calls}"), cut_off=False, begins_inside=False):
                yield task.instruction, task.input


def dropped(instructions: Sequence[str], pool: list[str], threshold: float) -> float:
    """Share of the instructions that are near duplicates of the pool or of one kept before."""
    kept = greedy_novelty([*instructions], pool, threshold)["novel"].sum()
    return 1 - float(kept) / len(instructions)


@click.command(help=__doc__)
@click.argument("ground", type=click.Choice(GROUNDS))
@click.option("--instructions", default=LENGTHS[-1], show_default=True)
@click.option("--seed", default=0, show_default=True)
def main(ground: str, instructions: int, seed: int) -> None:
    told = load_ground(ground)
    run = written_tasks(told, seed)
    written = [text for text, _ in (next(run) for _ in range(instructions)) if text]
    pool = [row["instruction"] for row in seed_tasks(told)]
    print("SIMULATED teacher: instructions dropped as near duplicates")
    for length in [n for n in LENGTHS if n <= instructions]:
        shares = ", ".join(f"{dropped(written[:length], pool, t):.1%} at {t}" for t in THRESHOLDS)
        print(f"  of {length:,}: {shares}")


if __name__ == "__main__":
    main()
