"""Chat-template tokens and control characters in a model's text.

A token that a server did not treat as the end of the turn becomes text in the answer, together with everything the
model generated after it. A tokenizer would turn it into a real special token, so it must not reach a training row.
"""

from __future__ import annotations

import re

_MARK = (
    r"(?:<\|/?[^\s|<>]{1,40}\|>|<｜[^｜<>\n]{1,40}｜>|\[\|[^\s|\[\]]{1,40}\|\]|<\|turn>|<turn\|>|</s>|"
    r"</?(?:start_of_turn|end_of_turn|eos|bos|eot|eoa|eoh|eom|sop|eop|pad|unk|mask|sep|cls|用户|seed:\w{1,12}|"
    r"reserved_\w{1,24}|special_\d{1,5}|unused\d{1,5}|extra_id_\d{1,4}|\w{1,12}_s|file_sep|0x[0-9a-f]{2})>|"
    r"<role>(?:assistant|human|user|system)</role>|\[/?INST\]|<</?SYS>>|"
    r"\[/?(?:EOS|BOS|PAD|SEP|CLS|UNK|gMASK|SYSTEM_PROMPT|(?:AVAILABLE_)?TOOLS|TOOL_CALLS|TOOL_RESULTS)\]|\[e~\[|"
    r"\]~!?b\])"
)
MARK = re.compile(_MARK, re.IGNORECASE)
_MARKS = re.compile(rf"(?:<s>[ ]?)?{_MARK}(?:\s{{0,2}}(?:{_MARK}|<s>))*+", re.IGNORECASE)
"""A mark of one of the chat templates in use."""

_ROLE = r"(?:[ \t]?(?:assistant|user|system|model|human|bot|ai)(?=[ \t]*(?:[\n:]|<\||\Z)|(?-i:(?<=[a-z])[ \t])))?"
_LEADING = re.compile(rf"(?:[\s\ufeff]*(?:{_MARK}|<s>){_ROLE}[ \t]*:?)++\s*", re.IGNORECASE)
_OTHER_TURN = re.compile(
    r"\n[ \t]{0,3}###[ \t]+(?:(?:Human|User|Assistant|Instruction|Prompt)[ \t]*:|Instruction:?[ \t]*\n|"
    r"Input:?[ \t]*\n(?=.{0,2000}\n[ \t]{0,3}###[ \t]+Response:))|"
    r"\n[ \t]*\nHuman:[ ](?=.{0,2000}\n[ \t]*\nAssistant:)|(?<=[.!?])[ ]USER:[ ](?=.{0,2000}[ ]ASSISTANT:)|"
    r"(?<=[.!?])###[ ]?(?:Human|Assistant|Instruction):|"
    r"(?<=[.!?…。！？\"”)])(?-i:assistant|user)\n\n|\n(?-i:user)\n(?=.{0,2000}\n(?-i:assistant|model)\n)",
    re.DOTALL,
)
"""Where a model goes on to the next turn, of a template of plain text or of one whose marks the server dropped."""
_ROLE_LABEL = re.compile(
    r"^[#*_ \t]{0,6}(?:human|user|assistant|ai|bot)[*_ \t]{0,3}(?::|$)|^#{1,6}[ \t]|dialog|conversation|interview|"
    r"transcript|\bchat\b",
    re.IGNORECASE | re.MULTILINE,
)
"""What tells that the turns are what was asked for."""
_OWN_ROLE = re.compile(
    r"\s*(?:(?-i:assistant)\n\n|(?:\*\*)?(?:assistant|ai|chatgpt)(?:\*\*)?:(?:\*\*)?[ \n]|"
    r"###[ \t]*(?:response|assistant|output)[ \t]*(?::[ \n]|\n))\s*",
    re.IGNORECASE,
)
_REMAINS = re.compile(r"\s*(?:\n###[ \t]+End|<\|(?:im_|end|eot|eos)\w{0,12}\|?)\s*\Z")
"""What is left of an end: Dolly's heading, half a mark."""
_TAIL = 60
_LONE_TAG = re.compile(r"\s*</(answer|response|final|output)>\s*\Z")
_ROLE_NAME = re.compile(r"(?:user|assistant|system|human|model)\b", re.IGNORECASE)
_STRUCK_OUT = re.compile(r"</s>\s*\S")  # HTML: as a mark it would be the last thing in the text
_QUOTES = "`'\"“”‘’«»"
_TOOL_CALL = re.compile(
    r"\s*(?:<tool_call>\s*[{<]|<function_calls>|<function=|\[TOOL_CALLS\]\s*[\[{\w]|<\|tool_calls?(?:_\w+)?\|>|"
    r"<\|python_tag\|>\s*\{|<｜tool▁calls▁begin｜>)"
)
_CODE = re.compile(r"^```.*?^```|`[^`\n]+`", re.DOTALL | re.MULTILINE)
_CITED = re.compile("\ue200[^\ue201]{0,200}\ue201|【\\d{1,3}(?::\\d{1,3})?†[^】\\n]{0,80}】")
"""References of a chat window to what it searched."""
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
    return _CONTROL.sub("", _LINE_ENDS.sub("\n", _CITED.sub("", text)))


def is_undecoded(text: str) -> bool:
    """Whether a text is a tokenizer's pieces that nobody joined: `AĠgreyĠheron`."""
    return " " not in text and len(_UNDECODED.findall(text)) > 2


def cut_at_turn_end(text: str) -> str:
    """The text up to the mark that ends the turn, without marks and the label of the role before it.

    A mark that is spoken of (quoted, in code, or between the words of a sentence) ends nothing.
    """
    text = _cut_at_marks(text) if "<" in text or "[" in text else text
    turns = any(sign in text for sign in ("\n", "###", "USER:"))
    other = _OTHER_TURN.search(text) if turns else None
    if other is not None:
        head = text[: other.start()].rstrip()
        if head and head[-1] not in ":：" and not _ROLE_LABEL.search(head):
            text = head
    own = _OWN_ROLE.match(text)
    if own is not None and text[own.end() :].strip() and not _ROLE_LABEL.search(text, own.end()):
        text = text[own.end() :]
    tail = len(text) - _TAIL
    lone = _LONE_TAG.search(text, max(0, tail))
    if lone is not None and f"<{lone[1]}" not in text:
        text = text[: lone.start()]
    left = _REMAINS.search(text, max(0, tail))
    return text if left is None else text[: left.start()]


def _cut_at_marks(text: str) -> str:
    leading = _LEADING.match(text)
    start = leading.end() if leading else 0
    rest = text[start:]
    if leading is not None:
        spoken_of = rest[:1].islower() and leading[0][-1:] in " \t" and MARK.search(rest) is None
        struck_out = "<s>" in leading[0].casefold() and _STRUCK_OUT.search(text)
        start = 0 if spoken_of or struck_out else start
    struck = text.find("<s>", start)
    code = [match.span() for match in _CODE.finditer(text)]
    for marks in _MARKS.finditer(text, start):
        if marks.start() == start or any(begin <= marks.start() < end for begin, end in code):
            continue
        if marks[0].startswith("</s>") and -1 < struck < marks.start():
            continue
        if _ends_turn(text, marks):
            return text[start : marks.start()].rstrip()
    return text[start:]


def _ends_turn(text: str, marks: re.Match[str]) -> bool:
    """Whether one or several marks in a row end the turn, by what stands on both sides."""
    before, behind = text[: marks.start()][-80:], text[marks.end() : marks.end() + 80]
    if (before[-1:] and before[-1:] in _QUOTES) or (behind[:1] and behind[:1] in _QUOTES):
        return False
    if behind.lstrip(" \t")[:1] in ("", "\n"):
        return True
    if before[-1:] == "\n" and _ROLE_NAME.match(behind):
        return True
    several = marks[0].count("<") + marks[0].count("[") > 1
    if before[-1:].isspace():  # a word of its sentence, unless that was over
        return several and before.rstrip()[-1:] in '.!?…。！？"”)'
    return several or behind[:1].isspace() or behind[:1].isalpha() or behind[:1] in "<["


def is_tool_call(text: str) -> bool:
    """Whether a model calls a tool, in the form of its template, instead of answering."""
    return _TOOL_CALL.match(text) is not None
