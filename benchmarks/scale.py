"""Figures of docs/scale.md: what a call costs the ledger, and what a look at the loop asks of an object store,
and what the way over Ray costs a stage.

    python benchmarks/scale.py

Times are processor time of the process that works, so that other work on the machine changes them little.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path

import dagster as dg
import psutil

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.testbed.planted_student import interpreter
from benchmarks.testbed.postgres import PostgresServer
from benchmarks.testbed.s3_server import S3Server
from sedi_dagster.records import CategoryPlan, RoundOutcome, RoundPlan, round_key
from sedi_dagster.settings import load_settings
from sedi_dagster.storage.rounds import cache_history, load_history, save_plan
from sedi_dagster.storage.store import Store
from sedi_dagster.teacher.budget import Budget
from sedi_dagster.teacher.ledger import Ledger
from sedi_dagster.teacher.transaction import EndedCall, NewCall

CALLS, AT_ONCE = 3000, 64
BODY = "x" * 2000
STAGES = 3


async def write_calls(ledger: Ledger) -> None:
    """Each call is begun and ended, as the client does it, `AT_ONCE` at a time."""
    turns = asyncio.Semaphore(AT_ONCE)

    async def one(number: int) -> None:
        async with turns:
            key, caps = f"{number:032x}", Budget(max_tokens=10**9).caps("round-0001", "2026-11-26")
            about = ("http://endpoint", "model", "answer", "round-0001", "math", "", "2026-11-26")
            await ledger.begin(NewCall(key, *about, BODY, 500, 0, caps))
            await ledger.end(EndedCall(key, "done", BODY, "stop", 200, 100, 0))

    await asyncio.gather(*(one(number) for number in range(CALLS)))


def processor_s(processes: list[psutil.Process]) -> float:
    return sum(sum(process.cpu_times()[:2]) for process in processes if process.is_running())


def measure_ledger(name: str, url: str, server: int | None) -> None:
    served = [psutil.Process(server)] if server else []
    with Ledger(url) as ledger:
        served += [child for process in served for child in process.children(recursive=True)]
        before, server_before, began = time.process_time(), processor_s(served), time.perf_counter()
        asyncio.run(write_calls(ledger))
        spent, clock = time.process_time() - before, time.perf_counter() - began
        there = processor_s(served) - server_before
    print(
        f"ledger, {name}: {CALLS} calls begun and ended: {1000 * spent / CALLS:.2f} ms a call here, "
        f"{1000 * there / CALLS:.2f} ms in the database; {CALLS / clock:.0f} calls/s by the clock"
    )


def measure_look(server: S3Server, rounds: int) -> None:
    store = Store(f"s3://{server.bucket}/{rounds}")
    for number in range(1, rounds + 1):
        key = round_key(number)
        save_plan(store, RoundPlan(key, None, "benchmark", (CategoryPlan("math", 4, "because"),), rounds))
        outcome = RoundOutcome(key, 1, 2, 3, 0.5, True)
        store.write_json({"outcome": outcome.to_json()}, "manifests", f"{key}.json")
    cache_history(store)
    server.forget()
    began = time.process_time()
    load_history(store)
    print(f"history of {rounds} rounds: {sum(server.requests().values())} requests {server.requests()}, ", end="")
    print(f"{1000 * (time.process_time() - began):.0f} ms of a processor")


def measure_ray(folder: Path, server: S3Server) -> None:
    """A stage without work, as a process of this machine and as a Ray job: what the way costs."""
    from benchmarks.testbed.ray_cluster import RayCluster
    from sedi_dagster.orchestration.workloads import clear_workload, run_workload

    python, results = str(interpreter(folder)), folder / "results.jsonl"
    job = {"student": "none", "adapter": None, "items": [], "results": str(results)}
    took: list[float] = []

    @dg.asset
    def stage(context):  # Dagster reads no annotation that is a string
        began = time.perf_counter()
        settings = load_settings()
        run_workload(context, "sedi_dagster.evaluation", settings, "evaluate-none", job)
        clear_workload(settings, "evaluate-none")
        took.append(time.perf_counter() - began)
        return dg.MaterializeResult()

    with RayCluster(workers=1) as cluster:
        os.environ |= {
            "SEDI_DATA": f"s3://{server.bucket}/ray",
            "SEDI_CACHE": str(folder / "cache"),
            "SEDI_TRAINING_PYTHON": python,
            "SEDI_RAY_PYTHON": sys.executable,
            "SEDI_RAY_ADDRESS": cluster.address,
        }
        for compute in ("local", "ray") * STAGES:  # by turns: other work on the machine meets both
            os.environ["SEDI_COMPUTE"] = compute
            server.forget()
            dg.materialize([stage])
            requests = server.requests()
    for compute, seconds in {"a process": took[::2], "a Ray job": took[1::2]}.items():
        print(
            f"a stage without work as {compute}: {statistics.median(seconds):.1f} s by the clock (median of {STAGES})"
        )
    print(f"a stage as a Ray job: {sum(requests.values())} requests {requests}")


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, PostgresServer(Path(tempfile.mkdtemp(dir=folder))) as postgres:
        measure_ledger("SQLite", f"sqlite:///{folder}/ledger.sqlite", None)
        postgres.create("sedi")
        measure_ledger("PostgreSQL", postgres.url("sedi", driver="psycopg"), postgres.pid)
    with S3Server() as server:
        os.environ.update(server.environment)
        for rounds in (5, 50):
            measure_look(server, rounds)
        if find_spec("dagster_ray"):
            with tempfile.TemporaryDirectory() as folder:
                measure_ray(Path(folder), server)


if __name__ == "__main__":
    main()
