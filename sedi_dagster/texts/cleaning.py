"""Cleaning of a model's raw text, in one place for reading, display and training."""

import json
import re
from dataclasses import dataclass
from typing import Literal

from sedi_dagster.texts.control import (
    cut_at_turn_end,
    garbled,
    is_tool_call,
    is_undecoded,
    is_unseen,
    without_control_characters,
)
from sedi_dagster.texts.reasoning import split_reasoning, unwrapped

CleaningRule = Literal["reasoning", "turn_marks", "control_characters"]
RULES: tuple[CleaningRule, ...] = ("control_characters", "reasoning", "turn_marks")

UNCLOSED = "reasoning that does not end"
TOOL_CALL = "a call of a tool instead of an answer"
GARBLED = "letters that were decoded wrongly"
UNDECODED = "pieces of a tokenizer instead of text"

_JSON = re.compile(r"\s*(?:```(?:json)?\s*)?[{\[]\s*[{\[\"]")
_VALUE = re.compile(r'("(?:output|response|answer|completion)"\s*+:\s*+)"((?:[^"\\]++|\\.)*+)"', re.IGNORECASE)
"""An answer in JSON. Any other value may be of marks by what the task asks for."""


@dataclass(frozen=True, slots=True)
class Cleaned:
    """The text, the rules that changed it, and why there is no text although the model wrote something."""

    text: str
    applied: tuple[CleaningRule, ...] = ()
    problem: str = ""


def clean(text: str, rules: frozenset[CleaningRule] = frozenset(RULES)) -> Cleaned:
    """Apply the rules in their order. What a rule does not find it leaves as it is, to the byte."""
    applied: list[CleaningRule] = []
    if _JSON.match(text):
        text = _VALUE.sub(lambda value: _clean_value(value, rules, applied), text)
    if "control_characters" in rules and (plain := without_control_characters(text)) != text:
        text = plain
        applied.append("control_characters")
    if "control_characters" in rules and is_undecoded(text):
        return Cleaned("", tuple(applied), UNDECODED)
    if "reasoning" in rules:
        reasoned = split_reasoning(text)
        if reasoned.unclosed:
            return Cleaned("", (*applied, "reasoning"), UNCLOSED)
        if reasoned.found:
            text = reasoned.text
            applied.append("reasoning")
    if "turn_marks" in rules and is_tool_call(text):
        return Cleaned("", (*applied, "turn_marks"), TOOL_CALL)
    if "turn_marks" in rules and (turn := cut_at_turn_end(text)) != text:
        text = turn
        applied.append("turn_marks")
    found = garbled(text) if "control_characters" in rules else []
    if len(found) > 1 or any("\ufffd" in one for one in found):  # a single `Ã¤` may be spoken of
        return Cleaned("", (*applied, "control_characters"), GARBLED)
    if "reasoning" in applied:  # the tags around the answer may stand before a mark
        text = unwrapped(text)
    return Cleaned("" if is_unseen(text) else text, tuple(applied))


def _clean_value(value: re.Match[str], rules: frozenset[CleaningRule], applied: list[CleaningRule]) -> str:
    """A value in JSON, cleaned as a text is; as it came where nothing would be left of it."""
    if not any(sign in value[2] for sign in "<[◁"):
        return value[0]
    try:
        found = clean(json.loads(f'"{value[2]}"'), rules - {"control_characters"})
    except ValueError:
        return value[0]
    if found.problem or not found.applied or not found.text.strip():
        return value[0]
    applied += [rule for rule in found.applied if rule not in applied]
    return value[1] + json.dumps(found.text.strip(), ensure_ascii=False)
