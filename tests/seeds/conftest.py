"""The files of `seeds/`, read once, and a writer of small files of the tests' own."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from sedi_dagster.categories import load_categories
from sedi_dagster.evaluation.items import load_evaluation_items
from sedi_dagster.records import Category, EvaluationItem, SeedTask
from sedi_dagster.seed_pool import read_seed_file

SEEDS = Path(__file__).resolve().parents[2] / "seeds"

Rows = Iterable[Any]


@pytest.fixture(scope="session")
def categories() -> dict[str, Category]:
    return load_categories(SEEDS / "categories.yaml")


@pytest.fixture(scope="session")
def seed_tasks(categories: dict[str, Category]) -> list[SeedTask]:
    return read_seed_file(SEEDS / "seed_tasks.jsonl", categories).checked().tasks


@pytest.fixture(scope="session")
def items(categories: dict[str, Category]) -> list[EvaluationItem]:
    return load_evaluation_items(SEEDS / "evaluation_items.jsonl", categories)


@pytest.fixture
def write_jsonl(tmp_path: Path) -> Callable[[Rows], Path]:
    """Writes rows to a file: text as it is, anything else as JSON."""

    def write(rows: Rows) -> Path:
        path = tmp_path / "seeds.jsonl"
        lines = (row if isinstance(row, str) else json.dumps(row, ensure_ascii=False) for row in rows)
        path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        return path

    return write
