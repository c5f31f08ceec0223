"""Reading an endpoint's response: text, finish reason and usage, from any bytes (forms: `teacher.response_body`).

Nothing here raises: unreadable responses become an `error` of the answer. The text is cleaned only here
(`texts.cleaning`); the ledger keeps the raw response. Whether it is a good instruction or fits a schema is decided
elsewhere.
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
"""Begins the error of an answer that the endpoint's content policy refused."""

MALFORMED = "malformed"
"""Begins the error of an answer without a text to use."""

_TOOLS = ("tool_calls", "function_call")
_THOUGHTS = ("reasoning_content", "reasoning", "thinking")
_NO_WORDS = ("null", "none", "false")
_NO_TEXT = "the answer has no text"
_BLANK_LINE = re.compile(r"\s*?\n[ \t]*\n")
_SHOWN = 160


@dataclass(frozen=True, slots=True)
class Usage:
    """`cached_tokens` of the prompt tokens came from a cache; `reasoning_tokens` of the completion were thoughts."""

    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int = 0
    reasoning_tokens: int = 0

    @property
    def total_tokens(self) -> int:
        return self.prompt_tokens + self.completion_tokens


@dataclass(frozen=True)
class Reading:
    """How answers are read: rules of cleaning, and words of an endpoint for how an answer ended."""

    rules: frozenset[CleaningRule] = frozenset(RULES)
    endings: Mapping[str, Ending] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ReadAnswer:
    """`usage` is None if the endpoint sent none.

    `api_error`: an error that came with the status of a success. `is_answer`: it is what the API promises; if not,
    another attempt may bring one. `is_empty`: an answer without a text to use.
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
        return self.error.startswith(MALFORMED)


def storable_text(content: bytes) -> str:
    """The bytes as text that every database takes: bad UTF-8 and NUL are written as escapes."""
    return content.decode("utf-8", "backslashreplace").replace("\x00", "\\x00")


def json_or_text(content: bytes) -> Any:
    """A body as JSON where it is, else as text; for errors, which come in all shapes."""
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        return storable_text(content[:2000])


def read_answer(raw: str, reading: Reading | None = None) -> ReadAnswer:
    """Read a response body of `/chat/completions` or `/completions`, or one that was streamed unasked."""
    reading = reading or Reading()
    try:
        data = response_body(raw)
    except (ValueError, RecursionError):
        return _no_answer(f"the answer is not JSON: {' '.join(raw[: 4 * _SHOWN].split())[:_SHOWN]}")
    if not isinstance(data, dict):
        return _no_answer(f"the answer is not a JSON object: {raw[:_SHOWN]}")
    choice = _first_choice(data.get("choices"))
    holders = (data, choice or {}, details(data, "x_groq"))
    beside = next((found for held in holders if (found := held.get("usage") or held.get("usageMetadata"))), data)
    usage = _usage(beside)
    status = details(data, "base_resp")  # MiniMax's; zero is success
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
    # Lone surrogates (legal in JSON, in no encoding) are replaced, so that the text can be stored anywhere.
    text = "".join(parts).encode("utf-8", "replace").decode("utf-8")
    finish = finish_reason(choice)
    if choice.get("done") is False:  # a chunk of a stream, as the last that came
        finish = CANONICAL["failed"]
    if finish in reading.endings:
        finish = CANONICAL[reading.endings[finish]]
    if finish in _TOOLS and text.strip() and not any(holder.get(name) for name in _TOOLS):
        finish = CANONICAL["whole"]  # none was called
    ending = ending_of(finish)
    broke_off = choice.get("error")
    if broke_off or ending == "failed":
        why = {"error": broke_off} if broke_off else {"message": f"the answer broke off ({finish})"}
        return ReadAnswer("", finish, usage, f"{MALFORMED}: the answer broke off", why, is_answer=False)
    refusal = _refusal(holder)
    if ending == "refused" or refusal:
        error = f"{REFUSED_BY_POLICY}: refused{f': {refusal[:_SHOWN]}' if refusal else f' ({finish})'}"
        return ReadAnswer(text, finish, usage, error)
    thought = next((said for name in _THOUGHTS if (said := holder.get(name))), None)
    if "reasoning" in reading.rules and isinstance(thought, str):
        text = _without_thought(text, thought)
    cleaned = clean(text, reading.rules)
    problem = cleaned.problem
    if not problem and not cleaned.text.strip():
        thought = thought or cleaned.applied
        problem = "reasoning without an answer" if thought else _NO_TEXT
        if not parts and not thought and any(holder.get(name) for name in _TOOLS):
            problem = TOOL_CALL
    if problem and ending == "cut":
        problem += ", cut by the token limit"
    if not problem and ending == "unknown":
        problem = f"it ended for a reason that is not known here: {finish}"
    error = f"{MALFORMED}: {problem}" if problem else ""
    is_answer = bool(parts or finish or problem != _NO_TEXT)  # {"message": null}: it never began
    return ReadAnswer(cleaned.text, finish, usage, error, is_answer=is_answer, cleaned=cleaned.applied)


def _without_thought(text: str, thought: str) -> str:
    """The text without the reasoning that has a field of its own too, as a paragraph before it.

    One that is equal to it is the answer, unless it thinks aloud, or how the answer's sentence begins.
    """
    rest = text.lstrip().removeprefix(thought.strip())
    if not rest.strip() and thinks_aloud(text):
        return ""
    return rest if rest.strip() and _BLANK_LINE.match(rest) and len(rest) < len(text) else text


def _first_choice(choices: Any) -> dict[str, Any] | None:
    """The choice that is counted first, out of a list or an object."""
    if isinstance(choices, dict):
        choices = list(choices.values())
    if not isinstance(choices, list):
        return None
    indexes = {id(c): c.get("index") for c in choices if isinstance(c, dict)}
    first = [c for c in choices if indexes.get(id(c)) == 0] or choices
    return first[0] if first and isinstance(first[0], dict) else None


def _refusal(message: dict[str, Any]) -> str:
    """The words of a refusal, in a field or a part of its own; an empty one is none."""
    refusal = message.get("refusal")
    content = as_list(message.get("content"))
    if not refusal:
        parts = [part for one in content for part in (one if isinstance(one, list) else [one])]
        refusal = next((p.get("refusal") for p in parts if isinstance(p, dict) and p.get("type") == "refusal"), None)
    words = " ".join(refusal.split()) if isinstance(refusal, str) else ""
    return "" if words.lower() in _NO_WORDS else words


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
    thoughts = _count(details(data, "completion_tokens_details", "output_tokens_details"), "reasoning_tokens")
    thoughts = _count(data, "reasoning_tokens") if thoughts is None else thoughts
    apart = _count(data, "thoughtsTokenCount") or 0  # not among those of the candidates
    return Usage(prompt, completion + apart, min(prompt, cached or 0), min(completion, thoughts or 0) + apart)


def _count(data: dict[str, Any], *names: str) -> int | None:
    """The first of the fields that is a count."""
    for name in names:
        value = data.get(name)
        if isinstance(value, int | float) and not isinstance(value, bool) and value >= 0 and value == int(value):
            return int(value)
    return None
