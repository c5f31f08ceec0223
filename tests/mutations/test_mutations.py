"""Each planted defect fails a default test. Minutes long, but for the list itself."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from mutations import MUTATIONS, Mutation

from sedi_dagster.settings import PROJECT_ROOT

PARTS = (
    "assets",
    "benchmarks",
    "sedi_dagster",
    "seeds",
    "tests",
    "pyproject.toml",
    "workspace.yaml",
    "dagster.yaml",
    ".env.example",
)


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.name)
def test_the_text_that_is_changed_stands_once_in_its_file_and_its_tests_exist(mutation: Mutation) -> None:
    assert (PROJECT_ROOT / mutation.file).read_text(encoding="utf-8").count(mutation.text) == 1
    for test in mutation.tests.split():
        file, _, name = test.partition("::")
        assert f"def {name.partition('[')[0]}" in (PROJECT_ROOT / file).read_text(encoding="utf-8")


@pytest.mark.slow
@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.name)
def test_the_defect_is_noticed(mutation: Mutation, tmp_path: Path) -> None:
    for part in PARTS:
        source, target = PROJECT_ROOT / part, tmp_path / part
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copyfile(source, target)
    file = tmp_path / mutation.file
    file.write_text(file.read_text(encoding="utf-8").replace(mutation.text, mutation.defect), encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *mutation.tests.split()]
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stdout[-3000:] + done.stderr[-1000:]
