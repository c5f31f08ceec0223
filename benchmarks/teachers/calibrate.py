"""How fast the bundled student learns the skills of a ground, by the product's own training and evaluation.

    python -m benchmarks.teachers.calibrate development FOLDER [--examples 8 --examples 24 --examples 72]

Each student is trained anew on perfect examples of all skills, so many of each. Done before any comparison of arms, to
choose the skills; afterwards the teacher is frozen.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

import click
import polars as pl

from benchmarks.teachers.ground import GROUNDS, Ground, load_ground
from benchmarks.teachers.grounds import ITEMS, items
from benchmarks.teachers.skills import BANDS
from sedi_dagster.models import BUNDLED_STUDENT
from sedi_dagster.records import task_prompt
from sedi_dagster.student.loading import student_source

EPOCHS = {8: 4, 24: 3, 72: 2}
BATCH, LEARNING_RATE, EVALUATED_AT_ONCE = 8, 5e-4, 48


def rows_of(ground: Ground, each: int) -> pl.DataFrame:
    """`each` perfect examples of every skill, mixed, in training batches."""
    rng = random.Random(f"calibration {ground.name} {each}")
    tasks = [ground.new_task(skill, n % len(BANDS), rng) for skill in ground.skills.values() for n in range(each)]
    rng.shuffle(tasks)
    return pl.DataFrame(
        [
            {
                "batch": number // BATCH,
                "position": number % BATCH,
                "example_id": f"ex-{number:05}",
                "category": task.skill.category,
                "origin": "machine",
                "prompt": task_prompt(*task.told()),
                "output": task.answer,
            }
            for number, task in enumerate(tasks)
        ]
    )


def workload(module: str, folder: Path, job: dict[str, Any]) -> Path:
    """Run a workload of the product on a job."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "job.json"
    file.write_text(json.dumps({**job, "output": str(folder), "offline": True}))
    subprocess.run([sys.executable, "-m", module, "--job", str(file)], check=True, stdout=subprocess.DEVNULL)
    return folder


def trained(ground: Ground, each: int, folder: Path, student: str) -> Path:
    """The checkpoint of a student trained on so many examples of every skill."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = folder / "rows.parquet"
    rows_of(ground, each).write_parquet(rows)
    settings = {"epochs": EPOCHS.get(each, 2), "learning_rate": LEARNING_RATE, "example_losses": False}
    job = {"student": student, "checkpoint": None, "rows": str(rows), "held_out": None, "settings": settings}
    return workload("sedi_dagster.training", folder / "train", {**job, "batch_size": BATCH, "seed": 0}) / "checkpoint"


def passed(ground: Ground, adapter: Path | None, folder: Path, student: str) -> dict[str, list[bool]]:
    """Which measurement items of each skill the student answers rightly."""
    limits = {entry["id"]: entry["max_answer_tokens"] for entry in ground.categories}
    asked = [{**row, "key": row["id"], "max_answer_tokens": limits[row["category"]]} for row in items(ground)[1]]
    results = folder / "results.jsonl"
    results.unlink(missing_ok=True)
    job = {"student": student, "adapter": str(adapter) if adapter else None, "items": asked}
    workload("sedi_dagster.evaluation", folder, {**job, "results": str(results), "batch_size": EVALUATED_AT_ONCE})
    found = {row["key"]: row["passed"] for row in map(json.loads, results.read_text().splitlines())}
    by_skill = defaultdict(list)
    for row in asked:
        by_skill[row["cluster"].rsplit("-", 2)[0]].append(found[row["id"]])
    return by_skill


@click.command(help=__doc__)
@click.argument("ground", type=click.Choice(GROUNDS))
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--examples", multiple=True, type=int, default=tuple(EPOCHS), help="Of each skill.")
def main(ground: str, folder: Path, examples: tuple[int, ...]) -> None:
    os.environ["HF_HUB_OFFLINE"] = "1"
    told = load_ground(ground)
    student = student_source(BUNDLED_STUDENT, folder / "cache")
    columns = {"untrained": passed(told, None, folder / "untrained", student)}
    for each in examples:
        here = folder / f"{ground}-{each}"
        columns[str(each)] = passed(told, trained(told, each, here, student), here / "evaluation", student)
        print(f"{each} of each: {_share([x for found in columns[str(each)].values() for x in found]):.0%}", flush=True)
    print(f"| skill | {' | '.join(columns)} |\n| --- | {' | '.join('--:' for _ in columns)} |")
    for skill in told.skills:
        print(f"| {skill} | {' | '.join(f'{_share(found[skill]):.0%}' for found in columns.values())} |")
    print(f"Of {ITEMS} items a category.")


def _share(found: list[bool]) -> float:
    return sum(found) / len(found)


if __name__ == "__main__":
    main()
