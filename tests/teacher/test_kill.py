"""kill -9 at random moments, then run again: the same data as if nothing had happened, and nothing paid twice."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from kill_worker import generate_all
from starlette.requests import Request
from starlette.responses import Response

from benchmarks.testbed.faulty_teacher import FaultyTeacher
from benchmarks.testbed.server_behavior import ServerBehavior
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


class Killer(FaultyTeacher):
    """Kills its client at one of the requests to come, which it answers no sooner: the client cannot be done before."""

    victim: subprocess.Popen[str] | None = None
    left, after_s = 0, 0.0

    def kill_at(self, victim: subprocess.Popen[str], request: int, after_s: float) -> None:
        self.left, self.after_s, self.victim = request, after_s, victim

    async def respond(self, request: Request) -> Response:
        if self.victim is not None and request.method == "POST":
            self.left -= 1
            if not self.left:
                await asyncio.sleep(self.after_s)
                self.victim.kill()
                self.victim = None
        return await super().respond(request)


@pytest.fixture
def killer() -> Iterator[Killer]:
    with Killer(ServerBehavior(content="tasks", latency_s=0.1, latency_spread=0.5)) as running:
        yield running


def run_with_kills(server: Killer, folder: Path, count: int, kills: int) -> tuple[str, Path]:
    """Kill at random moments, of the start or of the calls under way in turns, then let it finish."""
    url, output = f"sqlite:///{folder / 'killed.sqlite'}", folder / "killed.parquet"
    rng = random.Random(7)
    for number in range(kills):
        of_the_start = number % 2 == 0
        server.configure(outage="silent" if of_the_start else "")
        worker = start(url, server, output, count)
        if of_the_start:
            time.sleep(rng.uniform(0.0, 0.6))
            worker.kill()
        else:
            server.kill_at(worker, rng.randrange(2, 20), rng.uniform(0.0, 0.2))
        assert worker.wait() == -signal.SIGKILL, "the worker finished too early: give it more calls"
    server.configure(outage="")
    assert start(url, server, output, count).wait() == 0
    return url, output


def check_kills(server: Killer, folder: Path, count: int, kills: int) -> None:
    quiet_url = f"sqlite:///{folder / 'quiet.sqlite'}"
    with Ledger(quiet_url) as ledger:
        quiet = asyncio.run(generate_all(ledger, server.base_url, count))
    server.forget()
    url, output = run_with_kills(server, folder, count, kills)
    candidates = pl.read_parquet(output)
    assert candidates.equals(quiet)
    assert contents(url) == contents(quiet_url)
    assert set(server.meter.billed.values()) == {1}
    with Ledger(url) as ledger:
        account = ledger.account("loop")
        (total,) = sum_calls(ledger, "model")
        assert account.reserved_tokens == 0
        assert account.spent_tokens == total.prompt_tokens + total.completion_tokens + total.lost_tokens
        assert total.prompt_tokens + total.completion_tokens == server.meter.tokens
    print(
        f"{kills} kills, {candidates.height} candidates of {total.calls} calls, {server.meter.requests} requests, "
        f"{server.meter.replayed} sent again after they were answered, 0 billed twice, {total.lost_tokens} tokens lost"
    )


def test_after_kills_the_data_equals_that_of_an_undisturbed_run(killer: Killer, tmp_path: Path) -> None:
    check_kills(killer, tmp_path, count=6, kills=2)


@pytest.mark.slow
def test_after_a_hundred_kills_the_data_equals_that_of_an_undisturbed_run(killer: Killer, tmp_path: Path) -> None:
    check_kills(killer, tmp_path, count=100, kills=100)


def test_two_processes_share_the_work_and_pay_each_call_once(server: FaultyTeacher, tmp_path: Path) -> None:
    server.configure(content="tasks", latency_s=0.02)
    url = f"sqlite:///{tmp_path / 'shared.sqlite'}"
    workers = [start(url, server, tmp_path / f"{n}.parquet", 3) for n in range(2)]
    assert [w.wait() for w in workers] == [0, 0]
    assert pl.read_parquet(tmp_path / "0.parquet").equals(pl.read_parquet(tmp_path / "1.parquet"))
    assert set(server.meter.billed.values()) == {1} and server.meter.replayed == 0
