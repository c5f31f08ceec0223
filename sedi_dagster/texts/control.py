"""Marks of chat templates and control characters in what a model wrote.

A mark that a server did not take for the end of the turn is text in the answer, and so is all that the model ran on to
behind it. A tokenizer that has the mark makes a real special token of it, so it must not reach a training row.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

_MARK = (
    r"(?:<\|/?[^\s|<>]{1,40}\|>|<｜[^｜<>\n]{1,40}｜>|\[\|[^\s|\[\]]{1,40}\|\]|<\|turn>|<turn\|>|</s>|"
    r"</?(?:start_of_turn|end_of_turn|eos|bos|eot|eoa|eoh|eom|sop|eop|pad|unk|用户|seed:\w{1,12}|reserved_\w{1,24}|"
    r"unused\d{1,5}|extra_id_\d{1,4}|0x[0-9a-f]{2})>|"
    r"\[/?INST\]|<</?SYS>>|\[/?(?:EOS|BOS|PAD|SEP|CLS|UNK|gMASK|SYSTEM_PROMPT|AVAILABLE_TOOLS)\]|\[e~\[|\]~!?b\])"
)
MARK = re.compile(_MARK, re.IGNORECASE)
"""A mark of one of the chat templates in use."""

_ROLE = r"(?:[ \t]?(?:assistant|user|system|model|human|bot|ai)(?=[ \t]*(?:[\n:]|<\||\Z)|(?-i:(?<=[a-z])[ \t])))?"
_LEADING = re.compile(rf"(?:[\s\ufeff]*(?:{_MARK}|<s>){_ROLE}[ \t]*:?)++\s*", re.IGNORECASE)
_ROLE_HEADING = re.compile(r"\n[ \t]{0,3}###[ \t]+(?:(?:Human|User|Assistant)[ \t]*:|Instruction:[ \t]*\n)")
"""Where a model of a template of plain text goes on to the next turn."""
_STRUCK_OUT = re.compile(r"</s>\s*\S")  # HTML: as a mark it would be the last thing in the text
_QUOTES = "`'\"“”‘’«»"
_ANSI = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)")
_CONTROL = re.compile(
    r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\u202d\u202e\ufdd0-\ufdef\ufeff\ufff9-\ufffb\ufffe\uffff]|"
    r"(?<![\U0001f3f4\U000e0020-\U000e007e])[\U000e0000-\U000e007f]+"  # tags: in flags alone they are seen
)
_LINE_ENDS = re.compile(r"\r\n?|[\x85\u2028\u2029]")
_UNDECODED = re.compile(r"\S[Ġ▁]\S|<0x[0-9A-F]{2}>")


def without_control_characters(text: str) -> str:
    """Without C0 and C1 characters (tab and line feed stay), terminal colours, byte order marks and unseen tags.

    Every line ends with a line feed.
    """
    if text.isascii() and text.isprintable():
        return text
    text = _ANSI.sub("", text) if "\x1b" in text else text
    return _CONTROL.sub("", _LINE_ENDS.sub("\n", text))


def is_undecoded(text: str) -> bool:
    """Whether a text is a tokenizer's pieces that nobody joined: `AĠgreyĠheron`."""
    return " " not in text and len(_UNDECODED.findall(text)) > 2


def cut_at_turn_end(text: str) -> str:
    """The text up to the mark that ends the turn, without marks before it.

    A mark that is spoken of (quoted, or between the words of a sentence) ends nothing.
    """
    heading = _ROLE_HEADING.search(text)
    if heading is not None and text[: heading.start()].strip():
        text = text[: heading.start()].rstrip()
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
