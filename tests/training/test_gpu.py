"""Training and evaluation on a real GPU with the bundled student; skipped without one."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from sedi_dagster.evaluation.answering import evaluate
from sedi_dagster.evaluation.results import read_results
from sedi_dagster.models import BUNDLED_STUDENT
from sedi_dagster.settings import PROJECT_ROOT
from sedi_dagster.student.loading import load_student, student_source
from sedi_dagster.training.memory_trial import FILE
from sedi_dagster.training.sft import train
from sedi_dagster.workloads.warm_worker import address as addresses
from tests.training.conftest import Job, job_for, silent, training_rows


@pytest.fixture(autouse=True, scope="module")
def _needs_a_gpu() -> None:
    import torch

    if not torch.cuda.is_available():
        pytest.skip("no GPU")


@pytest.fixture(scope="module")
def student(tmp_path_factory: pytest.TempPathFactory) -> str:
    return student_source(BUNDLED_STUDENT, tmp_path_factory.mktemp("models"))


@pytest.fixture
def little_memory() -> Iterator[None]:
    """What is taken now, and 2.5 GB more."""
    import torch

    torch.cuda.empty_cache()
    total = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.set_per_process_memory_fraction((torch.cuda.memory_reserved() + 2.5e9) / total)
    yield
    torch.cuda.set_per_process_memory_fraction(1.0)


def trained(job: Job) -> pl.DataFrame:
    train(job, silent)
    return pl.read_parquet(Path(job["output"]) / "steps.parquet")


def near(found: pl.DataFrame, expected: pl.DataFrame, share: float) -> bool:
    pairs = [(found[name].to_list(), expected[name].to_list()) for name in ("loss", "grad_norm")]
    return all(a == pytest.approx(b, rel=share) for one, other in pairs for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("method", ["lora", "full"])
def test_a_gpu_trains_as_a_cpu_does(tmp_path: Path, student: str, method: str) -> None:
    asked = {"precision": "fp32", "method": method, "attention": "sdpa"}
    here = trained(job_for(Path(student), tmp_path / "gpu", **asked))
    job = job_for(Path(student), tmp_path / "cpu", **asked)
    (tmp_path / "job.json").write_text(json.dumps(job))
    command = [sys.executable, "-m", "sedi_dagster.training", "--job", str(tmp_path / "job.json")]
    subprocess.run(command, cwd=PROJECT_ROOT, env=without_gpu(), check=True, capture_output=True)
    there = pl.read_parquet(tmp_path / "cpu" / "steps.parquet")
    assert here["example_ids"].to_list() == there["example_ids"].to_list()
    assert near(here, there, 0.01)


def without_gpu() -> dict[str, str]:
    return {**os.environ, "CUDA_VISIBLE_DEVICES": ""}


@pytest.mark.parametrize("method", ["lora", "full"])
def test_varlen_attention_gives_the_gradients_of_padded_rows(tmp_path: Path, student: str, method: str) -> None:
    steps = [
        trained(job_for(Path(student), tmp_path / name, method=method, attention=name)) for name in ("sdpa", "varlen")
    ]
    assert steps[0]["example_ids"].to_list() == steps[1]["example_ids"].to_list()
    assert near(steps[1], steps[0], 0.05)  # bf16


def test_what_fits_into_memory_is_found_and_remembered(tmp_path: Path, student: str, little_memory: None) -> None:
    job = long_rows(job_for(Path(student), tmp_path / "job", rows=32))
    said: list[str] = []
    train(job, said.append)
    tries = [line for line in said if "Out of memory" in line]
    assert tries
    assert json.loads((tmp_path / FILE).read_text())
    again = long_rows(job_for(Path(student), tmp_path / "again", rows=32))
    said.clear()
    train(again, said.append)
    assert not [line for line in said if "Out of memory" in line]


def long_rows(job: Job) -> Job:
    rows = training_rows(32).with_columns(
        batch=pl.lit(0, pl.Int64), position=pl.int_range(32), prompt=pl.lit("word " * 400)
    )
    rows.write_parquet(job["rows"])
    return {**job, "batch_size": 32}


def test_the_student_answers_in_bf16_and_batches_are_halved_when_memory_ends(
    tmp_path: Path, student: str, little_memory: None
) -> None:
    import torch

    assert load_student(student, None, inference=True).dtype == torch.bfloat16
    items = [question(n) for n in range(256)]
    said: list[str] = []
    job: dict[str, Any] = {"student": student, "adapter": None, "items": items, "batch_size": None}
    evaluate({**job, "results": str(tmp_path / "all.jsonl")}, said.append)
    assert any("Memory ended" in line for line in said)
    assert len(read_results(tmp_path / "all.jsonl")) == len(items)


def question(number: int) -> dict[str, Any]:
    return {
        "id": f"i{number}",
        "key": f"key-{number}",
        "category": "math",
        "cluster": f"i{number}",
        "prompt": f"What is {number} and one? " + "Think well. " * 300,
        "verifier": "match",
        "args": {"aliases": [str(number + 1)]},
        "reference": str(number + 1),
        "difficulty": "easy",
        "max_answer_tokens": 8,
    }


def test_a_fork_of_the_warm_worker_uses_the_gpu(tmp_path: Path, student: str) -> None:
    job = job_for(Path(student), tmp_path / "job")
    (tmp_path / "job.json").write_text(json.dumps(job))
    client = [sys.executable, "-m", "sedi_dagster.workloads.warm_worker.client"]
    with addresses.warm_worker_ready(True, PROJECT_ROOT):
        found = addresses.address(True, PROJECT_ROOT)
        subprocess.run(
            [*client, "sedi_dagster.training", "--job", str(tmp_path / "job.json")], cwd=PROJECT_ROOT, check=True
        )
        assert found.exists(), found.with_suffix(".declined").read_text()
    assert pl.read_parquet(tmp_path / "job" / "steps.parquet").height == 3


@pytest.mark.skipif(importlib.util.find_spec("bitsandbytes") is None, reason="no bitsandbytes")
def test_an_adapter_is_trained_on_weights_of_4_bits(tmp_path: Path, student: str) -> None:
    steps = trained(job_for(Path(student), tmp_path / "first", method="qlora", epochs=4))
    assert steps["loss"][-1] < steps["loss"][0]
    checkpoint = tmp_path / "first" / "checkpoint"
    assert load_student(student, checkpoint, inference=True) is not None
    later = trained(job_for(Path(student), tmp_path / "second", method="qlora", checkpoint=checkpoint))
    assert later["loss"][0] < steps["loss"][0]
