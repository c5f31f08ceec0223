"""A workload that is run elsewhere: everything travels by the data folder, and a lost machine costs little."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from benchmarks.testbed.planted_student import JOURNAL, PACE, interpreter
from benchmarks.testbed.s3_server import S3Server
from sedi_dagster.errors import StorageUnavailable
from sedi_dagster.storage.store import Store
from sedi_dagster.workloads import remote as remote_workload
from sedi_dagster.workloads.remote import JOB, STORE_UNAVAILABLE, WORK, Mirror

NAME = "train-round-0001"


def ask(store: Store, folder: Path, **job: Any) -> None:
    """Put a training of three rows below the data folder."""
    rows = {"batch": [0, 0, 1], "position": [0, 1, 0], "example_id": ["a", "b", "c"], "category": ["math"] * 3}
    texts = {"origin": ["round"] * 3, "prompt": ["p"] * 3, "output": ["o"] * 3}
    pl.DataFrame(rows | texts).write_parquet(folder / "batches.parquet")
    store.put_files({folder / "batches.parquet": (WORK, NAME, "in", "batches.parquet")})
    asked = {
        "module": "sedi_dagster.training",
        "command": [str(interpreter(folder)), "-m"],
        "job": {"checkpoint": None, "held_out": None, "about": {"round": "round-0001", "parent": None}, **job},
        "files": {"rows": [WORK, NAME, "in", "batches.parquet"]},
    }
    store.write_json(asked, WORK, NAME, JOB)


def start(root: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "sedi_dagster.workloads.remote", "--data", root, "--name", NAME]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def test_a_workload_that_knows_nothing_of_it_runs_from_a_url_and_its_results_come_back(
    s3_folder: str, tmp_path: Path
) -> None:
    store = Store(s3_folder)
    ask(store, tmp_path)
    process = start(s3_folder)
    told, _ = process.communicate(timeout=120)
    assert process.returncode == 0, told
    store.get(tmp_path / "back", WORK, NAME, "out")
    weights = json.loads((tmp_path / "back" / "checkpoint" / "adapter_model.safetensors").read_text())
    assert weights["trained_on"] == ["a", "b", "c"]
    assert pl.read_parquet(tmp_path / "back" / "steps.parquet").height == 2


def test_a_saved_state_is_copied_when_it_is_whole_and_its_marker_last(tmp_path: Path) -> None:
    store, output = Store(str(tmp_path / "data")), tmp_path / "out"

    def states() -> list[str]:
        return store.files(WORK, "out")

    mirror = Mirror(store, (WORK, "out"), output)
    first = output / "state" / "checkpoint-2"
    first.mkdir(parents=True)
    (first / "model.safetensors").write_text("weights")
    (output / "state" / "before.json").write_text("{}")
    mirror.copy_new()
    mirror.copy_new()
    assert states() == ["work/out/state/before.json"], "a state without its marker is no state"
    (first / "steps.json").write_text("[]")
    mirror.copy_new()
    assert "work/out/state/checkpoint-2/steps.json" in states()
    second = output / "state" / "checkpoint-4"
    first.rename(second)
    mirror.copy_new()
    assert "work/out/state/checkpoint-4/steps.json" in states()
    assert not any("checkpoint-2" in path for path in states())


def test_a_file_is_copied_once_it_stands_still_and_again_when_it_changed(tmp_path: Path) -> None:
    store, output = Store(str(tmp_path / "data")), tmp_path / "out"
    output.mkdir()
    mirror = Mirror(store, (WORK, "out"), output)
    (output / "results.jsonl").write_text("1\n")
    mirror.copy_new()
    assert store.files(WORK) == []
    mirror.copy_new()
    assert store.read_bytes(WORK, "out", "results.jsonl") == b"1\n"
    (output / "results.jsonl").write_text("1\n2\n")
    os.utime(output / "results.jsonl", ns=(1, 1))
    mirror.copy_new(last=True)
    assert store.read_bytes(WORK, "out", "results.jsonl") == b"1\n2\n"


def test_what_was_fetched_is_not_sent_back(tmp_path: Path) -> None:
    store, output = Store(str(tmp_path / "data")), tmp_path / "out"
    (output / "state" / "checkpoint-2").mkdir(parents=True)
    for fetched in ("steps.json", "model.safetensors"):
        (output / "state" / "checkpoint-2" / fetched).write_text("[]")
    (output / "results.jsonl").write_text("1\n")
    Mirror(store, (WORK, "out"), output).copy_new(last=True)
    assert store.files(WORK) == []


def test_results_wait_for_a_store_that_is_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote_workload, "POLL_INTERVAL_S", 0.01)
    store, output, answers = Store(str(tmp_path / "data")), tmp_path / "out", [False, False, True]
    output.mkdir()
    mirror, put = Mirror(store, (WORK, "out"), output), store.put_files

    def now_and_then(files: Any) -> None:
        if files and not answers.pop(0):
            raise StorageUnavailable("The store is away.")
        put(files)

    monkeypatch.setattr(store, "put_files", now_and_then)
    (output / "summary.json").write_text("{}")
    mirror.finish()
    assert store.files(WORK) == ["work/out/summary.json"] and answers == []


@pytest.mark.slow
def test_a_store_that_is_away_at_the_start_is_told_by_the_exit_code(s3: S3Server, s3_folder: str) -> None:
    s3.refuse(1)
    process = start(s3_folder)
    told, _ = process.communicate(timeout=300)
    assert process.returncode == STORE_UNAVAILABLE and "cannot be reached for now" in told


def test_the_keys_of_the_endpoints_do_not_reach_the_workload(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEDI_TEACHER_API_KEY", "secret")
    monkeypatch.setenv(JOURNAL, str(tmp_path / "journal"))
    store = Store(str(tmp_path / "data"))
    ask(store, tmp_path)
    told, _ = start(str(tmp_path / "data")).communicate(timeout=120)
    assert json.loads((tmp_path / "journal").read_text())["keys"] == [], told


@pytest.mark.slow
def test_a_stop_reaches_the_workload_and_the_command_ends_with_it(
    s3_folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(PACE, "600")
    store = Store(s3_folder)
    ask(store, tmp_path)
    process = start(s3_folder)
    assert process.stdout is not None
    time.sleep(5)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGTERM
