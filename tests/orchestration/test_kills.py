"""`sedi run` killed again and again at random moments ends where an undisturbed run does. Minutes long.

As often as is wished: `KILLS=100 python -m pytest tests/orchestration/test_kills.py -m slow -s`.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
from loops import Loop, ending, run_apart

from benchmarks.testbed.faulty_teacher import FaultyTeacher
from benchmarks.testbed.planted_student import PACE

pytestmark = pytest.mark.slow

KILLS = int(os.environ.get("KILLS", "20"))
SEED = int(os.environ.get("KILLS_SEED", "0"))
VICTIMS = ("sedi run",) * 3 + ("sedi run and its children", "student", "teacher")
ONE_ROUND = ("--rounds", "1", "--categories", "math,open_qa")


def kill(victim: str, process: subprocess.Popen[bytes], teacher: FaultyTeacher) -> str:
    """Do it harm. Returns who was hit; empty if there was nobody: no student is at work all the time."""
    if victim == "teacher":
        teacher.restart(after_s=0.5)
        return victim
    if victim == "student":
        with suppress(psutil.NoSuchProcess):
            for child in psutil.Process(process.pid).children(recursive=True):
                if any(name in child.cmdline() for name in ("sedi_dagster.training", "sedi_dagster.evaluation")):
                    child.kill()
                    return victim
        return ""
    if process.poll() is not None:
        return ""
    if victim == "sedi run":
        process.kill()
    else:
        os.killpg(process.pid, signal.SIGKILL)
    return victim


@pytest.mark.usefixtures("light")
def test_kills_at_random_moments_change_nothing(
    loop: Loop, simulated_teacher: FaultyTeacher, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv(PACE, "1")
    simulated_teacher.configure(latency_s=0.05)
    log, rng = loop.project / "sedi-run.log", random.Random(SEED)

    def run() -> subprocess.Popen[bytes]:
        return run_apart(*ONE_ROUND, log=log)

    def run_whole() -> None:
        assert run().wait() == 0, log.read_text()[-3000:]

    began = time.monotonic()
    run_whole()
    takes, hits = time.monotonic() - began, list[str]()
    while len(hits) < KILLS:
        process = run()
        victim = rng.choice(VICTIMS)
        with suppress(subprocess.TimeoutExpired):
            process.wait(rng.uniform(0, takes))
        hit = kill(victim, process, simulated_teacher)
        hits += [hit] if hit else []
        expected = (0, 2) if hit == "teacher" else (0, -signal.SIGKILL)  # 2: it was away when it was looked for first
        assert process.wait() in expected, f"{hit or 'nobody'} was killed: {log.read_text()[-3000:]}"
        print(f"{len(hits)} {hit}: {len(loop.sedi.history().finished)} rounds", flush=True)
    while loop.sedi.history().open_round is not None:
        run_whole()
    found, paid, rounds = ending(loop.sedi), simulated_teacher.meter.billed, len(loop.sedi.history().finished)

    simulated_teacher.forget()
    monkeypatch.setenv(PACE, "0")
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "undisturbed-dagster"))
    monkeypatch.setenv("SEDI_DATA", str(tmp_path / "undisturbed"))
    monkeypatch.setenv("SEDI_CACHE", str(tmp_path / "undisturbed-cache"))
    for _ in range(rounds):
        run_whole()
    assert found == ending(loop.sedi)
    assert paid == simulated_teacher.meter.billed
