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

from sedi_dagster.teacher.retry_after import WAIT_FIELD, from_field, from_words
from sedi_dagster.yaml_file import read_yaml

_INNER = ("error", "errors", "issues", "params", "detail", "details", "fault", "base_resp", "metadata",
          "innererror", "response", "result", "data", "body", "header", "headers", "parameters", "non_field_errors",
          "promptfeedback", "source")  # fmt: skip
_WORDS = re.compile(r".*(?:message|msg|description|reason|faultstring)|raw|title|exception|cause|err|text")
_TAGS = re.compile(r".*(?:code|type|status|reason)")
_FIELDS = re.compile(r".*(?:path|property|parameter|param|field|pointer)|loc|keys")
"""Where an error names the fields of the request that it is about."""
_CODED = ("policy", "quota", "key", "model", "too_long")
"""Meanings that a code tells well enough."""
_DEPTH = 6
_TAKEN = re.compile(
    r"(?:expected one of|(?<!not )(?<!no )\b(?:known|supported|valid|allowed|accepted|permitted) "
    r"(?:propert|field|param|argument|key|name))[^;]*"
)
"""A list of what the endpoint does take."""
_URL = re.compile(r"https?://\S+")
_JOINTS = re.compile(
    r"(?<=[a-z\d])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])|(?<=[^\W_])[_-]+(?=[^\W_])|(?<=[^\W\d_])\.(?=[^\W\d_])"
)
"""Where the words of a code meet: `ModelNotFound`, `model_not_found`, `model-not-found`, `Model.NotFound`."""
_TITLE = re.compile(r"<(?:title|h1)[^>]*>\s*([^<]+)", re.IGNORECASE)
_TAG = re.compile(r"<(?:style|script)\b.*?</(?:style|script)>|<[^>]*>", re.IGNORECASE | re.DOTALL)


@cache
def _phrases() -> dict[str, re.Pattern[str]]:
    """What errors of each meaning say (`errors.yaml`)."""
    found: dict[str, list[str]] = read_yaml(Path(__file__).with_name("errors.yaml"))
    joined = {name: "|".join(some).replace("[^.]", r"(?:[^.]|\.(?=\S))") for name, some in found.items()}
    return {name: re.compile(pattern, re.MULTILINE) for name, pattern in joined.items()}


@dataclass(frozen=True, slots=True)
class Reason:
    """What an error says.

    `tags`: its codes and types, normalized. `words`: all that it says, normalized; the message is the last line.
    `fields`: parts of the request that it points at. `wait_s`: how long it asks to wait, if it says so in the body.
    """

    message: str
    words: str
    tags: tuple[str, ...] = ()
    fields: tuple[str, ...] = ()
    wait_s: float | None = None

    def says(self, *meanings: str) -> bool:
        """Whether it says something of one of the meanings (`errors.yaml`). Where a code or type tells what is wrong,
        the words do not count: they may quote the request."""
        coded = any(map(self.is_coded, _CODED))
        return any(
            self.is_coded(meaning) if coded and meaning in _CODED else _phrases()[meaning].search(self.words)
            for meaning in meanings
        )

    def is_coded(self, meaning: str) -> bool:
        """Whether a code or type alone says so."""
        return any(_phrases()[meaning].search(tag) for tag in self.tags)


def normalized(text: str) -> str:
    """Words in lower case with single spaces, as codes and sentences share them: `ModelNotFound`, `model_not_found`
    and `Model not found` are the same. Addresses are left out: they lead to help, and say nothing of the error."""
    return " ".join(_JOINTS.sub(" ", _URL.sub(" ", text)).lower().split())


def error_reason(body: Any) -> Reason:
    """Read the reason; empty if the body has none."""
    messages: list[str] = []
    tags: list[str] = []
    fields: list[str] = []
    waits: list[float] = []
    for name, value in _walk(body, _DEPTH):
        if _FIELDS.fullmatch(name):
            fields += re.findall(r"\w+", value)
        elif WAIT_FIELD.fullmatch(name):
            waits += [wait_s for wait_s in [from_field(name, value)] if wait_s is not None]
        elif _WORDS.fullmatch(name) and (text := _plain(value)) and not any(text in m for m in messages):
            messages.append(text)
        if _TAGS.fullmatch(name):
            tags.append(normalized(value))
    if not messages and body:
        messages = [_plain(json.dumps(body, ensure_ascii=False, default=str))]
    message = "; ".join(messages)[:500]
    words = "\n".join([*tags, normalized(message)])
    return Reason(message, words, tuple(tags), tuple(fields), max(waits, default=from_words(message)))


def has_words(body: Any) -> bool:
    """Whether a body that should hold an answer says something as errors do."""
    return any(_WORDS.fullmatch(name) for name, _ in _walk(body, _DEPTH))


def pointed_fields(reason: Reason, optional: Collection[str]) -> frozenset[str]:
    """Those of the optional fields of a request that the error points at, in any spelling: `top_p`, `topP`, `TopP`."""
    at = {name.replace("_", "").lower() for name in reason.fields}
    return frozenset(name for name in optional if name.replace("_", "") in at)


def refused_parameters(reason: Reason, optional: Collection[str]) -> frozenset[str]:
    """Those of the optional fields of a request that the error says are not taken."""
    text = " ".join([*reason.tags, reason.message.lower()])
    refuses = reason.says("refused_field")
    pointed = {name for name in pointed_fields(reason, optional) if refuses or not name.endswith("tokens")}
    if pointed:
        return frozenset(pointed)
    spelled = {name: re.escape(name.lower()).replace("_", "_?") for name in optional}  # topP
    spelled["stop"] = r"stop(?:[_ ]?sequences?)?"
    unlisted = _TAKEN.sub("", text)
    named = {name for name in optional if re.search(rf"(?<![a-z0-9_]){spelled[name]}(?![a-z0-9_])", unlisted)}
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
            if _FIELDS.fullmatch(key):
                parts = value if isinstance(value, list) else [value]
                yield from ((key, part) for part in parts if isinstance(part, str) and part != "body")
            elif _WORDS.fullmatch(key) and isinstance(value, str) and _json(value) is None:
                yield key, value
            elif WAIT_FIELD.fullmatch(key) and isinstance(value, Mapping):  # gRPC's duration
                yield key, str(value.get("seconds", ""))
            elif (_TAGS.fullmatch(key) or WAIT_FIELD.fullmatch(key)) and isinstance(value, str | int | float):
                yield key, str(value)
        plain = all(_is_texts(texts) and not _holds(str(name).casefold()) for name, texts in body.items())
        for name, texts in body.items() if plain else ():  # {"seed": ["is not known"]}, as of Django and ASP.NET
            yield "loc", str(name)
            yield "message", f"{name}: {texts[0]}"
        for name, value in body.items():
            key = str(name).casefold()
            holds_more = not isinstance(value, str) or _json(value) is not None
            if key in _INNER or ((_holds(key) or key == "status") and holds_more):
                yield from _walk(value, depth - 1)


def _holds(name: str) -> bool:
    return name in _INNER or _WORDS.fullmatch(name) is not None


def _is_texts(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(text, str) for text in value)


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
