"""Numbered series of tasks, with or without answers."""

import re
import unicodedata
from itertools import pairwise

from sedi_dagster.generation.parsing import words
from sedi_dagster.generation.parsing.json_form import parse_json
from sedi_dagster.generation.parsing.parsed_task import CUT, ParsedTask, instruction_text, split_at, without_lone_bold
from sedi_dagster.texts.no_input import means_no_input

LARGEST_STEP = 3
"""From one task's number to the next; a model may skip some."""
_RULE = re.compile(r"\n[ \t]*(?:#{3,}|-{3,}|\*{3,}|={3,})\s*\Z")
"""A line between two tasks: `###`, `---`."""
_TITLE = re.compile(r"[^\n*]{1,60}(?<![.?!。？！:：])\*\*[ \t]*\n+(?=[ \t]*[^\s*])")
"""A title behind a number, both in bold: `**Task 9: Rivers**`, then the task."""
_NONE_IN_RUSSIAN = "нет"
"""Also "no", so that it may be the input of a row in a file; behind the label of a task it says that there is none."""
_NO_INPUT = re.compile(r"(?:(?<=[.!?…。！？।؟:)\"”])[ \t]{0,9}|\n[ \t]{0,9})<no ?input>\s*\Z", re.IGNORECASE)
"""Behind a task's last sentence; within one it is spoken of."""
_BLANKS = {0xA0: " ", 0x202F: " "}
_CLOSING = {"(": ")", "[": "]"}


def parse_tasks(text: str, cut_off: bool, begins_inside: bool = True) -> list[ParsedTask]:
    """Split a series of tasks (instruction and input) into them.

    Args:
        text: what the teacher wrote.
        cut_off: the teacher was stopped by its token limit, so the last piece may be incomplete.
        begins_inside: the prompt ended with the first task's number, so the text begins with that task. Otherwise
            what stands before the first number is talk ("Sure, here are 8 tasks:").
    """
    return _parse(text, cut_off, begins_inside, answered=False)


def parse_examples(text: str, cut_off: bool, begins_inside: bool = False) -> list[ParsedTask]:
    """Split a series of examples (instruction, input and output) into them: JSON if there is any, else numbered text.

    Args: as for `parse_tasks`.
    """
    return _parse(text, cut_off, begins_inside, answered=True)


def _parse(text: str, cut_off: bool, begins_inside: bool, answered: bool) -> list[ParsedTask]:
    in_json = parse_json(text, cut_off, answered)
    if in_json is not None:
        return in_json
    plain = words.without_code(text.translate(_BLANKS))
    head, starts = _heads(plain, begins_inside)
    pieces = split_at(_without_fence_behind(text, starts), starts)
    label_of_all = _label_of_all([plain[a:b] for a, b in pairwise([*starts, len(plain)])], head)
    label = words.OUTPUT if answered else words.INPUT
    unnumbered = begins_inside or (not starts and label.search(plain) is not None)  # one task needs no number
    return [
        _parse_piece(
            words.without_closing_talk(piece, answered) if i == len(pieces) - 1 else piece,
            piece,
            head,
            cut_off and i == len(pieces) - 1,
            unnumbered and i == 0,
            answered,
            label_of_all,
        )
        for i, piece in enumerate(pieces)
    ]


def _heads(text: str, begins_inside: bool) -> tuple[re.Pattern[str], list[int]]:
    """How the tasks are headed, and where each begins.

    Where tasks are headed "Task 9:", as in every prompt, a bare "1." is an item of a list inside one. Other words with
    numbers, and labels without, are heads where they count on or come again.
    """
    if begins_inside or words.NAMED_HEAD.search(text):
        return words.NAMED_HEAD, [match.start() for match in words.NAMED_HEAD.finditer(text)]
    bare = _in_sequence(list(words.BARE_HEAD.finditer(text)))
    if not bare:
        counted = [head for head in words.ANY_HEAD.finditer(text) if not words.INPUT.match(text, head.start())]
        counted = [head for head in counted if head["word"].casefold() == counted[0]["word"].casefold()]
        numbers = [_number(head) for head in counted]
        labels = [label.start() for known in (words.INPUT, words.OUTPUT) if (label := known.search(text))]
        outside = bool(counted) and all(counted[0].start() < label for label in labels)  # no steps inside an answer
        if outside and len(counted) > 1 and all(0 < b - a <= LARGEST_STEP for a, b in pairwise(numbers)):
            return words.ANY_HEAD, [head.start() for head in counted]
        again = [head.start() for head in words.UNNUMBERED_HEAD.finditer(text)]
        if len(again) > 1:
            return words.UNNUMBERED_HEAD, again
    return words.BARE_HEAD, [match.start() for match in bare]


def _without_fence_behind(text: str, starts: list[int]) -> str:
    """Without what follows the fence that ends the series, where one before it opened it: ```` ``` ```` and talk."""
    before = list(words.FENCE.finditer(text, 0, starts[0])) if starts else []
    behind = list(words.FENCE.finditer(text, starts[-1])) if len(before) % 2 else []
    return text[: behind[-1].start()] if len(behind) % 2 else text


def _label_of_all(pieces: list[str], head: re.Pattern[str]) -> re.Pattern[str] | None:
    """The label that every task has, in whatever language, where none has a known one: it is that of the input."""
    if len(pieces) < 2 or any(words.INPUT.search(p) or words.INLINE_INPUT.search(p) for p in pieces):
        return None
    labels = []
    for piece in pieces:
        started = head.match(piece)
        found = words.ANY_LABEL.finditer(piece, started.end() if started else 0)
        labels.append([label["word"] for label in found if not words.OUTPUT.match(piece, label.start())])
    word = next((word for word in labels[0] if all(word in others for others in labels)), None)
    return re.compile(words.ANY_LABEL.pattern.replace(words.ANY_WORDS, re.escape(word)), re.M | re.I) if word else None


def _in_sequence(heads: list[re.Match[str]]) -> list[re.Match[str]]:
    """Without the items of numbered lists inside a task: bare numbers go on from one task to the next."""
    if not heads or "number" not in heads[0].re.groupindex:
        return heads
    kept, last = heads[:1], _number(heads[0])
    for head in heads[1:]:
        if last < _number(head) <= last + LARGEST_STEP:
            kept.append(head)
            last = _number(head)
    return kept if len(kept) > 1 else heads  # some number every task 1


def _number(head: re.Match[str]) -> int:
    """The number of a head in any script: 9, ٩, ⑨."""
    value = 0
    for character in head["number"]:
        if character.isnumeric():
            value = 10 * value + int(unicodedata.numeric(character))
    return value


def _parse_piece(
    text: str,
    raw: str,
    head: re.Pattern[str],
    cut_off: bool,
    may_lack_head: bool,
    answered: bool,
    label_of_all: re.Pattern[str] | None,
) -> ParsedTask:
    """Read one piece. `text` is the piece without closing talk, `raw` as it came."""
    plain = text.translate(_BLANKS)  # as long as the text itself
    started = head.match(plain) or words.BARE_HEAD.match(plain)
    named = None if started else words.EXAMPLE.match(plain)
    body = _without_lone_fence(_RULE.sub("", text[started.end() :] if started else text[named.end() if named else 0 :]))
    if started and "**" in started[0] and (title := _TITLE.match(body)) and not words.INPUT.match(body, title.end()):
        body = body[title.end() :]
    output = ""
    shown = words.without_code(body)
    answer = words.OUTPUT.search(shown) or (words.INLINE_OUTPUT.search(shown) if answered else None)
    if answer:
        output = body[answer.end() :].strip()
        body, shown = body[: answer.start()], shown[: answer.start()]
        # A task is whole where the teacher went on to answer it; a later call asks for the answer properly.
        cut_off = cut_off and answered
    text_input = words.INPUT.search(shown) or words.INLINE_INPUT.search(shown)
    if text_input is None and label_of_all is not None:
        text_input = label_of_all.search(shown)
    asked = words.REMARK.sub("", body[: text_input.start()] if text_input else body)
    label = words.INSTRUCTION.match(asked)
    instruction = without_lone_bold(instruction_text(_NO_INPUT.sub("", asked[label.end() if label else 0 :])))
    given = body[text_input.end() :].strip() if text_input else ""
    if text_input and text_input.re is words.INLINE_INPUT and text_input[0].lstrip()[:1] in _CLOSING:  # (Input: ...)
        given = given.removesuffix(_CLOSING[text_input[0].lstrip()[0]])
    given = without_lone_bold(given)
    # What follows "none" after a blank line is talk.
    first = given.split("\n\n", 1)[0]
    if means_no_input(first) or first.strip(" .()").casefold() == _NONE_IN_RUSSIAN:
        given = ""
    if not instruction:
        problem = "no instruction"
    elif not started and not may_lack_head:
        problem = "not a numbered task"
    elif cut_off:
        problem = CUT
    elif answered and not output:
        problem = "no output"
    else:
        inside = words.INPUT.search(words.without_code(given))
        problem = label_problem(instruction) or ("a label within the input" if inside else "")
    return ParsedTask(instruction, given, problem, raw, output if answered else "")


def label_problem(instruction: str) -> str:
    """Why an instruction is none: it still holds the label of an input, so where it ends is not known."""
    patterns, shown = (words.INPUT, words.INLINE_INPUT, words.LEFT_INPUT), words.without_code(instruction)
    left = any(pattern.search(shown) for pattern in patterns)
    return "a label within the instruction" if left else ""


def _without_lone_fence(body: str) -> str:
    """Without the code fence that wraps the whole series: its other half lies in another piece."""
    fences = list(words.FENCE.finditer(body))
    if len(fences) % 2 == 0:
        return body
    before, after = body[: fences[-1].start()], body[fences[-1].end() :]
    if not after.strip():
        return before
    return body if body[: fences[0].start()].strip() else body[fences[0].end() :]
