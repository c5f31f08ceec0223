"""How a server of the API may behave: what it refuses, how often it fails, and what its failures look like."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from starlette.responses import JSONResponse, Response

from benchmarks.testbed.batch_api import BatchFault
from sedi_dagster.testing.simulated_teacher import BYTES_PER_TOKEN, MODEL, STAMP

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
_FAULTS: tuple[Fault, ...] = get_args(Fault)
Outage = Literal["", "silent", "rate_limited", "server_error", "no_quota", "bad_key", "no_model", "bad_request"]


@dataclass(frozen=True)
class ServerBehavior:
    """A fault's number is the share of requests (0 to 1) that meet it, chosen by `seed`, body and how often it came."""

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
    outage: Outage = ""
    """All requests get this until it is set back. silent: connections are taken, nothing is answered."""
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
    bytes_per_token: float = BYTES_PER_TOKEN
    context_tokens: int = 0
    echo_key: bool = False
    """Put the key that was sent into error messages, as careless gateways do."""
    batch_fault: BatchFault = ""
    content: Literal["tasks", "short"] = "tasks"

    def fault(self, point: float) -> Fault | None:
        """The fault that a request meets, if any, by a point from 0 to 1."""
        for fault in _FAULTS:
            share: float = getattr(self, fault)
            if point < share:
                return fault
            point -= share
        return None

    def latency(self, point: float) -> float:
        return self.latency_s * (1 + self.latency_spread * (2 * point - 1))

    def error(self, status: int, message: str, code: str | None) -> Response:
        if self.error_shape == "vllm":
            data = {"object": "error", "message": message, "type": code, "param": None, "code": status}
            return JSONResponse(data, status)
        return JSONResponse({"error": {"message": message, "type": code, "param": None, "code": code}}, status)

    def rate_limit_error(self) -> Response:
        error = self.error(429, "Rate limit reached", "rate_limit_exceeded")
        if self.retry_after_s is not None:
            error.headers["Retry-After"] = f"{self.retry_after_s:g}"
        return error

    def content_policy_error(self) -> Response:
        return self.error(400, "Rejected by the safety system", "content_policy_violation")

    def key_error(self, key: str) -> Response | None:
        """401 unless the key is the right one."""
        if self.api_key and key != self.api_key:
            shown = key if self.echo_key else "***"
            return self.error(401, f"Incorrect API key provided: {shown}", "invalid_api_key")
        return None

    def outage_error(self) -> Response | None:
        match self.outage:
            case "rate_limited":
                return self.rate_limit_error()
            case "server_error":
                return self.error(503, f"{STAMP} outage", "server_error")
            case "no_quota":
                return self.error(429, "You exceeded your current quota", "insufficient_quota")
            case "bad_key":
                return self.error(401, "Incorrect API key provided", "invalid_api_key")
            case "no_model":
                return self.error(404, "The model does not exist", "model_not_found")
            case "bad_request":
                return self.error(400, "Unrecognized request argument", "unknown_parameter")
        return None

    def request_error(self, body: bytes) -> Response | None:
        """400 or 404 for a call that this server does not take."""
        try:
            asked = json.loads(body)
        except ValueError:
            return self.error(400, "Body is not JSON", None)
        if not isinstance(asked, dict) or not (asked.get("messages") or "prompt" in asked):
            return self.error(400, "Missing required parameter: 'messages'", "missing_required_parameter")
        return self._parameter_error(asked) or self._length_error(body)

    def _parameter_error(self, asked: Mapping[str, Any]) -> Response | None:
        wrong = {"max_tokens": "max_completion_tokens", "max_completion_tokens": "max_tokens"}.get(self.token_parameter)
        if wrong in asked:
            text = f"Unsupported parameter: '{wrong}' is not supported. Use '{self.token_parameter}' instead."
            return self.error(400, text, "unsupported_parameter")
        if self.strict_model and asked.get("model") != MODEL:
            return self.error(404, f"The model `{asked.get('model')}` does not exist", "model_not_found")
        named = [name for name in self.refused_fields if name in asked]
        if named:
            return self.error(400, f"Unrecognized request arguments supplied: {', '.join(named)}", None)
        form = (asked.get("response_format") or {}).get("type")
        if (form == "json_schema" and not self.json_schema) or (form == "json_object" and not self.json_object):
            return self.error(400, f"response_format {form} is not supported", "unsupported_value")
        return None

    def _length_error(self, body: bytes) -> Response | None:
        if self.context_tokens and len(body) / self.bytes_per_token > self.context_tokens:
            text = f"This model's maximum context length is {self.context_tokens} tokens"
            return self.error(400, text, "context_length_exceeded")
        return None


def spoiled(answer: bytes, fault: Fault | None, giant_bytes: int) -> bytes:
    """The body of an answer with a fault in it; as it is, where the fault is another one."""
    match fault:
        case "malformed":
            return answer[: len(answer) // 2]
        case "non_utf8":
            return answer.replace(b'"created"', b'"\xff\xfe"', 1)
        case "giant":
            return answer[:-1] + b',"padding":"' + b"x" * giant_bytes + b'"}'
        case "truncated" | "wrong_schema" | "missing_usage":
            return _rewritten(answer, fault)
    return answer


def _rewritten(answer: bytes, fault: Fault) -> bytes:
    data = json.loads(answer)
    choice = data["choices"][0]
    holder, name = (choice["message"], "content") if "message" in choice else (choice, "text")
    if fault == "missing_usage":
        del data["usage"]
    elif fault == "truncated":
        holder[name] = holder[name][: max(1, len(holder[name]) // 2)]
        choice["finish_reason"] = "length"
    else:
        holder[name] = json.dumps({"unexpected": True})
        choice["finish_reason"] = "stop"
    return json.dumps(data, separators=(",", ":")).encode()
