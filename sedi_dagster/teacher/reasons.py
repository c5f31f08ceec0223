"""The reason in the body of an error, out of the shapes that servers and gateways send. Pure.

`{"error": {"message": ...}}` (OpenAI), the same in a list (Gemini), `{"error": "..."}` (Ollama), `{"message": ...}`
(vLLM), `{"detail": "..."}` and lists of `{"loc": ..., "msg": ...}` (FastAPI), `{"errors": [...]}` (Cloudflare),
`{"fault": {...}}` (Apigee), RFC 9457, a page of HTML, plain text.
"""

import json
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from sedi_dagster.teacher.retry_after import WAIT_FIELDS, from_words, seconds
from sedi_dagster.yaml_file import read_yaml

_INNER = ("error", "errors", "detail", "details", "fault", "base_resp", "metadata", "innererror", "response", "result",
          "data", "body", "headers", "parameters", "non_field_errors", "promptfeedback")  # fmt: skip
_WORDS = ("message", "msg", "error_msg", "error_message", "errormessage", "faultstring", "status_msg", "raw", "title",
          "description", "error_description", "reason", "exception", "cause", "err", "text")  # fmt: skip
_TAGS = ("code", "type", "status", "error_code", "reason", "errorcode", "blockreason", "status_code", "__type")
_DEPTH = 6
_TITLE = re.compile(r"<(?:title|h1)[^>]*>\s*([^<]+)", re.IGNORECASE)
_TAG = re.compile(r"<(?:style|script)\b.*?</(?:style|script)>|<[^>]*>", re.IGNORECASE | re.DOTALL)


@cache
def _all_phrases() -> dict[str, list[str]]:
    found: dict[str, list[str]] = read_yaml(Path(__file__).with_name("errors.yaml"))
    return found


def phrases(meaning: str) -> re.Pattern[str]:
    """What errors of this meaning say in lower case (`errors.yaml`)."""
    return re.compile("|".join(_all_phrases()[meaning]))


_REFUSES = phrases("refused_field")


@dataclass(frozen=True, slots=True)
class Reason:
    """What an error says.

    `tags`: its codes and types, in lower case. `fields`: parts of the request that it points at. `wait_s`: how long it
    asks to wait, if it says so in the body.
    """

    message: str
    tags: tuple[str, ...] = ()
    fields: tuple[str, ...] = ()
    wait_s: float | None = None

    @property
    def all_words(self) -> str:
        return " ".join([*self.tags, self.message.lower()])


def error_reason(body: Any) -> Reason:
    """Read the reason; empty if the body has none."""
    messages: list[str] = []
    tags: list[str] = []
    fields: list[str] = []
    waits: list[float] = []
    for name, value in _walk(body, _DEPTH):
        if name == "loc":
            fields += [value]
        elif name == "param":
            fields += re.findall(r"\w+", value)
        elif name in WAIT_FIELDS:
            scale = 0.001 if name.endswith("_ms") else 1.0
            waits += [wait_s for wait_s in [seconds(value, scale)] if wait_s is not None]
        elif name in _WORDS and (text := _plain(value)) and not any(text in m for m in messages):
            messages.append(text)
        if name in _TAGS:
            tags.append(value.lower())
    if not messages and body:
        messages = [_plain(json.dumps(body, ensure_ascii=False, default=str))]
    message = "; ".join(messages)[:500]
    return Reason(message, tuple(tags), tuple(fields), max(waits, default=from_words(message)))


def refused_parameters(reason: Reason, optional: Collection[str]) -> frozenset[str]:
    """Those of the optional fields of a request that the error says are not taken."""
    text = reason.all_words
    refuses = _REFUSES.search(text) is not None
    pointed = {name for name in frozenset(reason.fields) & frozenset(optional) if refuses or _says_all(name)}
    if pointed:
        return frozenset(pointed)
    spelled = {name: re.escape(name.lower()) for name in optional} | {"stop": r"stop(?:[_ ]sequences?)?"}
    named = {name for name in optional if re.search(rf"(?<![a-z0-9_]){spelled[name]}(?![a-z0-9_])", text)}
    if not refuses:  # to name a field is enough, unless the request is repeated
        repeated = {name for name in named if re.search(rf"[\"']{re.escape(name.lower())}[\"']\s*:", text)}
        named = set() if repeated else {name for name in named if _says_all(name)}
    if {"temperature", "top_p"} <= named and "both" in text:
        named.remove("temperature")
    return frozenset(named)


def _says_all(name: str) -> bool:
    """Whether the name of a field means nothing else in an error: no word of English, and no limit."""
    return name in ("temperature", "seed") or ("_" in name and not name.endswith("tokens"))


def _walk(body: Any, depth: int) -> Iterator[tuple[str, str]]:
    """The fields that matter, by name in lower case, outer ones first. A bare text is a message."""
    if isinstance(body, str):
        inner = _json(body) if depth else None
        if inner is None:
            yield "message", body
        else:
            yield from _walk(inner, depth - 1)
    elif isinstance(body, list) and depth:
        for item in body[:8]:
            yield from _walk(item, depth - 1)
    elif isinstance(body, Mapping) and depth:
        for name, value in body.items():
            key = str(name).casefold()
            if key == "loc" and isinstance(value, list):
                yield from (("loc", part) for part in value if isinstance(part, str) and part != "body")
            elif key in _WORDS and isinstance(value, str) and _json(value) is None:
                yield key, value
            elif (key in _TAGS or key in WAIT_FIELDS or key == "param") and isinstance(value, str | int | float):
                yield key, str(value)
        for name, value in body.items():
            key = str(name).casefold()
            holds_more = not isinstance(value, str) or _json(value) is not None
            if key in _INNER or (key in (*_WORDS, "status") and holds_more):
                yield from _walk(value, depth - 1)


def _json(text: str) -> Any:
    """A JSON object or list in a string, as gateways pass on upstream errors; None if it is other text."""
    if not text.lstrip().startswith(("{", "[")):
        return None
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _plain(text: str) -> str:
    """In one line; of a page of HTML its title and text."""
    if "<" in text and (title := _TITLE.search(text)) is not None:
        return " ".join(title[1].split())
    if text.lstrip().startswith("<"):
        text = _TAG.sub(" ", text)
    return " ".join(text.split())[:500]
