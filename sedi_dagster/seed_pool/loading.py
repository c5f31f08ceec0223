"""Reading and validating a file of seed tasks in any format, and finding the categories of its rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

import polars as pl

from sedi_dagster.datafiles import Problems
from sedi_dagster.datafiles.shapes import Columns, Exchange, read_exchanges
from sedi_dagster.project_files import project_file
from sedi_dagster.records import SeedTask
from sedi_dagster.seed_pool.assignment import assign_categories

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
OUR_SEEDS = project_file("seeds/seed_tasks.jsonl")

OTHER_NAMES = {
    "information_extraction": "extraction",  # this and the next one are names of Dolly
    "general_qa": "open_qa",
    "summarisation": "summarization",
    "rewrite": "rewriting",
    "code": "coding",
}
"""Common names of categories in public datasets, and the category that each stands for, if the project has it."""


@dataclass(frozen=True)
class SeedFile:
    """The contents of a file of seed tasks.

    Attributes:
        tasks: the rows without a problem.
        lines: the number of each task's row: its line, its element in a list, or its row in a table.
        confidence: confidence of the category by seed id, for tasks whose category was assigned.
        notes: remarks for the user, such as what was left out.
        problems: what prevents the file from being used.
    """

    tasks: list[SeedTask]
    lines: list[int]
    confidence: Mapping[str, float]
    notes: list[str]
    problems: Problems

    def checked(self) -> Self:
        """Return the file itself if it has no problem.

        Raises:
            InputFileError: names every bad row, its field, and what was expected.
        """
        self.problems.raise_any()
        return self


def read_seed_file(
    path: Path,
    categories: Collection[str] | None,
    columns: Columns | None = None,
    names: Mapping[str, str] | None = None,
) -> SeedFile:
    """Read a file of seed tasks and collect all its problems.

    If no row names a category, categories are assigned by similarity to the project's own seeds.

    Args:
        categories: the known categories; None accepts any that the file names.
        columns: what the fields of the file hold, if their names do not show it.
        names: by name of a category in the file, the category that it stands for; "" leaves out its rows.

    Raises:
        InputFileError: the file as a whole cannot be read.
    """
    problems = Problems(path)
    rows = _renamed(_rows(path, problems, columns), names or {}, problems)
    own = {row.category for row in rows if row.category}
    known = own if categories is None else categories
    rows = with_known_names(rows, known, problems)
    tasks, confidence = [as_seed_task(row, row.category) for row in rows], dict[str, float]()
    notes: list[str] = []
    if own or not rows:
        _check_categories(rows, known, problems)
    elif categories is not None:
        tasks, confidence = _with_assigned_categories(tasks, categories, problems)
        notes = _notes_on_assignment(tasks, confidence, categories) if confidence else []
    numbers = [row.number for row in rows]
    return SeedFile(tasks, numbers, confidence, problems.note_lines() + notes, problems)


def _rows(path: Path, problems: Problems, columns: Columns | None = None) -> list[Exchange]:
    """Return the rows without a problem, each task once."""
    rows: list[Exchange] = []
    ids: dict[str, int] = {}
    contents: dict[tuple[str, str, str], int] = {}
    for exchange in read_exchanges(path, problems, columns):
        number, row_id = exchange.number, exchange.row.get("id")
        if isinstance(row_id, str | int):
            if str(row_id) in ids:
                problem = f"{str(row_id)[:60]!r} is also on {problems.place(ids[str(row_id)])}"
                problems.add(number, "id", problem, "a unique id")
            ids.setdefault(str(row_id), number)
        content = (exchange.instruction, exchange.input, exchange.output)
        if content in contents:
            problems.add(number, "", f"repeats {problems.place(contents[content])}", "each seed task once")
            continue
        contents[content] = number
        rows.append(exchange)
    return rows


def _renamed(rows: Sequence[Exchange], names: Mapping[str, str], problems: Problems) -> list[Exchange]:
    renamed = []
    for row in rows:
        category = names.get(row.category, row.category)
        if row.category and not category:
            problems.notes[f"rows are of category {row.category[:60]!r}, which is excluded (SEDI_SEED_CATEGORIES)"] += 1
        else:
            renamed.append(replace(row, category=category))
    return renamed


def with_known_names(rows: Sequence[Exchange], categories: Collection[str], problems: Problems) -> list[Exchange]:
    """Return the rows with the id of their category instead of another spelling or name (`Open QA` becomes open_qa).

    Rows of unknown categories are not changed.

    Args:
        categories: the ids, or the categories by id, whose names are then recognised too.
    """
    by_id = categories.items() if isinstance(categories, Mapping) else ()
    names = {_normalised(category.name): id_ for id_, category in by_id}
    renamed = []
    for row in rows:
        normalised = _normalised(row.category)
        candidates = (row.category, normalised, OTHER_NAMES.get(normalised, ""), names.get(normalised, ""))
        name = next((name for name in candidates if name in categories), row.category)
        if name != row.category:
            problems.notes[f"rows are of category {row.category[:60]!r}, which is read as {name}"] += 1
        renamed.append(replace(row, category=name))
    return renamed


def _normalised(name: str) -> str:
    return "_".join(name.lower().replace("-", " ").split())


def _check_categories(rows: Sequence[Exchange], categories: Collection[str], problems: Problems) -> None:
    """Note one problem for each unknown category, however many rows have it, and one for missing categories."""
    known = ", ".join(sorted(categories))
    for category, count in Counter(row.category for row in rows if row.category not in categories).most_common():
        first = next(row.number for row in rows if row.category == category)
        where = f"in {count:,} of {len(rows):,} rows"
        if category:
            mapped = f'SEDI_SEED_CATEGORIES=\'{{"{category[:60]}": "{min(categories)}"}}\''
            fix = f"one of {known}; {mapped} maps it to one, `sedi seeds split` makes categories of those in the file"
            problems.add(first, "category", f"{category[:60]!r} is unknown, {where}", fix)
        else:
            problem = f"is missing {where}; the others have it"
            problems.add(first, "category", problem, f"one of {known}; or none in any row, so that they are assigned")
    missing = sorted(set(categories) - {row.category for row in rows})
    if missing and rows:
        problem = f"no seed task for category {', '.join(map(repr, missing))}"
        problems.add(None, "category", problem, "at least one of each, or a SEDI_CATEGORIES file with only the others")


def _with_assigned_categories(
    tasks: Sequence[SeedTask], categories: Collection[str], problems: Problems
) -> tuple[list[SeedTask], dict[str, float]]:
    ours = [as_seed_task(row, row.category) for row in _rows(OUR_SEEDS, Problems(OUR_SEEDS))]
    known = [task for task in ours if task.category in categories]
    if not known:
        problem = "no row names a category, and the bundled seeds have none of your categories to compare with"
        problems.add(None, "category", problem, f"one of {', '.join(sorted(categories))} in every row")
        return list(tasks), {}
    assigned = assign_categories(tasks, known)
    named = [replace(task, category=category) for task, (category, _) in zip(tasks, assigned, strict=True)]
    return named, {task.id: confidence for task, (_, confidence) in zip(named, assigned, strict=True)}


def _notes_on_assignment(
    tasks: Sequence[SeedTask], confidence: Mapping[str, float], categories: Collection[str]
) -> list[str]:
    unsure = sum(value < 0.5 for value in confidence.values())
    mean = sum(confidence.values()) / len(confidence)
    notes = [
        "no row names a category: each got that of the most similar bundled seeds "
        f"(mean confidence {mean:.0%}; {unsure} of {len(tasks)} below 50%)"
    ]
    missing = sorted(set(categories) - {task.category for task in tasks})
    return notes + [f"no task is similar to the seeds of {category!r}, so it has none" for category in missing]


def as_seed_task(row: Exchange, category: str = "") -> SeedTask:
    """Convert a row to a seed task; its category may still be empty."""
    return SeedTask(row.instruction, row.input, row.output, category, row.is_classification)


def seed_frame(seeds: Sequence[SeedTask], confidence: Mapping[str, float] | None = None) -> pl.DataFrame:
    """Return seed tasks as a frame (`SEED_SCHEMA`), in the file's order.

    Args:
        confidence: `SeedFile.confidence`; the column is null where the file names the category.
    """
    confidence = confidence or {}
    rows = [
        {"seed_id": seed.id, **vars(seed), "origin": "human", "category_confidence": confidence.get(seed.id)}
        for seed in seeds
    ]
    return pl.DataFrame(rows, schema=SEED_SCHEMA)
