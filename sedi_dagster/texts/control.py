"""Chat-template tokens and control characters in a model's text.

A token that a server did not treat as the end of the turn becomes text in the answer, together with everything the
model generated after it. A tokenizer would turn it into a real special token, so it must not reach a training row.
"""

import re

_MARK = (
    r"(?:<\|/?[^\s|<>]{1,40}\|>|<｜[^｜<>\n]{1,40}｜>|\[\|[^\s|\[\]]{1,40}\|\]|<\|turn>|<turn\|>|</s>|"
    r"</?(?:start_of_turn|end_of_turn|end_of_utterance|eod|eos|bos|eot|eoa|eoh|eom|sop|eop|pad|unk|mask|sep|cls|用户|seed:\w{1,12}|"
    r"reserved_\w{1,24}|special_\d{1,5}|unused\d{1,5}|extra_id_\d{1,4}|longcat_s|file_sep|0x[0-9a-f]{2})>|"
    r"(?-i:<role>(?:ASSISTANT|HUMAN|USER|SYSTEM|OBSERVATION)</role>)|(?-i:\[/?INST\]|<</?SYS>>)|\[unused\d{1,4}\]|"
    r"(?-i:\[/?(?:EOS|EOT|BOS|PAD|SEP|CLS|UNK|gMASK|SYSTEM_PROMPT|AVAILABLE_TOOLS|TOOL_CALLS|TOOL_RESULTS)\])|"
    r"\[e~\[|\]~!?b\]|\]<\]minimax\[>\[)"
)
MARK = re.compile(_MARK, re.IGNORECASE)
_MARKS = re.compile(rf"(?:<s>[ ]?)?{_MARK}(?:\s{{0,2}}(?:{_MARK}|<s>))*+", re.IGNORECASE)
"""A mark of one of the chat templates in use."""

_ROLE = r"(?:[ \t]?(?:assistant|user|system|model|human|bot|ai)(?=[ \t]*(?:[\n:]|<\||\Z)|(?-i:(?<=[a-z])[ \t])))?"
_LEADING = re.compile(rf"(?:[\s\ufeff]*(?:{_MARK}|<s>){_ROLE}[ \t]*:?)++\s*", re.IGNORECASE)
_ECHO = re.compile(
    r"(?:<\|im_start\|>|<\|start_header_id\|>|<\|start_of_role\|>|<start_of_turn>)\s?(?:assistant|model)\b"
    r"(?:<\|end_header_id\|>|<\|end_of_role\|>|<\|im_sep\|>)?|(?-i:\[/INST\])|<[|｜]assistant[|｜]>",
    re.IGNORECASE,
)
"""Where the answer begins, if the server gave back the prompt before it."""
_ASKED = re.compile(r"user|human|prompter|system|\[INST\]|<<SYS>>", re.IGNORECASE)
_ASKS = "Instruction|指示|指令|질문|명령어|Anweisung|Instrucción|Instrução|Istruzione|Инструкция"
"""Alpaca's heading, and what it was translated to."""
_OTHER_TURN = re.compile(
    rf"\n[ \t]{{0,3}}###[ \t]+(?:(?:Human|User|Assistant|Prompt|{_ASKS})[ \t]*[:：]|Instruction:?[ \t]*(?:\n|\Z)|"
    r"End[ \t]*(?:\n|\Z)|Input:?[ \t]*\n(?=.{0,2000}\n[ \t]{0,3}###[ \t]+Response:))|"
    r"\n[ \t]*\n?Human:[ ](?=.{0,2000}\n[ \t]*\n?Assistant:)|\n<human>:|"
    r"\n(?:用户|用戶|ユーザー|사용자)[:：](?=.{0,2000}\n(?:助手|助理|アシスタント|어시스턴트)[:：])|"
    r"(?<=[.!?])[ ]USER:[ ](?=.{0,2000}[ ]ASSISTANT:)|"
    r"(?<=[.!?])###[ ]?(?:Human|Assistant|Instruction):|(?<=[.!?])[ ]\[INST\][ ](?=.{0,2000}[ ]\[/INST\])|"
    r"(?<=[.!?…。！？\"”)])(?-i:assistant|user)\n\n|\n(?-i:user)\n(?=.{0,2000}\n(?-i:assistant|model)\n)",
    re.DOTALL,
)
"""Where a model goes on to the next turn, of a template of plain text or of one whose marks the server dropped."""
_ROLE_LABEL = re.compile(
    r"^[#*_ \t]{0,6}(?:human|user|assistant|ai|bot)[*_ \t]{0,3}(?::|$)|^#{1,6}[ \t]|dialog|conversation|interview|"
    r"transcript|\bchat\b|\[/?INST\]|对话|對話|会話|대화",
    re.IGNORECASE | re.MULTILINE,
)
"""What tells that the turns are what was asked for."""
_OWN_ROLE = re.compile(
    r"\s*(?:/no_?think[ \t]*\n(?!(?s:.*)/think)|"
    r"(?-i:assistant)\n\n|(?:\*\*)?(?:assistant|ai|chatgpt)(?:\*\*)?:(?:\*\*)?[ \n]|<bot>:|"
    r"(?:assistant|助手|助理|アシスタント|어시스턴트)(?:：|:[ \n])|"
    r"###[ \t]*(?:response|assistant|output|応答|回答|回复|답변|응답|antwort|respuesta|réponse|resposta|ответ)"
    r"[ \t]*(?:[:：][ \n]|：|\n))\s*",
    re.IGNORECASE,
)
_END = r"(?:im_end|im_start|eo[st](?:_id)?|end_?of_?(?:text|turn|sentence)|end)"
_REMAINS = re.compile(
    rf"\s*(?:(?<=[.!?。！？)\"”])[ \n]/no_?think|"
    rf"\n###[ \t]*(?:End)?|</s|<\s?\|\s?{_END}\w{{0,12}}\s?\|?\s?>?|\|?{_END}\|>|"
    rf"<(?:im_end|end_?of_?(?:text|turn))>?|(?:&lt;|＜|\\u003c)(?:/s|\|{_END}\|)(?:&gt;|＞|\\u003e)|"
    r"(?-i:<(?:EOT|END|STOP)>|\[(?:END|DONE|STOP|/ASS|end of text)\]))\s*\Z",
    re.IGNORECASE,
)
"""What is left of an end: half a mark, one that was escaped, a word for it."""
_TAIL = 60
_LONE_TAG = re.compile(r"(?:(?<=\S)|\s*\n\s*)</(answer|response|final|output|assistant|tool_call)>\s*\Z")
_ROLE_NAME = re.compile(r"(?:user|assistant|system|human|model)\b", re.IGNORECASE)
_ROLE_MARK = re.compile(r"[<\[][|｜](?:user|human|prompter|assistant|ai)[|｜][>\]]", re.IGNORECASE)
_LISTED = re.compile(r"(?:\A|\n)[ \t]*(?:[-*+•|]|\d{1,3}[.)])[ \t]+\Z|[:：][ \t]*\n\s*\Z")
"""Before a mark that is an item of a list, or what was announced."""
_BOX = re.compile(r"<\|(?:begin|end)_of_box\|>")
_STRUCK_OUT = re.compile(r"</s>\s*\S")  # HTML: as a mark it would be the last thing in the text
_QUOTES = "`'\"“”‘’«»"
_CALL = (
    r"\s*(?:<(?:\w+:)?tool_call>\s*[{<\w]|<(?:\w+:)?(?:function_calls>|invoke name=)|<function=|"
    r"\[TOOL_CALLS\]\s*[\[{\w]|<\|tool_calls?(?:_\w+)?\|>|<\|tool_call>call:|<\|open\|>tools|"
    r"<\|python_tag\|>\s*\{|<｜tool▁calls▁begin｜>|<｜DSML｜)"
)
_TOOL_CALL = re.compile(rf"{_CALL}|(?!```)[^\n]{{0,200}}[^\n:：]\n{_CALL}(?=.*[>\]}})]\s*\Z)", re.DOTALL)
"""Also behind a line that is no fence; then nothing follows it."""
_CODE = re.compile(r"^```.*?^```|`[^`\n]+`", re.DOTALL | re.MULTILINE)
_CITED = re.compile(
    "\ue200[^\ue201]{0,200}\ue201|【\\d{1,3}(?::\\d{1,3})?†[^】\\n]{0,80}】|"
    r"[ ]?(?:cite(?:turn\d{1,3}[a-z]{1,12}\d{1,3})+|:contentReference\[oaicite:\d{1,4}\]\{index=\d{1,4}\})"
)
"""References of a chat window to what it searched."""
_ANSI = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)")
_CONTROL = re.compile(
    r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\u202d\u202e\ufdd0-\ufdef\ufeff\ufff9-\ufffb\ufffe\uffff]|"
    r"(?<![\U0001f3f4\U000e0020-\U000e007e])[\U000e0000-\U000e007f]+"  # tags: in flags alone they are seen
)
_UNSEEN = "\u200b\u2060\u2800\u3164 \t\n"  # zero-width and blank characters of which nothing is seen
_LINE_ENDS = re.compile(r"\r\n?|[\x85\u2028\u2029]")
_GARBLED = re.compile(
    r"[Ãâ][\u0080-\u00bf€‚ƒ„…†‡ˆ‰Š‹ŒŽ‘’“”•–—˜™š›œžŸ]|[ÐÑ][\u0080-\u00bf][ÐÑ]|\w\ufffd|\ufffd\w|\ufffd\ufffd|\ufffd\s*\Z"
)
"""UTF-8 that was read as Latin-1 or cp1252; and what a decoder puts for bytes that it cannot read, in a word."""
_UNDECODED = re.compile(r"\S[Ġ▁]\S|<0x[0-9A-F]{2}>")


def without_control_characters(text: str) -> str:
    """Without C0 and C1 characters (tab and line feed stay), terminal colours, byte order marks and unseen tags.

    Every line ends with a line feed.
    """
    if text.isascii() and text.isprintable() and "cite" not in text:
        return text
    text = _ANSI.sub("", text) if "\x1b" in text else text
    return _CONTROL.sub("", _LINE_ENDS.sub("\n", _CITED.sub("", text)))


def garbled(text: str) -> list[str]:
    """Where letters of a text were decoded wrongly: `KÃ¤se`, `K\ufffdse`."""
    return [] if text.isascii() else _GARBLED.findall(text)


def is_unseen(text: str) -> bool:
    """Whether a text is of characters alone of which nothing is seen."""
    return not text.strip(_UNSEEN)


def is_undecoded(text: str) -> bool:
    """Whether a text is a tokenizer's pieces that nobody joined: `AĠgreyĠheron`."""
    if " " not in text:
        return len(_UNDECODED.findall(text)) > 2
    words = text.split() if "▁" in text or "Ġ" in text else []
    return len(words) > 2 and 4 * sum(word[0] in "▁Ġ" for word in words) >= 3 * len(words)


def cut_at_turn_end(text: str) -> str:
    """The text up to the mark that ends the turn, without marks and the label of the role before it.

    A mark that is spoken of (quoted, in code, or between the words of a sentence) ends nothing.
    """
    text = _cut_at_marks(_BOX.sub("", text)) if any(sign in text for sign in "<[]") else text
    left = _REMAINS.search(text, max(0, len(text) - _TAIL))
    text = text if left is None else text[: left.start()]
    own = _OWN_ROLE.match(text)
    begin = own.end() if own is not None and text[own.end() :].strip() else 0
    turns = any(sign in text for sign in ("\n", "###", "USER:", "[INST]"))
    other = _OTHER_TURN.search(text, begin) if turns else None
    if other is not None:
        head = text[begin : other.start()].rstrip()
        if head and head[-1] not in ":：" and not _ROLE_LABEL.search(head):
            text = text[:begin] + head
    if begin and not _ROLE_LABEL.search(text, begin):
        text = text[begin:]
    lone = _LONE_TAG.search(text, max(0, len(text) - _TAIL))
    return text if lone is None or f"<{lone[1]}" in text else text[: lone.start()]


def _cut_at_marks(text: str) -> str:
    leading = _LEADING.match(text)
    start = leading.end() if leading else 0
    rest = text[start:]
    if leading is not None:
        spoken_of = rest[:1].islower() and leading[0][-1:] in " \t" and MARK.search(rest) is None
        struck_out = "<s>" in leading[0].casefold() and _STRUCK_OUT.search(text)
        start = 0 if spoken_of or struck_out else start
        answer = _ECHO.search(text, start) if _ASKED.search(leading[0]) else None
        start = answer.end() if answer else start
    shown, end = False, len(text.rstrip())
    struck = text.find("<s>", start)
    code = [match.span() for match in _CODE.finditer(text)]
    for marks in _MARKS.finditer(text, start):
        if marks.start() == start or any(begin <= marks.start() < end for begin, end in code):
            continue
        if marks[0].startswith("</s>") and -1 < struck < marks.start():
            continue
        if marks.end() < end and (shown or _LISTED.search(text[max(0, marks.start() - 80) : marks.start()])):
            shown = True  # and with it the marks that follow, until the last
            continue
        if _ends_turn(text, marks):
            return text[start : marks.start()].rstrip()
    return text[start:]


def _ends_turn(text: str, marks: re.Match[str]) -> bool:
    """Whether one or several marks in a row end the turn, by what stands on both sides."""
    before, behind = text[max(0, marks.start() - 80) : marks.start()], text[marks.end() : marks.end() + 80]
    if (before[-1:] and before[-1:] in _QUOTES) or (behind[:1] and behind[:1] in _QUOTES):
        return False
    if behind.lstrip(" \t")[:1] in ("", "\n"):
        return True
    if before[-1:] == "\n" and (_ROLE_NAME.match(behind) or _ROLE_MARK.match(marks[0])):
        return True
    several = marks[0].count("<") + marks[0].count("[") > 1
    if before[-1:].isspace():  # a word of its sentence, unless that was over
        return several and before.rstrip()[-1:] in '.!?…。！？"”)'
    return several or behind[:1].isspace() or behind[:1].isalpha() or behind[:1] in "<["


def is_tool_call(text: str) -> bool:
    """Whether a model calls a tool, in the form of its template and after at most a line, instead of answering."""
    return _TOOL_CALL.match(text) is not None
