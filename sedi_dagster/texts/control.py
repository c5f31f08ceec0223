"""Marks of chat templates and control characters in what a model wrote.

A mark that a server did not take for the end of the turn is text in the answer, and so is all that the model ran on to
behind it. A tokenizer that has the mark makes a real special token of it, so it must not reach a training row.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

_PIPED = (
    "im_end|im_start|im_sep|endoftext|end_of_text|begin_of_text|startoftext|eot_id|eom_id|eot|eos|eos_id|end|end_of_turn|"
    "start_of_turn|endofprompt|start_header_id|end_header_id|header_start|header_end|start|return|call|channel|message|"
    "user|assistant|system|tool|observation|end_of_role|start_of_role|END_OF_TURN_TOKEN|START_OF_TURN_TOKEN|"
    "CHATBOT_TOKEN|USER_TOKEN|SYSTEM_TOKEN|END_RESPONSE|START_RESPONSE|END_TEXT|START_TEXT|pad|sep|end_of_solution|"
    "begin_of_solution|fim_prefix|fim_middle|fim_suffix|end▁of▁sentence|begin▁of▁sentence"
)
_MARK = (
    rf"(?:<\|/?(?:{_PIPED})\|>|<｜[^｜<>\n]{{1,40}}｜>|</?(?:start_of_turn|end_of_turn|eos|bos|eot|turn\|)>|<\|turn>|</s>|"
    r"\[/?INST\]|<</?SYS>>|\[/?(?:EOS|BOS|SYSTEM_PROMPT|AVAILABLE_TOOLS)\])"
)
MARK = re.compile(_MARK, re.IGNORECASE)
"""A mark of one of the chat templates in use."""

_ROLE = r"(?:[ \t]?(?:assistant|user|system|model|human|bot)\b(?:<\|end_header_id\|>|<\|message\|>)?)?"
_LEADING = re.compile(rf"(?:[\s\ufeff]*(?:{_MARK}|<s>){_ROLE}[ \t]*:?)++\s*", re.IGNORECASE)
_STRUCK_OUT = re.compile(r"</s>\s*\S")  # HTML: as a mark it would be the last thing in the text
_QUOTES = "`'\"“”‘’«»"
_ANSI = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ufeff\ufff9-\ufffb\ufffe\uffff]")
_LINE_ENDS = re.compile(r"\r\n?|\x85")


def without_control_characters(text: str) -> str:
    """Without C0 and C1 characters (tab and line feed stay), terminal colours and byte order marks.

    Every line ends with a line feed.
    """
    if text.isascii() and text.isprintable():
        return text
    text = _ANSI.sub("", text) if "\x1b" in text else text
    return _CONTROL.sub("", _LINE_ENDS.sub("\n", text))


def cut_at_turn_end(text: str) -> str:
    """The text up to the mark that ends the turn, without marks before it.

    A mark that is spoken of (quoted, or between the words of a sentence) ends nothing.
    """
    if "<" not in text and "[" not in text:
        return text
    leading = _LEADING.match(text)
    struck_out = leading is not None and "<s>" in leading[0].casefold() and _STRUCK_OUT.search(text)
    start = leading.end() if leading and not struck_out else 0
    struck = text.find("<s>", start)
    for mark in MARK.finditer(text, start):
        if mark[0] == "</s>" and -1 < struck < mark.start():
            continue
        if _ends_turn(text, mark, start):
            return text[start : mark.start()].rstrip()
    return text[start:]


def _ends_turn(text: str, mark: re.Match[str], start: int) -> bool:
    before, after = text[mark.start() - 1 : mark.start()], text[mark.end() : mark.end() + 1]
    if mark.start() == start:
        return False
    if (before and before in _QUOTES) or (after and after in _QUOTES):
        return False
    if after in ("", "\n", "<", "["):
        return True
    return not before.isspace() and (after.isspace() or after.isalpha())


def first_special_token(text: str, special_tokens: Iterable[str]) -> str | None:
    """The first of a tokenizer's special tokens that the text spells out."""
    return next((token for token in special_tokens if token in text), None)
