"""What a failed attempt means: try again, give up this call, or stop altogether. Pure.

OpenAI, vLLM, llama.cpp and the gateways in front of them say the same things in different shapes (`reasons`); this is
where the shapes end.
"""

from __future__ import annotations

import email.utils
import math
import re
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from sedi_dagster.errors import TeacherError, TeacherUnavailable
from sedi_dagster.teacher.answers import REFUSED_BY_POLICY, Usage
from sedi_dagster.teacher.reasons import Reason, refused_parameters, said

Kind = Literal["rate_limited", "passing", "invalid", "refused", "too_long", "parameters", "rejected", "fatal"]
"""rate_limited: too fast (429, or a 5xx that asks to wait). passing: the endpoint's trouble (5xx, reset, time-out).
invalid: not an answer of the API. refused: this call, for good (content policy). too_long: this call, or all of them.
parameters: without the named ones it may work. rejected: a bad request, perhaps all are. fatal: concerns every call."""

TOO_LONG = "too_long"
BAD_REQUEST = "bad_request"

_QUOTA = re.compile(
    r"insufficient_quota|billing_hard_limit|billing_not_active|insufficient[_ ]balance|credit balance|out of credits|"
    r"insufficient credits?|arrearage|payment required"
)
_TOO_LONG = re.compile(
    r"context_length|exceed_context|maximum context|context (?:size|window|length)|string_above_max_length|n_ctx|"
    r"longer than the maximum|(?:prompt|input|request|message)s? (?:is|are|was) too (?:long|large)|reduce the length|"
    r"too many (?:input )?tokens|maximum (?:number of )?(?:input )?tokens|token limit|tokens?['\"`]? is too large|"
    r"at most \d+ (?:completion |output )?tokens|range of (?:input length|max_tokens)"
)
_POLICY = re.compile(
    r"content[_ ](?:policy|filter|management)|moderat(?:ion|ed)|safety|invalid_prompt|responsible ?ai|data_?inspection|"
    r"inappropriate|content (?:exists )?risk|sensitive[_ ](?:content|words?|information|topics?)|prohibited_content|"
    r"recitation|guardrail|harmful|unsafe|nsfw|flagged|usage polic|blocked (?:by|due|for)|(?:was|been) blocked|"
    r"violat\w*(?: of)?(?: \w+){0,4} polic|polic\w*(?: \w+){0,4} violat|敏感|违规|違規|不安全|安全审核"
)
_KEY = re.compile(
    r"(?:api|access)[ _-]?(?:key|token)[^.]{0,40}(?:invalid|not valid|incorrect|expired|missing|wrong|not found)|"
    r"(?:api|access)[ _-]?(?:key|token)[^.]{0,40}(?:revoked|required)|invalid credentials|not logged in|"
    r"(?:invalid|incorrect|wrong|expired|missing|no|bad)[ _](?:api|access|auth\w*)[ _-]?(?:key|token)|"
    r"api_key_invalid|invalid_api_key|unauthori[sz]ed|unauthenticated|authentication"
)
_MODEL = re.compile(
    r"model_?not_?found|deploymentnotfound|(?:unknown|invalid|unsupported|no such) model|no endpoints found|"
    r"model[^.]{0,80}(?:not found|does ?n[o']t exist|not exist|is not a valid|not available|not supported|unknown)|"
    r"not a valid model|deployment[^.]{0,60}does not exist"
)
_LONGEST_WAIT_S = 366 * 86_400.0
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
    reason = said(body)
    told = f" It says: {reason.message[:300]}" if reason.message else ""
    text = reason.all_words
    wait_s = _retry_after_s(headers) if headers else None
    if wait_s is None:
        wait_s = reason.wait_s
    if status == 402 or (status < 500 and _QUOTA.search(text)):
        return _fatal(f"The quota at {names.endpoint} is exhausted.{told}", f"Add credit or raise the limit. {_SAVED}")
    if status == 401 or (status in (400, 403) and _KEY.search(text)):
        return _fatal(f"{names.endpoint} does not accept the key.{told}", "Set SEDI_TEACHER_API_KEY to a valid key.")
    if status == 407:
        return _fatal(f"A proxy before {names.endpoint} asks for a password.{told}", "Put it into HTTPS_PROXY.")
    if status == 429 or (status >= 500 and wait_s is not None):
        return Failure("rate_limited", f"{status} {reason.message}".strip()[:300], wait_s)
    if status >= 500 or status in (408, 409, 425):
        return Failure("passing", f"{status} {reason.message}".strip()[:300])
    if status < 400:
        return _fatal(
            f"{names.endpoint} answers with a redirection ({status}).",
            f"Set SEDI_TEACHER_BASE_URL to where it leads: {headers.get('location', 'not told')}.",
        )
    return _bad_request(status, reason, told, names, optional)


def from_error_in_success(error: Any, names: EndpointNames, optional: Collection[str] = ()) -> Failure:
    """Read an error that came with the status of a success, as some gateways send it.

    Without a status of its own it passes, unless its words say that it will not.
    """
    inner = error.get("error", error) if isinstance(error, Mapping) else error
    codes = [inner.get(name) for name in ("code", "status", "status_code")] if isinstance(inner, Mapping) else []
    status = next((code for code in codes if isinstance(code, int) and 400 <= code < 600), None)
    failure = from_status(status or 400, error, {}, names, optional)
    if status is None and failure.kind == "rejected":
        return Failure("passing", failure.message.removeprefix(f"{BAD_REQUEST}: 400 ") or "an error without words")
    return failure


def _bad_request(status: int, reason: Reason, told: str, names: EndpointNames, optional: Collection[str]) -> Failure:
    message, text = reason.message, reason.all_words
    if _POLICY.search(text) or status == 451:
        return Failure("refused", f"{REFUSED_BY_POLICY}: {message[:300]}")
    if status == 413 or _TOO_LONG.search(text):
        return Failure("too_long", f"{TOO_LONG}: {message[:300]}")
    if _MODEL.search(text) or (status == 404 and "model" in text):
        return _fatal(
            f"{names.endpoint} does not know the model {names.model!r}.{told}",
            "Set SEDI_TEACHER_MODEL to one it has.",
        )
    if status in (404, 405):
        return _fatal(
            f"{names.endpoint} does not answer where the API should be ({status}).{told}",
            "Set SEDI_TEACHER_BASE_URL to the address that the API's paths are added to; most end in /v1.",
        )
    if status == 403:
        return _fatal(f"{names.endpoint} does not allow this call (403).{told}", "Check the key's rights and region.")
    bad_request = f"{BAD_REQUEST}: {status} {message[:300]}".strip()
    if parameters := refused_parameters(reason, optional):
        return Failure("parameters", bad_request, parameters=parameters)
    return Failure("rejected", bad_request)


def dead_error(message: str, names: EndpointNames) -> TeacherUnavailable:
    return TeacherUnavailable(
        f"{names.endpoint} cannot be reached or fails every call: {message}.", f"Check it. {_SAVED}"
    )


def silent_error(quiet_s: float, names: EndpointNames) -> TeacherUnavailable:
    return TeacherUnavailable(
        f"{names.endpoint} takes calls but answers nothing: no call for {quiet_s:.0f} s, nor which models it has.",
        f"Check it. If it works on one request at a time and takes longer, raise SEDI_TEACHER_SILENCE_S. {_SAVED}",
    )


def impatient_error(
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


def _fatal(problem: str, mend: str) -> Failure:
    return Failure("fatal", problem, fatal=TeacherError(problem, mend))


def _retry_after_s(headers: Mapping[str, str]) -> float | None:
    """`retry-after-ms`, or `retry-after` as seconds or as a date."""
    for name, scale in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        value = headers.get(name, "").strip()
        try:
            seconds = float(value) * scale
        except ValueError:
            try:
                seconds = email.utils.parsedate_to_datetime(value).timestamp() - time.time()
            except (ValueError, TypeError, OverflowError):
                continue
        if not math.isnan(seconds):
            return min(_LONGEST_WAIT_S, max(0.0, seconds))
    return None
