"""The teacher client beside others: throughput, CPU time, memory, faults, recovery from rate limits.

    python benchmarks/teacher.py throughput      # against a bare AsyncOpenAI loop, and peers where installed
    python benchmarks/teacher.py memory          # 100,000 calls
    python benchmarks/teacher.py faults          # 10,000 candidates with 30 % of answers bad
    python benchmarks/teacher.py rate-limits     # a minute of nothing but 429

The server is the simulated teacher in a process of its own, with faults where a benchmark asks for them. Peers run in
the interpreters given with --curator-python and --data-designer-python, as they do not get along with one another's
dependencies. Prints one JSON line a measurement. Two more trials are tests, as each of them can fail on its own:

    pytest -s -m slow tests/teacher/test_kill.py      # kill -9 at 100 random moments of a generation
    pytest -s -m slow tests/teacher/test_budget.py    # 1,000 random workloads of up to three processes under caps
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
from openai import AsyncOpenAI

from sedi_dagster.records import Message, TeacherAnswer, TeacherRequest
from sedi_dagster.settings import PROJECT_ROOT, TeacherSettings
from sedi_dagster.teacher.calls import sum_calls
from sedi_dagster.teacher.client import Teacher
from sedi_dagster.teacher.endpoint import RemoteEndpoint
from sedi_dagster.teacher.ledger import Ledger
from sedi_dagster.testing.simulated_teacher import MODEL, STAMP

PARALLEL = 64
PROMPT = "Come up with a task for an assistant, and make it differ from all the others. " * 12
PEERS = Path(__file__).with_name("teacher_peers.py")


class Server:
    """The faulty teacher in a child process."""

    def __init__(self, **behavior: Any) -> None:
        command = [sys.executable, "-m", "benchmarks.testbed.faulty_teacher", "--behavior", json.dumps(behavior)]
        self._child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=PROJECT_ROOT)
        assert self._child.stdout is not None
        self.base_url = self._child.stdout.readline().decode().strip()

    def control(self, **changes: Any) -> dict[str, Any]:
        """Change its behavior, and read the meter as it was after that."""
        address = self.base_url.removesuffix("/v1") + "/control"
        asked = urllib.request.Request(address, data=json.dumps(changes).encode(), method="POST")
        with urllib.request.urlopen(asked) as response:
            reply: dict[str, Any] = json.load(response)
        return reply

    def stop(self) -> None:
        assert self._child.stdin is not None
        self._child.stdin.close()
        self._child.wait()


@contextlib.contextmanager
def served(**behavior: Any) -> Iterator[Server]:
    server = Server(**{"content": "short", "latency_s": 0.05} | behavior)
    try:
        yield server
    finally:
        server.stop()


def prompts(count: int, tag: str) -> list[str]:
    return [f"{PROMPT}{tag} {number}" for number in range(count)]


def request(prompt: str) -> TeacherRequest:
    return TeacherRequest("benchmark", "round-0001", "math", 64, messages=(Message("user", prompt),))


@contextlib.asynccontextmanager
async def teacher(server: Server, folder: str, **settings: Any) -> Any:
    chosen = TeacherSettings(
        **{"base_url": server.base_url, "model": MODEL, "max_concurrency": PARALLEL, "timeout_s": 30} | settings
    )
    with Ledger(f"sqlite:///{folder}/ledger.sqlite") as ledger:
        async with Teacher(chosen, ledger, endpoint=RemoteEndpoint(server.base_url, "key")) as asked:
            yield asked


def timed(count: int, began: float, cpu: float) -> dict[str, float]:
    took = time.perf_counter() - began
    return {
        "calls_per_s": round(count / took, 1),
        "cpu_ms_per_call": round((time.process_time() - cpu) / count * 1e3, 3),
    }


async def run_bare(server: Server, asked: list[str]) -> dict[str, float]:
    """The loop that stores nothing."""
    slots = asyncio.Semaphore(PARALLEL)
    async with AsyncOpenAI(api_key="key", base_url=server.base_url) as client:

        async def one(prompt: str) -> Any:
            async with slots:
                return await client.chat.completions.create(
                    model=MODEL,
                    messages=[{"role": "user", "content": prompt}],
                    max_tokens=64,
                    temperature=1.0,
                    top_p=1.0,
                )

        await asyncio.gather(*(one(prompt) for prompt in asked[:PARALLEL]))
        began, cpu = time.perf_counter(), time.process_time()
        await asyncio.gather(*(one(prompt) for prompt in asked[PARALLEL:]))
        return timed(len(asked) - PARALLEL, began, cpu)


async def run_ours(server: Server, asked: list[str]) -> dict[str, float]:
    """The same calls, every one of them on disk before it is sent and before it is handed on."""
    with tempfile.TemporaryDirectory() as folder:
        async with teacher(server, folder) as client:
            await client.ask([request(prompt) for prompt in asked[:PARALLEL]])
            began, cpu = time.perf_counter(), time.process_time()
            answers = await client.ask([request(prompt) for prompt in asked[PARALLEL:]])
            assert not any(answer.error for answer in answers)
            return timed(len(answers), began, cpu)


def run_peer(server: Server, python: str, name: str, count: int) -> dict[str, float]:
    """A peer in its own interpreter; it measures itself, from its first call to its last answer."""
    command = [python, str(PEERS), name, server.base_url, str(count), str(PARALLEL)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=900)
    if done.returncode != 0:
        raise click.ClickException(f"{name} failed: {done.stderr[-2000:]}")
    figures: dict[str, float] = json.loads(done.stdout.strip().splitlines()[-1])
    return figures


@click.group()
def main() -> None:
    """Benchmarks of the teacher client."""


@main.command()
@click.option("--calls", "count", default=3000)
@click.option("--repeats", default=3)
@click.option("--curator-python", default="")
@click.option("--data-designer-python", default="")
def throughput(count: int, repeats: int, curator_python: str, data_designer_python: str) -> None:
    """64 parallel calls against a 50 ms server, in turns: on a shared machine, compare within a turn (the ratio)."""
    results: dict[str, list[dict[str, float]]] = {}
    peers = {"curator": curator_python, "data-designer": data_designer_python}
    with served() as server:
        for repeat in range(repeats):
            asked = prompts(count + PARALLEL, f"{repeat}")
            results.setdefault("bare", []).append(asyncio.run(run_bare(server, asked)))
            server.control(reset=True)
            results.setdefault("ours", []).append(asyncio.run(run_ours(server, asked)))
            server.control(reset=True)
            for name, python in peers.items():
                if python:
                    results.setdefault(name, []).append(run_peer(server, python, name, count))
    for name, runs in results.items():
        middle = {key: statistics.median(run[key] for run in runs) for key in runs[0]}
        ratios = [ours["calls_per_s"] / run["calls_per_s"] for ours, run in zip(results["ours"], runs, strict=True)]
        middle["ours_is_faster_by"] = round(statistics.median(ratios), 2)
        figures = {"benchmark": "throughput", "client": name, "calls": count, "turns": repeats, **middle}
        extremes = [f(r["calls_per_s"] for r in runs) for f in (min, max)]
        click.echo(json.dumps(figures | {"slowest_and_fastest": extremes}))
    click.echo(json.dumps({"load": os.getloadavg(), "cores": os.cpu_count()}))


@main.command()
@click.option("--calls", "count", default=100_000)
def memory(count: int) -> None:
    """Growth of the process over many calls, asked for in waves as a generation does."""

    async def run(server: Server, folder: str) -> dict[str, Any]:
        async with teacher(server, folder) as client:
            await client.ask([request(prompt) for prompt in prompts(2000, "warm")])
            before, began, cpu = _resident_mb(), time.perf_counter(), time.process_time()
            for wave in range(0, count, 2000):
                await client.ask([request(prompt) for prompt in prompts(2000, f"wave {wave}")])
            return {"growth_mb": round(_resident_mb() - before, 1), **timed(count, began, cpu)}

    with served(latency_s=0.0, idempotent=False) as server, tempfile.TemporaryDirectory() as folder:
        figures = asyncio.run(run(server, folder))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    click.echo(json.dumps({"benchmark": "memory", "calls": count, **figures, "peak_mb": round(peak, 1)}))


FAULTS = {
    "rate_limited": 0.04,
    "server_error": 0.04,
    "reset": 0.02,
    "reset_before": 0.02,
    "stall": 0.01,
    "truncated": 0.04,
    "malformed": 0.04,
    "wrong_schema": 0.03,
    "missing_usage": 0.03,
    "giant": 0.002,
    "non_utf8": 0.018,
    "refused": 0.01,
}


@main.command()
@click.option("--calls", "count", default=10_000)
@click.option("--turns", default=1, help="Parts asked with and without faults in turns, so that other work slows both.")
def faults(count: int, turns: int) -> None:
    """30 % of answers bad in every way, beside the same without faults."""
    figures: dict[str, Any] = {"benchmark": "faults", "calls": count, "share_bad": round(sum(FAULTS.values()), 3)}
    with (
        served() as quiet,
        served(**FAULTS, stall_s=8.0, idempotent=True) as faulty,
        tempfile.TemporaryDirectory() as folder,
    ):
        figures |= asyncio.run(_ask_in_turns({"quiet": quiet, "faulty": faulty}, folder, count, turns))
    for rate in ("useful_per_s", "useful_per_cpu_s"):
        figures[f"share_of_{rate}"] = round(figures["faulty"][rate] / figures["quiet"][rate], 3)
    figures["load"] = os.getloadavg()
    click.echo(json.dumps(figures))


async def _ask_in_turns(servers: dict[str, Server], folder: str, count: int, turns: int) -> dict[str, Any]:
    answers: dict[str, list[TeacherAnswer]] = {name: [] for name in servers}
    took, cpu = dict.fromkeys(servers, 0.0), dict.fromkeys(servers, 0.0)
    async with contextlib.AsyncExitStack() as stack:
        clients: dict[str, Teacher] = {}
        for name, server in servers.items():
            Path(folder, name).mkdir()
            clients[name] = await stack.enter_async_context(teacher(server, f"{folder}/{name}", timeout_s=1.0))
        for turn in range(turns):
            asked = [request(prompt) for prompt in prompts(count // turns, f"candidate {turn}")]
            for name, client in clients.items():
                began, cpu_began = time.perf_counter(), time.process_time()
                answers[name] += await client.ask(asked)
                took[name] += time.perf_counter() - began
                cpu[name] += time.process_time() - cpu_began
        figures = {n: _accounts_of(c, servers[n].control(), answers[n]) for n, c in clients.items()}
    for name, accounts in figures.items():
        accounts["useful_per_s"] = round(accounts["useful"] / took[name], 1)
        accounts["useful_per_cpu_s"] = round(accounts["useful"] / cpu[name], 1)
    return figures


def _accounts_of(client: Teacher, meter: dict[str, Any], answers: list[TeacherAnswer]) -> dict[str, Any]:
    """What became of the calls, in the client's books and on the server's meter; every call is in one state."""
    account = client.ledger.account("loop")
    states = {total.name: total.calls for total in sum_calls(client.ledger, "state")}
    assert account.reserved_tokens == 0 and account.spent_tokens >= meter["tokens"]
    assert sum(states.values()) == len(answers)
    useful = sum(_is_useful(a) for a in answers)
    with_reason = sum(bool(a.error) or a.finish_reason == "length" for a in answers)
    return {
        "useful": useful,
        "wrong_form": len(answers) - useful - with_reason,
        "with_reason": with_reason,
        "states": states,
        "charged_tokens": account.spent_tokens,
        "lost_tokens": client.usage.lost_tokens,
        "billed_tokens": meter["tokens"],
        "billed_twice": meter["billed_twice"],
        "requests": meter["requests"],
    }


def _is_useful(answer: TeacherAnswer) -> bool:
    """Whole, and of the form that was asked for."""
    return not answer.error and answer.finish_reason == "stop" and answer.text.startswith(STAMP)


@main.command("rate-limits")
@click.option("--outage-s", default=60.0)
def rate_limits(outage_s: float) -> None:
    """Nothing but 429 for a while, and how long it takes to be back at the full rate."""

    async def run(server: Server, folder: str) -> dict[str, Any]:
        came: list[float] = []
        async with teacher(server, folder) as client:
            asked = [request(prompt) for prompt in prompts(200_000, "endless")]
            task = asyncio.create_task(client.ask(asked, lambda index, answer: came.append(time.perf_counter())))
            await asyncio.sleep(8)
            full = sum(t > time.perf_counter() - 4 for t in came) / 4
            await asyncio.to_thread(server.control, outage="rate_limited")
            await asyncio.sleep(outage_s)
            refused = (await asyncio.to_thread(server.control, outage=""))["faults"]["rate_limited"]
            lifted, before = time.perf_counter(), len(came)
            await asyncio.sleep(15)
            failed = client.usage.failed
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        back = next((t for t in _halves() if _rate(came, lifted + t) >= 0.9 * full), None)
        return {"full_per_s": full, "refused": refused, "lost": failed, "answers_before": before, "back_after_s": back}

    with served() as server, tempfile.TemporaryDirectory() as folder:
        figures = asyncio.run(run(server, folder))
    click.echo(json.dumps({"benchmark": "rate-limits", "outage_s": outage_s, **figures, "load": os.getloadavg()}))


def _halves() -> Iterator[float]:
    return (0.5 * n for n in range(28))


def _rate(came: list[float], at: float) -> float:
    """Answers a second in the second that begins at the time."""
    return sum(at <= t < at + 1.0 for t in came)


def _resident_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 1024 / 1024


if __name__ == "__main__":
    main()
