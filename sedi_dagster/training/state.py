"""Saved states, from which an interrupted training resumes, and requests to stop.

A saved state is valid once its `steps.json` exists, which is written last. If a process is killed while saving, the
previous state stays valid.
"""

from __future__ import annotations

import json
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

MARKER = "steps.json"
FOLDER = "state"


def last_state(output: Path) -> tuple[Path, list[dict[str, Any]]] | None:
    """Return the newest valid state under an output folder, with the signals of the steps up to it; None if none is."""
    states = sorted((output / FOLDER).glob("checkpoint-*"), key=lambda path: int(path.name.split("-")[1]), reverse=True)
    for state in states:
        try:
            return state, json.loads((state / MARKER).read_text())
        except (FileNotFoundError, ValueError):  # incomplete; the marker may be empty if the machine crashed
            continue
    return None


def mark_state(output: Path, step: int, rows: list[dict[str, Any]]) -> None:
    """Mark the state after `step` as valid; `rows` are the signals of the steps so far."""
    folder = output / FOLDER / f"checkpoint-{step}"
    temporary = folder / f"{MARKER}.tmp"
    temporary.write_text(json.dumps(rows))
    temporary.replace(folder / MARKER)


class SavingTimes:
    """Decides when the next state is saved if no number of steps is set: by time, and less often if saving is slow.

    A state is due every `EVERY_S` seconds, or less often if saving would take more than `SHARE` of the time.
    """

    EVERY_S = 60.0
    SHARE = 0.05

    def __init__(self) -> None:
        self._ended = time.monotonic()
        self._began = 0.0
        self._took = 0.0

    def is_due(self) -> bool:
        """Return whether a state should be saved now."""
        return time.monotonic() - self._ended >= max(self.EVERY_S, self._took / self.SHARE)

    def start(self) -> None:
        """Record that saving starts."""
        self._began = time.monotonic()

    def finish(self) -> None:
        """Record that saving has finished."""
        self._ended = time.monotonic()
        self._took = self._ended - self._began if self._began else 0.0


class StopRequest:
    """Whether this process was asked to stop (Ctrl-C, SIGTERM, a run cancelled in the UI)."""

    def __init__(self) -> None:
        self.requested = False

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Within the context, SIGINT and SIGTERM only set `requested`, no matter how often they arrive.

        A Ctrl-C in a terminal arrives twice: directly, and through the parent process.
        """
        if threading.current_thread() is not threading.main_thread():
            yield  # only the main thread may set handlers
            return
        before = {number: signal.signal(number, self._handle) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self.requested = True
