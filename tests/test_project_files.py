"""A project outside a checkout: what `sedi init` writes, and a wheel that brings it along."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from click.testing import CliRunner

from sedi_dagster.cli import main
from sedi_dagster.project_files import CHECKOUT, project_files, write_project

NEEDED = {"seeds/seed_tasks.jsonl", "seeds/categories.yaml", "seeds/evaluation_items.jsonl", "workspace.yaml",
          "dagster.yaml", ".env.example", "requirements/models.txt", "seeds/rehearsal/seed_tasks.jsonl"}  # fmt: skip


def test_a_new_project_has_seeds_categories_items_and_settings_and_no_programs(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["init", str(tmp_path / "new")])
    assert result.exit_code == 0 and "files written" in result.output
    there = {str(file.relative_to(tmp_path / "new")) for file in (tmp_path / "new").rglob("*") if file.is_file()}
    assert there >= NEEDED and not any(name.endswith(".py") for name in there)


def test_a_checkout_says_that_it_does_not_run_the_new_project(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["init", str(tmp_path)])
    assert str(CHECKOUT) in result.output and "install the wheel" in result.output and "Next:" not in result.output


def test_what_is_there_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "seeds").mkdir()
    (tmp_path / "seeds" / "categories.yaml").write_text("mine")
    written, there = write_project(tmp_path)
    assert there == [Path("seeds/categories.yaml")] and Path("seeds/seed_tasks.jsonl") in written
    assert (tmp_path / "seeds" / "categories.yaml").read_text() == "mine"


def test_a_folder_that_cannot_be_written_is_one_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    result = CliRunner().invoke(main, ["init", str(tmp_path / "file" / "new")])
    assert result.exit_code == 2 and "cannot be written" in result.output


@pytest.mark.slow
def test_a_wheel_runs_outside_the_checkout(tmp_path: Path) -> None:
    build = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        str(CHECKOUT),
        "--no-deps",
        "--no-build-isolation",
        "-w",
        str(tmp_path),
    ]
    subprocess.run(build, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("sedi_dagster-*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {f"sedi_dagster/project/{name}" for name in map(str, project_files(CHECKOUT))} <= names
    zipfile.ZipFile(wheel).extractall(tmp_path / "site")
    folder = tmp_path / "empty"
    folder.mkdir()
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("SEDI_", "DAGSTER_"))}

    def sedi(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "sedi_dagster.cli", *arguments]
        environment = kept | {"PYTHONPATH": str(tmp_path / "site")}
        return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)

    before = sedi("plan")
    assert before.returncode == 2 and "sedi init" in before.stderr
    assert sedi("init").returncode == 0
    after = sedi("plan")
    assert after.returncode == 0 and "round-0001" in after.stdout, after.stderr
