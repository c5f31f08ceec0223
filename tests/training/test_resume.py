"""A training that was stopped or killed goes on and ends with the weights of an undisturbed one."""

from __future__ import annotations

import os
import random
import signal
import threading
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from sedi_dagster.errors import WorkloadError
from sedi_dagster.training.sft import train
from sedi_dagster.training.state import SavingTimes, last_state
from tests.training.conftest import MakeJob, silent

WEIGHTS = Path("checkpoint") / "adapter_model.safetensors"


def test_a_stop_saves_and_the_next_run_ends_as_if_there_had_been_none(tmp_path: Path, make_job: MakeJob) -> None:
    asked = {"rows": 27, "epochs": 2, "save_steps": 50, "example_losses": True}

    def interrupt(line: str) -> None:
        if line.startswith("progress train 5/"):
            os.kill(os.getpid(), signal.SIGINT)

    train(make_job(tmp_path / "whole", **asked), silent)
    job = make_job(tmp_path / "stopped", **asked)
    with pytest.raises(WorkloadError, match="stopped after step 6 of 14; its state is saved"):
        train(job, interrupt)
    assert not (tmp_path / "stopped" / "checkpoint").exists()
    lines: list[str] = []
    train(job, lines.append)
    assert "Resuming from the state saved after step 6." in lines
    assert (tmp_path / "stopped" / WEIGHTS).read_bytes() == (tmp_path / "whole" / WEIGHTS).read_bytes()
    for name in ("steps", "examples"):
        whole, stopped = (pl.read_parquet(tmp_path / run / f"{name}.parquet") for run in ("whole", "stopped"))
        assert stopped.drop("seconds", strict=False).equals(whole.drop("seconds", strict=False))


def test_states_are_saved_by_time_and_the_less_often_the_longer_saving_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr("sedi_dagster.training.state.time.monotonic", lambda: clock[0])

    def is_due_at(seconds: float) -> bool:
        clock[0] = seconds
        return saving.is_due()

    saving = SavingTimes()
    assert not is_due_at(59.0) and is_due_at(61.0)
    saving.start()
    clock[0] = 71.0  # it took ten seconds: a twentieth of the time is two hundred
    saving.finish()
    assert not is_due_at(270.0) and is_due_at(272.0)


def test_without_a_number_of_steps_states_are_saved_when_they_are_due(
    tmp_path: Path, make_job: MakeJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SavingTimes, "EVERY_S", 0.0)
    monkeypatch.setattr(SavingTimes, "SHARE", float("inf"))
    train(make_job(tmp_path, rows=24), silent)
    newest = last_state(tmp_path)
    assert newest is not None and newest[0].name == "checkpoint-6" and len(newest[1]) == 6


def test_a_half_written_state_is_passed_over(tmp_path: Path) -> None:
    for step, marked in ((2, True), (4, True), (6, False), (10, False)):
        folder = tmp_path / "state" / f"checkpoint-{step}"
        folder.mkdir(parents=True)
        if marked:
            (folder / "steps.json").write_text(f'[{{"step": {step}}}]')
    found = last_state(tmp_path)
    assert found is not None and found[0].name == "checkpoint-4" and found[1] == [{"step": 4}]
    assert last_state(tmp_path / "elsewhere") is None


def _train_until_killed(job: dict[str, Any], after_s: float) -> None:
    """Runs in a process of its own, which kills itself that long after its first word."""
    started = threading.Event()

    def log(_: str) -> None:
        if not started.is_set():
            started.set()
            timer = threading.Timer(after_s, os.kill, (os.getpid(), signal.SIGKILL))
            timer.daemon = True
            timer.start()

    train(job, log)


@pytest.mark.slow
def test_twenty_kills_at_random_moments_leave_no_trace_in_the_weights(tmp_path: Path, make_job: MakeJob) -> None:
    """Seconds by kill are drawn so that loading, both loss passes, steps and half-written states are all hit."""
    asked = {"rows": 120, "epochs": 3, "save_steps": 1, "example_losses": True}
    train(make_job(tmp_path / "whole", **asked), silent)
    processes = get_context("forkserver")
    processes.set_forkserver_preload(["torch", "transformers", "trl", "peft", "datasets"])
    rng = random.Random(0)
    kills = trial = 0
    while kills < 20:
        job = make_job(tmp_path / f"killed-{trial}", **asked)
        child = processes.Process(target=_train_until_killed, args=(job, rng.uniform(0.05, 3)))
        child.start()
        child.join()
        killed = child.exitcode == -signal.SIGKILL
        assert killed or child.exitcode == 0
        kills += killed
        if not killed:
            trial += 1
    train(job, silent)
    whole = (tmp_path / "whole" / WEIGHTS).read_bytes()
    for number in range(trial + 1):
        assert (tmp_path / f"killed-{number}" / WEIGHTS).read_bytes() == whole


def test_a_state_whose_marker_is_empty_is_passed_over_for_the_one_before(tmp_path: Path) -> None:
    for step, marker in ((2, '[{"step": 1}, {"step": 2}]'), (10, ""), (11, None)):
        folder = tmp_path / "state" / f"checkpoint-{step}"
        folder.mkdir(parents=True)
        if marker is not None:
            (folder / "steps.json").write_text(marker)
    found = last_state(tmp_path)
    assert found is not None and found[0].name == "checkpoint-2" and len(found[1]) == 2
