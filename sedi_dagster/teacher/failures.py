"""Classification of failed attempts: retry, give up the call, or stop. Pure.

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
from sedi_dagster.teacher.reasons import Reason, error_reason, phrases, refused_parameters

Kind = Literal["rate_limited", "passing", "invalid", "refused", "too_long", "parameters", "rejected", "fatal"]
"""rate_limited: too fast (429, or a 5xx that asks to wait). passing: the endpoint's trouble (5xx, reset, timeout).
invalid: not an answer of the API. refused: this call, for good (content policy). too_long: this call, or all of them.
parameters: without the named ones it may work. rejected: a bad request, perhaps all are. fatal: concerns every call."""

TOO_LONG = "too_long"
BAD_REQUEST = "bad_request"

_QUOTA, _MONEY, _TOO_FAST, _BUSY, _TOO_LARGE, _TOO_LONG, _POLICY, _KEY, _MODEL, _OF_MONEY, _OF_A_KEY = map(
    phrases,
    ("quota", "money", "too_fast", "busy", "too_large", "too_long", "policy", "key", "model", "of_money", "of_a_key"),
)
_STATUS_OF = {
    "invalid_argument": 400, "unauthenticated": 401, "authentication_error": 401, "auth_error": 401,
    "permission_denied": 403, "permission_error": 403, "failed_precondition": 403,
    "not_found": 404, "not_found_error": 404, "resource_exhausted": 429, "rate_limit_error": 429,
    "unavailable": 503, "deadline_exceeded": 504,
}  # fmt: skip
"""HTTP statuses of the codes of gRPC, as Google's servers send them, and of Anthropic's."""
_PER_MINUTE = re.compile(r"\b(?:per|this|a) (?:second|minute)\b")
_KEYWORD = re.compile(r"unexpected keyword argument")
"""A server that hands the fields of a request on to a function of its own."""
_SAVED = "Everything so far is saved; run again and it goes on where it stopped."


@dataclass(frozen=True, slots=True)
class Failure:
    """`lost`: the endpoint may have done (and billed) the work although no answer came.

    `parameters`: those that it does not take. `raw`, `usage`: what came instead of an answer, and what it cost.
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
        """Whether it is written down at once: it cost something, or there is something to look at."""
        return self.lost or self.raw is not None


@dataclass(frozen=True, slots=True)
class EndpointNames:
    """How errors call the endpoint."""

    endpoint: str
    model: str


def from_status(
    status: int, body: Any, headers: Mapping[str, str], names: EndpointNames, optional: Collection[str] = ()
) -> Failure:
    """Read an error response.

    Args:
        optional: fields of the request that it could go without.
    """
    reason = error_reason(body)
    status = _told_status(status, reason)
    says = f" It says: {reason.message[:300]}" if reason.message else ""
    text = reason.all_words
    asked_s = retry_after.from_headers(headers)
    wait_s = reason.wait_s if asked_s is None else asked_s
    told_s = wait_s if status == 429 else reason.wait_s  # a 403 may have the headers of any answer
    renews = status in (403, 429) and (told_s is not None or _PER_MINUTE.search(text))  # soon, or in hours or a day
    of_content = any(map(_POLICY.search, reason.tags))  # then the words may be the request's
    denies = status == 403 and not _POLICY.search(text)  # then it says enough if it only names a key, or money
    names_money = (status in (400, 403) and _MONEY.search(text)) or (denies and _OF_MONEY.search(text))
    if status == 402 or (status < 500 and (names_money or _QUOTA.search(text)) and not renews and not of_content):
        return _fatal(f"The quota at {names.endpoint} is exhausted.{says}", f"Add credit or raise the limit. {_SAVED}")
    names_key = denies and _OF_A_KEY.search(text) and not _TOO_LONG.search(text)
    is_key = names_key or (status in (400, 403) and _KEY.search(text))
    if status == 401 or (is_key and not _MODEL.search(text)):
        return _fatal(f"{names.endpoint} does not accept the key.{says}", "Set SEDI_TEACHER_API_KEY to a valid key.")
    if status == 407:
        return _fatal(f"A proxy before {names.endpoint} asks for a password.{says}", "Put it into HTTPS_PROXY.")
    too_fast = ((status in (400, 403) or status >= 500) and (renews or _TOO_FAST.search(text))) or (
        (status >= 500 or status == 498) and _BUSY.search(text)
    )
    if status == 429 and _TOO_LARGE.search(text):
        return _bad_request(status, reason, says, names, optional)
    if status == 429 or (status >= 500 and wait_s is not None) or too_fast:
        return Failure("rate_limited", f"{status} {reason.message}".strip()[:300], wait_s)
    if status == 500 and (_TOO_LONG.search(text) or _KEYWORD.search(text)):
        return _bad_request(status, reason, says, names, optional if _KEYWORD.search(text) else ())
    if status == 501 and (parameters := refused_parameters(reason, optional)):
        return Failure("parameters", f"{BAD_REQUEST}: {status} {reason.message[:300]}", parameters=parameters)
    if status >= 500 or status in (408, 409, 424, 425, 499):
        return Failure("passing", f"{status} {reason.message}".strip()[:300])
    if status < 400:
        return _fatal(
            f"{names.endpoint} answers with a redirection ({status}).",
            f"Set SEDI_TEACHER_BASE_URL to where it leads: {headers.get('location', 'not told')}.",
        )
    return _bad_request(status, reason, says, names, optional)


def from_error_in_success(error: Any, names: EndpointNames, optional: Collection[str] = ()) -> Failure:
    """Read an error that came with the status of a success, as some gateways send it.

    Without a status of its own it passes, unless its words say that it will not.
    """
    failure = from_status(400, error, {}, names, optional)
    if failure.kind == "rejected" and not {"400", "422"} & {*error_reason(error).tags}:
        return Failure("passing", failure.message.removeprefix(f"{BAD_REQUEST}: 400 ") or "an error without words")
    return failure


def _told_status(status: int, reason: Reason) -> int:
    """The status that an error tells in its codes, where that of the response is a general one, as of gateways."""
    if status not in (400, 500):
        return status
    told = [int(tag) if re.fullmatch(r"[45]\d\d", tag) else _STATUS_OF.get(tag, status) for tag in reason.tags]
    other = next((one for one in told if one != status), status)
    return status if (status, other) == (500, 404) else other  # a part of the server was not found: it may be again


def _bad_request(status: int, reason: Reason, says: str, names: EndpointNames, optional: Collection[str]) -> Failure:
    message, text = reason.message, reason.all_words
    if (_POLICY.search(text) and "firewall" not in text) or status == 451:
        return Failure("refused", f"{REFUSED_BY_POLICY}: {message[:300]}")
    parameters = refused_parameters(reason, optional)
    of_a_value = any(not name.endswith("tokens") and name != "stop" for name in parameters)
    if status in (413, 429) or (_TOO_LONG.search(text) and not of_a_value):
        return Failure("too_long", f"{TOO_LONG}: {message[:300]}")
    bad_request = f"{BAD_REQUEST}: {status} {message[:300]}".strip()
    if parameters & {*reason.fields}:
        return Failure("parameters", bad_request, parameters=parameters)
    if (
        _MODEL.search(text)
        or ("model" in reason.fields and not parameters)
        or (status in (404, 410) and "model" in text)
    ):
        return _fatal(
            f"{names.endpoint} does not know the model {names.model!r}.{says}",
            "Set SEDI_TEACHER_MODEL to one it has.",
        )
    if status in (404, 405):
        return _fatal(
            f"{names.endpoint} does not answer where the API should be ({status}).{says}",
            "Set SEDI_TEACHER_BASE_URL to the address that the API's paths are added to; most end in /v1.",
        )
    if status == 403:
        return _fatal(f"{names.endpoint} does not allow this call (403).{says}", "Check the key's rights and region.")
    if parameters:
        return Failure("parameters", bad_request, parameters=parameters)
    return Failure("rejected", bad_request)


def unavailable_error(message: str, names: EndpointNames) -> TeacherUnavailable:
    """The error for an endpoint that cannot be reached or fails every call."""
    return TeacherUnavailable(
        f"{names.endpoint} cannot be reached or fails every call: {message}.", f"Check it. {_SAVED}"
    )


def unresponsive_error(silent_s: float, names: EndpointNames) -> TeacherUnavailable:
    """The error for an endpoint that accepts calls and answers none for `silent_s` seconds."""
    return TeacherUnavailable(
        f"{names.endpoint} takes calls but answers nothing: no call for {silent_s:.0f} s, nor which models it has.",
        f"Check it. If it works on one request at a time and takes longer, raise SEDI_TEACHER_SILENCE_S. {_SAVED}",
    )


def rate_limit_error(
    waited_s: float, names: EndpointNames, message: str, until_s: float | None = None
) -> TeacherUnavailable:
    """Nothing but 429. `until_s`: seconds from now that it asks to wait, if that is longer than patience lasts."""
    if until_s is not None:
        asks = f"{names.endpoint} asks to wait until {_clock(until_s)}: {message}."
        return TeacherUnavailable(asks, f"Run again then, or raise SEDI_TEACHER_PATIENCE_S. {_SAVED}")
    return TeacherUnavailable(
        f"{names.endpoint} has answered nothing but 429 (too many requests) for {waited_s:.0f} s: {message}.",
        f"Wait, or lower SEDI_TEACHER_MAX_CONCURRENCY. {_SAVED}",
    )


def _clock(seconds_from_now: float) -> str:
    until = time.localtime(time.time() + seconds_from_now)
    today = until[:3] == time.localtime()[:3]
    return time.strftime("%H:%M" if today else "%H:%M on %Y-%m-%d", until)


def _fatal(problem: str, fix: str) -> Failure:
    return Failure("fatal", problem, fatal=TeacherError(problem, fix))
