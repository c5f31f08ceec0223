"""A round is made again from the ledger alone, and comes out the same; what stands in the way is said."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

from benchmarks.testbed.faulty_teacher import FaultyTeacher
from sedi_dagster.errors import SediError, TeacherError
from sedi_dagster.lineage.replica import (
    compare_round,
    copy_calls,
    make_replica,
    recorded_manifest,
    recorded_settings,
)
from sedi_dagster.records import Message, TeacherRequest
from sedi_dagster.settings import Settings, load_settings
from sedi_dagster.storage.store import Store
from sedi_dagster.teacher.open import open_ledger, open_teacher, recorded_answers_only

LATER = "round-0002"
NO_NETWORK = """
import socket
connect = socket.socket.connect
def refuse(self, address):
    if self.family != socket.AF_UNIX:
        raise OSError("the network is closed")
    return connect(self, address)
socket.socket.connect = refuse
"""


@pytest.fixture
def replica(finished: Store, tmp_path: Path) -> Store:
    ledger = f"sqlite:///{finished.root.path}/ledger.sqlite"
    return make_replica(finished, recorded_manifest(finished, LATER), ledger, tmp_path / "replica")


def test_a_replica_has_what_was_there_before_the_round_and_nothing_of_it(replica: Store) -> None:
    there = replica.files()
    assert "manifests/round-0001.json" in there and "checkpoints/round-0001/adapter_model.safetensors" in there
    assert f"plans/{LATER}.json" in there
    assert not [path for path in there if LATER in path and not path.startswith(("plans/", "lance/"))]


def test_a_replica_has_the_calls_of_the_round_alone(replica: Store, finished: Store) -> None:
    with open_ledger(load_settings({"data": str(replica.root.path)})) as ledger:
        used = finished.read_table("calls", "lineage_manifest", LATER)["request_key"]
        other = finished.read_table("calls", "lineage_manifest", "round-0001")["request_key"][0]
        assert set(ledger.read_answered(used.to_list())) == set(used)
        assert ledger.read_answered([other]) == {}


def test_what_comes_out_otherwise_is_named(finished: Store, replica: Store) -> None:
    manifest = recorded_manifest(finished, LATER)
    for parts in (("generated_batches", LATER, "math"), ("sft_checkpoint", LATER)):
        replica.write_tables(finished.read_tables(*parts), *parts)
    compared = {one.name: one.same for one in compare_round(finished, replica, manifest)}
    assert compared[f"generated_batches/{LATER}/math: candidates"] and compared[f"sft_checkpoint/{LATER}: steps"]
    assert not compared[f"filtered_batches/{LATER}: verdicts"]
    assert not compared[f"checkpoints/{LATER}/adapter_model.safetensors"]
    steps = finished.read_tables("sft_checkpoint", LATER)
    slower = steps | {"steps": steps["steps"].with_columns(seconds=pl.lit(9.0))}
    replica.write_tables(slower, "sft_checkpoint", LATER)
    assert {one.name: one.same for one in compare_round(finished, replica, manifest)}[f"sft_checkpoint/{LATER}: steps"]


def test_changed_input_files_and_unfinished_rounds_are_told(finished: Store, tmp_path: Path) -> None:
    manifest = recorded_manifest(finished, LATER)
    seeds = tmp_path / "seeds.jsonl"
    seeds.write_text("{}\n")
    with pytest.raises(SediError, match="is not the file that round-0002 used"):
        recorded_settings(manifest, load_settings({"seeds": str(seeds)}))
    with pytest.raises(SediError, match="has no manifest"):
        recorded_manifest(finished, "round-0009")


def test_recorded_settings_hold_no_mask_and_no_path_of_another_machine(finished: Store) -> None:
    text = recorded_settings(recorded_manifest(finished, LATER), load_settings())
    assert "****" not in str(text) and not {"data", "cache", "ledger"} & set(text)
    assert text["training"]["learning_rate"] == load_settings().training.learning_rate


def test_within_the_block_nothing_is_sent_and_what_is_recorded_is_answered(
    tmp_path: Path, simulated_teacher: FaultyTeacher
) -> None:
    settings = load_settings(
        {"data": str(tmp_path), "teacher": {"base_url": simulated_teacher.base_url, "model": "simulated-teacher"}}
    )

    async def ask(prompt: str) -> str:
        async with open_teacher(settings) as teacher:
            request = TeacherRequest("answer", "round-0001", "math", 32, prompt=prompt)
            return (await teacher.ask([request]))[0].text

    answered = asyncio.run(ask("Task: count."))
    sent = simulated_teacher.meter.as_dict()["requests"]
    with recorded_answers_only():
        assert asyncio.run(ask("Task: count.")) == answered
        with pytest.raises(TeacherError, match="has no answer in the ledger"):
            asyncio.run(ask("Task: another."))
    assert simulated_teacher.meter.as_dict()["requests"] == sent


def test_calls_in_a_form_that_was_probed_are_answered_from_the_copy_of_a_round_s_calls(
    tmp_path: Path, simulated_teacher: FaultyTeacher
) -> None:
    teacher = {"base_url": simulated_teacher.base_url, "model": "simulated-teacher", "prompt_style": "chat"}
    settings = load_settings({"data": str(tmp_path), "teacher": teacher})
    schema = {"type": "object", "properties": {"sum": {"type": "integer"}}, "required": ["sum"]}
    request = TeacherRequest("examples", LATER, "math", 32, messages=(Message("user", "Add."),), json_schema=schema)

    async def ask(settings: Settings) -> str:
        async with open_teacher(settings) as teacher:
            return (await teacher.ask([request]))[0].text

    answered = asyncio.run(ask(settings))
    copy = f"sqlite:///{tmp_path}/copy.sqlite"
    assert copy_calls(settings.ledger_url, copy, [], LATER) == simulated_teacher.meter.as_dict()["requests"] > 1
    with recorded_answers_only():
        assert asyncio.run(ask(settings.model_copy(update={"ledger": copy}))) == answered


@pytest.mark.slow
def test_every_round_of_a_real_loop_is_reproduced_with_the_network_closed(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def sedi(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "sedi_dagster.cli", *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    done = sedi("run", "--rounds", "2")
    assert done.returncode == 0, done.stdout + done.stderr
    assert (text := sedi("verify")).returncode == 0, text.stdout
    (project / "sitecustomize.py").write_text(NO_NETWORK)
    monkeypatch.setenv("PYTHONPATH", f"{project}:{Path.cwd()}")
    for round_key in ("round-0001", "2"):
        done = sedi("reproduce", round_key)
        assert done.returncode == 0 and "all identical" in done.stdout, done.stdout + done.stderr
    assert sedi("verify").returncode == 0, "reproducing changes nothing"
