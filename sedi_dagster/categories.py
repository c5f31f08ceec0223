"""The task categories: reading and validating `seeds/categories.yaml`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from sedi_dagster.errors import InputFileError
from sedi_dagster.records import Category
from sedi_dagster.targets import EXPECTED, target_problem

_ID = re.compile(r"[a-z][a-z0-9_]{0,39}")  # excludes | [ ] and comma, which partition keys must not contain
_FIELDS: dict[str, type | tuple[type, ...]] = {
    "id": str,
    "name": str,
    "definition": str,
    "hint": str,
    "share": (int, float),
    "target": (int, float, str, list),
    "max_answer_tokens": int,
    "verifiers": list,
}
_OPTIONAL: dict[str, type] = {"is_classification": bool}


def load_categories(path: Path) -> dict[str, Category]:
    """Return the categories by id, in the file's order.

    Raises:
        InputFileError: the file is invalid. The message names each wrong entry and field, and the expected value.
    """
    if not path.is_file():
        raise InputFileError(
            f"{path} does not exist.", "Set SEDI_CATEGORIES to an existing file, or create a project with `sedi init`."
        )
    try:
        entries = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputFileError(f"{path} is not valid YAML: {error}", "Correct the file. Nothing was spent.") from None
    if not isinstance(entries, list) or not entries:
        raise InputFileError(
            f"{path} must contain a list of categories.", "See seeds/categories.yaml in the repository."
        )
    problems = [problem for number, entry in enumerate(entries, 1) for problem in _problems(number, entry)]
    ids = [entry.get("id") for entry in entries if isinstance(entry, dict)]
    problems += [f"id {name!r} is not unique" for name in {i for i in ids if ids.count(i) > 1}]
    if problems:
        listing = "".join(f"\n  {problem}" for problem in problems)
        raise InputFileError(f"{path} has {len(problems)} problem(s):{listing}", "Correct them. Nothing was spent.")
    return {e["id"]: Category(**{**e, "verifiers": tuple(e["verifiers"])}) for e in entries}


def _problems(number: int, entry: Any) -> list[str]:
    if not isinstance(entry, dict):
        return [f"category {number} is {entry!r}; expected a mapping of fields"]
    known = _FIELDS | _OPTIONAL
    name = f"category {number} ({entry.get('id', 'no id')})"
    found = [f"{name}: unknown field {extra!r}; known: {', '.join(known)}" for extra in entry.keys() - known.keys()]
    for field, kind in known.items():
        if (field in entry or field in _FIELDS) and not isinstance(entry.get(field), kind):
            expected = EXPECTED if field == "target" else getattr(kind, "__name__", "number")
            found.append(f"{name}: field {field!r} is {entry.get(field)!r}; expected {expected}")
    if isinstance(entry.get("max_answer_tokens"), int) and entry["max_answer_tokens"] < 1:
        found.append(f"{name}: field 'max_answer_tokens' is {entry['max_answer_tokens']}; expected 1 or more")
    if isinstance(entry.get("id"), str) and not _ID.fullmatch(entry["id"]):
        found.append(
            f"{name}: field 'id' must have at most 40 lower-case letters, digits and _, starting with a letter"
        )
    if isinstance(entry.get("target"), int | float | str | list) and (problem := target_problem(entry["target"])):
        found.append(f"{name}: {problem}")
    return found
