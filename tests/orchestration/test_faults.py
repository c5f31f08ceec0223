"""A real daemon under faults, with a planted student: it ends where an undisturbed run would. Minutes long."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import dagster as dg
import psutil
import pytest
from browser import Ui, started_ui
from loops import Loop, ending, run_apart

from benchmarks.testbed.faulty_teacher import FaultyTeacher
from benchmarks.testbed.planted_student import PACE, SPOILT
from sedi_dagster.orchestration.outputs import step_failures
from sedi_dagster.orchestration.partitions import ROUNDS
from sedi_dagster.orchestration.runs import end_cause

pytestmark = pytest.mark.slow

SENSORS = ("round_ready_sensor", "weak_category_sensor")
NAMES = ["round-0001", "round-0002", "round-0003"]
STARTED = [dg.DagsterRunStatus.STARTED]
SECONDS = 1800.0  # longest wait for anything; a machine that is busy with other work takes minutes for a round


class Trial:
    """The loop under a daemon, as somebody sees it who does it harm."""

    def __init__(self, project: Path) -> None:
        self.project = project
        self.records = dg.DagsterInstance.from_config(str(project / "dagster"))

    def until(self, happened: Callable[[], bool], what: str) -> None:
        end = time.monotonic() + SECONDS
        while not happened():
            assert time.monotonic() < end, f"{what} did not happen:\n{(self.project / 'ui.log').read_text()[-3000:]}"
            time.sleep(0.3)

    def at_work(self, job: str, round_key: str) -> str:
        """The run of a job that is at work on a round now, once there is one."""
        found: list[str] = []

        def started() -> bool:
            runs = self.records.get_runs(dg.RunsFilter(job_name=job, statuses=STARTED))
            found[:] = [run.run_id for run in runs if round_key in run.tags["dagster/partition"]]
            return bool(found)

        self.until(started, f"{job} of {round_key}")
        return found[0]

    def worker(self, run_id: str) -> psutil.Process:
        """The process of a run."""
        found: list[psutil.Process] = []

        def known() -> bool:
            for entry in self.records.all_logs(run_id, of_type=dg.DagsterEventType.ENGINE_EVENT):
                event = entry.dagster_event
                if event is not None and "pid" in event.engine_event_data.metadata:
                    found.append(psutil.Process(int(str(event.engine_event_data.metadata["pid"].value))))
            return bool(found)

        self.until(known, f"a process of run {run_id}")
        return found[0]

    def trainer(self, run_id: str) -> psutil.Process:
        """The process that trains the student for a run, once it does."""
        worker, found = self.worker(run_id), list[psutil.Process]()

        def trains() -> bool:
            with suppress(psutil.NoSuchProcess):
                found[:] = [p for p in worker.children(recursive=True) if "sedi_dagster.training" in p.cmdline()]
            return bool(found)

        self.until(trains, f"a trainer of run {run_id}")
        return found[0]

    def cause(self, run_id: str) -> str:
        """What the loop makes of the end of a run, once it has ended."""
        self.until(lambda: self._run(run_id).is_finished, f"the end of run {run_id}")
        return end_cause(self.records, self._run(run_id))[0]

    def _run(self, run_id: str) -> dg.DagsterRun:
        run = self.records.get_run_by_id(run_id)
        assert run is not None
        return run

    @contextmanager
    def ui(self) -> Iterator[tuple[Ui, subprocess.Popen[bytes]]]:
        with started_ui(self.project) as running:
            yield running


def one_category(project: Path) -> None:
    """Half as many runs."""
    for name in ("categories.yaml", "seeds.jsonl", "items.jsonl"):
        lines = (project / name).read_text(encoding="utf-8").splitlines()
        kept = "\n".join(line for line in lines if "math" in line).replace("share: 0.5", "share: 1")
        (project / name).write_text(kept, encoding="utf-8")


def family(process: subprocess.Popen[bytes]) -> list[psutil.Process]:
    return [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]


def kill_all(processes: list[psutil.Process]) -> None:
    """As a power cut, or whoever kills what takes too much memory, leaves them."""
    for member in processes:
        with suppress(psutil.NoSuchProcess):
            member.kill()
    psutil.wait_procs(processes, timeout=30)


def kill_daemon(process: subprocess.Popen[bytes]) -> None:
    """Kill the daemon alone; `sedi ui` ends by itself then, which tells a supervisor to start it again."""
    (daemon,) = [p for p in family(process) if "dagster._daemon" in p.cmdline()]
    daemon.kill()
    process.wait(timeout=SECONDS)


@pytest.mark.usefixtures("light")
def test_three_rounds_under_faults_are_each_trained_once_and_end_as_undisturbed(
    loop: Loop, simulated_teacher: FaultyTeacher, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    spoilt = loop.project / "spoilt"
    one_category(loop.project)
    monkeypatch.setenv("SEDI_LOOP_MAX_ROUNDS", "3")
    monkeypatch.setenv("SEDI_LOOP_ALLOCATION", "even")
    with monkeypatch.context() as undisturbed:
        undisturbed.setenv("SEDI_DATA", str(tmp_path / "undisturbed"))
        undisturbed.setenv("SEDI_CACHE", str(tmp_path / "undisturbed-cache"))
        undisturbed.setenv("DAGSTER_HOME", str(tmp_path / "undisturbed-dagster"))
        log = loop.project / "sedi-run.log"
        assert run_apart("--rounds", "3", log=log).wait() == 0, log.read_text()[-3000:]
        expected, paid = ending(loop.sedi), simulated_teacher.meter.billed
    assert [training["round"] for training in loop.trainings()] == NAMES
    (loop.project / "trainings.jsonl").unlink()
    simulated_teacher.forget()
    simulated_teacher.configure(latency_s=2.0)  # a generation takes long enough to be met at work
    monkeypatch.setenv(PACE, "5")
    monkeypatch.setenv(SPOILT, str(spoilt))

    trial = Trial(loop.project)
    finished: Callable[[int], bool] = lambda count: len(loop.sedi.history().finished) >= count  # noqa: E731
    with trial.ui() as (ui, process):
        for sensor in SENSORS:
            ui.switch_on(sensor)
        ui.launch("open_round")
        killed = trial.at_work("generate_batch", NAMES[0])
        trial.worker(killed).kill()  # a generation run is killed
        assert trial.cause(killed) == "lost"
        run = trial.at_work("train_round", NAMES[0])
        trial.trainer(run)
        kill_all(family(process))  # `sedi ui` is killed with -9 during training, with all that it started
    with trial.ui() as (ui, process):
        assert trial.cause(run) == "lost"
        trial.until(lambda: finished(1), "the first round")
        trial.records.delete_dynamic_partition(str(ROUNDS.name), NAMES[0])  # a partition is deleted
        run = trial.at_work("generate_batch", NAMES[1])
        simulated_teacher.configure(outage="server_error")  # the teacher is down
        kill_daemon(process)  # the daemon is killed
    with trial.ui() as (ui, process):
        time.sleep(20)
        simulated_teacher.configure(outage="")
        run = trial.at_work("train_round", NAMES[1])
        trial.trainer(run).kill()  # a training worker is killed
        assert trial.cause(run) == "lost"
        trial.until(lambda: finished(2), "the second round")
        run = trial.at_work("generate_batch", NAMES[2])
        ui.terminate(run)  # a run is cancelled by hand
        assert trial.cause(run) == "canceled"
        time.sleep(20)
        assert not finished(3), "a cancelled run is left to who cancelled it"
        spoilt.touch()
        ui.repeat(run)
        run = trial.at_work("train_round", NAMES[2])
        assert trial.cause(run) == "failed check", list(step_failures(trial.records, run))  # a check fails once
        trial.trainer(trial.at_work("train_round", NAMES[2]))
        kill_daemon(process)  # the daemon is killed during training
    with trial.ui() as (_, process):
        exported = lambda: ending(loop.sedi)["dataset"] == expected["dataset"]  # noqa: E731 - it comes after the round
        trial.until(lambda: finished(3) and exported(), "the third round and its dataset")
        process.send_signal(signal.SIGTERM)

    trained = [training["round"] for training in loop.trainings() if "spoilt" not in training]
    assert trained == NAMES, loop.trainings()
    assert simulated_teacher.meter.billed == paid, "nothing was paid twice, and nothing else than undisturbed"
    assert set(trial.records.get_dynamic_partitions(str(ROUNDS.name))) == set(NAMES)
    assert ending(loop.sedi) == expected
