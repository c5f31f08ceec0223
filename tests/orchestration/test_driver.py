"""`sedi run` from end to end: real jobs, real training of a tiny student, a simulated teacher behind real HTTP."""

from __future__ import annotations

import errno
import json
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import pytest
from click.testing import CliRunner
from dagster._core.errors import DagsterExecutionInterruptedError
from dagster._utils.interrupts import capture_interrupts
from loops import Loop

from benchmarks.testbed.faulty_teacher import FaultyTeacher
from benchmarks.testbed.planted_student import interpreter
from sedi_dagster.cli import main
from sedi_dagster.orchestration.driver import was_interrupted
from sedi_dagster.orchestration.io_manager import TablesIOManager
from sedi_dagster.orchestration.outputs import as_dagster_failure
from sedi_dagster.orchestration.resources import SediResource
from sedi_dagster.storage.rounds import load_history
from sedi_dagster.storage.store import Store


@dataclass(frozen=True)
class Done:
    """A command that has ended. `output`: what it printed, errors too."""

    returncode: int
    output: str


def sedi(*arguments: str) -> Done:
    """A command as a process of its own."""
    command = [sys.executable, "-m", "sedi_dagster.cli", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=1800)
    return Done(done.returncode, done.stdout + done.stderr)


def called(*arguments: str) -> Done:
    """A command that leaves the output of its process alone, called in this one, whose libraries are imported once."""
    result = CliRunner().invoke(main, arguments, catch_exceptions=False)
    return Done(result.exit_code, result.output)


def refused(*arguments: str, capfd: pytest.CaptureFixture[str]) -> Done:
    """`sedi run`, called in this process, where it ends before its first job: it prints to file descriptor 1."""
    done = called(*arguments)
    printed = capfd.readouterr()
    return Done(done.returncode, done.output + printed.out + printed.err)


def examples(data: Path) -> pl.DataFrame:
    return pl.read_parquet(data / "exports" / "sft_dataset.parquet")


@pytest.mark.usefixtures("warm_worker")
def test_two_rounds_end_in_a_report_a_dataset_and_a_manifest(project: Path, simulated_teacher: FaultyTeacher) -> None:
    done = sedi("run", "--rounds", "2")
    assert done.returncode == 0, done.output
    data = project / "data"
    history = load_history(Store(str(data)))
    assert [outcome.round for outcome in history.finished] == ["round-0001", "round-0002"]

    # the second round aims at what the first found weak
    weak = {o.category for o in history.finished[0].categories if o.decision == "weak"}
    assert set(history.plans[1].category_ids) == weak != set()
    assert all("significantly below" in c.reason for c in history.plans[1].categories)

    # what was promised is there, and the counts add up
    for name in ("reports/round-0002.html", "reports/index.html", "exports/sft_dataset.jsonl", "exports/README.md"):
        assert (data / name).exists(), name
    assert (data / "checkpoints" / "round-0002" / "adapter_model.safetensors").exists()
    assert not list((data / "checkpoints").rglob("*.bin"))
    assert examples(data).height == sum(outcome.kept for outcome in history.finished)
    assert examples(data)["example_id"].is_unique().all()
    for outcome in history.finished:
        verdicts = Store(str(data)).read_tables("filtered_batches", outcome.round)["verdicts"]
        assert verdicts.height == outcome.candidates
        assert verdicts.filter(pl.col("state") == "kept").height == outcome.kept

    # the summary says it in words
    for text in ("round-0002", "weak:", "report", "dataset", "tokens per kept"):
        assert text in done.output

    # a row of the dataset can be traced to seeds, paid calls and the step that trained on it
    rows = map(json.loads, (data / "exports" / "sft_dataset.jsonl").read_text().splitlines())
    row = next(row for row in rows if row["round"] == "round-0001")
    traced = json.loads(called("trace", row["example_id"], "--json").output)
    assert traced["facts"]["state"] == "kept"
    came_from = {link["relation"]: link["nodes"] for link in traced["came_from"]}
    trained_on = next(link["nodes"] for link in traced["led_to"] if link["relation"] == "trained on")
    assert [len(came_from["written by"]), len(trained_on)] == [2, 2], "earlier examples are trained on again"
    assert {seed["facts"]["origin"] for seed in came_from["shown in its prompt"]} == {"human"}

    # losing Dagster's records loses nothing
    billed = simulated_teacher.meter.as_dict()["billed"]
    (project / "dagster" / "history").rename(project / "gone")
    (project / "dagster" / "storage").rename(project / "gone-too")
    restored = called("restore").output
    assert "evaluation_scores round-0002" in restored
    assert "generated_batches" in restored
    assert called("restore").output.startswith("Nothing to restore")
    assert simulated_teacher.meter.as_dict()["billed"] == billed


def killed_when(message: str, *arguments: str) -> None:
    """Start `sedi run` and kill -9 it as soon as it prints a line that matches `told`."""
    command = [sys.executable, "-u", "-m", "sedi_dagster.cli", "run", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if re.search(message, line):
                time.sleep(1.0)
                os.killpg(process.pid, signal.SIGKILL)
                return
    pytest.fail(f"`sedi run` ended before it printed {message!r}")


STAGES = [
    "baseline_scores",
    "generate math",
    "generate open_qa",
    "train and evaluate",
    r"train \d+/",
    r"round-0001 evaluate \d+/",
]
DEFAULT_STAGE = "generate open_qa"  # each takes 45 s; training has kill tests of its own


@pytest.fixture
def planted(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Workloads of a planted student: nothing to import for them."""
    monkeypatch.setenv("SEDI_TRAINING_PYTHON", str(interpreter(project)))


@pytest.mark.parametrize(
    "stage", [stage if stage == DEFAULT_STAGE else pytest.param(stage, marks=pytest.mark.slow) for stage in STAGES]
)
@pytest.mark.usefixtures("light")
def test_a_run_killed_in_the_middle_goes_on_and_pays_for_nothing_twice(
    project: Path, simulated_teacher: FaultyTeacher, stage: str, request: pytest.FixtureRequest
) -> None:
    if stage == DEFAULT_STAGE:
        request.getfixturevalue("planted")
    killed_when(stage, "--rounds", "1")
    already = len(load_history(Store(str(project / "data"))).finished)  # the last stage may end before the kill
    done = sedi("run", "--rounds", "1")
    assert done.returncode == 0, done.output
    history = load_history(Store(str(project / "data")))
    assert len(history.finished) == len(history.plans) == already + 1
    assert simulated_teacher.meter.as_dict()["billed_twice"] == 0
    assert examples(project / "data")["example_id"].is_unique().all()


def test_ctrl_c_before_any_step_began_is_still_ctrl_c() -> None:
    @dg.resource
    def data_folder() -> None:
        raise DagsterExecutionInterruptedError

    @dg.op(required_resource_keys={"data_folder"})
    def work() -> None:
        raise AssertionError("never reached")

    @dg.job(resource_defs={"data_folder": data_folder})
    def interrupted() -> None:
        work()

    result = interrupted.execute_in_process(raise_on_error=False)
    assert was_interrupted(result)


def test_ctrl_c_that_dagster_forgets_behind_a_jobs_last_step_is_still_ctrl_c(
    loop: Loop, monkeypatch: pytest.MonkeyPatch
) -> None:
    execute = dg.JobDefinition.execute_in_process

    def and_interrupt(*args: Any, **options: Any) -> dg.ExecuteInProcessResult:
        result = execute(*args, **options)
        with capture_interrupts():
            os.kill(os.getpid(), signal.SIGINT)
        return result

    monkeypatch.setattr(dg.JobDefinition, "execute_in_process", and_interrupt)
    with pytest.raises(KeyboardInterrupt):
        loop.run(1)
    assert loop.stages == ["seed_pool"]


@pytest.mark.parametrize("stage", ["baseline_scores", "generate open_qa"])
@pytest.mark.usefixtures("warm_worker")
def test_ctrl_c_says_that_everything_is_kept(
    project: Path, simulated_teacher: FaultyTeacher, stage: str, request: pytest.FixtureRequest
) -> None:
    if stage != "baseline_scores":  # where a real workload is stopped
        request.getfixturevalue("planted")
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # of tests in the background; a child would ignore it too
        signal.signal(signal.SIGINT, signal.default_int_handler)
    simulated_teacher.configure(latency_s=1.0)
    command = [sys.executable, "-u", "-m", "sedi_dagster.cli", "run", "--rounds", "1"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if stage in line:
                time.sleep(1.0)
                process.send_signal(signal.SIGINT)
                break
        rest = process.stdout.read()
        assert process.wait(timeout=60) == 130, rest
    assert "kept" in rest
    assert "Traceback" not in rest


def broken(project: Path, monkeypatch: pytest.MonkeyPatch, what: str) -> str:
    """Break one thing; returns what the error must name."""
    if what == "seed line":
        with (project / "seeds.jsonl").open("a") as seeds:
            seeds.write('{"instruction": "Only this.", \n')
        return "line 13"
    if what == "category of a seed":
        with (project / "seeds.jsonl").open("a") as seeds:
            seeds.write('{"instruction": "Say it twice please.", "output": "It it.", "category": "gardening"}\n')
        return "gardening"
    if what == "item":
        with (project / "items.jsonl").open("a") as items:
            items.write('{"id": "x", "category": "math", "prompt": "p", "verifier": "guess", "args": {}}\n')
        return "guess"
    values = {
        "profile": ("SEDI_PROFILE", "lokal", "lokal"),
        "setting": ("SEDI_TRAINIGN_EPOCHS", "2", "SEDI_TRAINIGN_EPOCHS"),
        "endpoint down": ("SEDI_TEACHER_BASE_URL", "http://127.0.0.1:9/v1", "127.0.0.1:9"),
        "data folder": ("SEDI_DATA", "/proc/nowhere", "/proc/nowhere"),
        "student": ("SEDI_TRAINING_STUDENT", "/no/such/student", "/no/such/student"),
    }
    variable, value, named = values[what]
    monkeypatch.setenv(variable, value)
    return named


@pytest.mark.parametrize(
    "what",
    ["seed line", "category of a seed", "item", "profile", "setting", "endpoint down", "data folder", "student"],
)
@pytest.mark.usefixtures("planted")
def test_bad_input_is_one_clear_error_before_anything_is_spent(
    project: Path,
    simulated_teacher: FaultyTeacher,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    what: str,
) -> None:
    named = broken(project, monkeypatch, what)
    done = refused("run", "--rounds", "1", capfd=capfd)
    assert done.returncode == 2, done.output
    assert named in done.output
    assert "Fix:" in done.output
    assert "Traceback" not in done.output
    assert simulated_teacher.meter.as_dict()["billed"] == 0


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (OSError(errno.ENOSPC, "", "/data/x.parquet"), "/data/x.parquet cannot be written or read: No space left"),
        (RuntimeError("lance error: LanceError(IO): ... (os error 30), /root/commit.rs:1663"), "Read-only file system"),
    ],
)
def test_a_disk_that_refuses_is_one_error_with_its_fix(error: Exception, told: str) -> None:
    with pytest.raises(dg.Failure) as raised, as_dagster_failure():
        raise error
    problem = str(raised.value.metadata["problem"].value)
    assert told in problem and "commit.rs" not in problem and raised.value.metadata["fix"].value
    for other in (OSError("a bug"), RuntimeError("a bug")):
        with pytest.raises(type(other), match="a bug"), as_dagster_failure():
            raise other


def test_a_damaged_table_of_an_input_is_one_error_with_its_fix(project: Path) -> None:
    Store(str(project / "data")).write_tables({"seeds": pl.DataFrame({"a": [1]})}, "seed_pool")
    (project / "data" / "assets" / "seed_pool" / "seeds.parquet").write_bytes(b"")
    with pytest.raises(dg.Failure, match="is missing or was changed"):
        TablesIOManager(sedi=SediResource()).load_input(dg.build_input_context(asset_key=dg.AssetKey("seed_pool")))


@pytest.mark.usefixtures("planted")
def test_a_refused_key_is_told_without_showing_it(
    project: Path, simulated_teacher: FaultyTeacher, monkeypatch: pytest.MonkeyPatch
) -> None:
    simulated_teacher.configure(api_key="the-right-key", echo_key=True)
    monkeypatch.setenv("SEDI_TEACHER_API_KEY", "planted-wrong-key-4711")
    done = sedi("run", "--rounds", "1")
    assert done.returncode == 2, done.output
    assert "SEDI_TEACHER_API_KEY" in done.output
    assert "Traceback" not in done.output
    everything = done.output
    for file in project.rglob("*"):
        if file.is_file():
            everything += file.read_bytes().decode("utf-8", "replace")
    assert "planted-wrong-key-4711" not in everything


def test_an_unknown_category_is_refused(project: Path, capfd: pytest.CaptureFixture[str]) -> None:
    done = refused("run", "--rounds", "1", "--categories", "math,gardening", capfd=capfd)
    assert done.returncode == 2
    assert "gardening" in done.output


def test_a_busy_port_is_told(project: Path) -> None:
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        done = called("ui", "--port", str(taken.getsockname()[1]))
    assert done.returncode == 2
    assert "--port" in done.output
