"""Reading an endpoint's response: text, finish reason and usage, from any bytes.

Nothing here raises: unreadable responses become an `error` of the answer. The text is cleaned only here
(`texts.cleaning`); the ledger keeps the raw response. Whether it is a good instruction or fits a schema is decided
elsewhere.
"""

import ast
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from sedi_dagster.texts.cleaning import RULES, TOOL_CALL, CleaningRule, clean
from sedi_dagster.texts.endings import CANONICAL, Ending, ending_of

REFUSED_BY_POLICY = "content_policy"
"""Begins the error of an answer that the endpoint's content policy refused."""

MALFORMED = "malformed"
"""Begins the error of an answer without a text to use."""

_CHOICES = ("choices", "candidates", "generations", "results", "outputs", "completions", "predictions")
_WRAPPERS = ("result", "response", "data", "output", "body")
_OWN_TEXTS = ("content", "message", "text", "response", "result", "generated_text", "output_text", "outputText",
              "generation")  # fmt: skip
"""Where the native APIs of vendors (Anthropic, Bedrock, Gemini, Cohere, Ollama, llama.cpp, TGI) have the answer."""
_FINISHES = ("finish_reason", "stop_reason", "finishReason", "stopReason", "finish_details", "done_reason", "stop_type",
             "completionReason", "native_finish_reason")  # fmt: skip
_CUT_SHORT = ("stopped_limit", "is_truncated", "truncated")
"""What llama.cpp and Baidu say of an answer that a limit of length ended."""
_OF_AN_ANSWER = frozenset(
    (*_FINISHES, "usage", "usageMetadata", "role", "done", "eval_count", "generated_text", "tokens_predicted")
)
_OF_AN_ERROR = ("message", "msg", "detail", "error_msg", "error_code", "base_resp", "promptFeedback")
_STREAM = re.compile(r"(?:data|event|id|retry)?:")
_TOOLS = ("tool_calls", "function_call")
_TEXT_PARTS = ("text", "output_text", "")
_PARTS = re.compile(r"\s*\[\s*\{\s*['\"]type['\"]\s*:\s*['\"](?:text|output_text|thinking|reasoning)['\"]")
"""Parts of a content that a gateway made a text of."""
_NO_WORDS = ("null", "none", "false")
_BAD_BYTE = re.compile(r"\\x[0-9a-f]{2}")
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
        body = raw.lstrip("\ufeff \r\n")
        data = _streamed(body) if _STREAM.match(body) else _loaded(body)
    except (ValueError, RecursionError):
        return _no_answer(f"the answer is not JSON: {' '.join(raw[: 4 * _SHOWN].split())[:_SHOWN]}")
    data = _unwrapped(data)
    if not isinstance(data, dict):
        return _no_answer(f"the answer is not a JSON object: {raw[:_SHOWN]}")
    choice = _first_choice(data.get("choices"))
    holders = (data, choice or {}, _details(data, "x_groq"))
    beside = next((found for held in holders if (found := held.get("usage") or held.get("usageMetadata"))), data)
    usage = _usage(beside)
    status = _details(data, "base_resp")  # MiniMax's; zero is success
    error = data.get("error") or data.get("errors") or (status if status.get("status_code") else None)
    if error and (choice is None or not (_finish(choice) and "".join(_contents(choice)).strip())):
        return ReadAnswer("", "", usage, f"{MALFORMED}: the answer is an error", error, is_answer=False)
    if not isinstance(choice, dict) and any(data.get(name) for name in _OF_AN_ERROR):
        return ReadAnswer("", "", usage, f"{MALFORMED}: the answer is an error", data, is_answer=False)
    if not isinstance(choice, dict):
        return _no_answer(f"the answer has no choices: {raw[:_SHOWN]}", usage)
    return _read_choice(choice, usage, reading)


def _read_choice(choice: dict[str, Any], usage: Usage | None, reading: Reading) -> ReadAnswer:
    holder, contents = _message(choice), list(_contents(choice))
    # Lone surrogates (legal in JSON, in no encoding) are replaced, so that the text can be stored anywhere.
    text = "".join(contents).encode("utf-8", "replace").decode("utf-8")
    finish = _finish(choice)
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
    cleaned = clean(text, reading.rules)
    problem = cleaned.problem
    if not problem and not cleaned.text.strip():
        thought = cleaned.applied or any(holder.get(name) for name in ("reasoning_content", "reasoning", "thinking"))
        problem = "reasoning without an answer" if thought else "the answer has no text"
        if not contents and not thought and any(holder.get(name) for name in _TOOLS):
            problem = TOOL_CALL
    if problem and ending == "cut":
        problem += ", cut by the token limit"
    if not problem and ending == "unknown":
        problem = f"it ended for a reason that is not known here: {finish}"
    return ReadAnswer(
        cleaned.text, finish, usage, f"{MALFORMED}: {problem}" if problem else "", cleaned=cleaned.applied
    )


def _first_choice(choices: Any) -> dict[str, Any] | None:
    """The choice that is counted first, out of a list or an object."""
    if isinstance(choices, dict):
        choices = list(choices.values())
    if not isinstance(choices, list):
        return None
    indexes = {id(c): c.get("index") for c in choices if isinstance(c, dict)}
    first = [c for c in choices if indexes.get(id(c)) == 0] or choices
    return first[0] if first and isinstance(first[0], dict) else None


def _message(choice: dict[str, Any]) -> dict[str, Any]:
    message = choice.get("message") or choice.get("delta") or choice.get("messages")
    message = message[-1] if isinstance(message, list) and message else message
    return message if isinstance(message, dict) else choice


def _contents(choice: dict[str, Any]) -> Iterator[str]:
    message = _message(choice)
    if message is not choice:
        return _texts(
            next((message[name] for name in ("content", "text", "value") if message.get(name) is not None), None)
        )
    given = (choice[name] for name in ("text", "message", "messages", *_OWN_TEXTS) if choice.get(name) is not None)
    return _texts(next(given, None))


def _finish(choice: dict[str, Any]) -> str:
    """Why it ended, under the name and in the form that the endpoint has for it. A router's own word for a whole
    answer does not count against what the model's vendor said."""
    if any(choice.get(name) is True for name in _CUT_SHORT):
        return CANONICAL["cut"]
    found = []
    for name in _FINISHES:
        reason = choice.get(name) or _details(choice, "details").get(name)  # TGI's own form
        reason = reason[0] if isinstance(reason, list) and reason else reason
        reason = reason.get("type") or reason.get("reason") if isinstance(reason, dict) else reason
        if isinstance(reason, str) and reason:
            found.append(reason)
    if len(found) > 1 and ending_of(found[0]) == "whole" and isinstance(choice.get("native_finish_reason"), str):
        return found[-1] if ending_of(found[-1]) in ("cut", "refused", "failed") else found[0]
    return found[0] if found else ""


def _loaded(body: str) -> Any:
    """JSON, also where bytes that were not UTF-8 were written as escapes, which JSON does not know."""
    try:
        return json.loads(body)
    except ValueError:
        if "\n" in body and ('"delta"' in body or '"done"' in body):
            return _streamed("\n".join(f"data: {line}" for line in body.splitlines() if line.strip()))
        repaired = _BAD_BYTE.sub("\ufffd", body.removesuffix("\\x00").rstrip())
        if repaired == body:
            raise
        return json.loads(repaired)


def _texts(content: Any) -> Iterator[str]:
    """The text of a message's content, whatever holds it: a string, parts, or an object. Thoughts are left out."""
    if isinstance(content, str):
        parts = _literal(content) if _PARTS.match(content) else None
        if isinstance(parts, list) and all(isinstance(part, dict) and "type" in part for part in parts):
            yield from _texts(parts)
        else:
            yield content
    elif isinstance(content, list):
        for part in content:
            yield from _texts(part)
    elif isinstance(content, dict) and str(content.get("type") or "") in _TEXT_PARTS and not content.get("thought"):
        for name in ("text", "value", "content", "parts"):
            if content.get(name) is not None:
                yield from _texts(content[name])
                return


def _refusal(message: dict[str, Any]) -> str:
    """The words of a refusal, in a field or a part of its own; an empty one is none."""
    refusal = message.get("refusal")
    content = _as_list(message.get("content"))
    if not refusal:
        parts = [part for one in content for part in (one if isinstance(one, list) else [one])]
        refusal = next((p.get("refusal") for p in parts if isinstance(p, dict) and p.get("type") == "refusal"), None)
    words = " ".join(refusal.split()) if isinstance(refusal, str) else ""
    return "" if words.lower() in _NO_WORDS else words


def _unwrapped(data: Any, depth: int = 3) -> Any:
    """Out of a list of one, a string of JSON, and the envelope of a gateway; and from the form of another API."""
    if isinstance(data, list) and len(data) == 1:
        data = data[0]
    if isinstance(data, str) and data.lstrip().startswith("{"):
        data = _loaded(data)
    if not isinstance(data, dict) or data.get("choices"):
        return data
    for name in _CHOICES[1:]:
        if isinstance(data.get(name), list) and data[name]:
            return {**data, "choices": data[name]}
    for name in _WRAPPERS if depth else ():
        inner = _unwrapped(data.get(name), depth - 1) if isinstance(data.get(name), dict | str) else None
        if isinstance(inner, dict) and inner.get("choices"):
            ended = {name: data[name] for name in _FINISHES if data.get(name) is not None}
            choices = [{**ended, **one} if isinstance(one, dict) else one for one in _as_list(inner["choices"])]
            return {"usage": data.get("usage"), **inner, "choices": choices}
    return _from_other_api(data)


def _from_other_api(data: dict[str, Any]) -> dict[str, Any]:
    """An answer that is no choice among several, as the one choice."""
    if data.get("object") == "response":
        messages = [part for part in _as_list(data.get("output")) if _of(part, "type") != "reasoning"]
        content = [_of(part, "content") if _of(part, "type") == "message" else part for part in messages]
        ended = _details(data, "incomplete_details").get("reason") or data.get("status")
        given = {"content": content or data.get("output_text")}
        return {**data, "choices": [{"message": given, "finish_reason": ended}]}
    name = next((name for name in _OWN_TEXTS if isinstance(data.get(name), str | list | dict)), None)
    is_answer = bool(_OF_AN_ANSWER & data.keys()) or _of(data.get("message"), "role") == "assistant"
    is_echo = _of(data.get("message"), "role") == "user"
    if name is None or not is_answer or is_echo or (name == "message" and isinstance(data[name], str)):
        return data
    given = data[name] if name == "message" else {"content": data[name]}
    return {**data, "choices": [{**data, "message": given}]}


def _as_list(value: Any) -> list[Any]:
    return list(value.values()) if isinstance(value, dict) else value if isinstance(value, list) else []


def _of(part: Any, name: str) -> Any:
    return part.get(name) if isinstance(part, dict) else None


def _literal(text: str) -> Any:
    """A value in JSON or as Python writes it; None if it is neither."""
    for read in (json.loads, ast.literal_eval):
        try:
            return read(text)
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            continue
    return None


def _streamed(raw: str) -> Any:
    """The chunks of an event stream as one answer. Some gateways stream whether they were asked to or not.

    Raises:
        ValueError: it broke off, or is none.
    """
    lines = [line for line in raw.splitlines() if line.strip() and not _STREAM.match(line)]
    sent = [line.removeprefix("data:").strip() for line in raw.splitlines() if line.startswith("data:")]
    if not sent:  # comments that kept the connection open, then the answer itself
        return json.loads("\n".join(lines))
    text: list[str] = []
    merged: dict[str, Any] = {}
    choice: dict[str, Any] = {}
    for body in sent:
        chunk = json.loads(body) if body not in ("", "[DONE]") else {}
        if not isinstance(chunk, dict):
            raise ValueError("a chunk that is no object")
        merged |= {name: value for name, value in chunk.items() if value is not None and name != "choices"}
        merged["usage"] = {**(merged.get("usage") or {}), **(_details(chunk, "message").get("usage") or {})}
        for one in chunk.get("choices") or [chunk]:
            if "choices" in chunk and one.get("index"):  # another answer
                continue
            delta = one.get("delta") or one.get("message") or {"content": one.get("text") or one.get("response")}
            text += _texts(delta.get("content", delta.get("text")) if isinstance(delta, dict) else delta)
            choice |= {name: value for name, value in one.items() if value is not None}
            choice |= {name: delta[name] for name in _FINISHES if isinstance(delta, dict) and delta.get(name)}
    if choice and not merged.get("error") and not _finish(choice) and not choice.get("done") and "[DONE]" not in sent:
        raise ValueError("the stream broke off")
    if choice:
        merged["choices"] = [choice | {"message": {"role": "assistant", "content": "".join(text)}}]
    return merged


def _no_answer(why: str, usage: Usage | None = None) -> ReadAnswer:
    return ReadAnswer("", "", usage, f"{MALFORMED}: {why}", is_answer=False)


def _usage(data: Any) -> Usage | None:
    if not isinstance(data, dict):
        return None
    data = {**_details(data, "tokens", "billed_units"), **data}
    prompt = _count(data, "prompt_tokens", "input_tokens", "promptTokens", "inputTokens", "promptTokenCount",
                    "prompt_eval_count", "tokens_evaluated")  # fmt: skip
    completion = _count(data, "completion_tokens", "output_tokens", "completionTokens", "outputTokens",
                        "candidatesTokenCount", "eval_count", "tokens_predicted")  # fmt: skip
    if prompt is None or completion is None:
        return None
    cached = _count(data, "prompt_cache_hit_tokens", "cached_tokens", "cache_read_input_tokens")
    if cached is None:
        cached = _count(_details(data, "prompt_tokens_details", "input_tokens_details"), "cached_tokens")
    thoughts = _count(_details(data, "completion_tokens_details", "output_tokens_details"), "reasoning_tokens")
    thoughts = _count(data, "reasoning_tokens") if thoughts is None else thoughts
    apart = _count(data, "thoughtsTokenCount") or 0  # not among those of the candidates
    return Usage(prompt, completion + apart, min(prompt, cached or 0), min(completion, thoughts or 0) + apart)


def _details(data: dict[str, Any], *names: str) -> dict[str, Any]:
    return next((data[name] for name in names if isinstance(data.get(name), dict)), {})


def _count(data: dict[str, Any], *names: str) -> int | None:
    """The first of the fields that is a count."""
    for name in names:
        value = data.get(name)
        if isinstance(value, int | float) and not isinstance(value, bool) and value >= 0 and value == int(value):
            return int(value)
    return None
