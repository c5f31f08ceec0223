"""A real daemon under faults, with a planted student: it ends where an undisturbed run would. Minutes long."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
import psutil
import pytest
from browser import Ui
from conftest import started_ui

from sedi_dagster.orchestration.partitions import ROUNDS
from sedi_dagster.orchestration.resources import SediResource
from sedi_dagster.testing.planted_student import JOURNAL, PACE, interpreter
from sedi_dagster.testing.simulated_teacher import SimulatedTeacher

pytestmark = pytest.mark.slow

SENSORS = ("round_ready_sensor", "weak_category_sensor")


@pytest.fixture(autouse=True)
def _planted(project: Path, simulated_teacher: SimulatedTeacher, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEDI_TRAINING_PYTHON", str(interpreter(project)))
    monkeypatch.setenv(JOURNAL, str(project / "trainings.jsonl"))
    monkeypatch.setenv(PACE, "6")
    monkeypatch.setenv("SEDI_LOOP_MAX_ROUNDS", "3")
    simulated_teacher.turn(latency_s=0.3)


@contextmanager
def instance(project: Path) -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.from_config(str(project / "dagster")) as found:
        yield found


def until(happened: Callable[[], bool], what: str, seconds: float = 900.0) -> None:
    end = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < end, f"{what} did not happen"
        time.sleep(0.3)


def at_work(project: Path, job: str) -> list[dg.DagsterRun]:
    with instance(project) as found:
        started = [dg.DagsterRunStatus.STARTED]
        return list(found.get_runs(dg.RunsFilter(job_name=job, statuses=started)))


def process_of(project: Path, run_id: str) -> psutil.Process:
    """The worker process of a run."""
    found: list[psutil.Process] = []

    def known() -> bool:
        with instance(project) as records:
            for entry in records.all_logs(run_id, of_type=dg.DagsterEventType.ENGINE_EVENT):
                event = entry.dagster_event
                if event is not None and "pid" in event.engine_event_data.metadata:
                    found.append(psutil.Process(int(str(event.engine_event_data.metadata["pid"].value))))
                    return True
        return False

    until(known, f"a process of run {run_id}")
    return found[0]


def kill_group(process: subprocess.Popen[bytes]) -> None:
    """kill -9 of `sedi ui` with all its children, as an out-of-memory killer or a power cut leaves them."""
    family = psutil.Process(process.pid).children(recursive=True)
    for member in [psutil.Process(process.pid), *family]:
        try:
            member.kill()
        except psutil.NoSuchProcess:
            continue
    process.wait(timeout=30)


def switch_on(ui: Ui) -> None:
    for sensor in SENSORS:
        ui.switch_on(sensor)


def test_three_rounds_under_faults_are_each_trained_once_and_nothing_is_paid_twice(
    project: Path, simulated_teacher: SimulatedTeacher
) -> None:
    finished: Callable[[], int] = lambda: len(SediResource().history().finished)  # noqa: E731
    with started_ui(project) as (ui, process):
        switch_on(ui)
        ui.launch("open_round")
        until(lambda: bool(at_work(project, "generate_batch")), "generation")
        process_of(project, at_work(project, "generate_batch")[0].run_id).kill()  # a generation run is killed
        until(lambda: bool(at_work(project, "train_round")), "training")
        kill_group(process)  # `sedi ui` is killed with -9 during training
    with started_ui(project) as (ui, process):
        until(lambda: finished() >= 1, "the first round")
        with instance(project) as records:
            records.delete_dynamic_partition(str(ROUNDS.name), "round-0001")  # a partition is deleted in the UI
        until(lambda: bool(at_work(project, "generate_batch")), "generation of the second round")
        simulated_teacher.turn(latency_s=0.3, outage="server_error")  # the teacher is down for a while
        time.sleep(20)
        simulated_teacher.turn(latency_s=0.3, outage="")
        until(lambda: bool(at_work(project, "train_round")), "training of the second round")
        run = at_work(project, "train_round")[0]
        worker = process_of(project, run.run_id)
        until(lambda: any("planted" in " ".join(p.cmdline()) for p in worker.children(recursive=True)), "a trainer")
        trainer = next(p for p in worker.children(recursive=True) if "planted" in " ".join(p.cmdline()))
        trainer.kill()  # a training worker is killed
        until(lambda: finished() >= 2, "the second round")
        until(lambda: bool(at_work(project, "generate_batch")), "generation of the third round")
        cancelled = at_work(project, "generate_batch")[0].run_id
        ui.terminate(cancelled)  # a run is cancelled by hand
        until(lambda: ui.runs(pipelineName="generate_batch")[cancelled] == "CANCELED", "the cancellation")
        time.sleep(20)
        assert finished() == 2, "a cancelled run is left to who cancelled it"
        ui.repeat(cancelled)
        until(lambda: finished() >= 3, "the third round")
        process.send_signal(signal.SIGTERM)
    rounds = [str(told["round"]) for told in trainings(project)]
    assert rounds == ["round-0001", "round-0002", "round-0003"]
    assert simulated_teacher.meter.told()["billed_twice"] == 0
    with instance(project) as records:
        assert set(records.get_dynamic_partitions(str(ROUNDS.name))) == set(rounds)


def trainings(project: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (project / "trainings.jsonl").read_text().splitlines()]
