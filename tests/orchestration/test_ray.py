"""Workloads as jobs of a real Ray cluster on loopback, with the data folder on S3. Minutes long."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from loops import Loop, ending, light, loop, run_apart

from benchmarks.testbed.planted_student import PACE
from benchmarks.testbed.s3_server import S3Server
from sedi_dagster.orchestration import composing
from sedi_dagster.storage.rounds import load_history
from sedi_dagster.storage.store import Store
from sedi_dagster.workloads.progress import parse_progress
from sedi_dagster.workloads.remote import WORK

pytest.importorskip("dagster_ray", reason="Ray is not installed: pip install '.[ray]'")
from benchmarks.testbed.ray_cluster import RayCluster  # after the question whether Ray is there

__all__ = ["light", "loop"]

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("light")]


@pytest.fixture
def cluster(
    project: Path, light: None, s3: S3Server, s3_folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[RayCluster]:
    """A head and two workers, which know the S3 server; the loop's settings are to use them."""
    monkeypatch.setenv("SEDI_RAY_PYTHON", sys.executable)
    with RayCluster(workers=2) as running:
        for name, value in {
            "SEDI_COMPUTE": "ray",
            "SEDI_RAY_ADDRESS": running.address,
            "SEDI_DATA": s3_folder,
            "SEDI_LEDGER": f"sqlite:///{tmp_path / 'ledger.sqlite'}",
        }.items():
            monkeypatch.setenv(name, value)
        yield running


def jobs(cluster: RayCluster) -> dict[str, list[str]]:
    """How the jobs at each work ended, in order."""
    from ray.job_submission import JobSubmissionClient

    found: dict[str, list[str]] = {}
    for job in sorted(JobSubmissionClient(cluster.address).list_jobs(), key=lambda job: job.start_time or 0):
        found.setdefault(str(job.submission_id).removeprefix("sedi-").rpartition("-")[0], []).append(job.status.value)
    return found


def until(happened: Callable[[], Any], seconds: float = 900.0) -> None:
    end = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < end
        time.sleep(0.2)


def is_saved(store: Store, name: str) -> bool:
    return any(path.endswith("/steps.json") for path in store.files(WORK, name, "out", "state"))


def test_a_round_with_every_stage_on_ray_and_a_killed_worker_ends_as_on_one_machine(
    project: Path, cluster: RayCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    import dagster as dg

    for name, value in {
        "SEDI_FILTERING_IFD": "loss_ratio",
        "SEDI_TRAINING_EPOCHS": "40",
        "SEDI_TRAINING_SAVE_STEPS": "5",
        "SEDI_TRAINING_WARM_WORKER": "false",
        "OMP_NUM_THREADS": "1",
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(composing, "MAX_EMBEDDED_LOCALLY", 0)
    store = Store(os.environ["SEDI_DATA"])

    def kill() -> None:
        until(lambda: is_saved(store, "train-round-0001"))
        assert cluster.kill_worker_that_runs("sedi_dagster.training")  # the other one is left

    killer = threading.Thread(target=kill, daemon=True)
    killer.start()
    with dg.DagsterInstance.ephemeral() as instance:
        on_ray = Loop(project, instance)
        on_ray.run()
        killer.join(timeout=1)
        logged = [entry.user_message for run in instance.get_runs() for entry in instance.all_logs(run.run_id)]
    assert not killer.is_alive()
    ran = jobs(cluster)
    assert {"train-round-0001", "evaluate-round-0001", "ifd-round-0001", "embed-round-0001"} <= ran.keys(), ran
    assert ran.pop("train-round-0001") == ["FAILED", "SUCCEEDED"]
    assert {state for ended in ran.values() for state in ended} == {"SUCCEEDED"}
    stages = {told.stage for line in logged if (told := parse_progress(line))}
    assert {"train", "evaluate", "embed"} <= stages, stages
    found = ending(on_ray.sedi)

    monkeypatch.setenv("SEDI_COMPUTE", "local")
    monkeypatch.setenv("SEDI_DATA", str(project / "alone"))
    monkeypatch.setenv("SEDI_CACHE", str(project / "alone-cache"))
    monkeypatch.setenv("SEDI_LEDGER", "")
    with dg.DagsterInstance.ephemeral() as instance:
        alone = Loop(project, instance)
        alone.run()
        assert ending(alone.sedi) == found


def test_a_run_that_is_stopped_stops_its_job_and_the_next_goes_on_from_the_saved_state(
    loop: Loop, cluster: RayCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    log, store = loop.project / "sedi-run.log", Store(os.environ["SEDI_DATA"])
    monkeypatch.setenv(PACE, "30")
    # The workers inherited an environment without it: the student is told by its interpreter.
    slow = loop.project / "slow-student"
    slow.write_text(f'#!/bin/sh\n{PACE}="${{{PACE}:-30}}" exec "{loop.project / "planted-student"}" "$@"\n')
    slow.chmod(0o755)
    monkeypatch.setenv("SEDI_TRAINING_PYTHON", str(slow))
    process = run_apart("--rounds", "1", "--categories", "math", log=log)
    until(lambda: is_saved(store, "train-round-0001") or process.poll() is not None)
    assert process.poll() is None, log.read_text()[-3000:]
    process.send_signal(signal.SIGINT)
    process.wait(timeout=300)
    until(lambda: jobs(cluster)["train-round-0001"] == ["STOPPED"], 60)
    assert not load_history(store).finished
    assert run_apart("--rounds", "1", log=log).wait() == 0, log.read_text()[-3000:]
    assert jobs(cluster)["train-round-0001"] == ["STOPPED", "SUCCEEDED"]
    assert len(load_history(store).finished) == 1
