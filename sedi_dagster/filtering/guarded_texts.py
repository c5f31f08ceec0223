"""Protected texts from the user's files (benchmarks, held-out data), which no example may be near.

Every text through which a row could leak is protected: its question, also together with its choices; its context or
passage; the user's turns of a conversation. Answers are not, because examples may well share a short answer.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from sedi_dagster.datafiles import Limits, Problems, checked_text, read_rows
from sedi_dagster.datafiles.conversations import CONVERSATION_FIELDS, as_messages
from sedi_dagster.datafiles.reading import read_text
from sedi_dagster.errors import InputFileError
from sedi_dagster.records import task_prompt
from sedi_dagster.texts.words import word_count

QUESTIONS = (
    "question", "prompt", "problem", "query", "text", "input", "stem", "question_stem", "ctx", "sentence", "goal",
    "premise", "instruction", "task", "turns", "problem_statement", "description", "title", "sentence1", "question1",
    "inputs", "source", "src", "user_query", "user_input", "claim", "questions",
)  # fmt: skip
CONTEXTS = (
    "context", "passage", "article", "paragraph", "document", "story", "background", "support", "narrative",
    "sentence2", "hypothesis", "question2", "input",
)  # fmt: skip
_CONTEXT = re.compile(rf"(?:\w+_)?(?:{'|'.join(CONTEXTS[:9])}|body)s?|{'|'.join(CONTEXTS[9:])}")
CHOICES = ("choices", "options", "endings", "candidates", "answer_choices", "alternatives")
_CHOICE = re.compile(r"(?:choice|option|sol|ending|opt|answer|distractor)_?[0-9a-e]|[a-e]")
_NO_TEXTS = re.compile(
    r".*(?:answer|label|target|output|response|solution|completion|explanation|rationale|url|date|category|subject|"
    r"source|license|language|type|split|tests?$|^test_|patch|_?id$|idx$|index$|hash|reference|^role$).*"
)
FEWEST_WORDS = 4
"""Fewest words of a protected text that is not a question; shorter ones, such as "yes", occur everywhere."""
TEMPLATE_SHARE = 0.5
"""Share of the rows above which a text that they have in common is the benchmark's template, not an item."""
FEWEST_ROWS = 4
"""Fewest rows of a file in which a template can be told from items."""
LIMITS = Limits(file_bytes=500_000_000, rows=1_000_000, text_chars=200_000)


def read_guarded_texts(path: Path) -> list[tuple[str, str]]:
    """Read the protected texts of a file: of rows in any format (`datafiles`), or one text a line (`.txt`, `.md`).

    Returns:
        (id, text) pairs. The id is the file's name and the number of the row; all texts of a row have the same id.

    Raises:
        InputFileError: names every row without text, with its fields; or the file has no text to protect.
    """
    problems = Problems(path)
    if re.search(r"\.(?:txt|md)\b", path.name.lower()):
        texts = list(_lines(path, problems))
    else:
        texts = [
            (number, text)
            for number, row in read_rows(path, problems, LIMITS)
            for text in _texts_of(row, number, problems)
        ]
    problems.raise_any()
    texts = _without_templates(texts)
    if not texts:
        raise InputFileError(
            f"Nothing was taken from {path}: it has no text to protect.",
            "Convert it to one text per line (.txt), or remove it from SEDI_FILTERING_DECONTAMINATE_FILES.",
        )
    return [(f"{path.name}:{number}", text) for number, text in texts]


def _texts_of(row: Mapping[str, Any], number: int, problems: Problems) -> list[str]:
    """Return the texts of a row, each once; a row without any is noted as a problem."""
    before = problems.count
    found = [text for text in _in_known_fields(row, number, problems) if text.strip()]
    if problems.count > before:
        return []
    found += [text for text in _in_other_fields(row) if word_count(text) >= FEWEST_WORDS]
    # In a table without a header, the first row was read as the names of the columns.
    found += [name for name in row if word_count(name) >= FEWEST_WORDS]
    if not found:
        fields = ", ".join(list(row)[:8]) or "none"
        problems.add(number, "", f"has no text (its fields: {fields})", f"one of {', '.join(QUESTIONS[:6])}, messages")
    return list(dict.fromkeys(found))


def _in_known_fields(row: Mapping[str, Any], number: int, problems: Problems) -> Iterator[str]:
    fields = {name.lower(): value for name, value in row.items()}
    conversation = next((fields[name] for name in CONVERSATION_FIELDS if fields.get(name) is not None), None)
    if conversation is not None:
        for role, text in as_messages(conversation) or ():
            if role == "user" and isinstance(text, str):
                yield text
        return
    instruction = fields.get("instruction")
    if isinstance(instruction, str) and instruction.strip():
        text_input = next((fields[n] for n in ("input", *CONTEXTS) if isinstance(fields.get(n), str)), "")
        yield task_prompt(instruction, text_input)
    questions, choices = _questions(fields, number, problems)
    yield from questions
    if questions and choices:
        yield "\n".join([questions[0], *choices])
    for name, value in fields.items():
        if _CONTEXT.fullmatch(name):
            yield from (text for text in _strings(value) if word_count(text) >= FEWEST_WORDS)


def _questions(fields: Mapping[str, Any], number: int, problems: Problems) -> tuple[list[str], list[str]]:
    """Return the questions of a row and its choices."""
    choices = [text for name in CHOICES for text in _strings(fields.get(name))]
    choices += [value for name, value in fields.items() if _CHOICE.fullmatch(name) and isinstance(value, str)]
    names = [name for name in QUESTIONS if fields.get(name) is not None]
    if "instruction" in fields:  # protected together with its input already
        names = [name for name in names if name != "input" and not (name == "instruction" and fields.get("input"))]
    long = [name for name in names if isinstance(fields[name], str) and word_count(fields[name]) >= FEWEST_WORDS]
    name = next((name for name in names if not isinstance(fields[name], str)), next(iter(names), None))
    if name is None:
        return [], choices
    value = fields[name]
    if isinstance(value, str) and long:  # without short ones: "cause" means nothing without its premise
        return [text for name in long if (text := checked_text(fields[name], name, number, problems))], choices
    if isinstance(value, dict):  # ARC: the question is an object with its own choices
        inner, more = _questions({key.lower(): field for key, field in value.items()}, number, problems)
        return inner or _strings(value), choices + more
    if isinstance(value, list):
        return _strings(value), choices
    text = checked_text(value, name, number, problems)
    return [text] if text else [], choices


def _strings(value: Any) -> list[str]:
    """Return all strings inside a value, in order, without the fields that are not texts to protect."""
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):
        value = [inner for name, inner in value.items() if not _NO_TEXTS.fullmatch(name.lower())]
    return [text for inner in value for text in _strings(inner)] if isinstance(value, list) else []


def _in_other_fields(row: Mapping[str, Any]) -> list[str]:
    """Return texts in fields with other names, also nested ones, such as SQuAD's paragraphs with their questions."""
    known = {*QUESTIONS, *CHOICES, *CONVERSATION_FIELDS}
    if any(row.get(name) for name in QUESTIONS if name != "input"):
        known.add("code")  # the answer, as in MBPP; in a row without a question, the question is about the code
    return _strings(
        {
            name: value
            for name, value in row.items()
            if name.lower() not in known and not _CHOICE.fullmatch(name.lower()) and not _is_choice_list(value)
        }
    )


def _is_choice_list(value: Any) -> bool:
    """Return whether a value is a list of plain values."""
    return isinstance(value, list) and not any(isinstance(element, dict | list) for element in value)


def _without_templates(texts: list[tuple[int, str]]) -> list[tuple[int, str]]:
    rows = len({number for number, _ in texts})
    if rows < FEWEST_ROWS:
        return texts
    counts = Counter(text for _, text in texts)
    return [(number, text) for number, text in texts if counts[text] <= TEMPLATE_SHARE * rows]


def _lines(path: Path, problems: Problems) -> Iterator[tuple[int, str]]:
    problems.max_text_chars = LIMITS.text_chars
    for number, line in enumerate(read_text(path, problems, LIMITS).split("\n"), 1):
        if line.strip():
            yield number, checked_text(line.strip(), "", number, problems)
