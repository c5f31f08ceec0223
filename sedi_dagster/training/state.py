"""Saved states of an unfinished training: saved periodically, found after a kill, and requests to stop.

A saved state is valid once its `steps.json` exists, which is written last; if a process is killed while saving, the
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
    """The newest whole state under an output folder, and the signals of the steps up to it."""
    states = sorted((output / FOLDER).glob("checkpoint-*"), key=lambda path: int(path.name.split("-")[1]), reverse=True)
    for newest in states:
        try:
            return newest, json.loads((newest / MARKER).read_text())
        except (FileNotFoundError, ValueError):  # not whole; a marker may be empty where the machine itself went down
            continue
    return None


def mark_state(output: Path, step: int, rows: list[dict[str, Any]]) -> None:
    """Declare the state after `step` whole; `rows` are the signals of the steps so far."""
    folder = output / FOLDER / f"checkpoint-{step}"
    temporary = folder / f"{MARKER}.tmp"
    temporary.write_text(json.dumps(rows))
    temporary.replace(folder / MARKER)


class SavingTimes:
    """When the next state is due where no number of steps is set: by time, and the less often the longer saving takes.

    A kill loses a minute at most, or what saving for `SHARE` of the time allows.
    """

    EVERY_S = 60.0
    SHARE = 0.05

    def __init__(self) -> None:
        self._ended = time.monotonic()
        self._began = 0.0
        self._took = 0.0

    def is_due(self) -> bool:
        """Whether a state should be saved now."""
        return time.monotonic() - self._ended >= max(self.EVERY_S, self._took / self.SHARE)

    def begins(self) -> None:
        """Note that saving has begun."""
        self._began = time.monotonic()

    def has_ended(self) -> None:
        """Note that saving has ended."""
        self._ended = time.monotonic()
        self._took = self._ended - self._began if self._began else 0.0


class StopRequest:
    """Whether this process was asked to stop (Ctrl-C, SIGTERM, a run cancelled in the UI)."""

    def __init__(self) -> None:
        self.asked = False

    @contextmanager
    def listening(self) -> Iterator[None]:
        """While inside, signals only note the wish, however many come: a Ctrl-C in a terminal reaches this process
        twice, by itself and through the process that started it. SIGKILL loses no more than the steps since the last
        saved state."""
        if threading.current_thread() is not threading.main_thread():
            yield  # only the main thread may set handlers
            return
        before = {number: signal.signal(number, self._note) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.asked = True
