"""The body of an endpoint's response, in the format of `/chat/completions`.

Endpoints send an answer whole or as an event stream, alone or in the envelope of a gateway, or in the format of another
API. `response_body` converts them to one format; the other functions read the parts of a choice.
"""

import ast
import json
import re
from collections.abc import Iterator
from typing import Any

from sedi_dagster.texts.endings import CANONICAL, ending_of

_CHOICES = ("choices", "candidates", "generations", "results", "outputs", "completions", "predictions")
_WRAPPERS = ("result", "response", "data", "output", "body")
_OWN_TEXTS = ("content", "message", "text", "response", "result", "generated_text", "output_text", "outputText",
              "generation")  # fmt: skip
"""Fields of the answer in other APIs (Anthropic, Bedrock, Gemini, Cohere, Ollama, llama.cpp, TGI)."""
_FINISHES = ("finish_reason", "stop_reason", "finishReason", "stopReason", "finish_details", "done_reason", "stop_type",
             "completionReason", "native_finish_reason")  # fmt: skip
_CUT_SHORT = ("stopped_limit", "is_truncated", "truncated")
"""Fields of llama.cpp and Baidu for an answer that was cut by the token limit."""
_OF_AN_ANSWER = frozenset(
    (*_FINISHES, "usage", "usageMetadata", "role", "done", "eval_count", "generated_text", "tokens_predicted")
)
_STREAM = re.compile(r"(?:data|event|id|retry)?:")
_TEXT_PARTS = ("text", "output_text", "")
_PARTS = re.compile(r"\s*\[\s*\{\s*['\"]type['\"]\s*:\s*['\"](?:text|output_text|thinking|reasoning)['\"]")
"""Content parts that a gateway has converted to a string."""
_BAD_BYTE = re.compile(r"\\x[0-9a-f]{2}")


def response_body(raw: str) -> Any:
    """Parse a body as JSON, with its answers under `choices` if it has any.

    Raises:
        ValueError: it is not JSON, or a stream that broke off.
        RecursionError: it is nested too deeply.
    """
    body = raw.lstrip("\ufeff \r\n")
    return _unwrapped(_streamed(body) if _STREAM.match(body) else _loaded(body))


def _loaded(body: str) -> Any:
    """Parse JSON, also with `storable_text`'s escapes of invalid UTF-8, which are not valid in JSON."""
    try:
        return json.loads(body)
    except ValueError:
        if "\n" in body and ('"delta"' in body or '"done"' in body):
            return _streamed("\n".join(f"data: {line}" for line in body.splitlines() if line.strip()))
        repaired = _BAD_BYTE.sub("\ufffd", body.removesuffix("\\x00").rstrip())
        if repaired == body:
            raise
        return json.loads(repaired)


def _unwrapped(data: Any, depth: int = 3) -> Any:
    """Unwrap a list of one element, a string of JSON or a gateway's envelope; convert from other APIs."""
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
            choices = [{**ended, **one} if isinstance(one, dict) else one for one in as_list(inner["choices"])]
            return {"usage": data.get("usage"), **inner, "choices": choices}
    return _from_other_api(data)


def _from_other_api(data: dict[str, Any]) -> dict[str, Any]:
    """Convert an answer without `choices` to one with a single choice."""
    if data.get("object") == "response":
        messages = [part for part in as_list(data.get("output")) if _of(part, "type") != "reasoning"]
        content = [_of(part, "content") if _of(part, "type") == "message" else part for part in messages]
        ended = details(data, "incomplete_details").get("reason") or data.get("status")
        message = {"content": content or data.get("output_text")}
        return {**data, "choices": [{"message": message, "finish_reason": ended}]}
    name = next((name for name in _OWN_TEXTS if isinstance(data.get(name), str | list | dict)), None)
    is_answer = bool(_OF_AN_ANSWER & data.keys()) or _of(data.get("message"), "role") == "assistant"
    is_echo = _of(data.get("message"), "role") == "user"
    if name is None or not is_answer or is_echo or (name == "message" and isinstance(data[name], str)):
        return data
    message = data[name] if name == "message" else {"content": data[name]}
    return {**data, "choices": [{**data, "message": message}]}


def _streamed(raw: str) -> Any:
    """Join the chunks of an event stream to one answer. Some gateways stream without being asked to.

    Raises:
        ValueError: this is not an event stream, or one that broke off.
    """
    lines = [line for line in raw.splitlines() if line.strip() and not _STREAM.match(line)]
    sent = [line.removeprefix("data:").strip() for line in raw.splitlines() if line.startswith("data:")]
    if not sent:  # comments that kept the connection open, then the whole answer
        return json.loads("\n".join(lines))
    text: list[str] = []
    merged: dict[str, Any] = {}
    choice: dict[str, Any] = {}
    for body in sent:
        chunk = json.loads(body) if body not in ("", "[DONE]") else {}
        if not isinstance(chunk, dict):
            raise ValueError("a chunk that is no object")
        merged |= {name: value for name, value in chunk.items() if value is not None and name != "choices"}
        merged["usage"] = {**(merged.get("usage") or {}), **(details(chunk, "message").get("usage") or {})}
        for one in chunk.get("choices") or [chunk]:
            if "choices" in chunk and one.get("index"):  # part of another choice
                continue
            delta = one.get("delta") or one.get("message") or {"content": one.get("text") or one.get("response")}
            text += _texts(delta.get("content", delta.get("text")) if isinstance(delta, dict) else delta)
            choice |= {name: value for name, value in one.items() if value is not None}
            choice |= {name: delta[name] for name in _FINISHES if isinstance(delta, dict) and delta.get(name)}
    has_ended = finish_reason(choice) or choice.get("done") or "[DONE]" in sent
    if choice and not merged.get("error") and not has_ended:
        raise ValueError("the stream broke off")
    if choice:
        merged["choices"] = [choice | {"message": {"role": "assistant", "content": "".join(text)}}]
    return merged


def contents(choice: dict[str, Any]) -> Iterator[str]:
    """Return the texts of a choice, in order, without reasoning."""
    message = message_of(choice)
    if message is not choice:
        return _texts(
            next((message[name] for name in ("content", "text", "value") if message.get(name) is not None), None)
        )
    names = ("text", "message", "messages", *_OWN_TEXTS)
    return _texts(next((choice[name] for name in names if choice.get(name) is not None), None))


def message_of(choice: dict[str, Any]) -> dict[str, Any]:
    """Return the message of a choice; the choice itself if it has none (`/completions`)."""
    message = choice.get("message") or choice.get("delta") or choice.get("messages")
    message = message[-1] if isinstance(message, list) and message else message
    return message if isinstance(message, dict) else choice


def _texts(content: Any) -> Iterator[str]:
    """Yield the texts in a message's content (a string, parts or an object), without reasoning."""
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


def finish_reason(choice: dict[str, Any]) -> str:
    """Return the finish reason of a choice in the endpoint's own terms; "" if there is none.

    If a router says that the answer is whole but the model's provider says otherwise, the provider's reason is used.
    """
    if any(choice.get(name) is True for name in _CUT_SHORT):
        return CANONICAL["cut"]
    found = []
    for name in _FINISHES:
        reason = choice.get(name) or details(choice, "details").get(name)  # TGI's own form
        reason = reason[0] if isinstance(reason, list) and reason else reason
        reason = reason.get("type") or reason.get("reason") if isinstance(reason, dict) else reason
        if isinstance(reason, str) and reason:
            found.append(reason)
    if len(found) > 1 and ending_of(found[0]) == "whole" and isinstance(choice.get("native_finish_reason"), str):
        return found[-1] if ending_of(found[-1]) in ("cut", "refused", "failed") else found[0]
    return found[0] if found else ""


def _literal(text: str) -> Any:
    """Parse a JSON value or a Python literal; None if it is neither."""
    for read in (json.loads, ast.literal_eval):
        try:
            return read(text)
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            continue
    return None


def as_list(value: Any) -> list[Any]:
    """Return the elements of a list or the values of an object; an empty list for anything else."""
    return list(value.values()) if isinstance(value, dict) else value if isinstance(value, list) else []


def _of(part: Any, name: str) -> Any:
    return part.get(name) if isinstance(part, dict) else None


def details(data: dict[str, Any], *names: str) -> dict[str, Any]:
    """Return the first of the fields that is an object; an empty one if none is."""
    return next((data[name] for name in names if isinstance(data.get(name), dict)), {})
