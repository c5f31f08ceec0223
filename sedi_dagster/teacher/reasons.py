"""Reading the reason from the body of an error, in the formats of many servers and gateways. Pure functions.

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
"""Names of the fields in which an error names fields of the request."""
_CODED = ("policy", "quota", "key", "model", "too_long")
"""Meanings for which a code is reliable enough to ignore the message."""
_DEPTH = 6
_TAKEN = re.compile(
    r"(?:expected one of|(?<!not )(?<!no )\b(?:known|supported|valid|allowed|accepted|permitted) "
    r"(?:propert|field|param|argument|key|name))[^;]*"
)
"""The beginning of a list of what the endpoint does support, and the list."""
_URL = re.compile(r"https?://\S+")
_JOINTS = re.compile(
    r"(?<=[a-z\d])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])|(?<=[^\W_])[_-]+(?=[^\W_])|(?<=[^\W\d_])\.(?=[^\W\d_])"
)
"""Boundaries between the words of a code: `ModelNotFound`, `model_not_found`, `model-not-found`, `Model.NotFound`."""
_TITLE = re.compile(r"<(?:title|h1)[^>]*>\s*([^<]+)", re.IGNORECASE)
_TAG = re.compile(r"<(?:style|script)\b.*?</(?:style|script)>|<[^>]*>", re.IGNORECASE | re.DOTALL)


@cache
def _phrases() -> dict[str, re.Pattern[str]]:
    """Return a pattern of the phrases for each meaning (`errors.yaml`)."""
    phrases: dict[str, list[str]] = read_yaml(Path(__file__).with_name("errors.yaml"))
    joined = {meaning: "|".join(some).replace("[^.]", r"(?:[^.]|\.(?=\S))") for meaning, some in phrases.items()}
    return {meaning: re.compile(pattern, re.MULTILINE) for meaning, pattern in joined.items()}


@dataclass(frozen=True, slots=True)
class Reason:
    """The content of an error.

    Attributes:
        message: its messages, joined.
        words: codes and message, normalized; the message is the last line.
        tags: its codes and types, normalized.
        fields: the fields of the request that it names.
        wait_s: how long it asks to wait, in seconds; None if the body does not say.
    """

    message: str
    words: str
    tags: tuple[str, ...] = ()
    fields: tuple[str, ...] = ()
    wait_s: float | None = None

    def says(self, *meanings: str) -> bool:
        """Return whether the error has one of the meanings (`errors.yaml`).

        If a code or type says what is wrong, the message is ignored, as it may quote the request.
        """
        coded = any(map(self.is_coded, _CODED))
        return any(
            self.is_coded(meaning) if coded and meaning in _CODED else _phrases()[meaning].search(self.words)
            for meaning in meanings
        )

    def is_coded(self, meaning: str) -> bool:
        """Return whether a code or type of the error has the meaning."""
        return any(_phrases()[meaning].search(tag) for tag in self.tags)


def normalized(text: str) -> str:
    """Return words in lower case with single spaces, so that codes and sentences can be compared.

    `ModelNotFound`, `model_not_found` and `Model not found` become the same. URLs are removed, as they link to help and
    say nothing about the error.
    """
    return " ".join(_JOINTS.sub(" ", _URL.sub(" ", text)).lower().split())


def error_reason(body: Any) -> Reason:
    """Read the reason from the parsed body of an error; an empty one if there is none."""
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
    """Return whether a body that should contain an answer has a message as errors do."""
    return any(_WORDS.fullmatch(name) for name, _ in _walk(body, _DEPTH))


def pointed_fields(reason: Reason, optional: Collection[str]) -> frozenset[str]:
    """Return those of the optional fields that the error names in a field, in any spelling (`top_p`, `topP`)."""
    named = {name.replace("_", "").lower() for name in reason.fields}
    return frozenset(name for name in optional if name.replace("_", "") in named)


def refused_parameters(reason: Reason, optional: Collection[str]) -> frozenset[str]:
    """Return those of the optional fields of a request that the error says are not supported."""
    text = " ".join([*reason.tags, reason.message.lower()])
    refuses = reason.says("refused_field")
    pointed = {name for name in pointed_fields(reason, optional) if refuses or not name.endswith("tokens")}
    if pointed:
        return frozenset(pointed)
    spelled = {name: re.escape(name.lower()).replace("_", "_?") for name in optional}  # topP
    spelled["stop"] = r"stop(?:[_ ]?sequences?)?"
    unlisted = _TAKEN.sub("", text)
    named = {name for name in optional if re.search(rf"(?<![a-z0-9_]){spelled[name]}(?![a-z0-9_])", unlisted)}
    if not refuses:  # it is enough that the error names a field, unless it quotes the request
        quoted = {name for name in named if re.search(rf"[\"']{re.escape(name.lower())}[\"']\s*:", text)}
        named = set() if quoted else {name for name in named if _is_unambiguous(name)}
    if {"temperature", "top_p"} <= named and "both" in text:
        named.remove("temperature")
    return frozenset(named)


def _is_unambiguous(name: str) -> bool:
    """Return whether a word in an error can only be this field: not another English word, nor a limit."""
    return name in ("temperature", "seed") or ("_" in name and not name.endswith("tokens"))


def _walk(body: Any, depth: int) -> Iterator[tuple[str, str]]:
    """Yield the relevant fields (name in lower case, value), outer ones first. A bare text is a message."""
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
        plain = all(_is_texts(texts) and not _is_relevant(str(name).casefold()) for name, texts in body.items())
        for name, texts in body.items() if plain else ():  # {"seed": ["is not known"]}: Django and ASP.NET
            yield "loc", str(name)
            yield "message", f"{name}: {texts[0]}"
        for name, value in body.items():
            key = str(name).casefold()
            is_nested = not isinstance(value, str) or _json(value) is not None
            if key in _INNER or ((_is_relevant(key) or key == "status") and is_nested):
                yield from _walk(value, depth - 1)


def _is_relevant(name: str) -> bool:
    return name in _INNER or _WORDS.fullmatch(name) is not None


def _is_texts(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(text, str) for text in value)


def _json(text: str) -> Any:
    """Parse a JSON object or list in a string, as gateways forward errors; None if it is other text."""
    if not text.lstrip().startswith(("{", "[")):
        return None
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _plain(text: str) -> str:
    """Return the text in one line; of an HTML page, its title or text."""
    if "<" in text and (title := _TITLE.search(text)) is not None:
        return " ".join(title[1].split())
    if text.lstrip().startswith("<"):
        text = _TAG.sub(" ", text)
    return " ".join(text.split())[:500]
