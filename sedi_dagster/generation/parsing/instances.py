"""Instances of one task: input first, or for classification the label first."""

from __future__ import annotations

from sedi_dagster.generation.parsing import words
from sedi_dagster.generation.parsing.pieces import CUT, ParsedTask, split_at


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
    starts = [m.start() for m in words.EXAMPLE.finditer(text)]
    if not starts:
        starts = _inputs_after_outputs(text)
        first = words.INPUT.search(text)
        if first and not begins_inside:
            starts.append(first.start())
    pieces = split_at(text, [*starts, *_other_tasks(text)])
    return [_parse_instance(piece, cut_off and i == len(pieces) - 1) for i, piece in enumerate(pieces)]


def parse_labelled_instances(text: str, cut_off: bool, begins_inside: bool = False) -> list[ParsedTask]:
    """Split instances of a classification task, each with its label first: `Class label: spam`, then the input.

    Args: as for `parse_instances`; `begins_inside` where the prompt ended with `Class label:`.
    """
    starts = [m.start() for m in words.CLASS_LABEL.finditer(text)]
    pieces = split_at(text, [*starts, *_other_tasks(text)])
    return [
        _parse_labelled(piece, cut_off and i == len(pieces) - 1, begins_inside and i == 0)
        for i, piece in enumerate(pieces)
    ]


def _other_tasks(text: str) -> list[int]:
    """Where the teacher ran on to another task: what follows is one piece."""
    found = words.OTHER_TASK.search(text)
    return [found.start()] if found else []


def _inputs_after_outputs(text: str) -> list[int]:
    """Each input label with an output label between it and the one before."""
    marks = sorted(
        [(m.start(), True) for m in words.INPUT.finditer(text)]
        + [(m.start(), False) for m in words.OUTPUT.finditer(text)]
    )
    starts, answered = [], False
    for start, is_input in marks:
        if is_input and answered:
            starts.append(start)
        answered = not is_input or (answered and not is_input)
    return starts


def _parse_instance(raw: str, cut_off: bool) -> ParsedTask:
    if words.OTHER_TASK.match(raw):
        return ParsedTask("", "", "ran on to another task", raw)
    head = words.EXAMPLE.match(raw)
    body = raw[head.end() :] if head else raw
    answer = words.OUTPUT.search(body)
    if answer is None:
        return ParsedTask("", "", CUT if cut_off else "no output", raw)
    given = body[: answer.start()].strip()
    label = words.INPUT.match(given)
    given = given[label.end() :].strip() if label else given
    output = body[answer.end() :].strip()
    problem = CUT if cut_off else "" if output else "no output"
    return ParsedTask("", "" if words.means_no_input(given) else given, problem, raw, output)


def _parse_labelled(raw: str, cut_off: bool, may_lack_label: bool) -> ParsedTask:
    if words.OTHER_TASK.match(raw):
        return ParsedTask("", "", "ran on to another task", raw)
    started = words.CLASS_LABEL.match(raw)
    if started is None and not may_lack_label:
        return ParsedTask("", "", "no class label", raw)
    body = (raw[started.end() :] if started else raw).lstrip()
    label, _, given = body.partition("\n")
    given = given.strip()
    named = words.INPUT.match(given)
    given = given[named.end() :].strip() if named else given
    problem = CUT if cut_off else "" if label.strip() else "no class label"
    return ParsedTask("", "" if words.means_no_input(given) else given, problem, raw, label.strip())
