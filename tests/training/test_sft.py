"""The training workload on a tiny student: order, signals, what it leaves behind."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest

from sedi_dagster.errors import ModelError, WorkloadError
from sedi_dagster.settings import TrainingSettings
from sedi_dagster.training.sft import train


def job(folder: Path, student: Path, rows: int = 10, **changes: Any) -> dict[str, Any]:
    folder.mkdir(exist_ok=True)
    frame = pl.DataFrame(
        {
            "batch": [n // 4 for n in range(rows)],
            "position": [n % 4 for n in range(rows)],
            "example_id": [f"e{n}" for n in range(rows)],
            "prompt": [f"Say the number {n}, please." for n in range(rows)],
            "output": [f"The number is {n}." for n in range(rows)],
        }
    )
    frame.write_parquet(folder / "rows.parquet")
    settings = TrainingSettings(student=str(student), lora_rank=2, **changes).model_dump(mode="json")
    return {
        "student": str(student),
        "adapter": None,
        "rows": str(folder / "rows.parquet"),
        "output": str(folder),
        "settings": settings,
        "batch_size": 4,
        "seed": 1,
    }


def silent(_: str) -> None:
    return None


def test_it_trains_the_composed_batches_in_their_order(tmp_path: Path, tiny_student: Path) -> None:
    lines: list[str] = []
    train(job(tmp_path, tiny_student), lines.append)
    steps = pl.read_parquet(tmp_path / "steps.parquet")
    assert steps["example_ids"].to_list() == [
        ["e0", "e1", "e2", "e3"],
        ["e4", "e5", "e6", "e7"],
        ["e8", "e9"],
    ]
    assert (steps["grad_norm"] > 0).all()
    assert (steps["completion_tokens"] > 0).all()
    assert any(line.startswith("progress train 3/3") for line in lines)


@pytest.mark.parametrize("micro_batch_size", [1, 2, 3])
def test_micro_batches_change_neither_order_nor_signals(
    tmp_path: Path, tiny_student: Path, micro_batch_size: int
) -> None:
    train(job(tmp_path / "whole", tiny_student, epochs=2), silent)
    train(job(tmp_path / "micro", tiny_student, epochs=2, micro_batch_size=micro_batch_size), silent)
    whole, micro = (pl.read_parquet(tmp_path / name / "steps.parquet") for name in ("whole", "micro"))
    assert micro["example_ids"].to_list() == whole["example_ids"].to_list()
    assert micro["completion_tokens"].to_list() == whole["completion_tokens"].to_list()
    assert micro["grad_norm"].to_list() == pytest.approx(whole["grad_norm"].to_list(), rel=0.05)


def test_the_checkpoint_is_safetensors_and_holds_no_pickle(tmp_path: Path, tiny_student: Path) -> None:
    train(job(tmp_path, tiny_student), silent)
    names = {file.name for file in (tmp_path / "checkpoint").iterdir()}
    assert {"adapter_model.safetensors", "adapter_config.json", "tokenizer.json", "chat_template.jinja"} <= names
    assert not {name for name in names if name.endswith((".bin", ".pt", ".pkl"))}


def test_the_same_seed_gives_the_same_weights(tmp_path: Path, tiny_student: Path) -> None:
    weights = []
    for name in ("one", "two"):
        train(job(tmp_path / name, tiny_student), silent)
        weights.append((tmp_path / name / "checkpoint" / "adapter_model.safetensors").read_bytes())
    assert weights[0] == weights[1]


def test_a_later_round_goes_on_from_the_adapter(tmp_path: Path, tiny_student: Path) -> None:
    train(job(tmp_path / "first", tiny_student), silent)
    later = job(tmp_path / "second", tiny_student) | {"adapter": str(tmp_path / "first" / "checkpoint")}
    train(later, silent)
    first, second = (pl.read_parquet(tmp_path / name / "steps.parquet") for name in ("first", "second"))
    assert second["loss"][0] < first["loss"][0]


def test_full_fine_tuning_leaves_a_whole_model(tmp_path: Path, tiny_student: Path) -> None:
    train(job(tmp_path, tiny_student, method="full"), silent)
    assert (tmp_path / "checkpoint" / "model.safetensors").exists()
    assert not (tmp_path / "checkpoint" / "adapter_config.json").exists()


def test_a_row_that_does_not_fit_stops_the_step_instead_of_shifting_the_batches(
    tmp_path: Path, tiny_student: Path
) -> None:
    asked = job(tmp_path, tiny_student, max_length=40)
    rows = pl.read_parquet(tmp_path / "rows.parquet")
    long = pl.when(pl.col("example_id") == "e2").then(pl.lit("word " * 200)).otherwise(pl.col("prompt"))
    rows.with_columns(prompt=long).write_parquet(tmp_path / "rows.parquet")
    with pytest.raises(WorkloadError, match="not the composed order"):
        train(asked, silent)
    assert not (tmp_path / "checkpoint").exists()


def test_a_missing_student_is_told(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="SEDI_TRAINING_STUDENT"):
        train(job(tmp_path, tmp_path / "nowhere"), silent)
