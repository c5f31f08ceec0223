"""Reading an endpoint's response: text, finish reason and usage, from any bytes (formats: `teacher.response_body`).

Nothing here raises: unreadable responses become an `error` of the answer. The text is cleaned only here
(`texts.cleaning`); the ledger keeps the raw response. Whether the text is a good instruction or fits a schema is
decided elsewhere.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sedi_dagster.teacher.reasons import has_words
from sedi_dagster.teacher.response_body import as_list, contents, details, finish_reason, message_of, response_body
from sedi_dagster.texts.cleaning import RULES, TOOL_CALL, CleaningRule, clean
from sedi_dagster.texts.endings import CANONICAL, Ending, ending_of
from sedi_dagster.texts.reasoning import thinks_aloud

REFUSED_BY_POLICY = "content_policy"
"""Prefix of the error of an answer that the endpoint's content policy refused."""

MALFORMED = "malformed"
"""Prefix of the error of an answer without usable text."""

_TOOLS = ("tool_calls", "function_call")
_REASONING_FIELDS = ("reasoning_content", "reasoning", "thinking")
_NULLS = ("null", "none", "false")
_NO_TEXT = "the answer has no text"
_BLANK_LINE = re.compile(r"\s*?\n[ \t]*\n")
_SHOWN = 160


@dataclass(frozen=True, slots=True)
class Usage:
    """Token counts of a call.

    `cached_tokens` are the prompt tokens that came from a cache, `reasoning_tokens` the completion tokens that were
    reasoning.
    """

    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int = 0
    reasoning_tokens: int = 0

    @property
    def total_tokens(self) -> int:
        return self.prompt_tokens + self.completion_tokens


@dataclass(frozen=True)
class Reading:
    """How answers are read: the cleaning rules to apply, and the meaning of an endpoint's own finish reasons."""

    rules: frozenset[CleaningRule] = frozenset(RULES)
    endings: Mapping[str, Ending] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ReadAnswer:
    """An answer as read from a response.

    Attributes:
        usage: None if the endpoint sent none.
        error: why there is no usable text; empty if there is one.
        api_error: an error that came with the status of a success.
        is_answer: whether this is a response as the API defines it; if not, another attempt may bring one.
    """

    text: str
    finish_reason: str
    usage: Usage | None
    error: str = ""
    api_error: Any = None
    is_answer: bool = True
    cleaned: tuple[CleaningRule, ...] = ()

    @property
    def ending(self) -> Ending:
        return ending_of(self.finish_reason)

    @property
    def is_empty(self) -> bool:
        """Whether this is an answer without usable text."""
        return self.error.startswith(MALFORMED)


def storable_text(content: bytes) -> str:
    """Decode bytes to text that every database accepts: invalid UTF-8 and NUL become escapes."""
    return content.decode("utf-8", "backslashreplace").replace("\x00", "\\x00")


def json_or_text(content: bytes) -> Any:
    """Parse an error's body as JSON, or return its beginning as text."""
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        return storable_text(content[:2000])


def read_answer(raw: str, reading: Reading | None = None) -> ReadAnswer:
    """Read a response body of `/chat/completions` or `/completions`, even if it was streamed without being asked to."""
    reading = reading or Reading()
    try:
        data = response_body(raw)
    except (ValueError, RecursionError):
        return _no_answer(f"the answer is not JSON: {' '.join(raw[: 4 * _SHOWN].split())[:_SHOWN]}")
    if not isinstance(data, dict):
        return _no_answer(f"the answer is not a JSON object: {raw[:_SHOWN]}")
    choice = _first_choice(data.get("choices"))
    holders = (data, choice or {}, details(data, "x_groq"))
    counts = (holder.get("usage") or holder.get("usageMetadata") for holder in holders)
    usage = _usage(next(filter(None, counts), data))
    status = details(data, "base_resp")  # MiniMax; a code of 0 is success
    error = data.get("error") or data.get("errors") or (status if status.get("status_code") else None)
    if error and (choice is None or not (finish_reason(choice) and "".join(contents(choice)).strip())):
        return ReadAnswer("", "", usage, f"{MALFORMED}: the answer is an error", error, is_answer=False)
    if not isinstance(choice, dict) and has_words(data):
        return ReadAnswer("", "", usage, f"{MALFORMED}: the answer is an error", data, is_answer=False)
    if not isinstance(choice, dict):
        return _no_answer(f"the answer has no choices: {raw[:_SHOWN]}", usage)
    return _read_choice(choice, usage, reading)


def _read_choice(choice: dict[str, Any], usage: Usage | None, reading: Reading) -> ReadAnswer:
    holder, parts = message_of(choice), list(contents(choice))
    # Replace lone surrogates, which JSON allows and no encoding does, so that the text can be stored anywhere.
    text = "".join(parts).encode("utf-8", "replace").decode("utf-8")
    finish = finish_reason(choice)
    if choice.get("done") is False:  # the last chunk received of a stream that broke off
        finish = CANONICAL["failed"]
    if finish in reading.endings:
        finish = CANONICAL[reading.endings[finish]]
    if finish in _TOOLS and text.strip() and not any(holder.get(name) for name in _TOOLS):
        finish = CANONICAL["whole"]  # it names a tool call, but there is none
    ending = ending_of(finish)
    error = choice.get("error")
    if error or ending == "failed":
        api_error = {"error": error} if error else {"message": f"the answer broke off ({finish})"}
        return ReadAnswer("", finish, usage, f"{MALFORMED}: the answer broke off", api_error, is_answer=False)
    refusal = _refusal(holder)
    if ending == "refused" or refusal:
        error = f"{REFUSED_BY_POLICY}: refused{f': {refusal[:_SHOWN]}' if refusal else f' ({finish})'}"
        return ReadAnswer(text, finish, usage, error)
    reasoning = next(filter(None, map(holder.get, _REASONING_FIELDS)), None)
    if "reasoning" in reading.rules and isinstance(reasoning, str):
        text = _without_reasoning(text, reasoning)
    cleaned = clean(text, reading.rules)
    problem = cleaned.problem
    if not problem and not cleaned.text.strip():
        reasoning = reasoning or cleaned.applied
        problem = "reasoning without an answer" if reasoning else _NO_TEXT
        if not parts and not reasoning and any(holder.get(name) for name in _TOOLS):
            problem = TOOL_CALL
    if problem and ending == "cut":
        problem += ", cut by the token limit"
    if not problem and ending == "unknown":
        problem = f"it ended for a reason that is not known here: {finish}"
    error = f"{MALFORMED}: {problem}" if problem else ""
    is_answer = bool(parts or finish or problem != _NO_TEXT)  # {"message": null} is none
    return ReadAnswer(cleaned.text, finish, usage, error, is_answer=is_answer, cleaned=cleaned.applied)


def _without_reasoning(text: str, reasoning: str) -> str:
    """Remove reasoning that the text repeats as its first paragraph, besides having a field of its own.

    A text that consists of the reasoning alone is kept unless it thinks aloud: some servers put the answer in both.
    """
    rest = text.lstrip().removeprefix(reasoning.strip())
    if not rest.strip() and thinks_aloud(text):
        return ""
    return rest if rest.strip() and _BLANK_LINE.match(rest) and len(rest) < len(text) else text


def _first_choice(choices: Any) -> dict[str, Any] | None:
    """Return the choice with index 0, or else the first, from a list or an object."""
    if isinstance(choices, dict):
        choices = list(choices.values())
    if not isinstance(choices, list):
        return None
    indexes = {id(c): c.get("index") for c in choices if isinstance(c, dict)}
    first = [c for c in choices if indexes.get(id(c)) == 0] or choices
    return first[0] if first and isinstance(first[0], dict) else None


def _refusal(message: dict[str, Any]) -> str:
    """Return the text of a refusal in the message's `refusal` field or a content part; "" if there is none."""
    refusal = message.get("refusal")
    content = as_list(message.get("content"))
    if not refusal:
        parts = [part for item in content for part in (item if isinstance(item, list) else [item])]
        refusal = next((p.get("refusal") for p in parts if isinstance(p, dict) and p.get("type") == "refusal"), None)
    text = " ".join(refusal.split()) if isinstance(refusal, str) else ""
    return "" if text.lower() in _NULLS else text


def _no_answer(why: str, usage: Usage | None = None) -> ReadAnswer:
    return ReadAnswer("", "", usage, f"{MALFORMED}: {why}", is_answer=False)


def _usage(data: Any) -> Usage | None:
    if not isinstance(data, dict):
        return None
    data = {**details(data, "tokens", "billed_units"), **data}
    prompt = _count(data, "prompt_tokens", "input_tokens", "promptTokens", "inputTokens", "promptTokenCount",
                    "prompt_eval_count", "tokens_evaluated")  # fmt: skip
    completion = _count(data, "completion_tokens", "output_tokens", "completionTokens", "outputTokens",
                        "candidatesTokenCount", "eval_count", "tokens_predicted")  # fmt: skip
    if prompt is None or completion is None:
        return None
    cached = _count(data, "prompt_cache_hit_tokens", "cached_tokens", "cache_read_input_tokens")
    if cached is None:
        cached = _count(details(data, "prompt_tokens_details", "input_tokens_details"), "cached_tokens")
    reasoning = _count(details(data, "completion_tokens_details", "output_tokens_details"), "reasoning_tokens")
    reasoning = _count(data, "reasoning_tokens") if reasoning is None else reasoning
    extra = _count(data, "thoughtsTokenCount") or 0  # Gemini does not include these in its candidates' tokens
    return Usage(prompt, completion + extra, min(prompt, cached or 0), min(completion, reasoning or 0) + extra)


def _count(data: dict[str, Any], *names: str) -> int | None:
    """Return the first of the fields that is a non-negative integer."""
    for name in names:
        value = data.get(name)
        if isinstance(value, int | float) and not isinstance(value, bool) and value >= 0 and value == int(value):
            return int(value)
    return None
