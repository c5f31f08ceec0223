"""Protected texts from the user's files (benchmarks, held-out data), which no example may be close to.

Every text through which a row could leak is protected: its question, also with its choices; its context or passage; the
turns of a conversation. Answers are not: the answer to one question says nothing about others.
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
"""Words of a text besides the question, below which it says nothing: half the answers in the world are "yes"."""
TEMPLATE_SHARE = 0.5
"""Share of the rows that have the same text above which it is the template of the benchmark, and not an item."""
LIMITS = Limits(file_bytes=500_000_000, rows=1_000_000, text_chars=200_000)


def read_guarded_texts(path: Path) -> list[tuple[str, str]]:
    """(id, text) of each text of a file; the id is the file's name and the number of its row, for one or several texts.

    Takes files of rows of any kind (`datafiles`), or plain text with one text a line (`.txt`, `.md`).

    Raises:
        InputFileError: names every row that has no text, with its fields; or nothing was taken from the file.
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
    """The texts of a row, each once; if it has none, that is noted."""
    before = problems.count
    found = [text for text in _known(row, number, problems) if text.strip()]
    if problems.count > before:
        return []
    found += [text for text in _others(row) if word_count(text) >= FEWEST_WORDS]
    # A table without a line of names: its first row is taken for them.
    found += [name for name in row if word_count(name) >= FEWEST_WORDS]
    if not found:
        fields = ", ".join(list(row)[:8]) or "none"
        problems.add(number, "", f"has no text (its fields: {fields})", f"one of {', '.join(QUESTIONS[:6])}, messages")
    return list(dict.fromkeys(found))


def _known(row: Mapping[str, Any], number: int, problems: Problems) -> Iterator[str]:
    named = {name.lower(): value for name, value in row.items()}
    conversation = next((named[name] for name in CONVERSATION_FIELDS if named.get(name) is not None), None)
    if conversation is not None:
        for role, text in as_messages(conversation) or ():
            if role == "user" and isinstance(text, str):
                yield text
        return
    instruction = named.get("instruction")
    if isinstance(instruction, str) and instruction.strip():
        text_input = next((named[n] for n in ("input", *CONTEXTS) if isinstance(named.get(n), str)), "")
        yield task_prompt(instruction, text_input)
    question, choices = _question(named, number, problems)
    yield from question
    if question and choices:
        yield "\n".join([question[0], *choices])
    for name, value in named.items():
        if _CONTEXT.fullmatch(name):
            yield from (text for text in _strings(value) if word_count(text) >= FEWEST_WORDS)


def _question(row: Mapping[str, Any], number: int, problems: Problems) -> tuple[list[str], list[str]]:
    """The texts that ask, and the choices that belong to them."""
    choices = [text for name in CHOICES for text in _strings(row.get(name))]
    choices += [value for name, value in row.items() if _CHOICE.fullmatch(name) and isinstance(value, str)]
    taken = ("input", "instruction") if "instruction" in row and row.get("input") else ("input",)
    given = [name for name in QUESTIONS if row.get(name) is not None]
    given = [name for name in given if name not in taken or "instruction" not in row]
    texts = [name for name in given if isinstance(row[name], str) and word_count(row[name]) >= FEWEST_WORDS]
    name = next((name for name in given if not isinstance(row[name], str)), next(iter(given), None))
    if name is None:
        return [], choices
    if isinstance(row[name], str) and texts:  # a question of a word ("cause") says nothing without its premise
        return [text for one in texts if (text := checked_text(row[one], one, number, problems))], choices
    value = row[name]
    if isinstance(value, dict):  # ARC: the question is an object with its own choices
        inner, more = _question({key.lower(): held for key, held in value.items()}, number, problems)
        return inner or _strings(value), choices + more
    if isinstance(value, list):
        return _strings(value), choices
    text = checked_text(value, name, number, problems)
    return [text] if text else [], choices


def _strings(value: Any) -> list[str]:
    """All strings inside a value that are texts, in order."""
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):
        return [
            text for name, inner in value.items() if not _NO_TEXTS.fullmatch(name.lower()) for text in _strings(inner)
        ]
    return [text for inner in value for text in _strings(inner)] if isinstance(value, list) else []


def _others(row: Mapping[str, Any]) -> list[str]:
    """Texts in fields of any other name, or that lie deeper, as SQuAD's paragraphs with their questions."""
    known = {*QUESTIONS, *CHOICES, *CONVERSATION_FIELDS}
    if any(row.get(name) for name in QUESTIONS if name != "input"):
        known.add("code")  # an answer, as MBPP's; without a question in words it is what is asked about
    return _strings(
        {
            name: value
            for name, value in row.items()
            if name.lower() not in known and not _CHOICE.fullmatch(name.lower()) and not _is_choice_list(value)
        }
    )


def _is_choice_list(value: Any) -> bool:
    """Whether a list holds plain values, not objects."""
    return isinstance(value, list) and not any(isinstance(one, dict | list) for one in value)


def _without_templates(texts: list[tuple[int, str]]) -> list[tuple[int, str]]:
    rows = len({number for number, _ in texts})
    counted = Counter(text for _, text in texts)
    if rows < FEWEST_WORDS:
        return texts
    return [(number, text) for number, text in texts if counted[text] <= max(1, TEMPLATE_SHARE * rows)]


def _lines(path: Path, problems: Problems) -> Iterator[tuple[int, str]]:
    problems.max_text_chars = LIMITS.text_chars
    for number, line in enumerate(read_text(path, problems, LIMITS).split("\n"), 1):
        if line.strip():
            yield number, checked_text(line.strip(), "", number, problems)
