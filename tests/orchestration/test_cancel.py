"""Cancelling a generation in the UI: sending stops at once, what came is kept, and nothing is paid twice."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from browser import Ui

from benchmarks.testbed.faulty_teacher import FaultyTeacher
from sedi_dagster.settings import load_settings
from sedi_dagster.teacher.calls import sum_calls
from sedi_dagster.teacher.open import open_ledger

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def _long_generation(project: Path, simulated_teacher: FaultyTeacher, monkeypatch: pytest.MonkeyPatch) -> None:
    """One category, hundreds of calls of half a second, four at a time. Before the UI starts: it inherits this."""
    simulated_teacher.configure(latency_s=0.5)
    monkeypatch.setenv("SEDI_GENERATION_CANDIDATES_PER_CATEGORY", "200")
    monkeypatch.setenv("SEDI_TEACHER_MAX_CONCURRENCY", "4")


def wait_for(happened: Callable[[], bool], project: Path, seconds: float = 300.0) -> None:
    end = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < end, (project / "ui.log").read_text()[-3000:]
        time.sleep(0.2)


def test_terminating_a_generation_stops_sending_and_keeps_what_came(
    project: Path, ui: Ui, simulated_teacher: FaultyTeacher
) -> None:
    meter = simulated_teacher.meter
    ui.switch_on("round_ready_sensor")
    ui.launch("open_round", {"ops": {"plan_next_round": {"config": {"categories": ["math"]}}}})
    wait_for(lambda: meter.requests > 20, project)
    (run_id,) = ui.runs(pipelineName="generate_batch")
    ui.terminate(run_id)
    reported_at = time.monotonic()
    wait_for(lambda: ui.runs(pipelineName="generate_batch")[run_id] == "CANCELED", project)
    time.sleep(3.0)
    assert meter.arrivals[-1] - reported_at < 2.0
    sent = meter.requests

    with open_ledger(load_settings()) as ledger:
        states = {line.name: line.calls for line in sum_calls(ledger, "state")}
        account = ledger.account("loop")
    assert "pending" not in states and states["done"] >= sent - 8
    assert account.reserved_tokens == 0 and account.spent_tokens >= meter.tokens

    simulated_teacher.configure(latency_s=0.0)
    again = ui.repeat(run_id)
    wait_for(lambda: ui.runs(pipelineName="generate_batch")[again] == "SUCCESS", project)
    assert meter.as_dict()["billed_twice"] == 0 and meter.requests > sent
    assert (Path(os.environ["SEDI_DATA"]) / "assets" / "generated_batches").exists()
