"""Rendering of a `TeacherRequest` for an endpoint, and the key under which its answer is stored.

The key is a hash of the request and the endpoint, not of the code that made it: a changed prompt is always sent, an
unchanged one is never paid for twice. Purpose, round and category are not part of it, nor is anything that may change
between runs (the port of the bundled model's server).
"""

import hashlib
import json
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import urlsplit

from sedi_dagster.records import TeacherRequest
from sedi_dagster.settings import TeacherSettings

StructuredOutput = Literal["json_schema", "json_object", "prompt"]
"""How JSON is requested: with a schema that the endpoint enforces, as any JSON, or by the prompt alone."""

_TEMPLATE_TOKENS = 256
"""A generous bound of the tokens that an endpoint adds around the messages (roles, a default system prompt)."""

_LIMIT_NAMES = ("max_tokens", "max_completion_tokens", "n_predict")


@dataclass(frozen=True, slots=True)
class RenderedRequest:
    """A request as it is sent: path and JSON body, its key, and upper bounds of its tokens."""

    key: str
    path: str
    body: bytes
    most_prompt_tokens: int
    most_completion_tokens: int

    @property
    def most_tokens(self) -> int:
        return self.most_prompt_tokens + self.most_completion_tokens


def endpoint_identity(base_url: str) -> str:
    """Return the URL for keys and the ledger: without user, password and query, which may contain secrets."""
    parts = urlsplit(base_url)
    port = f":{parts.port}" if parts.port else ""
    return f"{parts.scheme}://{(parts.hostname or '').lower()}{port}{parts.path.rstrip('/')}"


def render(
    request: TeacherRequest, settings: TeacherSettings, endpoint: str, structured: StructuredOutput = "prompt"
) -> RenderedRequest:
    """Render the request for the endpoint.

    Raises:
        ValueError: the request does not have exactly one of prompt and messages.
    """
    if (request.prompt is None) == (not request.messages):
        raise ValueError("A teacher request has either a prompt or messages.")
    path = "/chat/completions" if request.messages else "/completions"
    fields = _body(request, settings, structured)
    body = json.dumps(fields, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode("utf-8", "replace")
    digest = hashlib.blake2b(digest_size=16)
    for part in (endpoint.encode(), path.encode(), body, str(request.sample_index).encode()):
        digest.update(len(part).to_bytes(8, "big") + part)
    return RenderedRequest(
        key=digest.hexdigest(),
        path=path,
        body=body,
        most_prompt_tokens=_most_prompt_tokens(body),
        most_completion_tokens=_most_completion_tokens(fields),
    )


def rendered_again(key: str, body: str) -> RenderedRequest:
    """Return a stored request with its bounds."""
    fields = json.loads(body)
    path = "/chat/completions" if "messages" in fields else "/completions"
    raw = body.encode()
    return RenderedRequest(key, path, raw, _most_prompt_tokens(raw), _most_completion_tokens(fields))


def _body(request: TeacherRequest, settings: TeacherSettings, structured: StructuredOutput) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "model": settings.model,
        settings.token_parameter: request.max_tokens + settings.reasoning_tokens,
        "temperature": request.temperature,
        "top_p": request.top_p,
    }
    instruction = ""
    if request.json_schema is not None and structured != "json_schema":
        schema = json.dumps(request.json_schema, ensure_ascii=False, sort_keys=True)
        instruction = f"\n\nAnswer with JSON only, following this JSON schema:\n{schema}"
    if request.messages:
        messages = [{"role": m.role, "content": m.content} for m in request.messages]
        messages[-1]["content"] += instruction
        fields["messages"] = messages
    else:
        fields["prompt"] = (request.prompt or "") + instruction
    if request.stop:
        fields["stop"] = list(request.stop)
    if request.seed is not None:
        fields["seed"] = request.seed
    if request.json_schema is not None and structured == "json_schema":
        strict_schema = {"name": "answer", "schema": request.json_schema, "strict": True}
        fields["response_format"] = {"type": "json_schema", "json_schema": strict_schema}
    elif request.json_schema is not None and structured == "json_object":
        fields["response_format"] = {"type": "json_object"}
    fields |= settings.extra_body
    return {name: value for name, value in fields.items() if value is not None}


def _most_prompt_tokens(body: bytes) -> int:
    """Return an upper bound: a token of a byte-level vocabulary covers at least one byte."""
    return len(body) + _TEMPLATE_TOKENS


def _most_completion_tokens(fields: dict[str, Any]) -> int:
    """Return the token limit times the number of answers, as `extra_body` may request several."""
    limit = max(int(fields.get(name) or 0) for name in _LIMIT_NAMES)
    return limit * max(int(fields.get("n") or 1), int(fields.get("best_of") or 1))
