"""Conversion of rows in many formats to exchanges: instruction, input and output.

- Alpaca: `instruction`, `input`, `output`; Dolly: `context`, `response`; and their like (`FIELDS`).
- Self-Instruct's `seed_tasks.jsonl` (arXiv 2212.10560): `instruction`, `instances`.
- Conversations: `messages`, ShareGPT's `conversations`, OpenAssistant's trees and flat exports.
- What other generators write: distilabel (`instruction`, `generation`), curator and DataDesigner (columns of the user's
  own, which `Columns` names).

Other fields of a row are reported by name, never dropped silently.
"""

import re
import reprlib
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from decimal import Decimal
from itertools import chain, islice
from pathlib import Path
from typing import Any

from sedi_dagster.datafiles.conversations import (
    CONVERSATION_FIELDS,
    first_exchange,
    is_flat_message,
    is_masked,
    is_tree,
    joined_messages,
    lacks_answer,
    tree_exchange,
    unread_fields,
)
from sedi_dagster.datafiles.problems import Problems, checked_text
from sedi_dagster.datafiles.reading import TAKEN, Limits, read_rows, read_text
from sedi_dagster.datafiles.transcripts import asked_in, messages_of, without_end
from sedi_dagster.errors import InputFileError
from sedi_dagster.texts.no_input import means_no_input

FIELDS: Mapping[str, tuple[str, ...]] = {
    "instruction": ("instruction", "prompt", "question", "query", "problem", "user", "user_query", "human", "q",
                    "definition", "inputs", "inputs_pretokenized", "input_text", "text_input", "user_input",
                    "message_1", "task", "request", "指令", "问题", "質問"),
    "input": ("input", "context", "passage", "inputs", "输入"),
    "output": ("output", "response", "solution", "generated_solution", "answer", "completion", "generation", "chosen",
               "preferred_output", "target", "assistant", "generated_response", "model_output", "ideal", "generations",
               "responses", "answers", "best_answer", "a", "targets", "targets_pretokenized", "output_text",
               "message_2", "expected_output", "expectedoutput", "ground_truth", "reference", "输出", "答案", "回答"),
}  # fmt: skip
"""Field names of each part; the first that a row has is used."""

_TRANSCRIPTS = ("text", "chosen", "conversation", "items", "turns", "input")
_PLAIN_NAMES = frozenset((*chain.from_iterable(FIELDS.values()), *CONVERSATION_FIELDS, *_TRANSCRIPTS, "category", "id"))
_READ_ELSEWHERE = {"id", "is_classification"}
_MISSING = ("nan", "<NA>")
"""Missing values that pandas has converted to text."""
_MARKS = ("label", "kto_tag")
"""Fields that say whether the answer is good, in data for KTO."""
_TRUTHS = {"true": True, "1": True, "false": False, "0": False, "": None}
_UNSERVABLE = ("images", "image", "videos", "video", "audios", "audio")
# Between prompt and completion in OpenAI's first format, and at the end.
_SEPARATOR = re.compile(r"\s*(?:###|->)\s*\Z")
_STOP = re.compile(r"\s*(?:###|\bEND)\s*\Z")
_OF_A_TEXT = re.compile(r"_(?:text|message|response)\Z")
_ENDS = re.compile(r"^\W+|\W+$")
_LOOKED_AT = 50
"""Rows from which the shape of a file is detected; if none of them has a known shape, the file is refused."""


@dataclass(frozen=True)
class Exchange:
    """The content of a row in any format. `category` is "" if it has none; `row` is the row as it was read."""

    number: int
    instruction: str
    input: str
    output: str
    category: str
    is_classification: bool
    row: Mapping[str, Any]


NOT_READ = "\0"
"""As a field of `Columns`: do not read this part."""


@dataclass(frozen=True)
class Columns:
    """The user's names for the fields of a file; empty: detected by common names."""

    instruction: str = ""
    input: str = ""
    output: str = ""
    category: str = ""

    def field(self, part: str, row: Mapping[str, Any]) -> str | None:
        """Return the field of a row that contains a part; None if there is none."""
        named: str = getattr(self, part)
        if named:
            return named
        if part == "category":
            return "category" if "category" in row else None
        held = [name for name in FIELDS[part] if row.get(name) is not None and (part != "output" or row[name] != "")]
        found = held or [name for name in FIELDS[part] if name in row]
        if part == "instruction" and not found and "input" in row:
            return "input"  # pairs of input and output, without an instruction of their own
        return found[0] if found else None


def read_exchanges(
    path: Path, problems: Problems, columns: Columns | None = None, limits: Limits | None = None
) -> Iterator[Exchange]:
    """Yield the file's exchanges, in order; problems and ignored parts of rows are noted in `problems`.

    Raises:
        InputFileError: the file cannot be read, or its format is unknown.
    """
    columns = columns or Columns()
    rows = ((number, _prepared(row, columns)) for number, row in read_rows(path, problems, limits))
    head = list(islice(rows, _LOOKED_AT))
    if not head and problems.count > 1 and all("is not JSON" in problem.problem for problem in problems.found):
        begins = read_text(path, Problems(path), limits).strip()[:40]
        message = f"{path} is neither JSON nor a table: it begins with {begins!r}; taken are {TAKEN}."
        raise InputFileError(message, "Save the rows as JSON lines, CSV (UTF-8) or Parquet.")
    if head and not problems.count and not any(_has_shape(row, columns) for _, row in head):
        raise _unknown_shape(path, head[0][1], columns)
    unread: Counter[str] = Counter()
    for number, row in _joined(head, rows, problems):
        exchange = parse_exchange(row, number, problems, columns, unread)
        if exchange is not None:
            yield exchange
    if unread:
        message = ", ".join(f"{name} ({count:,})" for name, count in unread.most_common(12))
        problems.notes[f"rows have fields that are ignored: {message}"] = unread.most_common(1)[0][1]


def _joined(
    head: list[tuple[int, dict[str, Any]]], rest: Iterator[tuple[int, dict[str, Any]]], problems: Problems
) -> Iterable[tuple[int, dict[str, Any]]]:
    rows = chain(head, rest)
    return joined_messages(rows, problems) if head and is_flat_message(head[0][1]) else rows


def _prepared(row: dict[str, Any], columns: Columns) -> dict[str, Any]:
    """Normalize a row: field names (`Instruction:` becomes instruction), fields of nested objects, which move up one
    level, and a conversation in a chat template, which becomes a list of messages."""
    if columns.instruction or columns.output:
        return row
    if not _has_shape(row, columns) and "messages" not in row:
        inner = {n: v for held in row.values() if isinstance(held, dict) for n, v in held.items() if n not in row}
        if inner and _has_shape(opened := {**row, **inner}, columns):
            row = {name: value for name, value in opened.items() if not isinstance(value, dict) or name in inner}
    plain = {name: "_".join(_ENDS.sub("", str(name)).lower().split()) for name in row}
    row = _renamed(row, plain, _PLAIN_NAMES)
    for names in FIELDS.values():
        if not any(name in row for name in names):
            row = _renamed(row, {n: _OF_A_TEXT.sub("", plain.get(n, n)) for n in row}, names)
    prompt, completion = row.get("prompt"), row.get("completion")
    if isinstance(prompt, str) and isinstance(completion, str) and (separator := _SEPARATOR.search(prompt)):
        row = {**row, "prompt": prompt[: separator.start()], "completion": _STOP.sub("", completion)}
    for name in ("instruction", "prompt", "input"):
        if isinstance(row.get(name), str) and (asked := asked_in(row[name])):
            answers = {n: without_end(row[n]) for n in FIELDS["output"] if isinstance(row.get(n), str)}
            row = {**row, **answers, name: asked}
    answered = any(row.get(name) for name in FIELDS["output"] if name != "chosen")
    if _conversation_field(row) is None and not answered and not (row.get("instruction") or row.get("prompt")):
        for name in _TRANSCRIPTS:
            value = row.get(name)
            if messages := messages_of(value) if isinstance(value, str) else _messages_in(value):
                return {**{n: value for n, value in row.items() if n != name}, "messages": messages}
    return row


def _renamed(row: dict[str, Any], plain: Mapping[str, str], names: Collection[str]) -> dict[str, Any]:
    """Rename fields whose plain name is in `names`; of several with the same plain name, only the first."""
    renamed: dict[str, Any] = {}
    for name, value in row.items():
        is_new = plain[name] in names and plain[name] not in row and plain[name] not in renamed
        renamed[plain[name] if is_new else name] = value
    return renamed


def _messages_in(value: Any) -> list[Any]:
    """Return a list of several messages unchanged, such as a preferred conversation; [] for anything else."""
    listed = value if isinstance(value, list) else []
    is_one = len(listed) > 1 and all(isinstance(one, dict) and ("role" in one or "from" in one) for one in listed)
    return listed if is_one else []


def _has_shape(row: Mapping[str, Any], columns: Columns) -> bool:
    if columns.instruction and columns.output:
        return columns.instruction in row and columns.output in row
    if is_flat_message(row) or is_tree(row) or _conversation_field(row) or "instances" in row:
        return True
    return bool(columns.field("instruction", row)) and bool(columns.field("output", row))


def _unknown_shape(path: Path, row: Mapping[str, Any], columns: Columns) -> InputFileError:
    seen = ", ".join(list(row)[:12]) or "none"
    if columns.instruction or columns.output:
        return InputFileError(
            f"{path} has no fields {columns.instruction!r} and {columns.output!r}; its fields: {seen}.",
            "Name fields that it has.",
        )
    return InputFileError(
        f"{path} has an unknown format (fields: {seen}); supported are instruction, input and output (or prompt and "
        "completion, question and answer, context and response), messages, conversations, instances, trees.",
        f"Name the fields: `sedi seeds check {path.name} --instruction FIELD --output FIELD --write seeds.jsonl` "
        "converts the file, and other commands that take a FILE have these options, too.",
    )


def parse_exchange(
    row: Mapping[str, Any], number: int, problems: Problems, columns: Columns, unread: Counter[str]
) -> Exchange | None:
    """Return the row as an exchange, or None if it is excluded or has problems, which are noted.

    Args:
        unread: counts the fields that have a value but are not read.
    """
    before = problems.count
    if bad := next((name for name in _MARKS if str(row.get(name)).strip().lower() == "false"), None):
        problems.notes[f"rows have `{bad}: false`, which marks a bad answer: they are excluded"] += 1
        return None
    if str(row.get("weight")).strip() in ("0", "0.0"):
        problems.notes["rows have `weight: 0`, which are not to be learnt: they are excluded"] += 1
        return None
    for name in _UNSERVABLE:
        if row.get(name):
            problems.add(number, name, "is present: the task needs more than text", "text-only tasks")
    used: set[str] = set()
    inner: set[str] = set()
    conversation = None if columns.instruction else _conversation_field(row)
    if columns.instruction == "" and is_tree(row):
        instruction, text_input, output = tree_exchange(row, number, problems)
        used |= {"prompt", "message_id", "message_tree_id", "tree_state"}
    elif conversation and is_masked(row[conversation]):
        problems.notes[
            "conversations begin with an answer marked as not to be learnt (weight 0, train false): excluded"
        ] += 1
        return None
    elif conversation:
        messages, answer = row[conversation], columns.field("output", row)
        if answer and lacks_answer(messages):
            messages = [*messages, {"role": "assistant", "content": _first_text(row[answer], answer, problems)}]
            used.add(answer)
        instruction, text_input, output = first_exchange(messages, conversation, number, problems)
        used.add(conversation)
        inner = {f"{conversation}: {name}" for name in unread_fields(row[conversation])}
        if row.get("system"):
            problems.notes["conversations begin with a system message, which is ignored"] += 1
            used.add("system")
    elif "instances" in row and not columns.output:
        instruction, text_input, output, further = _self_instruct(row, number, problems)
        inner = {f"instances: {name}" for name in further}
        used |= {"instruction", "instances", "name"}
    elif row.get("history") and not columns.instruction:
        instruction, text_input, output = _from_history(row, number, problems)
        used |= {"instruction", "input", "output", "history"}
    else:
        instruction, text_input, output = _plain(row, number, problems, columns, used)
    category_field = columns.field("category", row)
    category = row.get(category_field) if category_field else None
    category = category[0] if isinstance(category, list) and len(category) == 1 else category
    category = checked_text(category, str(category_field), number, problems, empty=True).strip()
    is_classification = row.get("is_classification")
    if isinstance(is_classification, str):  # of a table or of YAML
        is_classification = _TRUTHS.get(is_classification.strip().lower(), is_classification)
    if is_classification not in (None, True, False):
        problems.add(number, "is_classification", f"is {reprlib.repr(is_classification)}", "true or false")
    if problems.count > before:
        return None
    used |= _READ_ELSEWHERE | ({category_field} if category_field else set())
    unread.update(inner)
    unread.update(name for name, value in row.items() if name not in used and value not in (None, "", [], {}))
    if text_input.strip() and (means_no_input(text_input) or text_input.strip().lower() == "nan"):
        problems.notes["inputs are a placeholder, such as <noinput>: they are read as empty"] += 1
        text_input = ""
    return Exchange(
        number, instruction.strip(), text_input.strip(), output.strip(), category, bool(is_classification), row
    )


def _conversation_field(row: Mapping[str, Any]) -> str | None:
    found = (name for name in CONVERSATION_FIELDS if row.get(name) is not None)
    return next((name for name in found if name != "data" or not isinstance(row[name], dict)), None)


def _plain(
    row: Mapping[str, Any], number: int, problems: Problems, columns: Columns, used: set[str]
) -> tuple[str, str, str]:
    named = {part: columns.field(part, row) for part in FIELDS}
    if named["input"] == named["instruction"]:
        named["input"] = None
    if named["input"] is None and named["instruction"] and not columns.instruction:
        named["input"] = _asked_beside(row, named["instruction"])
    used |= {name for name in named.values() if name}
    texts = []
    for part, name in named.items():
        value = _first_text(row.get(name), name, problems) if name else None
        texts.append(checked_text(value, name or part, number, problems, empty=part == "input"))
    instruction, text_input, output = texts
    return instruction, text_input, output


def _asked_beside(row: Mapping[str, Any], instruction: str) -> str | None:
    """Return the field of a question to which the instruction applies: `instruction` says how, `question` what."""
    said = row.get(instruction)
    for name in ("question", "prompt", "query", "problem"):
        text = row.get(name)
        if name != instruction and isinstance(text, str) and isinstance(said, str) and said not in text and " " in text:
            return name
    return None


def _first_text(value: Any, name: str, problems: Problems) -> Any:
    """Return the text of an answer, also from a list of answers (the first) or of messages (the last)."""
    if isinstance(value, dict) and isinstance(value.get("text"), list):  # SQuAD's answers
        value = value["text"]
    if isinstance(value, dict) and ({"role", "content"} <= value.keys() or {"from", "value"} <= value.keys()):
        value = [value]
    if isinstance(value, dict) and isinstance(value.get("messages"), list):
        value = value["messages"]
    if isinstance(value, list) and value:
        if len(value) > 1 and all(isinstance(one, str) for one in value):
            problems.notes[f"rows have several texts in {name}: the first is used"] += 1
        if all(isinstance(one, dict) and isinstance(one.get("rank"), int | float) for one in value):
            value = [min(value, key=lambda one: one["rank"])]
        last = value[-1]
        if isinstance(last, dict):  # chosen and rejected as messages: the answer comes last
            return next((last[n] for n in ("content", "value", "text", "answer", "response") if last.get(n)), None)
        return value[0]
    if isinstance(value, dict) and len(value) == 1 and isinstance(next(iter(value.values())), str):
        return next(iter(value.values()))  # a text in an object of its own
    if isinstance(value, int | float | Decimal) and not isinstance(value, bool):
        value = str(value)
    return None if value in _MISSING else value


def _self_instruct(row: Mapping[str, Any], number: int, problems: Problems) -> tuple[str, str, str, set[str]]:
    """Return instruction, input and output of the first instance, and the names of its other fields."""
    instruction = checked_text(row.get("instruction"), "instruction", number, problems)
    instances = row["instances"]
    if not isinstance(instances, list) or not instances or not isinstance(instances[0], dict):
        expected = 'a list such as [{"input": "", "output": "..."}]'
        problems.add(number, "instances", f"is {reprlib.repr(instances)}", expected)
        return "", "", "", set()
    if len(instances) > 1:
        problems.notes["tasks have more than one instance: the first is used"] += 1
    first = instances[0]
    return (
        instruction,
        checked_text(first.get("input"), "instances[0].input", number, problems, empty=True),
        checked_text(first.get("output"), "instances[0].output", number, problems),
        {name for name, value in first.items() if name not in ("input", "output") and value not in (None, "", [], {})},
    )


def _from_history(row: Mapping[str, Any], number: int, problems: Problems) -> tuple[str, str, str]:
    """Return the first exchange of a row with a history, as the last could not be understood alone."""
    first = row["history"][0] if isinstance(row["history"], list) else None
    if isinstance(first, dict):
        problems.notes["rows have a history: its first exchange is used"] += 1
        return first_exchange(row["history"], "history", number, problems)
    if not isinstance(first, list | tuple) or len(first) != 2:
        problems.add(number, "history", f"is {reprlib.repr(row['history'])}", "a list of pairs of question and answer")
        return "", "", ""
    problems.notes["rows have a history: its first exchange is used"] += 1
    question, answer = (checked_text(text, "history[0]", number, problems) for text in first)
    return question, "", answer


PART_NAMES = tuple(field.name for field in fields(Columns))
