"""How a workload's process is started, and what it finds of an earlier run of the same job."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import dagster as dg
import psutil
import pytest

from sedi_dagster.orchestration import workloads
from sedi_dagster.orchestration.workloads import CLIENT, run_workload
from sedi_dagster.settings import load_settings
from sedi_dagster.workloads.process import lives
from sedi_dagster.workloads.warm_worker.address import is_possible


class NotedCommands(dg.PipesSubprocessClient):
    """Starts nothing; notes what would be started."""

    def __init__(self) -> None:
        super().__init__()
        self.commands: list[Sequence[str]] = []

    def run(self, *, command: Any, **_: Any) -> Any:
        self.commands.append(command)


@pytest.fixture
def started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """`started(job, **how)`: the output folder and the command."""
    pipes = NotedCommands()
    monkeypatch.setattr(workloads, "PIPES", pipes)

    def start(job: dict[str, Any], python: str = "", warm_worker: bool = False, **how: Any) -> tuple[Path, list[str]]:
        settings = load_settings({"cache": str(tmp_path), "training": {"python": python, "warm_worker": warm_worker}})
        context: Any = None  # only the client looks at it
        output = run_workload(context, "some.module", settings, "work", job, **how)
        return output, list(pipes.commands[-1])

    return start


def test_what_the_same_job_saved_is_left_and_what_another_saved_is_not(started: Any) -> None:
    output, _ = started({"rows": 1}, resume=True)
    (output / "state").mkdir()
    started({"rows": 1}, resume=True)
    assert (output / "state").exists()
    started({"rows": 2}, resume=True)
    assert not (output / "state").exists()


def test_without_resume_every_run_begins_anew(started: Any) -> None:
    output, _ = started({"rows": 1})
    (output / "state").mkdir()
    started({"rows": 1})
    assert not (output / "state").exists()


@pytest.mark.parametrize(
    ("python", "launcher", "begins"),
    [
        ("", "", [sys.executable, "-m", "some.module"]),
        ("/env/python", "", ["/env/python", "-m", "some.module"]),
        (
            "/env/python",
            "accelerate launch --num_processes 4",
            ["/env/python", "-m", "accelerate.commands.accelerate_cli", "launch", "--num_processes", "4", "-m"],
        ),
        ("", "srun torchrun --nproc_per_node 2", ["srun", "torchrun", "--nproc_per_node", "2", "-m", "some.module"]),
    ],
)
def test_interpreter_and_launcher_are_settings(started: Any, python: str, launcher: str, begins: list[str]) -> None:
    _, command = started({}, python=python, launcher=launcher)
    assert command[: len(begins)] == begins and command[-2] == "--job"


@pytest.mark.skipif(not is_possible(), reason="no fork server on this machine")
@pytest.mark.parametrize(
    ("how", "forked"),
    [({}, True), ({"python": "/env/python"}, False), ({"launcher": "accelerate launch --num_processes 2"}, False)],
)
def test_one_process_of_this_interpreter_is_forked_off_a_warm_worker(
    started: Any, how: dict[str, str], forked: bool
) -> None:
    _, command = started({}, warm_worker=True, **how)
    assert (CLIENT in command) == forked and command[-3:-1] == ["some.module", "--job"]


def test_a_workload_ends_with_the_process_that_asked_for_it_whoever_stands_between(tmp_path: Path) -> None:
    pid_file = tmp_path / "told"
    between = "import subprocess, sys; subprocess.run([sys.executable, '-c', sys.argv[1]])"  # such as `accelerate`
    workload = (
        "import pathlib, time; from sedi_dagster.workloads.process import exit_with_caller; exit_with_caller();"
        f"import os; pathlib.Path({str(pid_file)!r}).write_text(str(os.getpid())); time.sleep(120)"
    )
    asking = (
        "import os, subprocess, sys; from sedi_dagster.workloads.process import CALLER, this_process;"
        "os.environ[CALLER] = this_process(); subprocess.run([sys.executable, '-c', *sys.argv[1:]])"
    )
    with subprocess.Popen([sys.executable, "-c", asking, between, workload]) as process:
        until(lambda: pid_file.exists() and pid_file.read_text() != "")
        worker = psutil.Process(int(pid_file.read_text()))
        process.kill()
    until(lambda: not worker.is_running() or worker.status() == psutil.STATUS_ZOMBIE)


def test_a_process_lives_until_it_ends_and_one_that_got_its_id_later_is_another() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        began = psutil.Process(process.pid).create_time()
        assert lives(process.pid, began) and lives(process.pid, began + 3600)
        assert not lives(process.pid, began - 60)
        process.kill()
        until(lambda: psutil.Process(process.pid).status() == psutil.STATUS_ZOMBIE)
        assert not lives(process.pid, began)
    assert not lives(process.pid, began)


def until(happened: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not happened():
        assert time.monotonic() < end
        time.sleep(0.1)
