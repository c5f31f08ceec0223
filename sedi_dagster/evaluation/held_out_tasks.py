"""Evaluation items made from a user's own tasks: the task is the question, its output the right answer.

The form of the output determines the verifier: a label, a number, a JSON object, a few words, or free text. Free text
is compared by its words (`token_f1`), with a threshold above the scores that the outputs of other tasks reach.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from sedi_dagster.evaluation.verifiers import normalise, verify
from sedi_dagster.evaluation.verifiers.numeric import final_number
from sedi_dagster.evaluation.verifiers.text import words
from sedi_dagster.records import EvaluationItem, SeedTask, content_id, task_prompt

_MAX_LABELS, _MAX_LABEL_WORDS, _MAX_SHORT_WORDS = 20, 4, 8
_MAX_OTHER_OUTPUTS = 200
"""Largest number of outputs of other tasks on which an item's verifier is tried."""
MAX_OUTPUT_BYTES = 1_200
"""Longest output of an item, some 300 tokens of English; a small student needs too long for more."""
_THRESHOLDS = (0.35, 0.8)
"""Lowest and highest threshold of the word F1 of free text; a higher one would reject other wordings."""
_MARGIN = 0.1
_DIGITS = r"\d+(?:[.,]\d+)?|\d{1,3}(?:,\d{2,3})*,\d{3}(?:\.\d+)?|\d{1,3}(?:[.'’ ]\d{3})+(?:,\d+)?"
_NUMBER = re.compile(
    rf"[-+]?[$€£¥]?\s?(?:{_DIGITS})\.?\s?(?:%|[$€£¥])?"
)  # not a list, date or version, such as "12.05.2024"

Verifier = tuple[str, dict[str, Any]]


def labels_of(tasks: Sequence[SeedTask]) -> list[str]:
    """Return the labels of a category, most frequent first; empty if the category is not a classification."""
    spellings = Counter(task.output.strip() for task in tasks)
    by_label: dict[str, str] = {}
    for spelling, _ in spellings.most_common():
        first = by_label.setdefault(normalise(spelling), spelling)
        if _with_signs(first) != _with_signs(spelling):
            return []  # such as 1 and -1, or A and A+, which the label verifier cannot distinguish
    short = all(label and len(label.split()) <= _MAX_LABEL_WORDS for label in by_label)
    return list(by_label.values()) if short and 2 <= len(by_label) <= min(_MAX_LABELS, len(tasks) // 3) else []


def item_of(task: SeedTask, labels: Sequence[str], outputs: Sequence[str]) -> EvaluationItem | None:
    """Make an item of a task.

    Args:
        labels: of the task's category (`labels_of`).
        outputs: of all tasks of the category.

    Returns:
        The item; None if no verifier accepts the task's output and rejects both the other outputs and a repetition of
        the prompt.
    """
    if len(task.output.encode()) > MAX_OUTPUT_BYTES:
        return None
    own = normalise(task.output)
    signed = _with_signs(task.output)
    others = [output for output in dict.fromkeys(outputs) if _with_signs(output) != signed][:_MAX_OTHER_OUTPUTS]
    prompt = task_prompt(task.instruction, task.input)
    echoes = [text for text in (task.instruction, task.input) if text and not (labels and normalise(text) == own)]
    wrong = [prompt, *echoes, *others]
    for name, args in _verifiers(task, labels, wrong):
        if verify(name, args, task.output, prompt).passed and not any(
            verify(name, args, text, prompt).passed for text in wrong
        ):
            item_id = f"{task.category}-{content_id('item', prompt)[-8:]}"
            return EvaluationItem(item_id, task.category, prompt, name, args, task.output, "medium", item_id)
    return None


def _verifiers(task: SeedTask, labels: Sequence[str], wrong: Sequence[str]) -> Iterator[Verifier]:
    """Verifiers with arguments that fit the form of the task's output, the most suitable first."""
    output = task.output.strip()
    own = normalise(output)
    if label := next((label for label in labels if normalise(label) == own), None):
        yield "label", {"labels": [*labels], "answer": label} | _limit(task, labels)
        return
    # 1.234 may be 1234, which only the language could tell.
    if _NUMBER.fullmatch(output) and (numbers := final_number(output)) and len(numbers) == 1 + ("%" in output):
        yield "numeric", {"value": numbers[0]}
    if fields := _fields(output):
        yield "json_fields", {"fields": fields}
    if own and len(own.split()) <= _MAX_SHORT_WORDS:
        yield "match", {"aliases": [output], "max_words": 20}
        yield "match", {"aliases": [output], "whole": True}
    best = 0.0
    for text in wrong:
        best = max(best, verify("token_f1", {"references": [output]}, text).score)
        if best + _MARGIN > _THRESHOLDS[1]:  # stop early: thousands of tasks of one template may be tried
            return
    threshold = max(_THRESHOLDS[0], round(best + _MARGIN, 2))
    if own and threshold <= _THRESHOLDS[1]:
        yield "token_f1", {"references": [output], "threshold": threshold}


def _with_signs(text: str) -> str:
    """The text in lower case without punctuation, but with signs that change its meaning, such as + and -."""
    return re.sub(r"[\s_]+|(?<=\w)-(?=\w)", " ", re.sub(r"[.,!?;:\"'`*()\[\]。、！？]", "", text.casefold())).strip()


def _limit(task: SeedTask, labels: Sequence[str]) -> dict[str, int]:
    """A limit on the words of an answer, if the task itself contains exactly one label ("Is this spam?").

    Without it, repeating the task would count as that label, so that only tasks with other labels could be items.
    """
    texts = (task_prompt(task.instruction, task.input), task.instruction, task.input)
    lengths = [
        len(words(text))
        for text in texts
        if any(verify("label", {"labels": [*labels], "answer": label}, text).passed for label in labels)
    ]
    longest = max(len(words(label)) for label in labels)
    return {"max_words": max(longest, min(longest + 2, min(lengths) - 1))} if lengths else {}


def _fields(output: str) -> dict[str, Any]:
    """The output as a flat JSON object; empty if it is anything else."""
    try:
        value = json.loads(output)
    except (ValueError, RecursionError):
        return {}
    flat = isinstance(value, dict) and all(value) and not any(isinstance(v, dict | list) for v in value.values())
    return value if flat else {}
