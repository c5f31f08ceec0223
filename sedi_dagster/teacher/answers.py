"""Reading what an endpoint sent: text, finish reason and usage, out of any bytes whatever.

A paid answer is kept whatever it looks like, so nothing here raises: what cannot be read becomes an `error` of
the answer. Whether the text is a good instruction or fits a schema is for others to judge.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

REFUSED_BY_POLICY = "content_policy"
"""Begins the error of an answer that the endpoint's content policy refused."""

MALFORMED = "malformed"
"""Begins the error of an answer that is not what the API promises."""


@dataclass(frozen=True, slots=True)
class Usage:
    prompt_tokens: int
    completion_tokens: int


@dataclass(frozen=True, slots=True)
class ReadAnswer:
    """`usage` is None if the endpoint sent none; `api_error` is set if an error came with the status of a success."""

    text: str
    finish_reason: str
    usage: Usage | None
    error: str = ""
    api_error: dict[str, Any] | None = None


def storable_text(content: bytes) -> str:
    """The bytes as text that every database takes: bad UTF-8 and NUL are written as escapes."""
    return content.decode("utf-8", "backslashreplace").replace("\x00", "\\x00")


def json_or_text(content: bytes) -> Any:
    """A body as JSON where it is, else as text; for errors, which come in all shapes."""
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        return storable_text(content[:2000])


def read_answer(raw: str) -> ReadAnswer:
    """Read a response body of `/chat/completions` or `/completions`."""
    try:
        data = json.loads(raw)
    except (ValueError, RecursionError):
        return ReadAnswer("", "", None, f"{MALFORMED}: the answer is not JSON")
    if not isinstance(data, dict):
        return ReadAnswer("", "", None, f"{MALFORMED}: the answer is not a JSON object")
    usage = _usage(data.get("usage"))
    if isinstance(data.get("error"), dict) and not data.get("choices"):
        return ReadAnswer("", "", usage, f"{MALFORMED}: the answer is an error", data["error"])
    choices = data.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices else None
    if not isinstance(choice, dict):
        return ReadAnswer("", "", usage, f"{MALFORMED}: the answer has no choices")
    return _read_choice(choice, usage)


def _read_choice(choice: dict[str, Any], usage: Usage | None) -> ReadAnswer:
    message = choice.get("message")
    holder = message if isinstance(message, dict) else choice
    text = holder.get("content") if holder is message else holder.get("text")
    finish = choice.get("finish_reason")
    finish = finish if isinstance(finish, str) else ""
    if finish == "content_filter" or isinstance(holder.get("refusal"), str):
        return ReadAnswer(_whole(text) if isinstance(text, str) else "", finish, usage, f"{REFUSED_BY_POLICY}: refused")
    if not isinstance(text, str):
        return ReadAnswer("", finish, usage, f"{MALFORMED}: the answer has no text")
    return ReadAnswer(_whole(text), finish, usage)


def _whole(text: str) -> str:
    """Lone surrogates (legal in JSON, in no encoding) replaced, so that the text can be stored anywhere."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")


def _usage(data: Any) -> Usage | None:
    if not isinstance(data, dict):
        return None
    prompt, completion = data.get("prompt_tokens"), data.get("completion_tokens")
    counts = [n for n in (prompt, completion) if isinstance(n, int) and not isinstance(n, bool) and n >= 0]
    return Usage(*counts) if len(counts) == 2 else None
