"""What a failed attempt means: try again, give up this call, or stop altogether. Pure.

OpenAI, vLLM, llama.cpp and the gateways in front of them say the same things in different shapes; this is where
the shapes end.
"""

from __future__ import annotations

import email.utils
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from sedi_dagster.errors import TeacherError, TeacherUnavailable
from sedi_dagster.teacher.answers import REFUSED_BY_POLICY

Kind = Literal["rate_limited", "passing", "refused", "rejected", "fatal"]
"""rate_limited: too fast (429). passing: the endpoint's trouble (5xx, reset, time-out). refused: this call, for
good (content policy, too long). rejected: a bad request, perhaps all of them are. fatal: concerns every call."""

TOO_LONG = "too_long"
BAD_REQUEST = "bad_request"

_QUOTA = ("insufficient_quota", "billing_hard_limit_reached", "billing_not_active", "insufficient_balance")
_TOO_LONG = (
    "context_length_exceeded",
    "exceed_context_size",
    "maximum context length",
    "context size",
    "string_above_max_length",
    "longer than the maximum model length",
)
_POLICY = (
    "content_policy",
    "content_filter",
    "moderation",
    "safety system",
    "invalid_prompt",
    "responsibleaipolicy",
)
_SAVED = "Everything so far is saved; run again and it goes on where it stopped."


@dataclass(frozen=True, slots=True)
class Failure:
    """`lost`: the endpoint may have done (and billed) the work although no answer came."""

    kind: Kind
    message: str
    retry_after_s: float | None = None
    lost: bool = False
    fatal: TeacherError | None = None


@dataclass(frozen=True, slots=True)
class EndpointNames:
    """How errors call the endpoint."""

    endpoint: str
    model: str


def from_status(status: int, body: Any, headers: Mapping[str, str], names: EndpointNames) -> Failure:
    """Read an error response; also one that came with status 200, as some gateways send."""
    message, tags = _message_and_tags(body)
    said = f" It says: {message[:300]}" if message else ""
    if status == 402 or any(tag in _QUOTA for tag in tags):
        return _fatal(f"The quota at {names.endpoint} is exhausted.{said}", f"Add credit or raise the limit. {_SAVED}")
    if status == 401:
        return _fatal(f"{names.endpoint} does not accept the key.{said}", "Set SEDI_TEACHER_API_KEY to a valid key.")
    if status == 429:
        return Failure("rate_limited", f"429 {message}".strip()[:300], _retry_after_s(headers))
    if status >= 500 or status in (408, 409, 425):
        return Failure("passing", f"{status} {message}".strip()[:300], _retry_after_s(headers))
    if status < 400:
        return _fatal(
            f"{names.endpoint} answers with a redirection ({status}).",
            f"Set SEDI_TEACHER_BASE_URL to where it leads: {headers.get('location', 'not told')}.",
        )
    return _bad_request(status, message, tags, said, names)


def _bad_request(status: int, message: str, tags: list[str], said: str, names: EndpointNames) -> Failure:
    text = " ".join([*tags, message.lower()])
    if any(word in text for word in _TOO_LONG):
        return Failure("refused", f"{TOO_LONG}: {message[:300]}")
    if any(word in text for word in _POLICY):
        return Failure("refused", f"{REFUSED_BY_POLICY}: {message[:300]}")
    if "model_not_found" in tags or (status == 404 and "model" in text):
        return _fatal(
            f"{names.endpoint} does not know the model {names.model!r}.{said}",
            "Set SEDI_TEACHER_MODEL to one it has.",
        )
    if status == 404:
        return _fatal(
            f"{names.endpoint} does not answer where the API should be (404).{said}",
            "Set SEDI_TEACHER_BASE_URL to the address that the API's paths are added to; most end in /v1.",
        )
    if status == 403:
        return _fatal(f"{names.endpoint} does not allow this call (403).{said}", "Check the key's rights and region.")
    if "max_completion_tokens" in text and "unsupported_parameter" in text:
        return _fatal(
            f"{names.endpoint} does not take max_tokens for {names.model!r}.{said}",
            "Set SEDI_TEACHER_TOKEN_PARAMETER=max_completion_tokens.",
        )
    return Failure("rejected", f"{BAD_REQUEST}: {status} {message[:300]}".strip())


def rejected_error(message: str, names: EndpointNames) -> TeacherError:
    """All requests are called bad: something in the settings does not suit the endpoint."""
    return TeacherError(
        f"{names.endpoint} rejects every request. It says: {message[:300]}",
        "Compare SEDI_TEACHER_PROMPT_STYLE, _TOKEN_PARAMETER, _STRUCTURED_OUTPUT and _EXTRA_BODY with what it takes.",
    )


def dead_error(message: str, names: EndpointNames) -> TeacherUnavailable:
    return TeacherUnavailable(
        f"{names.endpoint} cannot be reached or fails every call: {message}.", f"Check it. {_SAVED}"
    )


def silent_error(quiet_s: float, names: EndpointNames) -> TeacherUnavailable:
    return TeacherUnavailable(
        f"{names.endpoint} takes calls but answers nothing: no call for {quiet_s:.0f} s, nor which models it has.",
        f"Check it. If it works on one request at a time and takes longer, raise SEDI_TEACHER_SILENCE_S. {_SAVED}",
    )


def impatient_error(waited_s: float, names: EndpointNames) -> TeacherUnavailable:
    return TeacherUnavailable(
        f"{names.endpoint} has answered nothing but 429 (too many requests) for {waited_s:.0f} s.",
        f"Wait, or lower SEDI_TEACHER_MAX_CONCURRENCY. {_SAVED}",
    )


def _fatal(problem: str, mend: str) -> Failure:
    return Failure("fatal", problem, fatal=TeacherError(problem, mend))


def _message_and_tags(body: Any) -> tuple[str, list[str]]:
    """The message, and the lower-case code and type, of `{"error": {...}}` or of its inside."""
    inner = body.get("error", body) if isinstance(body, Mapping) else body
    if not isinstance(inner, Mapping):
        return " ".join(str(inner or "").split())[:500], []
    message = inner.get("message")
    tags = [str(inner[name]).lower() for name in ("code", "type") if inner.get(name) is not None]
    return " ".join(str(message or "").split()), tags


def _retry_after_s(headers: Mapping[str, str]) -> float | None:
    """`retry-after-ms`, or `retry-after` as seconds or as a date."""
    for name, scale in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        value = headers.get(name, "")
        try:
            return max(0.0, float(value) * scale)
        except ValueError:
            parsed = email.utils.parsedate_tz(value)
            if parsed is not None:
                return max(0.0, email.utils.mktime_tz(parsed) - time.time())
    return None
