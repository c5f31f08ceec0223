"""The evaluation workload on a tiny student."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest

from sedi_dagster.evaluation.answering import ITEM_SCHEMA, evaluate


def item(number: int, prompt: str) -> dict[str, Any]:
    return {
        "id": f"i{number}",
        "category": "math",
        "cluster": f"i{number}",
        "prompt": prompt,
        "verifier": "match",
        "args": {"aliases": ["nine"]},
        "reference": "nine " * (number + 1),
        "difficulty": "easy",
        "max_answer_tokens": 4 + number % 2,
    }


def scores(folder: Path, student: Path, items: list[dict[str, Any]], batch_size: int) -> pl.DataFrame:
    folder.mkdir()
    job = {"student": str(student), "adapter": None, "items": items, "output": str(folder), "batch_size": batch_size}
    evaluate(job, lambda line: None)
    return pl.read_parquet(folder / "items.parquet")


def test_batched_answers_and_losses_equal_those_one_by_one(tmp_path: Path, tiny_student: Path) -> None:
    items = [item(n, "How many? " * (1 + 3 * n)) for n in range(7)]
    batched = scores(tmp_path / "batched", tiny_student, items, batch_size=7)
    single = scores(tmp_path / "single", tiny_student, items, batch_size=1)
    assert batched["answer"].to_list() == single["answer"].to_list()
    assert batched["reference_loss"].to_list() == pytest.approx(single["reference_loss"].to_list(), abs=1e-4)


def test_every_item_has_one_row_with_its_answer_cut_at_its_own_limit(tmp_path: Path, tiny_student: Path) -> None:
    items = [item(n, f"What is {n}?") for n in range(5)]
    found = scores(tmp_path / "out", tiny_student, items, batch_size=4)  # a batch of both limits
    assert dict(found.schema) == ITEM_SCHEMA
    assert sorted(found["item_id"]) == [f"i{n}" for n in range(5)]
    limits = {i["id"]: i["max_answer_tokens"] for i in items}
    assert all(row["answer_tokens"] <= limits[row["item_id"]] for row in found.iter_rows(named=True))
