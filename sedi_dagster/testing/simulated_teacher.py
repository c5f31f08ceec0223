"""A simulated teacher: a server on loopback that speaks chat, completions and their errors, good and bad.

Deterministic by seed: what a request gets depends on the seed, its body and how often it was sent, not on time.
`Dials` says how bad it is. It keeps a meter of what it would have billed, so that a test can compare the
client's ledger with it. Everything that it writes says that it is simulated. As a process of its own:
`python -m sedi_dagster.testing.simulated_teacher --port 8099 --dials '{"latency_s": 0.05}'`.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import random
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal

import click

from sedi_dagster.testing.simulated_batches import BatchFault, SimulatedBatches
from sedi_dagster.testing.simulated_methods import write

MODEL = "simulated-teacher"
STAMP = "simulated"
_SILENCE_POLL_S = 0.05

Fault = Literal[
    "rate_limited",
    "server_error",
    "stall",
    "reset",
    "reset_before",
    "truncated",
    "malformed",
    "wrong_schema",
    "missing_usage",
    "giant",
    "non_utf8",
    "refused",
]


@dataclass(frozen=True)
class Dials:
    """How the server behaves. A share is the part of requests (0 to 1) that meets the fault."""

    seed: int = 0
    latency_s: float = 0.0
    latency_spread: float = 0.0
    rate_limited: float = 0.0
    server_error: float = 0.0
    stall: float = 0.0
    reset: float = 0.0
    reset_before: float = 0.0
    truncated: float = 0.0
    malformed: float = 0.0
    wrong_schema: float = 0.0
    missing_usage: float = 0.0
    giant: float = 0.0
    non_utf8: float = 0.0
    refused: float = 0.0
    stall_s: float = 30.0
    giant_bytes: int = 8 * 1024 * 1024
    retry_after_s: float | None = None
    outage: Literal["", "silent", "rate_limited", "server_error", "no_quota", "bad_key", "no_model", "bad_request"] = ""
    """All requests get this until the dial is set back. silent: connections are taken, nothing is answered."""
    capacity: int = 0
    """Requests at once above which 429 is answered; 0: any number."""
    api_key: str = ""
    idempotent: bool = True
    """The same Idempotency-Key gets the same answer without being billed again."""
    token_parameter: Literal["", "max_tokens", "max_completion_tokens"] = ""
    strict_model: bool = False
    """Answer for the one model that is listed and no other."""
    refused_fields: tuple[str, ...] = ()
    """Fields of a request that are called unsupported."""
    json_schema: bool = True
    json_object: bool = True
    error_shape: Literal["openai", "vllm"] = "openai"
    bytes_per_token: float = 4.0
    context_tokens: int = 0
    echo_key: bool = False
    """Put the key that was sent into error messages, as careless gateways do."""
    batch_fault: BatchFault = ""
    batch_looks: int = 1
    """Times that a batch is looked at before it is done."""
    content: Literal["tasks", "short"] = "tasks"

    def shares(self) -> list[tuple[Fault, float]]:
        names: tuple[Fault, ...] = Fault.__args__  # type: ignore[attr-defined]
        return [(name, getattr(self, name)) for name in names]


@dataclass
class Meter:
    """What the server did. `billed` counts answers that were worked out, by request key (Idempotency-Key)."""

    requests: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    billed: Counter[str] = field(default_factory=Counter)
    replayed: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    most_at_once: int = 0
    at_once: int = 0
    arrivals: list[float] = field(default_factory=list)

    @property
    def tokens(self) -> int:
        return self.prompt_tokens + self.completion_tokens

    def as_dict(self) -> dict[str, Any]:
        return {
            "requests": self.requests,
            "faults": dict(self.faults),
            "billed": len(self.billed),
            "billed_twice": sum(1 for n in self.billed.values() if n > 1),
            "replayed": self.replayed,
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": self.completion_tokens,
            "tokens": self.tokens,
            "most_at_once": self.most_at_once,
        }


@dataclass(frozen=True)
class Completion:
    """What is answered to a request: the text as its token limit leaves it, and what it costs."""

    text: str
    cut: bool
    prompt_tokens: int
    completion_tokens: int


Complete = Callable[[Mapping[str, Any]], Completion]
"""Completes a request, given its body."""


class SimulatedTeacher:
    """The server, in a thread of its own; a context manager. Set `dials` at any time.

    `complete` takes the place of what this teacher writes by itself and of how it counts tokens; the dials of faults
    stay in force.
    """

    def __init__(self, dials: Dials | None = None, port: int = 0, complete: Complete | None = None) -> None:
        self.complete = complete
        self.dials = dials or Dials()
        self.meter = Meter()
        self.base_url = ""
        self.port = port
        self._sent: Counter[bytes] = Counter()
        self._answered: dict[str, bytes] = {}
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="simulated-teacher", daemon=True)
        self.batches = SimulatedBatches(self._answer_in_batch)
        self._connections: set[_Connection] = set()
        self._server: asyncio.Server | None = None

    def __enter__(self) -> SimulatedTeacher:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self.listen(), self._loop).result()
        return self

    def __exit__(self, *details: object) -> None:
        asyncio.run_coroutine_threadsafe(self.hang_up(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def turn(self, **changes: Any) -> None:
        """Set some dials."""
        self.dials = replace(self.dials, **changes)

    def forget(self) -> None:
        """Start anew: an empty meter, and no memory of what was sent and answered."""
        self.meter = Meter()
        self._sent.clear()
        self._answered.clear()

    def restart(self, after_s: float = 0.0) -> None:
        """Close all connections and the port, and listen at the same port again after a while."""
        asyncio.run_coroutine_threadsafe(self._restart(after_s), self._loop).result()

    async def listen(self) -> None:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Connection(self), "127.0.0.1", self.port, backlog=1024)
        self.port = self._server.sockets[0].getsockname()[1]
        self.base_url = f"http://127.0.0.1:{self.port}/v1"

    async def hang_up(self) -> None:
        if self._server is not None:
            self._server.close()
        for connection in list(self._connections):
            connection.abort()
        await asyncio.sleep(0)

    async def _restart(self, after_s: float) -> None:
        await self.hang_up()
        await asyncio.sleep(after_s)
        await self.listen()

    async def respond(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> _Response | None:
        """The response to a request; None: cut the connection."""
        if path == "/control":
            return self._control(method, body)
        while self.dials.outage == "silent":
            await asyncio.sleep(_SILENCE_POLL_S)
        dials = self.dials
        key = headers.get("authorization", "").removeprefix("Bearer ")
        if dials.api_key and key != dials.api_key:
            return _error(401, f"Incorrect API key provided: {key if dials.echo_key else '***'}", "invalid_api_key")
        if path == "/v1/models":
            return _Response(200, _json({"object": "list", "data": [{"id": MODEL, "object": "model"}]}))
        batched = self.batches.respond(method, path, headers, body, dials.batch_fault, dials.batch_looks)
        if batched != "unknown":
            return None if batched is None else _Response(*batched)
        if path not in ("/v1/chat/completions", "/v1/completions") or method != "POST":
            return _error(404, "Not found", None)
        meter = self.meter
        meter.requests += 1
        meter.arrivals.append(time.monotonic())
        meter.at_once += 1
        meter.most_at_once = max(meter.most_at_once, meter.at_once)
        try:
            return await self._complete(dials, path, headers, body)
        finally:
            meter.at_once -= 1

    async def _complete(self, dials: Dials, path: str, headers: Mapping[str, str], body: bytes) -> _Response | None:
        refusal = self._refusal(dials, body)
        if refusal is not None:
            return refusal
        digest = hashlib.blake2b(body + headers.get("idempotency-key", "").encode(), digest_size=8).digest()
        self._sent[digest] += 1
        rng = random.Random(f"{dials.seed} {digest.hex()} {self._sent[digest]}")
        fault = _choose(dials, rng)
        if fault is not None:
            self.meter.faults[fault] += 1
        if fault == "rate_limited":
            return self._rate_limited(dials)
        if fault == "reset_before":
            return None
        if dials.latency_s:
            await asyncio.sleep(dials.latency_s * (1 + dials.latency_spread * rng.uniform(-1, 1)))
        if fault == "server_error":
            return _error(rng.choice((500, 502, 503)), f"{STAMP} trouble", "server_error", dials.error_shape)
        if fault == "refused":
            return _error(400, "Rejected by the safety system", "content_policy_violation", dials.error_shape)
        answer = self._answer(dials, path, headers, body, fault, digest)
        if fault == "stall":
            await asyncio.sleep(dials.stall_s)
        return None if fault == "reset" else _Response(200, answer)

    def _refusal(self, dials: Dials, body: bytes) -> _Response | None:
        """Errors that do not depend on chance."""
        shape = dials.error_shape
        if dials.outage == "rate_limited" or (dials.capacity and self.meter.at_once > dials.capacity):
            self.meter.faults["rate_limited"] += 1
            return self._rate_limited(dials)
        if dials.outage:
            self.meter.faults[dials.outage] += 1
        match dials.outage:
            case "server_error":
                return _error(503, f"{STAMP} outage", "server_error", shape)
            case "no_quota":
                return _error(429, "You exceeded your current quota", "insufficient_quota", shape)
            case "bad_key":
                return _error(401, "Incorrect API key provided", "invalid_api_key", shape)
            case "no_model":
                return _error(404, "The model does not exist", "model_not_found", shape)
            case "bad_request":
                return _error(400, "Unrecognized request argument", "unknown_parameter", shape)
        return self._bad_parameter(dials, body)

    def _bad_parameter(self, dials: Dials, body: bytes) -> _Response | None:
        try:
            asked = json.loads(body)
        except ValueError:
            return _error(400, "Body is not JSON", None)
        if not isinstance(asked, dict) or not (asked.get("messages") or "prompt" in asked):
            return _error(400, "Missing required parameter: 'messages'", "missing_required_parameter")
        wrong = {"max_tokens": "max_completion_tokens", "max_completion_tokens": "max_tokens"}.get(
            dials.token_parameter
        )
        if wrong in asked:
            text = f"Unsupported parameter: '{wrong}' is not supported. Use '{dials.token_parameter}' instead."
            return _error(400, text, "unsupported_parameter", dials.error_shape)
        if dials.strict_model and asked.get("model") != MODEL:
            return _error(404, f"The model `{asked.get('model')}` does not exist", "model_not_found", dials.error_shape)
        named = [name for name in dials.refused_fields if name in asked]
        if named:
            return _error(400, f"Unrecognized request arguments supplied: {', '.join(named)}", None, dials.error_shape)
        form = (asked.get("response_format") or {}).get("type")
        if (form == "json_schema" and not dials.json_schema) or (form == "json_object" and not dials.json_object):
            return _error(400, f"response_format {form} is not supported", "unsupported_value", dials.error_shape)
        if dials.context_tokens and len(body) / dials.bytes_per_token > dials.context_tokens:
            text = f"This model's maximum context length is {dials.context_tokens} tokens"
            return _error(400, text, "context_length_exceeded", dials.error_shape)
        return None

    def _answer_in_batch(self, custom_id: str, path: str, body: bytes) -> tuple[int, bytes]:
        """One call of a batch, which meets no fault of the network; refusals and bad requests are there."""
        dials = self.dials
        refusal = self._bad_parameter(dials, body)
        if refusal is not None:
            return refusal.status, refusal.body
        rng = random.Random(f"{dials.seed} {custom_id}")
        if rng.random() < dials.refused:
            error = _error(400, "Rejected by the safety system", "content_policy_violation", dials.error_shape)
            return error.status, error.body
        headers = {"idempotency-key": custom_id}
        digest = hashlib.blake2b(body + custom_id.encode(), digest_size=8).digest()
        return 200, self._answer(dials, path, headers, body, None, digest)

    def _rate_limited(self, dials: Dials) -> _Response:
        error = _error(429, "Rate limit reached", "rate_limit_exceeded", dials.error_shape)
        wait = () if dials.retry_after_s is None else (("Retry-After", f"{dials.retry_after_s:g}"),)
        return replace(error, headers=wait)

    def _answer(
        self,
        dials: Dials,
        path: str,
        headers: Mapping[str, str],
        body: bytes,
        fault: str | None,
        digest: bytes,
    ) -> bytes:
        """Work the answer out and bill it, or give the one that was billed before under the same key."""
        key = headers.get("idempotency-key", "")
        if dials.idempotent and key in self._answered:
            self.meter.replayed += 1
            return self._answered[key]
        asked = json.loads(body)
        chat = path.endswith("chat/completions")
        written = self.complete(asked) if self.complete else _written(dials, asked, chat, digest, fault)
        if fault == "truncated":
            written = replace(written, text=written.text[: max(1, len(written.text) // 2)], cut=True)
        usage = self._bill(key or digest.hex(), written)
        raw = _shape(chat, asked.get("model", MODEL), written, usage, fault)
        if fault == "giant":
            raw = raw[:-1] + b',"padding":"' + b"x" * dials.giant_bytes + b'"}'
        if dials.idempotent and key:
            self._answered[key] = raw
        return raw

    def _bill(self, key: str, written: Completion) -> dict[str, int]:
        self.meter.billed[key] += 1
        self.meter.prompt_tokens += written.prompt_tokens
        self.meter.completion_tokens += written.completion_tokens
        return {
            "prompt_tokens": written.prompt_tokens,
            "completion_tokens": written.completion_tokens,
            "total_tokens": written.prompt_tokens + written.completion_tokens,
        }

    def _control(self, method: str, body: bytes) -> _Response:
        """GET: the meter. POST: set dials; `{"reset": true}` starts a new meter."""
        if method == "POST":
            changes = json.loads(body)
            if changes.pop("reset", False):
                self.forget()
            self.turn(**changes)
        return _Response(200, _json(self.meter.as_dict()))


@dataclass(frozen=True)
class _Response:
    status: int
    body: bytes
    headers: tuple[tuple[str, str], ...] = ()


class _Connection(asyncio.Protocol):
    """HTTP/1.1 with Content-Length bodies, which is all that the API's clients send."""

    def __init__(self, teacher: SimulatedTeacher) -> None:
        self._teacher = teacher
        self._buffer = b""
        self._transport: asyncio.Transport | None = None
        self._task: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._teacher._connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._teacher._connections.discard(self)
        if self._task is not None:
            self._task.cancel()

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, found, rest = self._buffer.partition(b"\r\n\r\n")
        if not found:
            return
        lines = head.decode("latin-1").split("\r\n")
        method, path, _ = lines[0].split(" ", 2)
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
        length = int(headers.get("content-length", 0))
        if len(rest) >= length:
            self._buffer = rest[length:]
            self._task = asyncio.ensure_future(self._respond(method, path, headers, rest[:length]))

    async def _respond(self, method: str, path: str, headers: dict[str, str], body: bytes) -> None:
        try:
            response = await self._teacher.respond(method, path, headers, body)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            response = _error(400, f"Bad request: {error!r}", None)
        if self._transport is None:
            return
        if response is None:
            self._transport.abort()
            return
        more = "".join(f"{name}: {value}\r\n" for name, value in response.headers)
        head = (
            f"HTTP/1.1 {response.status} {STAMP}\r\nContent-Type: application/json\r\nServer: {STAMP}\r\n"
            f"{more}Content-Length: {len(response.body)}\r\n\r\n"
        )
        self._transport.write(head.encode() + response.body)


def _choose(dials: Dials, rng: random.Random) -> Fault | None:
    point = rng.random()
    for fault, share in dials.shares():
        if point < share:
            return fault
        point -= share
    return None


def _written(dials: Dials, asked: Mapping[str, Any], chat: bool, digest: bytes, fault: str | None) -> Completion:
    """What this teacher writes by itself, cut and counted by bytes."""
    prompt = asked["messages"][-1]["content"] if chat else asked["prompt"]
    limit = int(asked.get("max_tokens") or asked.get("max_completion_tokens") or 16)
    text = _text(dials, asked, prompt, digest, fault)
    most_bytes = int(limit * dials.bytes_per_token)
    cut = len(text) > most_bytes
    text = text[:most_bytes]
    read = json.dumps(asked["messages"]) if chat else prompt
    return Completion(
        text,
        cut,
        max(1, int(len(read.encode()) / dials.bytes_per_token)),
        -(-len(text.encode()) // max(1, int(dials.bytes_per_token))),
    )


def _text(dials: Dials, asked: Mapping[str, Any], prompt: str, digest: bytes, fault: str | None) -> str:
    rng = random.Random(f"{dials.seed} {digest.hex()}")
    if asked.get("response_format") is not None:
        schema = asked["response_format"].get("json_schema", {}).get("schema", {"type": "object"})
        if fault != "wrong_schema" and "examples" in schema.get("properties", {}):
            return write(prompt, rng)
        return json.dumps({"unexpected": True} if fault == "wrong_schema" else sample_of(schema, rng))
    if fault == "wrong_schema":
        return json.dumps({"unexpected": True})
    if dials.content == "short":
        return f"{STAMP} answer {rng.randrange(10**9)}"
    return write(prompt, rng)


def sample_of(schema: Mapping[str, Any], rng: random.Random) -> Any:
    """A value that fits a simple schema."""
    match schema.get("type"):
        case "object":
            return {name: sample_of(inner, rng) for name, inner in schema.get("properties", {}).items()}
        case "array":
            return [sample_of(schema.get("items", {}), rng) for _ in range(schema.get("minItems", 2))]
        case "integer" | "number":
            return rng.randrange(100)
        case "boolean":
            return True
    return schema["enum"][0] if "enum" in schema else f"{STAMP} {rng.randrange(1000)}"


def _shape(chat: bool, model: str, written: Completion, usage: dict[str, int], fault: str | None) -> bytes:
    text = written.text
    choice: dict[str, Any] = {"index": 0, "finish_reason": "length" if written.cut else "stop", "logprobs": None}
    choice |= {"message": {"role": "assistant", "content": text, "refusal": None}} if chat else {"text": text}
    data: dict[str, Any] = {
        "id": f"{STAMP}-1",
        "object": "chat.completion" if chat else "text_completion",
        "created": 0,
        "model": model,
        "system_fingerprint": STAMP,
        "choices": [choice],
        "usage": usage,
    }
    if fault == "missing_usage":
        del data["usage"]
    raw = _json(data)
    if fault == "malformed":
        return raw[: len(raw) // 2]
    return raw.replace(b'"created"', b'"\xff\xfe"', 1) if fault == "non_utf8" else raw


def _error(status: int, message: str, code: str | None, shape: str = "openai") -> _Response:
    if shape == "vllm":
        return _Response(
            status,
            _json({"object": "error", "message": message, "type": code, "param": None, "code": status}),
        )
    return _Response(status, _json({"error": {"message": message, "type": code, "param": None, "code": code}}))


def _json(data: Any) -> bytes:
    return json.dumps(data, separators=(",", ":")).encode()


@click.command()
@click.option("--port", default=0, help="Port on loopback; 0: any free one.")
@click.option("--dials", "dials_json", default="{}", help="Dials as JSON.")
def main(port: int, dials_json: str) -> None:
    """Run the simulated teacher until standard input closes. Prints its address."""
    given = json.loads(dials_json)
    known = {f.name for f in fields(Dials)}
    if unknown := sorted(given.keys() - known):
        raise click.UsageError(f"Unknown dials: {', '.join(unknown)}. Known: {', '.join(sorted(known))}.")
    with SimulatedTeacher(Dials(**given), port) as teacher:
        click.echo(teacher.base_url)
        sys.stdout.flush()
        sys.stdin.read()


if __name__ == "__main__":
    main()
