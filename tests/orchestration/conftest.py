"""The UI with its daemon, as a user starts it."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from browser import Ui
from loops import light, loop

__all__ = ["light", "loop"]


@contextmanager
def started_ui(project: Path) -> Iterator[tuple[Ui, subprocess.Popen[bytes]]]:
    """`sedi ui` as a process of its own, until the block ends."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "sedi_dagster.cli", "ui", "--port", str(port)]
    with (project / "ui.log").open("ab") as log, subprocess.Popen(command, stdout=log, stderr=log) as process:
        try:
            running = Ui(port)
            running.wait_until_up(300)
            yield running, process
        finally:
            process.terminate()
            try:
                process.wait(timeout=60)
            except subprocess.TimeoutExpired:
                process.kill()


@pytest.fixture
def ui(project: Path) -> Iterator[Ui]:
    with started_ui(project) as (running, _):
        yield running
