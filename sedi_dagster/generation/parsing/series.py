"""Numbered series: tasks with or without their answers."""

from __future__ import annotations

import re
import unicodedata

from sedi_dagster.generation.parsing import words
from sedi_dagster.generation.parsing.json_form import parse_json
from sedi_dagster.generation.parsing.pieces import CUT, ParsedTask, instruction_text, split_at

LARGEST_STEP = 3
"""From one task's number to the next; a model may skip some."""
_RULE = re.compile(r"\n[ \t]*(?:#{3,}|-{3,}|\*{3,}|={3,})\s*\Z")
"""A line between two tasks: `###`, `---`."""
_CLOSING = {"(": ")", "[": "]"}


def parse_tasks(text: str, cut_off: bool, begins_inside: bool = True) -> list[ParsedTask]:
    """Split a series of tasks (instruction and input) into them.

    Args:
        text: what the teacher wrote.
        cut_off: the teacher was stopped by its token limit, so the last piece may be incomplete.
        begins_inside: the prompt ended with the first task's number, so the text begins with that task. Otherwise
            what stands before the first number is talk ("Sure, here are 8 tasks:").
    """
    in_json = parse_json(text, cut_off, answered=False)
    return in_json if in_json is not None else _parse_series(text, cut_off, begins_inside, answered=False)


def parse_examples(text: str, cut_off: bool, begins_inside: bool = False) -> list[ParsedTask]:
    """Split a series of examples (instruction, input and output) into them: JSON if there is any, else numbered text.

    Args: as for `parse_tasks`.
    """
    in_json = parse_json(text, cut_off, answered=True)
    return in_json if in_json is not None else _parse_series(text, cut_off, begins_inside, answered=True)


def _parse_series(text: str, cut_off: bool, begins_inside: bool, answered: bool) -> list[ParsedTask]:
    # Where tasks are headed "Task 9:", as in every prompt, a bare "1." is an item of a list inside one.
    head = words.NAMED_HEAD if begins_inside or words.NAMED_HEAD.search(text) else words.BARE_HEAD
    starts = [match.start() for match in _in_sequence(list(head.finditer(text)))]
    pieces = split_at(text, starts)
    label = words.OUTPUT if answered else words.INPUT
    unnumbered = begins_inside or (not starts and label.search(text) is not None)  # one task needs no number
    return [
        _parse_piece(
            words.CLOSING_TALK.sub("", piece) if i == len(pieces) - 1 else piece,
            piece,
            head,
            cut_off and i == len(pieces) - 1,
            unnumbered and i == 0,
            answered,
        )
        for i, piece in enumerate(pieces)
    ]


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
    text: str, raw: str, head: re.Pattern[str], cut_off: bool, may_lack_head: bool, answered: bool
) -> ParsedTask:
    """Read one piece. `text` is the piece without closing talk, `raw` as it came."""
    started = head.match(text) or words.BARE_HEAD.match(text)
    body = _without_lone_fence(_RULE.sub("", text[started.end() :] if started else text))
    output = ""
    answer = words.OUTPUT.search(body) or (words.INLINE_OUTPUT.search(body) if answered else None)
    if answer:
        output = body[answer.end() :].strip()
        body = body[: answer.start()]
        # A task is whole where the teacher went on to answer it; a later call asks for the answer properly.
        cut_off = cut_off and answered
    text_input = words.INPUT.search(body) or words.INLINE_INPUT.search(body)
    asked = body[: text_input.start()] if text_input else body
    label = words.INSTRUCTION.match(asked)
    instruction = _without_lone_bold(instruction_text(asked[label.end() if label else 0 :]))
    given = body[text_input.end() :].strip() if text_input else ""
    if text_input and text_input.re is words.INLINE_INPUT and text_input[0].lstrip()[:1] in _CLOSING:  # (Input: ...)
        given = given.removesuffix(_CLOSING[text_input[0].lstrip()[0]])
    # What follows "none" after a blank line is talk.
    if words.means_no_input(given.split("\n\n", 1)[0]):
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
        problem = label_problem(instruction)
    return ParsedTask(instruction, given, problem, raw, output if answered else "")


def label_problem(instruction: str) -> str:
    """Why an instruction is none: it still holds the label of an input, so where it ends is not known."""
    left = words.INPUT.search(instruction) or words.INLINE_INPUT.search(instruction)
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


def _without_lone_bold(instruction: str) -> str:
    """Without the closing mark of a bold head, as in `**Task 9: Name a river.**`."""
    return instruction.removesuffix("**").rstrip() if instruction.count("**") % 2 else instruction
