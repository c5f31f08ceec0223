"""The words that models put before the parts of a task, in the languages that they write them in (`words.yaml`).

A prompt in English with examples in another language is now and then answered with labels in that language. All
patterns match at the start of a line only, so that a word in running text is no label, and none can backtrack over
more than a few characters.
"""

import re
from pathlib import Path
from typing import Any

from sedi_dagster.yaml_file import read_yaml

_DIRECTION = "\u200e\u200f\u202a-\u202e\u2066-\u2069"  # marks of writing direction may stand before a label
_BLANK = rf"[ \t\u00a0\u3000{_DIRECTION}]*+"
_BOLD = r"(?:\*{1,3}|__?|`)?"
_MARK = r"(?:[-*•‣+–→][ \t]{1,3})?"
_COLON = r"[:：﹕]"

_WORDS: dict[str, Any] = read_yaml(Path(__file__).with_name("words.yaml"))


def _any_of(role: str) -> str:
    """The words of a role, longest first, so that none is taken for the beginning of another."""
    words = sorted(_WORDS[role].split(), key=len, reverse=True)
    return "(?:" + "|".join(word.replace("_", "[ \t_-]") for word in words) + ")"


def _line(pattern: str) -> re.Pattern[str]:
    return re.compile(rf"^{_BLANK}{pattern}", re.MULTILINE | re.IGNORECASE)


NAMED_HEAD = _line(
    rf"(?:#{{1,6}}[ \t]*)?{_MARK}{_BOLD}[【\[]?(?:(?:{_any_of('task')}|{_any_of('instruction')})[ \t]{{0,3}}"
    rf"(?:{_COLON}[ \t]{{0,2}})?(?:#|№|n[or°º]\.?|số)?[ \t]?\d{{1,3}}(?:[ \t]\([^()\n]{{1,30}}\))?|"
    rf"第[ \t]?\d{{1,3}}[ \t]?[个個]?[题題])"
    rf"[】\]]?{_BOLD}"
    rf"(?:[ \t]{{0,3}}(?:[.)．、）]|{_COLON}|[-–—](?=[ \t])){_BOLD}|(?<=[】\]])|[ \t]*(?=\r?$))[ \t]*"
)
"""`Task 9:`, `**Task #9**:`, `- Task No. 9:`, `### Task 9 - `, `任务9：`, `第9题：`, or `Task 9` alone on its line."""

_NUMBERING = r"(?:\d{1,3}[ \t]{0,3}\\?[.:)．、：）](?!\d)|\d\ufe0f?\u20e3|[(\[（【]\d{1,3}[)\]）】]|[①-⑳])"
_PART = rf"{_BOLD}(?:{_any_of('input')}|{_any_of('output')}){_BOLD}{_COLON}"
BARE_HEAD = _line(rf"(?:#{{1,6}}[ \t]+)?{_BOLD}(?P<number>{_NUMBERING}){_BOLD}[ \t]*+(?!{_PART})")
"""`9.`, `9)`, `(9)`, `**9.**`, `9、`, `⑨`. Not before another digit: 3.5 and 10:30 are no numbering. Not before a
label: `9. Input:`, as Alpaca writes it, is a part of task 9."""

_ANY_WORD = r"[^\s\d:：፦.,;!?#*()\[\]{}<>|]{1,24}"
_ANY_COLON = r"[:：﹕፦]"
ANY_WORDS = rf"{_ANY_WORD}(?:[ ]{_ANY_WORD})?"
ANY_HEAD = _line(
    rf"[#*_>\s-]{{0,8}}(?P<word>{ANY_WORDS})[ ]?#?[ ]?(?P<number>\d{{1,3}})"
    rf"{_BOLD}(?:[ \t]{{0,3}}(?:[.)．、）]|{_ANY_COLON}|[-–—](?=[ \t])){_BOLD}|(?=[ \t]*\r?$))[ \t]*"
)
"""`Question 9:`, `T9.`, `កិច្ចការ ៩:`, `Example 9` alone on its line: a word of any language and a number. A head
only where it counts on."""
UNNUMBERED_HEAD = _line(
    rf"(?:#{{1,6}}[ \t]*)?{_MARK}{_BOLD}(?:{_any_of('instruction')}|{_any_of('task')}){_BOLD}"
    rf"[ \t]{{0,3}}{_COLON}{_BOLD}[ \t]*"
)
"""`### Instruction:`, `Task:`, `- instruction:`. A head only where it comes again."""
ANY_LABEL = _line(rf"{_MARK}{_BOLD}(?P<word>{ANY_WORDS}){_BOLD}[ \t]?{_ANY_COLON}{_BOLD}(?=[ \t\n])")
"""A word of any language before a colon. A label only where every task has it."""
REMARK = _line(
    rf"{_MARK}{_BOLD}(?:category|task[ ]type|difficulty(?:[ ]level)?|kategorie|categoría|catégorie|categoria|категория|"
    rf"类别|類別|难度|難易度|カテゴリー?|카테고리|난이도){_BOLD}[ \t]?{_COLON}[^\n]{{0,80}}$"
)
"""What a model says of a task in a line of its own."""
LEFT_INPUT = re.compile(r"(?<![\w\"'“‘`«(])(?:Input|INPUT)[ ]?[:：]")

INSTRUCTION = re.compile(
    rf"\s*(?:(?:#{{1,6}}[ \t]*)?{_MARK}{_BOLD}(?:{_any_of('instruction')}|{_any_of('task')}){_BOLD}"
    rf"[ \t]{{0,3}}{_COLON}{_BOLD}|(?:#{{1,6}}|\*{{2,4}})[ \t]+{_any_of('instruction')}[ \t]*(?=\n))[ \t]*",
    re.IGNORECASE,
)
"""The label of an instruction, at the start of a text only (use `match`)."""


def _label(role: str) -> re.Pattern[str]:
    number, blank = rf"(?:{_NUMBERING}[ \t]*+|[-*•‣+–→][ \t]{{1,3}})?", r"[ \t]{0,3}"
    kind = r"(?:(?:expected|model|correct|ideal|suggested)[ \t]{1,2})?" if role == "output" else ""
    word = rf"{_BOLD}{kind}{_any_of(role)}{blank}\d{{0,3}}(?:\((?:optional|if any)\))?{_BOLD}{blank}"
    alone = rf"(?:#{{1,6}}[ \t]*{word}|\*{{2,4}}[ \t]+{word}|\*\*{_any_of(role)}\*\*)"
    heading = rf"(?:{alone}(?:{_COLON}{_BOLD}|(?=\r?$))|[【\[]{_any_of(role)}[】\]]{_COLON}?)"
    ends = rf"(?:{_COLON}|[-–—](?=[ \t]))" if role == "input" else _COLON
    return _line(rf"(?:{heading}|{number}{word}{ends}{_BOLD})[ \t]*")


INPUT = _label("input")
OUTPUT = _label("output")
FINAL_OUTPUT = _label("final")
"""`Final answer:`. No label in a series: there it may be what a task asks for."""
CLASS_LABEL = _label("class")
QUESTION = _line(
    rf"(?:#{{1,6}}[ \t]*)?{_BOLD}(?:{_any_of('question')}|{_any_of('instruction')}){_BOLD}[ \t]{{0,3}}"
    rf"(?:{_COLON}{_BOLD}|(?=\r?$))[ \t]*"
)
"""`Question:`, `Q:`, `### Instruction` alone on its line."""
SHORT_OUTPUT = re.compile(rf"{_BOLD}[AR答]{_BOLD}{_COLON}{_BOLD}[ \t]*")


def _inline(role: str) -> re.Pattern[str]:
    """A label behind the end of a sentence, in its line."""
    word = rf"{_BOLD}{_any_of(role)}{_BOLD}[ \t]{{0,2}}{_COLON}{_BOLD}[ \t]*"
    return re.compile(
        rf"(?<=[.!?…。！？।؟:;)\]\"”»*])(?:[ \t]{{1,3}}(?:[-–—|/•][ \t]{{1,2}}|[(\[])?|(?<=[。！？])){word}",
        re.IGNORECASE,
    )


INLINE_INPUT = _inline("input")
INLINE_OUTPUT = _inline("output")

CLOSING_TALK = re.compile(
    rf"\n[ \t]*+\n(?:[ \t]*+[-*_=]{{3,}}+[ \t]*+\n\s*+)?[ \t*_>]*+"
    rf"(?:{'|'.join(_WORDS['offers'])})"
    r"[^\n]{0,300}(?:\n[^\n]{0,300})?\s*+\Z",
    re.IGNORECASE,
)
"""A last paragraph that offers more or hopes to have helped."""
_OF_EXAMPLES = re.compile(rf"{_any_of('example')}|{_any_of('task')}|\bhelps?[.!]", re.IGNORECASE)


def without_closing_talk(text: str, answered: bool) -> str:
    """Without a last paragraph to the user; behind an answer, which may be a letter, only if it is of the examples."""
    talk = CLOSING_TALK.search(text)
    return text if talk is None or (answered and not _OF_EXAMPLES.search(talk[0])) else text[: talk.start()]


OTHER_TASK = _line(rf"(?:#{{1,6}}[ \t]*)?{_BOLD}{_any_of('task')}[ \t]{{0,3}}#?\d{{0,3}}{_BOLD}[ \t]{{0,3}}{_COLON}")
"""The head of a further task, where a model that was asked about one runs on."""
EXAMPLE = _line(
    rf"(?:#{{1,6}}[ \t]*)?{_BOLD}{_any_of('example')}(?:[ \t]{{0,3}}#?\d{{1,3}}{_BOLD}[ \t]{{0,3}}(?:[.)]|{_COLON})?"
    rf"|{_BOLD}[ \t]{{0,3}}{_COLON}){_BOLD}[ \t]*(?=\r?$|{_BOLD}(?:{_any_of('input')}|{_any_of('output')}))"
)
"""`Example 2`, alone on its line or before a label of the instance."""

FURTHER_TASK = re.compile(
    rf"\n[ \t]*\n[ \t]*(?:#{{1,6}}[ \t]*)?{_BOLD}(?:{_any_of('instruction')}[ \t]{{0,3}}{_COLON}|"
    rf"{_any_of('task')}[ \t]{{0,3}}#?(?!1\b)\d{{1,3}}{_BOLD}[ \t]{{0,3}}(?:{_COLON}|[.)]))",
    re.IGNORECASE,
)
"""A head behind a blank line. Not the first, nor `Task:` alone: an answer may be a list of tasks or a plan."""
SPEAKS_OF_TASKS = re.compile(
    rf"{_any_of('task')}|{_any_of('instruction')}|prompt|template|language model|\bllm|few-shot", re.IGNORECASE
)

FENCE = re.compile(rf"(?:^|(?<={_COLON})[*_]{{0,3}}){_BLANK}```([\w+#-]*+)[ \t]*+\r?$", re.MULTILINE)
"""Alone on its line or behind a label."""
_CODE = frozenset(
    "bash c c# c++ cpp cs csharp css dart go golang haskell html java javascript js jsx julia kotlin lua matlab perl "
    "php powershell py python python3 r rb ruby rust scala sh shell sql swift ts tsx typescript".split()
)
"""Languages of blocks. Of any other name, a fence may stand around all tasks."""


def without_code(text: str) -> str:
    """The text with its blocks of code blotted out, as long as before: in one `# Input:` is a comment, not a label."""
    parts: list[str] = []
    done, opened = 0, None
    for fence in FENCE.finditer(text):
        if fence[1]:
            opened = fence.end() if fence[1].lower() in _CODE else None
        elif opened is not None:
            parts += [text[done:opened], re.sub(".", "x", text[opened : fence.start()])]
            done, opened = fence.start(), None
    return "".join([*parts, text[done:]])
