"""The simulated teacher with faults: it refuses, fails, stalls, cuts connections and garbles answers as it is told.

with FaultyTeacher(ServerBehavior(server_error=0.1)) as server:
    server.configure(outage="silent")

As a process of its own, told how to behave by JSON now and at `/control` later:
`python -m benchmarks.testbed.faulty_teacher --behavior '{"latency_s": 0.05}'`.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import random
import sys
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

import click
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from benchmarks.testbed.batch_api import BatchApi
from benchmarks.testbed.server_behavior import ServerBehavior, spoiled
from sedi_dagster.testing.simulated_teacher import (
    CALLS,
    STAMP,
    Complete,
    Completion,
    Meter,
    SimulatedTeacher,
    limited,
    write_text,
)

_SILENCE_POLL_S = 0.05


@dataclass
class TrafficMeter(Meter):
    """What was billed, and what came: calls with the time of each, and the faults that they met."""

    requests: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    arrivals: list[float] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        return {"requests": self.requests, "faults": dict(self.faults), **super().as_dict()}


class FaultyTeacher(SimulatedTeacher):
    """The server; `configure` it at any time. `complete` and `port` are as of the simulated teacher."""

    meter: TrafficMeter

    def __init__(self, behavior: ServerBehavior | None = None, port: int = 0, complete: Complete | None = None) -> None:
        self.behavior = behavior or ServerBehavior()
        self.batches = BatchApi(self._answer_in_batch)
        self._times_sent: Counter[bytes] = Counter()
        super().__init__(port, complete or self._write)
        self.meter = TrafficMeter()
        self.http = _CuttableProtocol

    def __exit__(self, *details: object) -> None:
        self._server.should_exit = True  # it ends within 0.2 s, for which hundreds of tests need not wait

    def configure(self, **changes: Any) -> None:
        """Change some of its behavior."""
        self.behavior = replace(self.behavior, **changes)

    def forget(self) -> None:
        super().forget()
        self._times_sent.clear()

    def restart(self, after_s: float = 0.0) -> None:
        """Cut all connections, close the port, and listen at it again after a while."""
        super().__exit__()
        time.sleep(after_s)
        self.__enter__()

    async def respond(self, request: Request) -> Response:
        path, body = request.scope["path"], await request.body()
        if path == "/control":
            return self._control(request.method, body)
        while self.behavior.outage == "silent":
            if await _client_leaves(request, _SILENCE_POLL_S):
                return _Cut()
        behavior = self.behavior
        wrong_key = behavior.key_error(request.headers.get("authorization", "").removeprefix("Bearer "))
        if wrong_key is not None:
            return wrong_key
        if path.startswith(("/v1/files", "/v1/batches")):
            found = self.batches.respond(request.method, path, request.headers, body, behavior.batch_fault)
            return _Cut() if found is None else Response(found[1], found[0], media_type="application/json")
        if path not in CALLS:
            return await super().respond(request)
        self.meter.requests += 1
        self.meter.arrivals.append(time.monotonic())
        outage = behavior.outage_error()
        if outage is not None:
            self.meter.faults[behavior.outage] += 1
        return outage or behavior.request_error(body) or await self._respond(behavior, request, body)

    async def _respond(self, behavior: ServerBehavior, request: Request, body: bytes) -> Response:
        key = request.headers.get("idempotency-key", "")
        digest = hashlib.blake2b(body + key.encode(), digest_size=8).digest()
        self._times_sent[digest] += 1
        times = self._times_sent[digest]
        drawn = hashlib.blake2b(digest, digest_size=8, key=f"{behavior.seed} {times}".encode())
        point = int.from_bytes(drawn.digest()) / 2**64  # uniform; seeding `Random` would take as long as the rest
        fault = behavior.fault(point)
        if fault is not None:
            self.meter.faults[fault] += 1
        if fault == "rate_limited":
            return behavior.rate_limit_error()
        if fault == "reset_before":
            return _Cut()
        if behavior.latency_s and await _client_leaves(request, behavior.latency(point)):
            return _Cut()
        if fault == "server_error":
            return behavior.error((500, 502, 503)[times % 3], f"{STAMP} trouble", "server_error")
        if fault == "refused":
            return behavior.content_policy_error()
        if not behavior.idempotent:
            key = ""
        is_new, answer = key not in self._answered, self.answer(request.scope["path"], body, key)
        if is_new:
            answer = spoiled(answer, fault, behavior.giant_bytes)
        if key:
            self._answered[key] = answer
        if fault == "reset" or (fault == "stall" and await _client_leaves(request, behavior.stall_s)):
            return _Cut()
        return Response(answer, media_type="application/json")

    def _write(self, asked: Mapping[str, Any], rng: random.Random) -> Completion:
        if self.behavior.content == "short" and asked.get("response_format") is None:
            text = f"{STAMP} answer {rng.randrange(10**9)}"
        else:
            text = write_text(asked, rng)
        return limited(asked, text, self.behavior.bytes_per_token)

    def _answer_in_batch(self, custom_id: str, path: str, body: bytes) -> tuple[int, bytes]:
        """One call of a batch, which meets no fault of the network; refusals and bad requests are there."""
        behavior = self.behavior
        error = behavior.request_error(body)
        if error is None and random.Random(f"{behavior.seed} {custom_id}").random() < behavior.refused:
            error = behavior.content_policy_error()
        if error is not None:
            return error.status_code, bytes(error.body)
        return 200, self.answer(path, body, custom_id)

    def _control(self, method: str, body: bytes) -> Response:
        """GET: the meter. POST: change the behavior; `{"reset": true}` starts a new meter."""
        if method == "POST":
            changes = json.loads(body)
            if changes.pop("reset", False):
                self.forget()
            self.configure(**changes)
        return JSONResponse(self.meter.as_dict())


class _CuttableProtocol(HttpToolsProtocol):
    """Hands its transport on, so that a connection can be cut; when the server stops, all are."""

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope["transport"] = self.transport  # type: ignore[typeddict-unknown-key]

    def shutdown(self) -> None:
        self.transport.abort()


class _Cut(Response):
    """In place of a response: the connection is cut."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope["transport"].abort()
        while (await receive())["type"] != "http.disconnect":
            pass


async def _client_leaves(request: Request, within_s: float) -> bool:
    """Wait so long, or until the client is gone; the request's body has been read."""
    try:
        async with asyncio.timeout(within_s):
            while (await request.receive())["type"] != "http.disconnect":
                pass
    except TimeoutError:
        return False
    return True


@click.command()
@click.option("--port", default=0, help="Port on loopback; 0: any free one.")
@click.option("--behavior", "told", default="{}", help="Fields of `ServerBehavior` as JSON.")
def main(port: int, told: str) -> None:
    """Run the faulty teacher until standard input closes. Prints its address."""
    given = json.loads(told)
    known = {f.name for f in fields(ServerBehavior)}
    if unknown := sorted(given.keys() - known):
        raise click.UsageError(f"Unknown: {', '.join(unknown)}. Known: {', '.join(sorted(known))}.")
    with FaultyTeacher(ServerBehavior(**given), port) as teacher:
        click.echo(teacher.base_url)
        sys.stdout.flush()
        sys.stdin.read()


if __name__ == "__main__":
    main()
