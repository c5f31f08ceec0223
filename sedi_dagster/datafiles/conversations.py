"""Conversations, of which the first exchange is used: messages, ShareGPT, OpenAssistant's trees and flat exports."""

import ast
import json
import reprlib
from collections.abc import Iterable, Mapping, Sequence
from itertools import takewhile
from typing import Any

from sedi_dagster.datafiles.problems import Problems, checked_text

CONVERSATION_FIELDS = ("messages", "conversations", "conversation", "dialogue", "dialog", "chat", "chat_messages",
                       "contents", "data")  # fmt: skip

_ROLES = {
    "user": "user", "human": "user", "prompter": "user", "customer": "user",
    "assistant": "assistant", "gpt": "assistant", "bot": "assistant", "chatgpt": "assistant", "model": "assistant",
    "chatbot": "assistant", "ai": "assistant", "bing": "assistant", "claude": "assistant", "agent": "assistant",
    "system": "system", "developer": "system",
}  # fmt: skip
_ROLE_FIELDS = ("role", "from", "speaker", "author", "user", "type")
_TEXT_FIELDS = ("content", "value", "text", "message", "parts")
_TURNS = (("human", "assistant"), ("user", "assistant"), ("input", "output"), ("prompt", "response"),
          ("question", "answer"))  # fmt: skip
"""The fields of conversations with one object per turn."""
_NO, _YES = ("0", "0.0", "false", "no"), ("1", "true", "yes")
_NOT_LEARNT = {
    "weight": _NO,
    "train": _NO,
    "training": _NO,
    "trainable": _NO,
    "loss": _NO,
    "mask": _YES,
    "masked": _YES,
}
"""Fields and values that exclude a message from training: OpenAI's `weight: 0`, axolotl's `train: false` ..."""
_EXPECTED = "a message of the user, then one of the assistant, each with role and content"


def first_exchange(conversation: Any, name: str, number: int, problems: Problems) -> tuple[str, str, str]:
    """Return instruction, input (always empty) and output: the first message of the user and the answer to it."""
    messages = as_messages(conversation)
    if messages is None:
        problems.add(number, name, f"is {reprlib.repr(conversation)}", "a list of messages with role and content")
        return "", "", ""
    system = [content for role, content in takewhile(lambda message: message[0] == "system", messages)]
    if any(system):
        problems.notes["conversations begin with a system message, which is ignored"] += 1
    messages = messages[len(system) :]
    if [role for role, _ in messages[:2]] == ["assistant", "user"]:
        problems.notes["conversations begin with a message of the assistant, which is ignored"] += 1
        messages = messages[1:]
    if [role for role, _ in messages[:2]] != ["user", "assistant"]:
        roles = ", ".join(role[:20] for role, _ in messages[:3]) or "no message"
        problems.add(number, name, f"begins with {roles}", _EXPECTED)
        return "", "", ""
    if len(messages) > 2:
        problems.notes["conversations continue after the first answer: only the first exchange is used"] += 1
    question, answer = (
        checked_text(content, f"{name}: content of the {role}", number, problems) for role, content in messages[:2]
    )
    return question, "", answer


def as_messages(conversation: Any) -> list[tuple[str, Any]] | None:
    """Return (role, content) of each message; None if this is not a conversation. Content may be other than text."""
    if isinstance(conversation, str) and conversation.lstrip().startswith("["):  # a list in a cell of a table
        conversation = _parsed(conversation)
    if isinstance(conversation, dict):  # a list in columns, as `datasets` saves it
        columns = [column for column in conversation.values() if isinstance(column, list)]
        if len(columns) < len(conversation) or len({len(column) for column in columns}) != 1:
            return None
        conversation = [dict(zip(conversation, row, strict=True)) for row in zip(*columns, strict=True)]
    if not isinstance(conversation, list):
        return None
    if conversation and all(isinstance(message, str) for message in conversation):
        return [(("user", "assistant")[place % 2], text) for place, text in enumerate(conversation)]
    if not all(isinstance(message, dict) for message in conversation):
        return None
    for asked, answered in _TURNS if conversation else ():
        if all({asked, answered} <= turn.keys() for turn in conversation):
            system = [("system", turn["system"]) for turn in conversation[:1] if turn.get("system")]
            return system + [
                message for turn in conversation for message in (("user", turn[asked]), ("assistant", turn[answered]))
            ]
    return [(_role(message), _content(message)) for message in conversation]


def lacks_answer(conversation: Any) -> bool:
    """Return whether the messages end with the user, so that the answer is in another field (preferences, evals)."""
    messages = as_messages(conversation) if isinstance(conversation, list) else None
    return bool(messages and messages[-1][0] == "user" and isinstance(conversation[-1], dict))


def is_masked(conversation: Any) -> bool:
    """Return whether the first answer is excluded from training."""
    first = next((message for message in _objects(conversation) if _role(message) == "assistant"), {})
    return any(str(first.get(name)).strip().lower() in values for name, values in _NOT_LEARNT.items())


def unread_fields(conversation: Any) -> set[str]:
    """Return the fields in messages of the first exchange that have a value but are not read."""
    messages = [message for message in _objects(conversation) if _role(message) != "system"][:2]
    read = {*_TEXT_FIELDS, *_ROLE_FIELDS, *_NOT_LEARNT, "id"}
    return {
        name
        for message in messages
        if _role(message) in ("user", "assistant")
        for name, value in message.items()
        if name not in read and value not in (None, "", [], {}, False)
    }


def _objects(conversation: Any) -> list[dict[str, Any]]:
    messages = conversation if isinstance(conversation, list) else []
    return [message for message in messages if isinstance(message, dict)]


def _parsed(cell: str) -> Any:
    """Parse a list in JSON or as a Python literal; None if it is neither."""
    for read in (json.loads, ast.literal_eval):
        try:
            return read(cell)
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            continue
    return None


def _role(message: Mapping[str, Any]) -> str:
    roles = [held.get("role") if isinstance(held, dict) else held for held in map(message.get, _ROLE_FIELDS)]
    named = next((role for role in roles if isinstance(role, str)), "no role")
    return _ROLES.get(named.strip().lower(), named)


def _content(message: Mapping[str, Any]) -> Any:
    """Return a message's content; the text parts of chat APIs are joined."""
    content = next((message[name] for name in _TEXT_FIELDS if message.get(name) is not None), None)
    if not isinstance(content, list):
        return content
    thoughts = ("thinking", "redacted_thinking", "reasoning")
    texts = [_part(part) for part in content if not (isinstance(part, dict) and part.get("type") in thoughts)]
    return "\n".join(text for text in texts if text is not None) if None not in texts else content


def _part(part: Any) -> str | None:
    if isinstance(part, str):
        return part
    if not isinstance(part, dict) or part.get("type", "text") not in ("text", "input_text", "output_text"):
        return None
    return next((part[name] for name in ("text", "value", "content") if isinstance(part.get(name), str)), None)


def is_tree(row: Mapping[str, Any]) -> bool:
    """Return whether a row is a conversation tree of OpenAssistant: its prompt is an object with replies."""
    prompt = row.get("prompt")
    return isinstance(prompt, dict) and "replies" in prompt


def tree_exchange(row: Mapping[str, Any], number: int, problems: Problems) -> tuple[str, str, str]:
    """Return the prompt of a tree and the reply that people ranked first."""
    prompt = row["prompt"]
    replies = [reply for reply in prompt["replies"] or () if isinstance(reply, dict) and not reply.get("deleted")]
    if not replies:
        problems.add(number, "prompt.replies", "has no reply", "at least one")
        return "", "", ""
    if len(replies) > 1:
        problems.notes["prompts have several replies: the top-ranked one is used"] += 1
    best = min(replies, key=_rank)
    if best.get("replies"):
        problems.notes["conversations continue after the first answer: only the first exchange is used"] += 1
    return (
        checked_text(prompt.get("text"), "prompt.text", number, problems),
        "",
        checked_text(best.get("text"), "prompt.replies: text", number, problems),
    )


def _rank(reply: Mapping[str, Any]) -> float:
    rank = reply.get("rank")
    return float(rank) if isinstance(rank, int | float) else float("inf")


def is_flat_message(row: Mapping[str, Any]) -> bool:
    """Return whether a row is from a flat export of OpenAssistant: one row per message, with the id of its parent."""
    return {"message_id", "parent_id", "text", "role"} <= row.keys()


def joined_messages(
    rows: Iterable[tuple[int, dict[str, Any]]], problems: Problems
) -> Sequence[tuple[int, dict[str, Any]]]:
    """Return the first messages of a flat export as trees with their replies; later turns are left out."""
    numbered = list(rows)
    replies: dict[str, list[dict[str, Any]]] = {}
    for _, row in numbered:
        if row.get("parent_id"):
            replies.setdefault(str(row["parent_id"]), []).append(row)
    roots = [(number, row, str(row["message_id"])) for number, row in numbered if not row.get("parent_id")]
    alone = sum(name not in replies for _, _, name in roots)
    further = len(numbered) - len(roots) - sum(len(replies.get(name, ())) for _, _, name in roots)
    for count, note in (
        (alone, "rows are prompts without a reply, which are ignored"),
        (further, "rows are later turns or replies to a missing row, which are ignored"),
    ):
        if count:
            problems.notes[note] = count
    return [(number, {"prompt": {**row, "replies": replies[name]}}) for number, row, name in roots if name in replies]
