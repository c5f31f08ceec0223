"""The human seed tasks: reading and checking `seeds/seed_tasks.jsonl`."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

import polars as pl

from sedi_dagster.jsonl import read_objects, text_field
from sedi_dagster.records import SeedTask

SEED_SCHEMA = {
    "seed_id": pl.String,
    "category": pl.String,
    "instruction": pl.String,
    "input": pl.String,
    "output": pl.String,
    "is_classification": pl.Boolean,
    "origin": pl.String,
}


def load_seed_tasks(path: Path, categories: Collection[str]) -> list[SeedTask]:
    """Read and check the seed file.

    Raises:
        InputFileError: names every bad line, its field, and what was expected.
    """
    seeds: list[SeedTask] = []
    seen: dict[str, int] = {}
    with read_objects(path) as (objects, problems):
        for line, row in objects:
            seed = SeedTask(
                instruction=text_field(row, "instruction", line, problems).strip(),
                input=text_field(row, "input", line, problems, empty=True).strip(),
                output=text_field(row, "output", line, problems).strip(),
                category=text_field(row, "category", line, problems),
                is_classification=bool(row.get("is_classification", False)),
            )
            if seed.category and seed.category not in categories:
                problems.add(line, "category", f"{seed.category!r} is unknown", f"one of {', '.join(sorted(categories))}")
            if seed.id in seen:
                problems.add(line, "", f"repeats line {seen[seed.id]}", "each seed task once")
            seen.setdefault(seed.id, line)
            seeds.append(seed)
        for category in sorted(set(categories) - {seed.category for seed in seeds}):
            problems.found.append(f"no seed task for category {category!r}; expected at least one")
    return seeds


def seed_frame(seeds: Sequence[SeedTask]) -> pl.DataFrame:
    """Seed tasks as a frame (`SEED_SCHEMA`), sorted by category as in the file."""
    rows = [
        {
            "seed_id": s.id,
            "category": s.category,
            "instruction": s.instruction,
            "input": s.input,
            "output": s.output,
            "is_classification": s.is_classification,
            "origin": "human",
        }
        for s in seeds
    ]
    return pl.DataFrame(rows, schema=SEED_SCHEMA)
