"""The workload as a command: how it is described, what it imports, how it fails, how it runs on several devices."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from sedi_dagster.errors import WorkloadError
from sedi_dagster.settings import PROJECT_ROOT, TrainingSettings
from sedi_dagster.training.failures import as_workload_error
from sedi_dagster.training.job import FIELDS, TrainingJob, describe
from sedi_dagster.training.order import OrderGuard, check_same, micro_batch_size, padding_rows
from sedi_dagster.training.sizing import Fitted, attempts, fit
from sedi_dagster.training.state import last_state
from tests.training.conftest import MakeJob


def test_help_describes_every_field_of_the_job_file() -> None:
    command = [sys.executable, "-m", "sedi_dagster.training", "--help"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=PROJECT_ROOT)
    assert describe() in done.stdout
    assert all(f"\n  {name} " in done.stdout for name in FIELDS)


def test_it_imports_nothing_of_dagster() -> None:
    code = (
        "import sys, sedi_dagster.training.sft, sedi_dagster.training.signals, sedi_dagster.training.checkpoint, "
        "sedi_dagster.workloads.process; print([m for m in sys.modules if m.split('.')[0].startswith('dagster')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=PROJECT_ROOT)
    assert done.stdout.strip() == "[]"


def test_a_job_file_with_mistakes_is_told_field_by_field(tmp_path: Path, make_job: MakeJob) -> None:
    job = make_job(tmp_path) | {"colour": 1, "rows": "nowhere.parquet", "batch_size": 0, "settings": {"epochs": -1}}
    del job["seed"]
    with pytest.raises(WorkloadError) as raised:
        TrainingJob.from_json(job)
    for part in ("seed is missing", "colour is unknown", "no file nowhere.parquet", "batch_size must be", "epochs"):
        assert part in raised.value.problem
    assert TrainingJob.from_json(make_job(tmp_path)).settings.lora_rank == 2


def _raise(error: Exception) -> Callable[[], None]:
    def fail() -> None:
        raise error

    return fail


@pytest.mark.parametrize(
    ("error", "fix"),
    [
        (MemoryError(), "lower SEDI_TRAINING_MICRO_BATCH_SIZE (now 4)"),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"), "GRADIENT_CHECKPOINTING=true"),
        (RuntimeError("CUDA out of memory. Tried to allocate 2 GiB"), "SEDI_TRAINING_MAX_LENGTH (now 512)"),
        (OSError(errno.ENOSPC, "No space left on device"), "Free space in SEDI_CACHE"),
        (RuntimeError("[enforce fail at inline_container.cc:664] . unexpected pos"), "Free space in SEDI_CACHE"),
    ],
)
def test_running_out_of_memory_or_disk_says_what_to_change(error: Exception, fix: str) -> None:
    with pytest.raises(WorkloadError) as raised, as_workload_error(TrainingSettings(micro_batch_size=4)):
        _raise(error)()
    assert fix in raised.value.fix and "resumes from the last saved state" in raised.value.fix


@pytest.mark.parametrize("error", [RuntimeError("shape mismatch"), OSError(errno.EACCES, "denied"), KeyError("x")])
def test_other_errors_pass_as_they_are(error: Exception) -> None:
    with pytest.raises(type(error)), as_workload_error(TrainingSettings(micro_batch_size=4)):
        _raise(error)()


def test_the_guard_stops_before_a_micro_batch_that_was_not_composed() -> None:
    guard = OrderGuard([["a", "b"], ["c"]], 1)
    guard._collate = len
    for name in "abc":
        assert guard([{"example_id": name, "input_ids": [1], "labels": [1]}]) == 1
    guard.check_complete(2)
    assert guard([{"example_id": "a", "input_ids": [], "labels": []}]) == 1, "the next epoch begins anew"
    with pytest.raises(WorkloadError, match=r"micro-batch 5.*'c' instead of 'b'"):
        guard([{"example_id": "c"}])
    with pytest.raises(WorkloadError, match="4 of 6"):
        guard.check_complete(4)
    resumed = OrderGuard([["a", "b"], ["c"]], 1)
    resumed._collate = len
    resumed.resume_after(3)
    assert resumed([{"example_id": "c"}]) == 1


def test_the_first_difference_is_named() -> None:
    with pytest.raises(WorkloadError, match=r"row 2: 'x' instead of 'b' .2 rows, 3 composed"):
        check_same("here", ["a", "x"], ["a", "b", "c"])
    with pytest.raises(WorkloadError, match=r"row 3: nothing instead of 'c'"):
        check_same("here", ["a", "b"], ["a", "b", "c"])


def test_a_training_batch_is_shared_evenly_or_not_at_all() -> None:
    assert micro_batch_size(8, 3, 1) == 2 and micro_batch_size(8, 8, 2) == 4 and micro_batch_size(7, 4, 1) == 1
    with pytest.raises(WorkloadError, match="SEDI_BATCHING_BATCH_SIZE"):
        micro_batch_size(8, 2, 3)
    assert padding_rows(3, 2, 2) == 1 and padding_rows(8, 2, 2) == 0 and padding_rows(3, 2, 1) == 0


def test_what_is_left_open_suits_the_students_size_and_what_is_given_wins() -> None:
    small, large = (fitted(TrainingSettings(), int(size)) for size in (135e6, 14e9))
    assert small.learning_rate == 5e-4 > large.learning_rate
    assert not small.gradient_checkpointing and large.gradient_checkpointing
    assert fitted(TrainingSettings(method="full"), 10**8).learning_rate == pytest.approx(5e-5)
    given = fitted(TrainingSettings(learning_rate=0.1, micro_batch_size=3, gradient_checkpointing=True), 10**8)
    assert (given.learning_rate, given.micro_batch_size, given.gradient_checkpointing) == (0.1, 3, True)
    assert [fitted(TrainingSettings(precision=p), 1).bf16 for p in ("bf16", "fp32")] == [True, False]


def test_short_rows_fill_a_micro_batch_on_a_cpu_and_long_ones_keep_to_the_memory() -> None:
    bf16 = TrainingSettings(precision="bf16")
    sizes = {longest: fitted(bf16, 10**8, longest).micro_batch_size for longest in (40, 128, 256, 512, 4096)}
    assert sizes == {40: 8, 128: 8, 256: 4, 512: 2, 4096: 1}
    assert [fitted(bf16, 10**8, longest).attention for longest in (256, 257)] == ["eager", "auto"]
    assert fitted(TrainingSettings(precision="fp32"), 10**8, 40).attention == "auto"
    assert fitted(bf16.model_copy(update={"attention": "sdpa"}), 10**8, 40).attention == "sdpa"


def test_on_a_gpu_the_whole_training_batch_is_tried_first_then_halves_then_less_memory_for_more_time() -> None:
    def tried(**given: Any) -> list[tuple[int, bool]]:
        ways = attempts(TrainingSettings(**given), 10**9, "cuda", 512, 12)
        return [(way.rows, way.gradient_checkpointing) for way in ways]

    assert tried() == [(n, again) for again in (False, True) for n in (12, 6, 3, 1)]
    assert tried(micro_batch_size=4, gradient_checkpointing=False) == [(4, False), (2, False), (1, False)]


def test_what_does_not_fit_is_halved_until_it_does_and_remembered(
    tmp_path: Path, make_job: MakeJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A GPU of few bytes, played by a head that refuses more than two rows at once."""
    import torch

    from sedi_dagster.training import memory_trial, setup
    from sedi_dagster.training.sft import train

    most, asked = 2, []

    def step(trainer: Any, rows: list[Any], fitted: Any) -> None:
        asked.append(len(rows))
        if len(rows) > most:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 1 GiB")
        real(trainer, rows, fitted)

    real = memory_trial._try_step
    monkeypatch.setattr(memory_trial, "_try_step", step)
    monkeypatch.setattr(memory_trial, "_device_name", lambda device: "a GPU")
    monkeypatch.setattr(setup, "_device_kind", lambda: "cuda")
    lines: list[str] = []
    train(make_job(tmp_path / "first", rows=4), lines.append)
    assert asked == [4, 2] and any("Out of memory" in line for line in lines)
    assert json.loads((tmp_path / "first" / "summary.json").read_text())["micro_batch_size"] == 2
    train(make_job(tmp_path / "second", rows=4), lines.append)
    assert asked == [4, 2, 2]
    most = 0
    with pytest.raises(WorkloadError, match="out of memory"):
        train(make_job(tmp_path / "third", rows=4), lines.append)


def fitted(settings: TrainingSettings, parameters: int, longest: int = 512) -> Fitted:
    (way,) = attempts(settings, parameters, "cpu", longest, 8)
    return fit(settings, parameters, "cpu", longest, way)


@pytest.mark.slow
def test_two_processes_train_the_composed_batches_as_one_does(tmp_path: Path, make_job: MakeJob) -> None:
    frames = []
    for processes in (1, 2):
        job = make_job(tmp_path / str(processes), micro_batch_size=1, precision="fp32", example_losses=True)
        file = tmp_path / f"job-{processes}.json"
        file.write_text(json.dumps(job))
        # `accelerate launch` does the same on GPUs; on CPUs alone it would want MPI.
        launch = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"] if processes == 2 else []
        command = [sys.executable, *launch, "-m", "sedi_dagster.training", "--job", str(file)]
        done = subprocess.run(command, capture_output=True, text=True, cwd=PROJECT_ROOT)
        assert done.returncode == 0, done.stderr[-3000:]
        frames.append({n: pl.read_parquet(Path(job["output"]) / f"{n}.parquet") for n in ("steps", "examples")})
        assert json.loads((Path(job["output"]) / "summary.json").read_text())["processes"] == processes
    one, two = frames
    assert two["steps"]["example_ids"].to_list() == one["steps"]["example_ids"].to_list()
    assert two["steps"]["loss"].to_list() == pytest.approx(one["steps"]["loss"].to_list(), rel=1e-4)
    assert two["steps"]["grad_norm"].to_list() == pytest.approx(one["steps"]["grad_norm"].to_list(), rel=1e-3)
    assert two["examples"]["loss_after"].to_list() == pytest.approx(one["examples"]["loss_after"].to_list(), rel=1e-3)


@pytest.mark.slow
def test_a_stop_that_one_process_is_told_of_is_agreed_on_by_both(tmp_path: Path, make_job: MakeJob) -> None:
    """Otherwise the other would wait in the next step for ever, and the state, which it saves, would be lost."""
    job = make_job(tmp_path, rows=40, epochs=200, micro_batch_size=1, precision="fp32")
    file = tmp_path / "job.json"
    file.write_text(json.dumps(job))
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2", "-m", "sedi_dagster.training"]
    with subprocess.Popen(
        [sys.executable, *launch, "--job", str(file)],
        cwd=PROJECT_ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        next(line for line in process.stdout if line.startswith("progress train"))
        for pid in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split():
            if "LOCAL_RANK=1" in Path(f"/proc/{pid}/environ").read_text().split("\0"):
                os.kill(int(pid), signal.SIGTERM)
        _, output = process.communicate(timeout=300)
    assert output.count("Training was stopped after step") == 2
    assert last_state(tmp_path) is not None
