"""Instances of one task: input first, or for classification the label first."""

import re
from itertools import pairwise

from sedi_dagster.generation.parsing import words
from sedi_dagster.generation.parsing.parsed_task import CUT, ParsedTask, split_at
from sedi_dagster.texts.no_input import means_no_input

_LETTERS = re.compile(r"[^\W\d_]+")


def parse_instances(text: str, cut_off: bool, begins_inside: bool = True) -> list[ParsedTask]:
    """Split instances (input, then output) of one task; several may follow one another.

    An instance may be headed `Example 2`, and its input may go without a label or have one of its own
    (`Paragraph: ...`), which stays. A further `Task:` that the teacher ran on to is a piece with a problem.

    Args:
        text: what the teacher wrote.
        cut_off: the teacher was stopped by its token limit, so the last piece may be incomplete.
        begins_inside: the prompt ended where the first instance begins. Otherwise what stands before the first label
            is talk.
    """
    shown = words.without_code(text)
    starts = [m.start() for m in words.EXAMPLE.finditer(shown)]
    if not starts:
        starts = _inputs_after_outputs(shown)
        first = words.INPUT.search(shown)
        if first and not begins_inside:
            starts.append(first.start())
    answer = words.OUTPUT.search(shown)
    pieces, rest = _split(text, starts, answer.end() if answer else len(text))
    last = len(pieces) - 1 if not rest else None
    return [*(_parse_instance(piece, i == last, cut_off and i == last) for i, piece in enumerate(pieces)), *rest]


def parse_labelled_instances(text: str, cut_off: bool, begins_inside: bool = False) -> list[ParsedTask]:
    """Split instances of a classification task, each with its label first: `Class label: spam`, then the input.

    Args: as for `parse_instances`; `begins_inside` where the prompt ended with `Class label:`.
    """
    heads = list(words.CLASS_LABEL.finditer(text))
    if heads:  # "Category:" may be a part of an input where labels are headed "Class label:"
        word = "class label" if begins_inside else _word(heads[0])
        heads = [head for head in heads if _word(head) == word]
    answered = 0 if begins_inside else heads[0].end() if heads else len(text)
    pieces, rest = _split(text, [head.start() for head in heads], answered)
    last = len(pieces) - 1 if not rest else None
    parsed = [_parse_labelled(piece, cut_off and i == last, begins_inside and i == 0) for i, piece in enumerate(pieces)]
    return [*parsed, *rest]


def _word(head: re.Match[str]) -> str:
    return " ".join(_LETTERS.findall(head[0])).casefold()


def _split(text: str, starts: list[int], answered: int) -> tuple[list[str], list[ParsedTask]]:
    """Cut before each start, up to where the teacher ran on to another task; that rest is a piece with its problem.

    The task's own head may be said again before the first answer, which is at `answered`.
    """
    ran_on = words.OTHER_TASK.search(text, answered)
    end = ran_on.start() if ran_on else len(text)
    rest = [ParsedTask("", "", "ran on to another task", text[end:])] if ran_on else []
    return split_at(text[:end], (start for start in starts if start < end)), rest


def _inputs_after_outputs(text: str) -> list[int]:
    """Where a further instance begins: each input label that follows an output."""
    labels = [(m.start(), True) for m in words.INPUT.finditer(text)]
    labels += [(m.start(), False) for m in words.OUTPUT.finditer(text)]
    return [later[0] for before, later in pairwise(sorted(labels)) if later[1] and not before[1]]


def _parse_instance(raw: str, is_last: bool, cut_off: bool) -> ParsedTask:
    text = words.without_closing_talk(raw, answered=True) if is_last else raw
    head = words.EXAMPLE.match(text)
    body = text[head.end() :] if head else text
    answer = words.OUTPUT.search(words.without_code(body))
    if answer is None:
        return ParsedTask("", "", CUT if cut_off else "no output", raw)
    given = body[: answer.start()].strip()
    label = words.INPUT.match(given)
    given = given[label.end() :].strip() if label else given
    output = body[answer.end() :].strip()
    problem = CUT if cut_off else "" if output else "no output"
    return ParsedTask("", "" if means_no_input(given) else given, problem, raw, output)


def _parse_labelled(raw: str, cut_off: bool, may_lack_label: bool) -> ParsedTask:
    started = words.CLASS_LABEL.match(raw)
    if started is None and not may_lack_label:
        return ParsedTask("", "", "no class label", raw)
    body = (raw[started.end() :] if started else raw).lstrip()
    label, _, given = body.partition("\n")
    given = given.strip()
    named = words.INPUT.match(given)
    given = given[named.end() :].strip() if named else given
    problem = CUT if cut_off else "" if label.strip() else "no class label"
    return ParsedTask("", "" if means_no_input(given) else given, problem, raw, label.strip())
