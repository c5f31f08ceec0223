"""A simulated teacher: a server on loopback for chat and text completions.

The answer to a request depends only on its body and its Idempotency-Key, not on time or order. The server meters the
tokens that it would have billed. Its responses say that they are simulated. To run it as a separate process:
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
    """`billed` counts new answers by Idempotency-Key; `replayed` counts answers that were sent again."""

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
    """The answer to a request, truncated to its token limit, and its token counts."""

    text: str
    cut: bool
    prompt_tokens: int
    completion_tokens: int


Complete = Callable[[Mapping[str, Any], random.Random], Completion]
"""Completes a request, given its body and a random generator that is seeded by the request."""


class SimulatedTeacher:
    """The server, run in a thread by a context manager.

    Args:
        port: port on loopback; 0: any free one.
        complete: function that writes answers and counts tokens; default: `write_completion`.
        latency_s: mean latency of answers in seconds; it varies by up to half.
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
        """Reset the meter, and forget all answers."""
        self.meter = type(self.meter)()
        self._answered.clear()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request as an ASGI application. There is no router, for speed in benchmarks."""
        request = Request(scope, receive)
        try:
            response = await self.respond(request)
        except (LookupError, TypeError, ValueError, AttributeError) as error:  # an invalid request body
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
        """Return a new answer and bill it, or replay the answer that was billed under the same key."""
        if key in self._answered:
            self.meter.replayed += 1
            return self._answered[key]
        digest = hashlib.blake2b(body + key.encode(), digest_size=8).hexdigest()
        parameters = json.loads(body)
        completion = self._complete(parameters, random.Random(f"0 {digest}"))
        self.meter.billed[key or digest] += 1
        self.meter.prompt_tokens += completion.prompt_tokens
        self.meter.completion_tokens += completion.completion_tokens
        answer = _response_body(path.endswith("/chat/completions"), parameters.get("model", MODEL), completion)
        if key:
            self._answered[key] = answer
        return answer


def write_completion(parameters: Mapping[str, Any], rng: random.Random) -> Completion:
    """Answer a request from the templates."""
    return limited(parameters, write_text(parameters, rng))


def write_text(parameters: Mapping[str, Any], rng: random.Random) -> str:
    """Return the whole text of an answer, before the request's token limit is applied."""
    schema = (parameters.get("response_format") or {}).get("json_schema", {}).get("schema", {"type": "object"})
    if parameters.get("response_format") is not None and "examples" not in schema.get("properties", {}):
        return json.dumps(sample_of(schema, rng))
    return write(parameters["messages"][-1]["content"] if "messages" in parameters else parameters["prompt"], rng)


def limited(parameters: Mapping[str, Any], text: str, bytes_per_token: float = BYTES_PER_TOKEN) -> Completion:
    """Truncate a text to the request's token limit, with tokens estimated from bytes."""
    max_tokens = int(parameters.get("max_tokens") or parameters.get("max_completion_tokens") or 16)
    limit = int(max_tokens * bytes_per_token)
    prompt = json.dumps(parameters["messages"]) if "messages" in parameters else parameters["prompt"]
    return Completion(
        text[:limit],
        len(text) > limit,
        max(1, int(len(prompt.encode()) / bytes_per_token)),
        -(-len(text[:limit].encode()) // max(1, int(bytes_per_token))),
    )


def sample_of(schema: Mapping[str, Any], rng: random.Random) -> Any:
    """Return a value that matches a simple JSON schema."""
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


def _response_body(chat: bool, model: str, completion: Completion) -> bytes:
    message = {"role": "assistant", "content": completion.text, "refusal": None}
    choice: dict[str, Any] = {"index": 0, "finish_reason": "length" if completion.cut else "stop", "logprobs": None}
    choice |= {"message": message} if chat else {"text": completion.text}
    data = {
        "id": f"{STAMP}-1",
        "object": "chat.completion" if chat else "text_completion",
        "created": 0,
        "model": model,
        "system_fingerprint": STAMP,
        "choices": [choice],
        "usage": {
            "prompt_tokens": completion.prompt_tokens,
            "completion_tokens": completion.completion_tokens,
            "total_tokens": completion.prompt_tokens + completion.completion_tokens,
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
