"""kill -9 at random moments, then run again: the same data as if nothing had happened, and nothing paid twice."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from benchmarks.testbed.faulty_teacher import FaultyTeacher
from sedi_dagster.teacher.calls import sum_calls
from sedi_dagster.teacher.ledger import Ledger
from sedi_dagster.teacher.schema import calls, texts

WORKER = Path(__file__).with_name("kill_worker.py")


def start(url: str, server: FaultyTeacher, output: Path, count: int) -> subprocess.Popen[str]:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    worker = subprocess.Popen(
        [sys.executable, str(WORKER), url, server.base_url, str(output), str(count)],
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    )
    assert worker.stdout is not None and worker.stdout.readline() == "started\n"
    return worker


def contents(url: str) -> tuple[list[Any], list[Any]]:
    """What a ledger has, less what depends on time and on which process asked."""
    with Ledger(url) as ledger:
        columns = [
            calls.c[n]
            for n in ("key", "state", "prompt_tokens", "completion_tokens", "finish_reason", "error", "round")
        ]
        from sqlalchemy import select

        rows = [tuple(row) for row in ledger.read(select(*columns).order_by(calls.c.key))]
        bodies = [tuple(row) for row in ledger.read(select(texts).order_by(texts.c.key, texts.c.kind))]
    return rows, bodies


def wait_for_calls(server: FaultyTeacher, worker: subprocess.Popen[str], before: int) -> None:
    """Until the worker has sent something new: what was answered before is in the ledger, and takes it a while."""
    while worker.poll() is None and server.meter.requests == before:
        time.sleep(0.005)


def run_with_kills(server: FaultyTeacher, folder: Path, count: int, kills: int) -> tuple[str, Path, int]:
    """Kill at random moments, of the start or of the calls under way in turns, until so many kills are done, then
    let it finish."""
    url, output = f"sqlite:///{folder / 'killed.sqlite'}", folder / "killed.parquet"
    rng = random.Random(7)
    done = 0
    while done < kills:
        before = server.meter.requests
        worker = start(url, server, output, count)
        if done % 2:
            wait_for_calls(server, worker, before)
        time.sleep(rng.uniform(0.0, 0.6))
        if worker.poll() is None:
            worker.kill()
            done += 1
        worker.wait()
        if output.exists():
            break
    assert start(url, server, output, count).wait() == 0
    return url, output, done


def check_kills(server: FaultyTeacher, folder: Path, count: int, kills: int) -> None:
    server.configure(content="tasks", latency_s=0.1, latency_spread=0.5)
    quiet_url, quiet_output = f"sqlite:///{folder / 'quiet.sqlite'}", folder / "quiet.parquet"
    assert start(quiet_url, server, quiet_output, count).wait() == 0
    server.forget()
    url, output, done = run_with_kills(server, folder, count, kills)
    assert done == kills, "the worker finished too early: give it more calls"
    candidates = pl.read_parquet(output)
    assert candidates.equals(pl.read_parquet(quiet_output))
    assert contents(url) == contents(quiet_url)
    assert set(server.meter.billed.values()) == {1}
    with Ledger(url) as ledger:
        account = ledger.account("loop")
        (total,) = sum_calls(ledger, "model")
        assert account.reserved_tokens == 0
        assert account.spent_tokens == total.prompt_tokens + total.completion_tokens + total.lost_tokens
        assert total.prompt_tokens + total.completion_tokens == server.meter.tokens
    print(
        f"{done} kills, {candidates.height} candidates of {total.calls} calls, {server.meter.requests} requests, "
        f"{server.meter.replayed} sent again after they were answered, 0 billed twice, {total.lost_tokens} tokens lost"
    )


def test_after_kills_the_data_equals_that_of_an_undisturbed_run(server: FaultyTeacher, tmp_path: Path) -> None:
    check_kills(server, tmp_path, count=6, kills=3)


@pytest.mark.slow
def test_after_a_hundred_kills_the_data_equals_that_of_an_undisturbed_run(
    server: FaultyTeacher, tmp_path: Path
) -> None:
    check_kills(server, tmp_path, count=100, kills=100)


def test_two_processes_share_the_work_and_pay_each_call_once(server: FaultyTeacher, tmp_path: Path) -> None:
    server.configure(content="tasks", latency_s=0.02)
    url = f"sqlite:///{tmp_path / 'shared.sqlite'}"
    workers = [start(url, server, tmp_path / f"{n}.parquet", 3) for n in range(2)]
    assert [w.wait() for w in workers] == [0, 0]
    assert pl.read_parquet(tmp_path / "0.parquet").equals(pl.read_parquet(tmp_path / "1.parquet"))
    assert set(server.meter.billed.values()) == {1} and server.meter.replayed == 0
