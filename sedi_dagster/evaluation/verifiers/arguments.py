"""Checks the arguments of an evaluation item's verifier before anything runs. `arguments.yaml` says what they are."""

import ast
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sedi_dagster.yaml_file import read_yaml

from .formats import SCRIPTS
from .text import shown


@dataclass(frozen=True)
class Kind:
    """A type of argument: what it is called in a message, and its test."""

    name: str
    accepts: Callable[[Any], bool]


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < 1e300


def _are(accepts: Callable[[Any], bool], value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(map(accepts, value))


def _are_texts(value: Any) -> bool:
    return _are(_is_text, value)


def _maps(value: Any, accepts: Callable[[Any], bool]) -> bool:
    return isinstance(value, dict) and all(_is_text(key) and accepts(one) for key, one in value.items())


KINDS = {
    "text": Kind("a non-empty string", _is_text),
    "texts": Kind("a non-empty list of non-empty strings", _are_texts),
    "any_texts": Kind("a list of non-empty strings", lambda value: value == [] or _are_texts(value)),
    "number": Kind("a finite number", _is_number),
    "share": Kind("a number from 0 to 1", lambda value: _is_number(value) and 0 <= value <= 1),
    "seconds": Kind("a number of seconds above 0 and up to 60", lambda value: _is_number(value) and 0 < value <= 60),
    "count": Kind("a whole number of 0 or more", lambda value: type(value) is int and value >= 0),
    "flag": Kind("true or false", lambda value: isinstance(value, bool)),
    "options": Kind(
        "an object of two or more texts by letter", lambda value: _maps(value, _is_text) and len(value) > 1
    ),
    "aliases": Kind("an object of lists of strings by label", lambda value: _maps(value, _are_texts)),
    "fields": Kind("a non-empty object", lambda value: _maps(value, lambda _: True) and bool(value)),
    "facts": Kind(
        "a non-empty list of facts, each a non-empty list of spellings", lambda value: _are(_are_texts, value)
    ),
    "objects": Kind("a non-empty list of objects", lambda value: _are(lambda one: isinstance(one, dict), value)),
    "name": Kind("a Python name", lambda value: isinstance(value, str) and value.isidentifier()),
    "script": Kind("one of " + ", ".join(SCRIPTS), lambda value: value in SCRIPTS),
    "letter": Kind("one letter", lambda value: isinstance(value, str) and len(value) == 1),
}

Spec = Mapping[str, tuple[Kind, bool]]
"""Arguments by name: their kind, and whether they are required."""


def _spec(asked: Mapping[str, str]) -> Spec:
    return {name: (KINDS[kind.removeprefix("required ")], kind.startswith("required ")) for name, kind in asked.items()}


_FILE = read_yaml(Path(__file__).with_suffix(".yaml"))
SPECS: Mapping[str, Spec] = {verifier: _spec(asked) for verifier, asked in _FILE["verifiers"].items()}
CONSTRAINT_SPECS: Mapping[str, Spec] = {kind: _spec(asked) for kind, asked in _FILE["constraints"].items()}
_BOUNDED = frozenset(kind for kind, spec in CONSTRAINT_SPECS.items() if "min" in spec)


def check_args(verifier: str, args: Mapping[str, Any]) -> list[str]:
    """What is wrong with a verifier's arguments, one clear sentence each; an empty list when nothing is."""
    if not isinstance(verifier, str) or verifier not in SPECS:
        return [f"unknown verifier {shown(verifier)}; known are {', '.join(SPECS)}"]
    if not isinstance(args, Mapping):
        return [f"the arguments of {verifier} must be an object, not {shown(args)}"]
    problems = _against_spec(verifier, SPECS[verifier], args)
    relation = _RELATIONS.get(verifier)
    return problems if problems or relation is None else relation(args)


def _against_spec(where: str, spec: Spec, args: Mapping[str, Any]) -> list[str]:
    problems = [
        f"{where}: unknown argument {shown(name)}; known are {', '.join(spec) or 'none'}"
        for name in args
        if name not in spec
    ]
    for name, (kind, required) in spec.items():
        if name not in args:
            problems += [f"{where}: the argument '{name}' is missing; it is {kind.name}"] * required
        elif not kind.accepts(args[name]):
            problems.append(f"{where}: '{name}' must be {kind.name}, not {shown(args[name])}")
    return problems


def _ordered(where: str, args: Mapping[str, Any], low: str = "min", high: str = "max") -> list[str]:
    if low in args and high in args and args[low] > args[high]:
        return [f"{where}: '{low}' ({args[low]}) is above '{high}' ({args[high]})"]
    return []


def _choice(args: Mapping[str, Any]) -> list[str]:
    if args["answer"] in args["options"]:
        return []
    return [f"choice: the answer {shown(args['answer'])} is none of the options {', '.join(args['options'])}"]


def _label(args: Mapping[str, Any]) -> list[str]:
    problems = [] if args["answer"] in args["labels"] else [f"label: {shown(args['answer'])} is none of the labels"]
    strangers = [name for name in args.get("aliases", {}) if name not in args["labels"]]
    return problems + [f"label: aliases are given for {shown(name)}, which is no label" for name in strangers]


def _words(args: Mapping[str, Any]) -> list[str]:
    if not args:
        return ["words: give 'min', 'max' or both"]
    return _ordered("words", args)


def _list_items(args: Mapping[str, Any]) -> list[str]:
    items = _ordered("list_items", args, "min_items", "max_items")
    return items + _ordered("list_items", args, "min_words_per_item", "max_words_per_item")


def _constraint(one: Mapping[str, Any]) -> list[str]:
    kind = str(one.get("kind"))
    if kind not in CONSTRAINT_SPECS:
        return [f"format: unknown constraint kind {shown(kind)}; known are {', '.join(CONSTRAINT_SPECS)}"]
    where, parameters = f"format {kind}", {name: value for name, value in one.items() if name != "kind"}
    problems = _against_spec(where, CONSTRAINT_SPECS[kind], parameters)
    if not problems and kind in _BOUNDED:
        if not parameters.keys() & {"count", "min", "max"}:
            problems.append(f"{where}: give 'count', or 'min', 'max' or both")
        problems += _ordered(where, parameters)
    if not problems and kind == "keywords" and not (one.get("include") or one.get("exclude")):
        problems.append(f"{where}: give 'include', 'exclude' or both")
    return problems


def _code_tests(args: Mapping[str, Any]) -> list[str]:
    problems = []
    for number, test in enumerate(args["tests"], 1):
        try:
            tree = ast.parse(test)
        except (SyntaxError, ValueError) as error:
            problems.append(f"code_tests: test {number} is not Python: {shown(error)}")
            continue
        if not any(isinstance(node, ast.Name) and node.id == args["function"] for node in ast.walk(tree)):
            problems.append(f"code_tests: test {number} does not use {shown(args['function'])}")
    return problems


def _all(args: Mapping[str, Any]) -> list[str]:
    problems = []
    for number, part in enumerate(args["of"], 1):
        if part.keys() != {"verifier", "args"}:
            problems.append(f"all: part {number} must have 'verifier' and 'args' and nothing else")
        elif part["verifier"] == "all":
            problems.append(f"all: part {number} is another 'all'; list its parts directly")
        else:
            problems += [f"all, part {number}: {one}" for one in check_args(part["verifier"], part["args"])]
    return problems


_RELATIONS: Mapping[str, Callable[[Mapping[str, Any]], list[str]]] = {
    "choice": _choice,
    "label": _label,
    "numeric": lambda args: ["numeric: 'tolerance' must not be negative"] if args.get("tolerance", 0) < 0 else [],
    "words": _words,
    "list_items": _list_items,
    "format": lambda args: [problem for one in args["constraints"] for problem in _constraint(one)],
    "code_tests": _code_tests,
    "all": _all,
}
