"""The forms in which people have seed tasks, told apart row by row.

- Ours, and Alpaca's list: `instruction`, `input`, `output`.
- Self-Instruct's `seed_tasks.jsonl` (arXiv 2212.10560): `instruction`, `instances` of `input` and `output`.
- Chat: `messages` of `role` and `content`, as for the fine-tuning of chat models.

Each may have `category`, `is_classification` and `id`; other fields are not read.
"""

from __future__ import annotations

import reprlib
from collections import Counter
from dataclasses import dataclass
from typing import Any

from sedi_dagster.jsonl import Problems, checked_text, text_field


@dataclass(frozen=True)
class SeedRow:
    """A row of any of the formats; `category` is "" if it names none."""

    line: int
    instruction: str
    input: str
    output: str
    category: str
    is_classification: bool


def parse_row(row: dict[str, Any], line: int, problems: Problems, notes: Counter[str]) -> SeedRow | None:
    """The row as a seed task, or None if something is wrong with it, which is noted in `problems`.

    Args:
        notes: counts what was left out of rows, by what is to be said about it.
    """
    before = problems.count
    if "messages" in row:
        instruction, text_input, output = _chat(row["messages"], line, problems, notes)
    elif "instances" in row:
        instruction, text_input, output = _self_instruct(row, line, problems, notes)
    else:
        instruction, text_input, output = _plain(row, line, problems)
    category = "" if row.get("category") is None else text_field(row, "category", line, problems)
    is_classification = row.get("is_classification", False)
    if not isinstance(is_classification, bool):
        problems.add(line, "is_classification", f"is {reprlib.repr(is_classification)}", "true or false")
    if problems.count > before:
        return None
    return SeedRow(line, instruction.strip(), text_input.strip(), output.strip(), category, is_classification)


def _plain(row: dict[str, Any], line: int, problems: Problems) -> tuple[str, str, str]:
    return (
        text_field(row, "instruction", line, problems),
        text_field(row, "input", line, problems, empty=True),
        text_field(row, "output", line, problems),
    )


def _self_instruct(row: dict[str, Any], line: int, problems: Problems, notes: Counter[str]) -> tuple[str, str, str]:
    instruction = text_field(row, "instruction", line, problems)
    instances = row["instances"]
    if not isinstance(instances, list) or not instances or not isinstance(instances[0], dict):
        expected = 'a list such as [{"input": "", "output": "..."}]'
        problems.add(line, "instances", f"is {reprlib.repr(instances)}", expected)
        return "", "", ""
    if len(instances) > 1:
        notes["tasks have more than one instance: the first is taken"] += 1
    first = instances[0]
    return (
        instruction,
        checked_text(first.get("input", ""), "instances[0].input", line, problems, empty=True),
        checked_text(first.get("output"), "instances[0].output", line, problems),
    )


def _chat(messages: Any, line: int, problems: Problems, notes: Counter[str]) -> tuple[str, str, str]:
    """The first exchange of a conversation; the user's message is the instruction, there is no input."""
    if not isinstance(messages, list) or not all(isinstance(message, dict) for message in messages):
        problems.add(line, "messages", f"is {reprlib.repr(messages)}", "a list of objects with role and content")
        return "", "", ""
    if messages and messages[0].get("role") in ("system", "developer"):
        notes["conversations begin with a system message: it is left out"] += 1
        messages = messages[1:]
    if [message.get("role") for message in messages[:2]] != ["user", "assistant"]:
        roles = ", ".join(str(message.get("role"))[:20] for message in messages[:3]) or "no message"
        problems.add(line, "messages", f"begins with {roles}", "a message of the user, then one of the assistant")
        return "", "", ""
    if len(messages) > 2:
        notes["conversations go on after the first answer: the first exchange is taken"] += 1
    question, answer = (
        checked_text(_content(message), f"messages: content of the {message['role']}", line, problems)
        for message in messages[:2]
    )
    return question, "", answer


def _content(message: dict[str, Any]) -> Any:
    """A message's text; a list of text parts, as chat APIs have it, is joined."""
    content = message.get("content")
    if not isinstance(content, list):
        return content
    texts = [part.get("text") if isinstance(part, dict) else None for part in content]
    words = [text for text in texts if isinstance(text, str)]
    return "\n".join(words) if len(words) == len(texts) else content
