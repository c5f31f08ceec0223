"""A training job of numbered rows for the tiny student."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from sedi_dagster.settings import TrainingSettings

Job = dict[str, Any]
MakeJob = Callable[..., Job]


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    """Threads gain nothing on a student this small, and wait for one another on a busy machine."""
    import torch

    torch.set_num_threads(1)


@pytest.fixture
def make_job(tiny_student: Path) -> MakeJob:
    """`make_job(folder, rows=10, checkpoint=None, **settings)`: batches of four rows of unlike lengths."""
    return partial(job_for, tiny_student)


def job_for(student: Path, folder: Path, rows: int = 10, checkpoint: Path | None = None, **settings: Any) -> Job:
    folder.mkdir(exist_ok=True, parents=True)
    training_rows(rows).write_parquet(folder / "rows.parquet")
    chosen = {"lora_rank": 2, "example_losses": False, "epochs": 1, **settings}
    return {
        "student": str(student),
        "checkpoint": str(checkpoint) if checkpoint else None,
        "rows": str(folder / "rows.parquet"),
        "output": str(folder),
        "settings": TrainingSettings(student=str(student), **chosen).model_dump(mode="json"),
        "batch_size": 4,
        "seed": 1,
    }


def training_rows(count: int) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "batch": [n // 4 for n in range(count)],
            "position": [n % 4 for n in range(count)],
            "example_id": [f"e{n}" for n in range(count)],
            "category": [("math", "coding")[n % 2] for n in range(count)],
            "origin": ["machine"] * count,
            "prompt": [f"Say the number {n}, please.{' And again.' * (n % 3)}" for n in range(count)],
            "output": [f"The number is {n}.{' It is.' * (n % 4)}" for n in range(count)],
        }
    )


def silent(_: str) -> None:
    return None
