"""Evaluation items made of a user's own tasks: what is asked is the task, what is right is its output.

The verifier follows from the form of the output: a label, a number, a JSON object, a few words, or free text. Free text
is compared by its words (`token_f1`); the threshold lies above what the outputs of the other tasks reach.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

from sedi_dagster.evaluation.verifiers import normalise, verify
from sedi_dagster.evaluation.verifiers.numeric import final_number
from sedi_dagster.evaluation.verifiers.text import words
from sedi_dagster.records import EvaluationItem, SeedTask, content_id, task_prompt

MOST_LABELS, LABEL_WORDS, SHORT_WORDS = 20, 4, 8
RIVALS = 200
"""Outputs of other tasks that an item's verifier is tried on."""
LONGEST = 1_200
"""Bytes of an output, some 300 tokens of English, above which a task is no item: it takes a small student too long."""
THRESHOLDS = (0.35, 0.8)
"""F1 of words from which free text passes: the lowest, and the highest that leaves room for other wordings."""
MARGIN = 0.1
_DIGITS = r"\d+(?:[.,]\d+)?|\d{1,3}(?:,\d{2,3})*,\d{3}(?:\.\d+)?|\d{1,3}(?:\.\d{3})+(?:,\d+)?"
_NUMBER = re.compile(rf"[-+]?[$€£¥]?\s?(?:{_DIGITS})\.?\s?(?:%|[$€£¥])?")  # no list, date or version: "12.05.2024"

Verifier = tuple[str, dict[str, Any]]


def labels_of(tasks: Sequence[SeedTask]) -> list[str]:
    """The labels that all outputs of a category are from, by frequency; empty if it is no classification."""
    spellings = Counter(task.output.strip() for task in tasks)
    by_label: dict[str, str] = {}
    for spelling, _ in spellings.most_common():
        first = by_label.setdefault(normalise(spelling), spelling)
        if _signed(first) != _signed(spelling):
            return []  # 1 and -1, A and A+: no verifier of labels tells them apart
    short = all(label and len(label.split()) <= LABEL_WORDS for label in by_label)
    return list(by_label.values()) if short and 2 <= len(by_label) <= min(MOST_LABELS, len(tasks) // 3) else []


def item_of(task: SeedTask, labels: Sequence[str], outputs: Sequence[str]) -> EvaluationItem | None:
    """The task as an item; None if no verifier tells its output from an echo of the prompt and from other outputs.

    Args:
        labels: of its category (`labels_of`).
        outputs: those of the tasks of its category.
    """
    if len(task.output.encode()) > LONGEST:
        return None
    own = normalise(task.output)
    signed = _signed(task.output)
    rivals = list(islice((output for output in dict.fromkeys(outputs) if _signed(output) != signed), RIVALS))
    prompt = task_prompt(task.instruction, task.input)
    echoes = [text for text in (task.instruction, task.input) if text and not (labels and normalise(text) == own)]
    wrong = [prompt, *echoes, *rivals]
    for name, args in _verifiers(task, labels, wrong):
        if verify(name, args, task.output, prompt).passed and not any(
            verify(name, args, w, prompt).passed for w in wrong
        ):
            item_id = f"{task.category}-{content_id('item', prompt)[-8:]}"
            return EvaluationItem(item_id, task.category, prompt, name, args, task.output, "medium", item_id)
    return None


def _verifiers(task: SeedTask, labels: Sequence[str], wrong: Sequence[str]) -> Iterator[Verifier]:
    output = task.output.strip()
    own = normalise(output)
    if label := next((label for label in labels if normalise(label) == own), None):
        yield "label", {"labels": [*labels], "answer": label} | _limit(task, labels)
        return
    if _NUMBER.fullmatch(output) and (numbers := final_number(output)):
        yield "numeric", {"value": numbers[0]}
    if fields := _fields(output):
        yield "json_fields", {"fields": fields}
    if own and len(own.split()) <= SHORT_WORDS:
        yield "match", {"aliases": [output], "max_words": 20}
        yield "match", {"aliases": [output], "whole": True}
    reached = 0.0
    for text in wrong:
        reached = max(reached, verify("token_f1", {"references": [output]}, text).score)
        if reached + MARGIN > THRESHOLDS[1]:  # outputs of one template: thousands of tasks are tried
            return
    threshold = max(THRESHOLDS[0], round(reached + MARGIN, 2))
    if own and threshold <= THRESHOLDS[1]:
        yield "token_f1", {"references": [output], "threshold": threshold}


def _signed(text: str) -> str:
    """The text in lower case without what separates words and sentences, but with signs that make another of it."""
    return re.sub(r"[\s_]+|(?<=\w)-(?=\w)", " ", re.sub(r"[.,!?;:\"'`*()\[\]。、！？]", "", text.casefold())).strip()


def _limit(task: SeedTask, labels: Sequence[str]) -> dict[str, int]:
    """The most words of an answer where the task itself names one label ("Is this spam?"), whichever is right.

    Its echo would else pass for that label, and only tasks with the other labels could be items.
    """
    texts = (task_prompt(task.instruction, task.input), task.instruction, task.input)
    named = [
        len(words(text))
        for text in texts
        if any(verify("label", {"labels": [*labels], "answer": label}, text).passed for label in labels)
    ]
    longest = max(len(words(label)) for label in labels)
    return {"max_words": max(longest, min(longest + 2, min(named) - 1))} if named else {}


def _fields(output: str) -> dict[str, Any]:
    try:
        found = json.loads(output)
    except (ValueError, RecursionError):
        return {}
    plain = isinstance(found, dict) and all(found) and not any(isinstance(v, dict | list) for v in found.values())
    return found if plain else {}
