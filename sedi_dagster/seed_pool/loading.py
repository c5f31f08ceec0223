"""Reading a file of seed tasks: rows of any format, checked, each with a category."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import polars as pl

from sedi_dagster.jsonl import Problems, read_objects
from sedi_dagster.records import SeedTask
from sedi_dagster.seed_pool.assignment import assign_categories
from sedi_dagster.seed_pool.formats import SeedRow, parse_row
from sedi_dagster.settings import PROJECT_ROOT

SEED_SCHEMA = {
    "seed_id": pl.String,
    "category": pl.String,
    "instruction": pl.String,
    "input": pl.String,
    "output": pl.String,
    "is_classification": pl.Boolean,
    "origin": pl.String,
    "category_confidence": pl.Float64,
}
OUR_SEEDS = PROJECT_ROOT / "seeds" / "seed_tasks.jsonl"


@dataclass(frozen=True)
class SeedFile:
    """What a file of seed tasks holds.

    Attributes:
        tasks: the rows without a problem.
        lines: the line of each task.
        confidence: by seed id, how sure its category is; only for tasks whose category was assigned.
        notes: what was left out of rows, and what else a person should know.
        problems: what keeps the file from being used.
    """

    tasks: list[SeedTask]
    lines: list[int]
    confidence: Mapping[str, float]
    notes: list[str]
    problems: Problems

    def checked(self) -> Self:
        """The same, if nothing is wrong with it.

        Raises:
            InputFileError: names every bad line, its field, and what was expected.
        """
        self.problems.raise_any()
        return self


def read_seed_file(path: Path, categories: Collection[str], cache: Path | None = None) -> SeedFile:
    """Read a file of seed tasks and note all that is wrong with it.

    If no row names a category, each is given that of the nearest of the seeds that come with the project.

    Args:
        cache: folder that keeps assigned categories, since they take an embedding model and some seconds.

    Raises:
        InputFileError: the file as a whole cannot be read.
    """
    problems, counted = Problems(path), Counter[str]()
    rows = _rows(path, problems, counted)
    notes = [f"{count} {said}" for said, count in counted.items()]
    if rows and not any(row.category for row in rows):
        tasks, confidence = _with_assigned_categories(rows, categories, cache, problems)
        notes += _notes_on_assignment(tasks, confidence, categories) if tasks else []
    else:
        _check_categories(rows, categories, problems)
        tasks, confidence = [_task(row, row.category) for row in rows], {}
    return SeedFile(tasks, [row.line for row in rows], confidence, notes, problems)


def _rows(path: Path, problems: Problems, notes: Counter[str]) -> list[SeedRow]:
    """The rows without a problem, each task once."""
    rows: list[SeedRow] = []
    ids: dict[str, int] = {}
    contents: dict[tuple[str, str, str], int] = {}
    for line, row in read_objects(path, problems):
        row_id = row.get("id")
        if isinstance(row_id, str | int):
            if str(row_id) in ids:
                told = f"{str(row_id)[:60]!r} stands on line {ids[str(row_id)]} too"
                problems.add(line, "id", told, "an id of its own")
            ids.setdefault(str(row_id), line)
        parsed = parse_row(row, line, problems, notes)
        if parsed is None:
            continue
        content = (parsed.instruction, parsed.input, parsed.output)
        if content in contents:
            problems.add(line, "", f"repeats line {contents[content]}", "each seed task once")
            continue
        contents[content] = line
        rows.append(parsed)
    return rows


def _check_categories(rows: Sequence[SeedRow], categories: Collection[str], problems: Problems) -> None:
    for row in rows:
        if row.category not in categories:
            told = f"{row.category[:60]!r} is unknown" if row.category else "is missing; other rows have it"
            problems.add(row.line, "category", told, f"one of {', '.join(sorted(categories))}")
    for category in sorted(set(categories) - {row.category for row in rows}):
        problems.add(None, "category", f"no seed task for category {category!r}", "at least one")


def _with_assigned_categories(
    rows: Sequence[SeedRow], categories: Collection[str], cache: Path | None, problems: Problems
) -> tuple[list[SeedTask], dict[str, float]]:
    ours = [_task(row, row.category) for row in _rows(OUR_SEEDS, Problems(OUR_SEEDS), Counter())]
    known = [task for task in ours if task.category in categories]
    if not known:
        told = "no row names a category, and the project's own seeds have none of yours to compare with"
        problems.add(None, "category", told, f"one of {', '.join(sorted(categories))} in every row")
        return [], {}
    assigned = assign_categories([_task(row, "") for row in rows], known, cache)
    tasks = [_task(row, category) for row, (category, _) in zip(rows, assigned, strict=True)]
    return tasks, {task.id: sure for task, (_, sure) in zip(tasks, assigned, strict=True)}


def _notes_on_assignment(
    tasks: Sequence[SeedTask], confidence: Mapping[str, float], categories: Collection[str]
) -> list[str]:
    unsure = sum(value < 0.5 for value in confidence.values())
    mean = sum(confidence.values()) / len(confidence)
    notes = [
        "no row names a category: each was given that of the nearest of the project's own seeds "
        f"(mean confidence {mean:.0%}; {unsure} of {len(tasks)} below 50%)"
    ]
    missing = sorted(set(categories) - {task.category for task in tasks})
    return notes + [f"no task was near the seeds of {category!r}: it has none" for category in missing]


def _task(row: SeedRow, category: str) -> SeedTask:
    return SeedTask(row.instruction, row.input, row.output, category, row.is_classification)


def seed_frame(seeds: Sequence[SeedTask], confidence: Mapping[str, float] | None = None) -> pl.DataFrame:
    """Seed tasks as a frame (`SEED_SCHEMA`), in the file's order.

    Args:
        confidence: `SeedFile.confidence`; the column is null where the file itself names the category.
    """
    rows = [
        {
            "seed_id": s.id,
            "category": s.category,
            "instruction": s.instruction,
            "input": s.input,
            "output": s.output,
            "is_classification": s.is_classification,
            "origin": "human",
            "category_confidence": (confidence or {}).get(s.id),
        }
        for s in seeds
    ]
    return pl.DataFrame(rows, schema=SEED_SCHEMA)
