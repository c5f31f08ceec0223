"""Classification of failed attempts: retry, give up the call, or stop. Pure.

OpenAI, vLLM, llama.cpp and gateways report the same errors in different formats (`reasons`), which are unified here.
"""

from __future__ import annotations

import re
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from sedi_dagster.errors import TeacherError, TeacherUnavailable
from sedi_dagster.teacher import retry_after
from sedi_dagster.teacher.answers import REFUSED_BY_POLICY, Usage
from sedi_dagster.teacher.reasons import Reason, error_reason, refused_parameters

Kind = Literal["rate_limited", "passing", "invalid", "refused", "too_long", "parameters", "rejected", "fatal"]
"""rate_limited: too fast (429, or a 5xx that asks to wait). passing: the endpoint's trouble (5xx, reset, timeout).
invalid: not an answer of the API. refused: this call, for good (content policy). too_long: this call, or all of them.
parameters: without the named ones it may work. rejected: a bad request, perhaps all are. fatal: concerns every call."""

TOO_LONG = "too_long"
BAD_REQUEST = "bad_request"

_QUOTA = re.compile(
    r"insufficient_(?:\w+_)?quota|额度不足|billing_hard_limit|billing_not_active|insufficient[_ ]balance|"
    r"credit balance|out of credits|"
    r"insufficient credits?|arrearage|payment required|balance[^.]{0,20}insufficient|exceeded_current_quota|"
    r"(?:key|spend\w*|budget)(?: has been| limit)? (?:limit )?exceeded|spend\w* limit|account[^.]{0,40}suspended|"
    r"usage limits?|free ?tier[^.]{0,40}(?:exhausted|only)|more credits|"
    r"欠费|余额不足|充值|残高|guthaben|saldo insuficiente|solde insuffisant"
)
_TOO_FAST = re.compile(
    r"rate[ _-]?limit|too many requests|throttl|requests per (?:second|minute|hour|day)|free-models-per|"
    r"concurrency limit|速率|频率|过于频繁|过于頻繁|レート制限|zu viele anfragen|trop de requêtes|"
    r"demasiadas solicitudes|слишком много запросов"
)
_BUSY = re.compile(
    r"overloaded|slow ?down|too busy|server (?:is )?busy|at capacity|capacity[_ ]exceeded|too many connections|"
    r"繁忙|过载|混雑"
)
_TOO_LONG = re.compile(
    r"context_length|exceed_context|maximum context|context (?:size|window|length|limit)|string_above_max_length|n_ctx|"
    r"longer than the maximum|(?:prompt|input|request|message)s? (?:is|are|was) too (?:long|large)|reduce the length|"
    r"too many (?:input )?tokens|maximum (?:number of )?(?:input )?tokens|token limit|tokens?['\"`]? is too large|"
    r"at most \d+ (?:completion |output )?tokens|range of (?:input length|max_tokens)|less than \d+ tokens|"
    r"tokens?\W[^.]{0,60}(?:must be <=|less than or equal|at least 1\b)|length (?:\(?\d+[^.]{0,10} )?exceeds|"
    r"too (?:large|long) for (?:the |requested )?model|maximum allowed (?:length|number)|tokens? exceeds?|"
    r"(?:max_tokens|output) limit (?:was )?reached|超长|超出.{0,8}长度|长度.{0,8}(?:超|过长)"
)
_POLICY = re.compile(
    r"content[_ ](?:policy|filter|management)|moderat(?:ion|ed)|safety|invalid_prompt|responsible ?ai|data_?inspection|"
    r"high risk|content (?:\w+ ){0,3}not allowed|"
    r"inappropriate|content (?:exists )?risk|sensitive[_ ](?:content|words?|information|topics?)|prohibited_content|"
    r"recitation|guardrail|jailbreak|content (?:was|is) rejected|不合规|"
    r"harmful|unsafe|nsfw|flagged|usage polic|blocked (?:by|due|for)|(?:was|been) blocked|"
    r"violat\w*(?: of)?(?: \w+){0,4} polic|polic\w*(?: \w+){0,4} violat|(?:new|input|output)_sensitive|敏感|违规|違規|"
    r"不安全|安全审核|不適切な|有害な|부적절한|inhaltsrichtlini|unangemessen|politique de contenu|inappropri[ée]|"
    r"pol[ií]tica de conte|inapropiad|inapropriad|неприемлем|политик\w+ контента"
)
_KEY = re.compile(
    r"(?:api|access)[ _-]?(?:key|token)[^.]{0,40}(?:invalid|not valid|incorrect|expired|missing|wrong|not found)|"
    r"(?:api|access)[ _-]?(?:key|token)[^.]{0,40}(?:revoked|required|leaked|permission)|invalid credentials|"
    r"not logged in|login fail|auth\w* credentials|unregistered callers|not authori[sz]ed|"
    r"(?:invalid|incorrect|wrong|expired|missing|no|bad)[ _](?:api|access|auth\w*)[ _-]?(?:key|token)|"
    r"api_key_invalid|invalid_?api_?key|unauthori[sz]ed|unauthenticated|authentication|x-api-key|subscription key|"
    r"令牌|密钥|密鑰|无效的?\s?api|api ?schlüssel|clé d['’]api|clave de api|apiキー"
)
_TOKEN = re.compile(r"(?:invalid|expired|missing|bad)[ _]token|token[^.]{0,40}(?:invalid|expired)|not authenticated")
_MODEL = re.compile(
    r"model_?not_?found|deploymentnotfound|(?:unknown|invalid|unsupported|no such) model|no endpoints found|"
    r"model[^.]{0,80}(?:not found|does ?n[o']t exist|not exist|is not a valid|not available|not supported|unknown)|"
    r"model[^.]{0,30} (?:is )?invalid|model id\b.{0,160}n['’]t supported|access (?:to )?(?:the )?model|"
    r"model_not_available|no models? (?:is |are )?loaded|no ['\"`]?model_?name|"
    r"not a valid model|deployment[^.]{0,60}does not exist|provider not provided|decommissioned|"
    r"模型.{0,8}(?:不存在|未找到|无效)|modell?\b[^.]{0,40}(?:nicht gefunden|existiert nicht)"
)
_UPSTREAM = frozenset(("500", "502", "503", "504"))
"""Statuses of whom a gateway asked, told as codes in its own error."""
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
    says = f" It says: {reason.message[:300]}" if reason.message else ""
    text = reason.all_words
    asked_s = retry_after.from_headers(headers)
    wait_s = reason.wait_s if asked_s is None else asked_s
    renews = status == 429 and wait_s is not None  # of some hours or of a day
    if status == 402 or (status < 500 and _QUOTA.search(text) and not renews):
        return _fatal(f"The quota at {names.endpoint} is exhausted.{says}", f"Add credit or raise the limit. {_SAVED}")
    is_key = status == 401 or {"auth_error", "401"} & {*reason.tags} or (status == 403 and _TOKEN.search(text))
    if is_key or (status in (400, 403) and _KEY.search(text) and not _MODEL.search(text)):
        return _fatal(f"{names.endpoint} does not accept the key.{says}", "Set SEDI_TEACHER_API_KEY to a valid key.")
    if status == 407:
        return _fatal(f"A proxy before {names.endpoint} asks for a password.{says}", "Put it into HTTPS_PROXY.")
    too_fast = (status in (400, 403) and _TOO_FAST.search(text)) or (
        (status >= 500 or status == 498) and _BUSY.search(text)
    )
    if status == 429 or (status >= 500 and wait_s is not None) or too_fast:
        return Failure("rate_limited", f"{status} {reason.message}".strip()[:300], wait_s)
    if status == 500 and (_TOO_LONG.search(text) or _KEYWORD.search(text)):
        return _bad_request(status, reason, says, names, optional if _KEYWORD.search(text) else ())
    if status == 501 and (parameters := refused_parameters(reason, optional)):
        return Failure("parameters", f"{BAD_REQUEST}: {status} {reason.message[:300]}", parameters=parameters)
    if status >= 500 or status in (408, 409, 424, 425, 499) or (status == 400 and _UPSTREAM & {*reason.tags}):
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
    inner = error.get("error", error) if isinstance(error, Mapping) else error
    codes = [inner.get(name) for name in ("code", "status", "status_code")] if isinstance(inner, Mapping) else []
    status = next((code for code in codes if isinstance(code, int) and 400 <= code < 600), None)
    failure = from_status(status or 400, error, {}, names, optional)
    if status is None and failure.kind == "rejected":
        return Failure("passing", failure.message.removeprefix(f"{BAD_REQUEST}: 400 ") or "an error without words")
    return failure


def _bad_request(status: int, reason: Reason, says: str, names: EndpointNames, optional: Collection[str]) -> Failure:
    message, text = reason.message, reason.all_words
    if _POLICY.search(text) or status == 451:
        return Failure("refused", f"{REFUSED_BY_POLICY}: {message[:300]}")
    if status == 413 or _TOO_LONG.search(text):
        return Failure("too_long", f"{TOO_LONG}: {message[:300]}")
    if _MODEL.search(text) or (status in (404, 410) and "model" in text):
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
    bad_request = f"{BAD_REQUEST}: {status} {message[:300]}".strip()
    if parameters := refused_parameters(reason, optional):
        return Failure("parameters", bad_request, parameters=parameters)
    return Failure("rejected", bad_request)


def dead_error(message: str, names: EndpointNames) -> TeacherUnavailable:
    """The error for an endpoint that cannot be reached or fails every call."""
    return TeacherUnavailable(
        f"{names.endpoint} cannot be reached or fails every call: {message}.", f"Check it. {_SAVED}"
    )


def silent_error(silent_s: float, names: EndpointNames) -> TeacherUnavailable:
    """The error for an endpoint that accepts calls and answers none for `silent_s` seconds."""
    return TeacherUnavailable(
        f"{names.endpoint} takes calls but answers nothing: no call for {silent_s:.0f} s, nor which models it has.",
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


def _fatal(problem: str, fix: str) -> Failure:
    return Failure("fatal", problem, fatal=TeacherError(problem, fix))
