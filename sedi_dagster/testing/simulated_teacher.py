"""A simulated teacher: a server on loopback that speaks chat and text completions.

What a request gets depends on its body and its Idempotency-Key alone, not on time or order. It keeps a meter of what it
would have billed. Everything that it writes says that it is simulated. As a process of its own:
`python -m sedi_dagster.testing.simulated_teacher --port 8099`.
"""

import asyncio
import hashlib
import json
import random
import socket
import sys
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Self

import click
import uvicorn
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from sedi_dagster.testing.simulated_writing import write

MODEL = "simulated-teacher"
STAMP = "simulated"
BYTES_PER_TOKEN = 4.0
CALLS = ("/v1/chat/completions", "/v1/completions")
_BACKLOG = 1024
_ENCODER = json.JSONEncoder(separators=(",", ":"))


@dataclass
class Meter:
    """`billed` counts the answers that were worked out, by Idempotency-Key; `replayed` those that were sent again."""

    billed: Counter[str] = field(default_factory=Counter)
    replayed: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0

    @property
    def tokens(self) -> int:
        return self.prompt_tokens + self.completion_tokens

    def as_dict(self) -> dict[str, Any]:
        return {
            "billed": len(self.billed),
            "billed_twice": sum(1 for n in self.billed.values() if n > 1),
            "replayed": self.replayed,
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": self.completion_tokens,
            "tokens": self.tokens,
        }


@dataclass(frozen=True)
class Completion:
    """What is answered to a request: the text as its token limit leaves it, and what it costs."""

    text: str
    cut: bool
    prompt_tokens: int
    completion_tokens: int


Complete = Callable[[Mapping[str, Any], random.Random], Completion]
"""Completes a request, given its body and a source of chance that is the same whenever the request is."""


class SimulatedTeacher:
    """The server, in a thread of its own; a context manager.

    Args:
        port: on loopback; 0: any free one.
        complete: in place of what this teacher writes by itself, and of how it counts tokens.
        latency_s: how long an answer takes, give or take half of it.
    """

    http: type[asyncio.Protocol] | Literal["auto"] = "auto"

    def __init__(self, port: int = 0, complete: Complete | None = None, latency_s: float = 0.0) -> None:
        self.port = port
        self.meter = Meter()
        self._complete = complete or write_completion
        self._latency_s = latency_s
        self._answered: dict[str, bytes] = {}

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def __enter__(self) -> Self:
        listener = socket.create_server(("127.0.0.1", self.port), backlog=_BACKLOG)
        self.port = listener.getsockname()[1]
        self._server = uvicorn.Server(
            uvicorn.Config(
                self,
                http=self.http,
                ws="none",
                lifespan="off",
                backlog=_BACKLOG,
                timeout_keep_alive=600,  # a client in a test may be idle for long
                timeout_graceful_shutdown=1,
                proxy_headers=False,
                server_header=False,
                headers=[("Server", STAMP)],
                access_log=False,
                log_config=None,
                log_level="warning",
            )
        )
        self._thread = threading.Thread(
            target=self._server.run, args=([listener],), name="simulated-teacher", daemon=True
        )
        self._thread.start()
        return self

    def __exit__(self, *details: object) -> None:
        self._server.should_exit = True
        self._thread.join()

    def forget(self) -> None:
        """Start anew: an empty meter, and no memory of what was answered."""
        self.meter = type(self.meter)()
        self._answered.clear()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The server as an ASGI application; without a router, as there are three paths and benchmarks wait for it."""
        request = Request(scope, receive)
        try:
            response = await self.respond(request)
        except (LookupError, TypeError, ValueError, AttributeError) as error:  # a call that is not as the API has it
            response = _error(400, f"Bad request: {error!r}")
        await response(scope, receive, send)

    async def respond(self, request: Request) -> Response:
        path = request.scope["path"]
        if path in CALLS:
            if self._latency_s:
                await asyncio.sleep(self._latency_s * random.uniform(0.5, 1.5))
            key = request.headers.get("idempotency-key", "")
            return Response(self.answer(path, await request.body(), key), media_type="application/json")
        if path == "/v1/models":
            return JSONResponse({"object": "list", "data": [{"id": MODEL, "object": "model"}]})
        return _error(404, "Not found")

    def answer(self, path: str, body: bytes, key: str) -> bytes:
        """Work the answer to a call out and bill it, or give the one that was billed before under the same key."""
        if key in self._answered:
            self.meter.replayed += 1
            return self._answered[key]
        digest = hashlib.blake2b(body + key.encode(), digest_size=8).hexdigest()
        asked = json.loads(body)
        written = self._complete(asked, random.Random(f"0 {digest}"))
        self.meter.billed[key or digest] += 1
        self.meter.prompt_tokens += written.prompt_tokens
        self.meter.completion_tokens += written.completion_tokens
        answer = _response_body(path.endswith("/chat/completions"), asked.get("model", MODEL), written)
        if key:
            self._answered[key] = answer
        return answer


def write_completion(asked: Mapping[str, Any], rng: random.Random) -> Completion:
    """What this teacher writes by itself."""
    return limited(asked, write_text(asked, rng))


def write_text(asked: Mapping[str, Any], rng: random.Random) -> str:
    """The whole text, before the request's token limit."""
    schema = (asked.get("response_format") or {}).get("json_schema", {}).get("schema", {"type": "object"})
    if asked.get("response_format") is not None and "examples" not in schema.get("properties", {}):
        return json.dumps(sample_of(schema, rng))
    return write(asked["messages"][-1]["content"] if "messages" in asked else asked["prompt"], rng)


def limited(asked: Mapping[str, Any], text: str, bytes_per_token: float = BYTES_PER_TOKEN) -> Completion:
    """The text cut at the request's token limit, its tokens counted by bytes."""
    most = int(int(asked.get("max_tokens") or asked.get("max_completion_tokens") or 16) * bytes_per_token)
    read = json.dumps(asked["messages"]) if "messages" in asked else asked["prompt"]
    return Completion(
        text[:most],
        len(text) > most,
        max(1, int(len(read.encode()) / bytes_per_token)),
        -(-len(text[:most].encode()) // max(1, int(bytes_per_token))),
    )


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


def _error(status: int, message: str) -> Response:
    return JSONResponse({"error": {"message": message, "type": "invalid_request_error", "code": None}}, status)


def _response_body(chat: bool, model: str, written: Completion) -> bytes:
    choice: dict[str, Any] = {"index": 0, "finish_reason": "length" if written.cut else "stop", "logprobs": None}
    choice |= (
        {"message": {"role": "assistant", "content": written.text, "refusal": None}} if chat else {"text": written.text}
    )
    data = {
        "id": f"{STAMP}-1",
        "object": "chat.completion" if chat else "text_completion",
        "created": 0,
        "model": model,
        "system_fingerprint": STAMP,
        "choices": [choice],
        "usage": {
            "prompt_tokens": written.prompt_tokens,
            "completion_tokens": written.completion_tokens,
            "total_tokens": written.prompt_tokens + written.completion_tokens,
        },
    }
    return _ENCODER.encode(data).encode()


@click.command()
@click.option("--port", default=0, help="Port on loopback; 0: any free one.")
def main(port: int) -> None:
    """Run the simulated teacher until standard input closes. Prints its address."""
    with SimulatedTeacher(port) as teacher:
        click.echo(teacher.base_url)
        sys.stdout.flush()
        sys.stdin.read()


if __name__ == "__main__":
    main()
