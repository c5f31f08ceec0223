"""What a prompt asks for, known by its structure, so that a change of its sentences does not change what is understood.

The kinds are those of `sedi_dagster/generation/prompts`; anything else is taken for a task to answer.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from benchmarks.teachers.skills import BANDS, STYLES, Style

Kind = Literal["series", "evolve", "gain", "classify", "labelled", "instances", "answer"]
Categories = Sequence[Mapping[str, Any]]
"""Entries of the product's categories file."""

CONTINUED = 3
"""Tasks that are written on to a text that ends in the middle of a series."""

_NUMBERS = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen".split()
)
_NUMBER = rf"(\d+|{'|'.join(_NUMBERS[1:])})"
_TASK = re.compile(
    r"^Task (?P<number>\d+): *(?P<instruction>[^\n]*)"
    r"(?:\nInput: *(?P<input>(?:(?!\n(?:Output|Task \d+|Input):|\n\n)[\s\S])*))?"
    r"(?:\nOutput: *(?P<output>(?:(?!\nTask \d+:|\n\n)[\s\S])*))?",
    re.MULTILINE,
)
_WANTED = re.compile(
    rf"\b(?:write|add|give|produce|generate|create|come up with)(?: me| exactly| another)? {_NUMBER}\b(?! or | to )",
    re.IGNORECASE,
)
_NUMBERED_FROM = re.compile(r"number(?:ed|ing)? from (\d+)", re.IGNORECASE)
_LAST_TASK = re.compile(r"^Task(?: \d+)?: *([^\n]+)", re.MULTILINE)
_PAIR = re.compile(r"^First: ([\s\S]*?)\n+Second: ([\s\S]*?)(?:\n\n|\nVerdict|\Z)", re.MULTILINE)
_BEFORE_CHANGE = re.compile(
    r"^Task(?: 1)?: ([^\n]*)\nInput: ((?:(?!^Task: )[\s\S])*?)\n(?:\n|Changed:\s*\Z)", re.MULTILINE
)
_SCHEMA = re.compile(r"JSON schema:\s*(\{[\s\S]*\})\s*\Z", re.IGNORECASE)
_NO_INPUT = re.compile(r"\s*(?:<no ?input>|none|n/a)?\s*\Z", re.IGNORECASE)

_STYLE_WORDS: Mapping[Style, re.Pattern[str]] = {
    "short": re.compile(
        r"\b(?:short|brief|bare|concise|terse|direct)\w*\s+(?:\w+\s+){0,2}?(?:answer|output|response|repl)|"
        r"\b(?:answer|output|respon|repl)\w*\s+(?:\w+\s+){0,3}?(?:short|brief|concise|terse|directly|bare)|"
        r"\b(?:the|with the|only the|just the) (?:bare |final |plain )?(?:answer|result) (?:alone|only|itself)|"
        r"\b(?:only|just|nothing but|no more than) the (?:bare |final )?(?:answer|result)|"
        r"\b(?:without|no) (?:any )?(?:explanation|working|further words)|as (?:short|briefly) as|in as few words|"
        r"^(?:briefly|shortly|in short)\b|\b(?:briefly|tersely)[.!]?\s*\Z",
        re.IGNORECASE | re.MULTILINE,
    ),
    "steps": re.compile(
        r"step[- ]by[- ]step|\bin steps\b|\bwith (?:the |its |your |short )*(?:steps|working|reasoning)|"
        r"\bshow(?:ing|s)? (?:the |your |its |how )*(?:steps|working|work|reasoning)|"
        r"\b(?:work|reason|think)\w* (?:it )?(?:out |through )?(?:first|before)|\bworking,? then|"
        r"\bone (?:short )?step\b",
        re.IGNORECASE,
    ),
    "verbose": re.compile(
        r"\b(?:full|whole|complete|friendly) sentence|\bverbose|\bin detail\b|\bdetailed\b|\bat length\b|\bwordy\b|"
        r"\blong(?:er)? (?:answer|output|response)",
        re.IGNORECASE,
    ),
}
_SEVERAL = re.compile(
    rf"\b(?:{_NUMBER}|several|different|various) (?:\w+ )?(?:answers|outputs|responses|styles|versions|ways)\b|"
    r"\b(?:each|every|all) (?:of the )?(?:style|form of answer|styles)\b|\bin different styles\b",
    re.IGNORECASE,
)


class Shown(NamedTuple):
    """A demonstration. `output` is None if the prompt shows none."""

    instruction: str
    input: str
    output: str | None


@dataclass(frozen=True)
class Asked:
    """What a prompt asks for.

    Attributes: category: id; None if none is named. demonstrations. shows_inputs: the series has lines for inputs.
    wanted: tasks to write. number: of the first one. continues: the text ends where the first one begins.
    as_json. fields: of an example, if a schema names them. styles: that are named. several: one answer of each is
    wanted. band: that is named, or None. instruction, input: what a call about one task is about. after: the task
    that `gain` compares it with.
    """

    kind: Kind
    prompt: str
    category: str | None = None
    demonstrations: tuple[Shown, ...] = ()
    shows_inputs: bool = True
    wanted: int = 1
    number: int = 1
    continues: bool = False
    as_json: bool = False
    fields: Mapping[str, Any] = field(default_factory=dict)
    styles: tuple[Style, ...] = ()
    several: bool = False
    band: int | None = None
    instruction: str = ""
    input: str = ""
    after: str = ""


def read_prompt(prompt: str, categories: Categories, schema: Mapping[str, Any] | None = None) -> Asked:
    """What the prompt asks for. `schema`: of the JSON that the request wants, if it has one."""
    told = _SCHEMA.search(prompt)
    if told is not None and schema is None:
        schema = _json(told[1])
    prompt = prompt[: told.start()] if told else prompt
    continues = re.search(r"(?:Task \d+|Changed|Classification|Verdict|Class label|Input):\s*\Z", prompt) is not None
    asked = Asked("answer", prompt, continues=continues, as_json=schema is not None)
    if _PAIR.search(prompt) and re.search(r"\bsame\b", prompt):
        before, after = _PAIR.findall(prompt)[-1]
        return _replace(asked, kind="gain", instruction=before, after=after)
    if re.search(r"^Changed:\s*\Z", prompt, re.MULTILINE) or re.search(r"^Task 2: the\b", prompt, re.MULTILINE):
        instruction, text_input = _BEFORE_CHANGE.findall(prompt)[-1]
        kind: Kind = "evolve"
        return _replace(
            asked, kind=kind, instruction=instruction, input=_given(text_input), category=_category(prompt, categories)
        )
    if "Classification:" in prompt:
        return _replace(asked, kind="classify", instruction=_last_task(prompt))
    if "Class label:" in prompt:
        return _replace(asked, kind="labelled", instruction=_last_task(prompt))
    if re.search(r"^Example 1\b", prompt, re.MULTILINE) and re.search(r"^Task: ", prompt, re.MULTILINE):
        return _replace(asked, kind="instances", instruction=_last_task(prompt), styles=styles_in(_last_part(prompt)))
    return _series(asked, categories, schema) or _replace(asked, instruction=prompt.strip())


def _series(asked: Asked, categories: Categories, schema: Mapping[str, Any] | None) -> Asked | None:
    """A request for more tasks, or None."""
    prompt = asked.prompt
    objects = [found for line in prompt.splitlines() if line.startswith('{"') for found in [_json(line)] if found]
    tasks = [found for found in _TASK.finditer(prompt) if found["instruction"].strip()]
    around = _without(prompt, [found[0] for found in tasks])
    around = "\n".join(line for line in around.splitlines() if not line.startswith('{"'))
    told = _without(around, [text for entry in categories for text in (entry["definition"], entry["hint"])])
    wanted = [*_WANTED.finditer(told)][-1:]
    series_ends = re.search(r"^Task (\d+):\s*\Z", prompt, re.MULTILINE)
    if not (tasks or objects) or not (wanted or series_ends):
        return None
    if objects:
        shown = [Shown(o["instruction"], o.get("input") or "", o.get("output")) for o in objects if "instruction" in o]
    else:
        shown = [Shown(f["instruction"], _given(f["input"] or ""), (f["output"] or "").strip() or None) for f in tasks]
    first = _NUMBERED_FROM.search(around)
    fields = ((schema or {}).get("properties", {}).get("examples") or {}).get("items", {}).get("properties", {})
    number = int(series_ends[1]) if series_ends else int(first[1]) if first else len(shown) + 1
    return _replace(
        asked,
        kind="series",
        category=_category(around, categories),
        demonstrations=tuple(shown),
        shows_inputs=bool(objects) or any(found["input"] is not None for found in tasks),
        wanted=CONTINUED if series_ends or not wanted else _count(wanted[0][1]),
        number=number,
        as_json=asked.as_json or bool(objects),
        fields=fields,
        styles=styles_in(told),
        several=several_in(told) or _has_list_of_answers(fields),
        band=_band(told),
    )


def _category(told: str, categories: Categories) -> str | None:
    """The category that is named first."""
    places = {entry["id"]: told.lower().find(entry["name"].lower()) for entry in categories}
    named = [name for name, place in places.items() if place >= 0]
    return min(named, key=lambda name: places[name], default=None)


def _band(told: str) -> int | None:
    found = re.search(rf"\b(?:tasks?|examples?|difficulty)\b[^.\n]*?\b({'|'.join(BANDS)})\b", told, re.IGNORECASE)
    return BANDS.index(found[1].lower()) if found else None


def styles_in(told: str) -> tuple[Style, ...]:
    """The styles of answer that a request names; it must not hold the task itself."""
    return tuple(style for style in STYLES if _STYLE_WORDS[style].search(told))


def several_in(told: str) -> bool:
    """Whether a request asks for several answers in different styles."""
    return _SEVERAL.search(told) is not None and (len(styles_in(told)) != 1)


def _has_list_of_answers(fields: Mapping[str, Any]) -> bool:
    return any(told.get("type") == "array" for told in fields.values() if isinstance(told, Mapping))


def _count(told: str) -> int:
    return int(told) if told.isdigit() else _NUMBERS.index(told.lower())


def _last_task(prompt: str) -> str:
    told: str = _LAST_TASK.findall(prompt)[-1]
    return told.strip()


def _last_part(prompt: str) -> str:
    """What stands after the demonstrations of a prompt about one task."""
    return prompt.rpartition("\n\nNow ")[2] if "\n\nNow " in prompt else ""


def _given(told: str) -> str:
    return "" if _NO_INPUT.fullmatch(told) else told.strip()


def _without(told: str, parts: Iterable[str]) -> str:
    for part in parts:
        told = told.replace(part, "")
    return told


def _json(told: str) -> dict[str, Any] | None:
    try:
        found = json.loads(told)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def _replace(asked: Asked, **changes: Any) -> Asked:
    return Asked(**{**vars(asked), **changes})
