"""The script that shows the whole method runs as it stands."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[1] / "docs" / "loop_in_60_lines.py"


def test_two_rounds_of_the_loop_without_dagster(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "loop"
    folder.mkdir()
    monkeypatch.setattr(sys, "argv", [str(SCRIPT), str(folder), "2"])
    runpy.run_path(str(SCRIPT), run_name="__main__")
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("round-")]
    assert len(lines) == 2 and all(" kept, " in line and " passed" in line for line in lines)
    assert (folder / "round-0002" / "checkpoint" / "adapter_model.safetensors").is_file()
