"""A simulated teacher on loopback, a ledger in a fresh folder, and a client between them."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # for the helpers beside this file, in any import mode
from teacher_bench import Bench

from benchmarks.testbed.faulty_teacher import FaultyTeacher
from benchmarks.testbed.server_behavior import ServerBehavior
from sedi_dagster.teacher.ledger import Ledger


@pytest.fixture
def server() -> Iterator[FaultyTeacher]:
    with FaultyTeacher(ServerBehavior(content="short")) as running:
        yield running


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger(f"sqlite:///{tmp_path / 'ledger.sqlite'}") as opened:
        yield opened


@pytest.fixture
def bench(server: FaultyTeacher, ledger: Ledger) -> Bench:
    return Bench(server, ledger)
