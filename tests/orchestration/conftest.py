"""The UI with its daemon, as a user starts it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from browser import Ui, started_ui
from loops import light, loop, undrawn

__all__ = ["light", "loop", "undrawn"]


@pytest.fixture
def ui(project: Path) -> Iterator[Ui]:
    with started_ui(project) as (running, _):
        yield running
