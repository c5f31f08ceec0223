"""Classification of failed attempts: retry, give up the call, or stop. Pure functions.

OpenAI, vLLM, llama.cpp and gateways report the same errors in different formats (`reasons`), which are unified here.
"""

import re
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from sedi_dagster.errors import TeacherError, TeacherUnavailable
from sedi_dagster.teacher import retry_after
from sedi_dagster.teacher.answers import REFUSED_BY_POLICY, Usage
from sedi_dagster.teacher.reasons import Reason, error_reason, pointed_fields, refused_parameters

Kind = Literal["rate_limited", "passing", "invalid", "refused", "too_long", "parameters", "rejected", "fatal"]
"""rate_limited: too many requests (429, or a 5xx that asks to wait), or a model that is still loading. passing: a
temporary fault of the endpoint (5xx, reset, timeout). invalid: not a response of the API. refused: this call is refused
for good (content policy). too_long: this call, or all calls of its purpose, are too long. parameters: the call may work
without the named ones. rejected: a bad request, as all others may be. fatal: concerns every call."""

TOO_LONG = "too_long"
BAD_REQUEST = "bad_request"

_STATUS_OF = {
    "invalid argument": 400, "unauthenticated": 401, "authentication error": 401, "auth error": 401,
    "permission denied": 403, "permission error": 403, "failed precondition": 403,
    "not found": 404, "not found error": 404, "resource exhausted": 429, "rate limit error": 429,
    "unavailable": 503, "deadline exceeded": 504,
}  # fmt: skip
"""HTTP statuses of error codes of gRPC, which Google's servers send, and of Anthropic."""
_COUNT = re.compile(r"\b\d[\d,]{2,8}\b")
_SAVED = "Everything so far is saved; run again to continue."

_FATAL = {
    "quota": ("The quota at {endpoint} is exhausted.", f"Add credit or raise the limit. {_SAVED}"),
    "key": ("{endpoint} does not accept the key.", "Set SEDI_TEACHER_API_KEY to a valid key."),
    "model": ("{endpoint} does not know the model {model!r}.", "Set SEDI_TEACHER_MODEL to one it has."),
    "address": (
        "There is no API at {endpoint} ({status}).",
        "Set SEDI_TEACHER_BASE_URL to the base URL of the API, which usually ends in /v1.",
    ),
    "proxy": ("A proxy before {endpoint} requires a password.", "Add it to the URL in HTTPS_PROXY."),
    "rights": ("{endpoint} does not allow this call (403).", "Check the key's rights and region."),
}
"""Problem and fix of the errors that concern every call."""


@dataclass(frozen=True, slots=True)
class Failure:
    """Why an attempt failed.

    Attributes:
        retry_after_s: how long the endpoint asks to wait, in seconds.
        lost: the endpoint may have done (and billed) the work although no answer arrived.
        fatal: the error to raise if all calls are concerned.
        parameters: request fields that the endpoint does not support.
        raw, usage: the response that was not an answer, and its tokens.
    """

    kind: Kind
    message: str
    retry_after_s: float | None = None
    lost: bool = False
    fatal: TeacherError | None = None
    parameters: frozenset[str] = frozenset()
    raw: str | None = None
    usage: Usage | None = None

    @property
    def is_charged(self) -> bool:
        """Whether the ledger records it at once, because it may have cost something or has a response to keep."""
        return self.lost or self.raw is not None


@dataclass(frozen=True, slots=True)
class EndpointNames:
    """The names of the endpoint and the model in errors."""

    endpoint: str
    model: str


def from_status(
    status: int, body: Any, headers: Mapping[str, str], names: EndpointNames, optional: Collection[str] = ()
) -> Failure:
    """Classify an error response.

    Args:
        body: the parsed JSON, or text.
        optional: request fields that could be omitted.
    """
    reason = error_reason(body)
    status = _specific_status(status, reason)
    header_s = retry_after.from_headers(headers)
    wait_s = reason.wait_s if header_s is None else header_s
    limit_s = wait_s if status == 429 else reason.wait_s  # a 403 may have rate limit headers that do not matter
    renews = status in (403, 429) and (limit_s is not None or reason.says("per_minute"))
    is_spent = (status <= 500 and reason.says("quota")) or (status < 500 and status != 429 and reason.says("money"))
    fatal = {401: "key", 402: "quota", 407: "proxy"}.get(status)
    if is_spent and not renews:
        fatal = "quota"
    elif status in (400, 403) and reason.says("key") and not reason.says("model"):
        fatal = "key"
    if fatal is not None:
        return _fatal(fatal, status, reason, names)
    too_fast = status in (400, 403, 498) and (renews or reason.says("too_fast", "busy"))
    if status >= 500:
        too_fast = wait_s is not None or reason.says("too_fast", "busy", "starting")
    if too_fast or (status == 429 and not reason.says("too_large")):
        return Failure("rate_limited", f"{status} {reason.message}".strip()[:300], wait_s)
    if 300 <= status < 400:
        fix = f"Set SEDI_TEACHER_BASE_URL to its target: {headers.get('location', 'unknown')}."
        error = TeacherError(f"{names.endpoint} responds with a redirect ({status}).", fix)
        return Failure("fatal", error.problem, fatal=error)
    is_bad = reason.is_coded("policy") or (status == 500 and reason.says("too_long", "keyword"))
    if status < 500 or is_bad or (status == 501 and refused_parameters(reason, optional)):
        return _bad_request(status, reason, names, optional)
    return _passing(status, reason)


def from_error_in_success(error: Any, names: EndpointNames, optional: Collection[str] = ()) -> Failure:
    """Classify an error that came with the status of a success, as some gateways send it.

    If neither a code nor the message says that it is permanent, it counts as temporary.
    """
    failure = from_status(400, error, {}, names, optional)
    if failure.kind == "rejected" and not {"400", "422"} & {*error_reason(error).tags}:
        return Failure("passing", failure.message.removeprefix(f"{BAD_REQUEST}: 400 ") or "an error without words")
    return failure


def _specific_status(status: int, reason: Reason) -> int:
    """Return the status that the error's codes name if that of the response is a general one, as of gateways."""
    if status not in (400, 500):
        return status
    codes = [int(tag) if re.fullmatch(r"[45]\d\d", tag) else _STATUS_OF.get(tag, status) for tag in reason.tags]
    other = next((code for code in codes if code != status), status)
    return status if (status, other) == (500, 404) else other  # 404: a backend of the gateway is missing for now


def _bad_request(status: int, reason: Reason, names: EndpointNames, optional: Collection[str]) -> Failure:
    """Classify a bad request by its message, then by its status, then by the fields that it names."""
    if (reason.says("policy") and "firewall" not in reason.words) or status == 451:
        return Failure("refused", f"{REFUSED_BY_POLICY}: {reason.message[:300]}")
    if status in (408, 409, 424, 425, 499):
        return _passing(status, reason)
    parameters = refused_parameters(reason, optional)
    about_a_value = any(not name.endswith("tokens") and name != "stop" for name in parameters)
    too_long = Failure("too_long", f"{TOO_LONG}: {reason.message[:300]}")
    bad_request = f"{BAD_REQUEST}: {status} {reason.message[:300]}".strip()
    if status in (413, 429) or (reason.says("too_long") and not about_a_value):
        return too_long
    if parameters & pointed_fields(reason, optional):
        return Failure("parameters", bad_request, parameters=parameters)
    about_the_model = "model" in reason.fields and not parameters
    is_named = "model" in reason.words or (names.model and names.model in reason.message)
    if about_the_model or reason.says("model") or (status in (404, 410) and is_named):
        return _fatal("model", status, reason, names)
    if status in (404, 405) or reason.says("address"):
        return _fatal("address", status, reason, names)
    if parameters and status != 403:
        return Failure("parameters", bad_request, parameters=parameters)
    if status == 403 and reason.says("of_money"):
        return _fatal("quota", status, reason, names)
    if reason.says("of_the_key") or (status == 403 and reason.says("of_a_key")):
        return _fatal("key", status, reason, names)
    if reason.says("later"):
        return _passing(status, reason)
    if status == 403:
        return _fatal("rights", status, reason, names)
    if reason.says("counted") and len(_COUNT.findall(reason.message)) > 1:  # the number of tokens, and the limit
        return too_long
    return Failure("rejected", bad_request)


def _passing(status: int, reason: Reason) -> Failure:
    return Failure("passing", f"{status} {reason.message}".strip()[:300])


def unavailable_error(message: str, names: EndpointNames) -> TeacherUnavailable:
    """Return the error for an endpoint that cannot be reached or fails every call."""
    return TeacherUnavailable(
        f"{names.endpoint} cannot be reached or fails every call: {message}.", f"Check the endpoint. {_SAVED}"
    )


def unresponsive_error(silent_s: float, names: EndpointNames) -> TeacherUnavailable:
    """Return the error for an endpoint that accepts calls but has not responded for `silent_s` seconds."""
    return TeacherUnavailable(
        f"{names.endpoint} accepts calls but has not responded for {silent_s:.0f} s, not even with its list of models.",
        "Check the endpoint. If it handles one request at a time and needs longer, raise SEDI_TEACHER_SILENCE_S. "
        f"{_SAVED}",
    )


def rate_limit_error(
    waited_s: float, names: EndpointNames, message: str, until_s: float | None = None
) -> TeacherUnavailable:
    """Return the error for an endpoint that has accepted no call for `waited_s` seconds.

    Args:
        until_s: how long it asks to wait, in seconds from now, if that is longer than patience lasts.
    """
    if until_s is not None:
        problem = f"{names.endpoint} asks to wait until {_clock(until_s)}: {message}."
        return TeacherUnavailable(problem, f"Run again then, or raise SEDI_TEACHER_PATIENCE_S. {_SAVED}")
    return TeacherUnavailable(
        f"{names.endpoint} has accepted no call for {waited_s:.0f} s: {message}.",
        f"Wait, lower SEDI_TEACHER_MAX_CONCURRENCY, or raise SEDI_TEACHER_PATIENCE_S. {_SAVED}",
    )


def _clock(seconds_from_now: float) -> str:
    until = time.localtime(time.time() + seconds_from_now)
    today = until[:3] == time.localtime()[:3]
    return time.strftime("%H:%M" if today else "%H:%M on %Y-%m-%d", until)


def _fatal(name: str, status: int, reason: Reason, names: EndpointNames) -> Failure:
    problem, fix = _FATAL[name]
    problem = problem.format(endpoint=names.endpoint, model=names.model, status=status)
    if reason.message:
        problem += f" It says: {reason.message[:300]}"
    return Failure("fatal", problem, fatal=TeacherError(problem, fix))
