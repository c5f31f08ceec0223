"""The script that shows the whole method runs as it stands."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).resolve().parents[1] / "docs" / "loop_in_60_lines.py"


def test_two_rounds_of_the_loop_without_dagster(project: Path, tmp_path: Path) -> None:
    folder = tmp_path / "loop"
    folder.mkdir()
    done = subprocess.run(
        [sys.executable, str(SCRIPT), str(folder), "2"], capture_output=True, text=True, check=False, timeout=600
    )
    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stdout.splitlines() if line.startswith("round-")]
    assert len(lines) == 2 and all(" kept, " in line and " passed" in line for line in lines)
    assert (folder / "round-0002" / "checkpoint" / "adapter_model.safetensors").is_file()
