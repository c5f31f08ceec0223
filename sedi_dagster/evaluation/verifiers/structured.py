"""Verifiers of answers with a structure: json_fields and list_items."""

import json
import math
import re
from collections import Counter
from typing import Any

from .text import Args, ErrorKind, Score, failed, normalise, passed, shown, token_f1, words

_MAX_OBJECT_STARTS = 50  # how many "{" are tried; a right answer has its object at the first or second
_MAX_ITEMS_COMPARED = 60  # near-duplicates are looked for among the first items, since the cost is quadratic
_SAME_ITEM_F1 = 0.8
_LIST_MARK = re.compile(r"(?:(?:[-*•‣–]|\(?\d{1,3}[.):]|\(?[A-Za-z][.)])\s+|(?:・|[(（]?\d{1,3}[、．）：])\s*)(?=\S)")


def json_fields(args: Args, answer: str, prompt: str) -> Score:
    """Fields of a JSON object.

    Reads the first JSON object of the answer, fenced or not. Strings are compared normalised, numbers as
    numbers (numeric strings too), lists in order, null only with null. Score is the share of `fields` that
    are right. Passes when all are right and, with `exact_keys`, there is no other key.
    """
    found = first_json_object(answer)
    if found is None:
        return failed("no JSON object found", "no JSON")
    fields: dict[str, Any] = args["fields"]
    wrong = [name for name, value in fields.items() if name not in found or not same_value(value, found[name])]
    share = 1 - len(wrong) / len(fields)
    if wrong:
        return failed("wrong or missing: " + ", ".join(shown(name) for name in wrong[:5]), "wrong field", score=share)
    if args.get("exact_keys", False) and (extra := sorted(found.keys() - fields.keys())):
        return failed(
            "keys which were not asked for: " + ", ".join(shown(key) for key in extra[:5]), "extra field", score=share
        )
    return passed("all fields right")


def first_json_object(text: str) -> dict[str, Any] | None:
    """The first well-formed JSON object in a text, or None. Nesting too deep to parse counts as none."""
    decoder = json.JSONDecoder()
    for start in list(re.finditer(r"\{", text))[:_MAX_OBJECT_STARTS]:
        try:
            found, _ = decoder.raw_decode(text, start.start())
        except RecursionError:
            return None
        except ValueError:
            continue
        return found if isinstance(found, dict) else None
    return None


def same_value(expected: Any, found: Any) -> bool:
    """Whether a value read from an answer is the expected one; see `json_fields`."""
    if expected is None or found is None:
        return expected is found
    if isinstance(expected, bool) or isinstance(found, bool):
        return normalise(str(expected)) == normalise(str(found))
    if isinstance(expected, list):
        return (
            isinstance(found, list)
            and len(found) == len(expected)
            and all(same_value(one, other) for one, other in zip(expected, found, strict=True))
        )
    if isinstance(expected, dict):
        return (
            isinstance(found, dict)
            and found.keys() == expected.keys()
            and all(same_value(value, found[key]) for key, value in expected.items())
        )
    if isinstance(found, (list, dict)):
        return False
    if isinstance(expected, str):
        # Python refuses to print an int of over 4300 digits.
        text = str(found) if not isinstance(found, int) or abs(found) < 10**300 else ""
        wanted = normalise(expected)
        return wanted == normalise(text) if wanted else expected.strip() == text.strip()
    return _same_number(float(expected), found)


def _same_number(expected: float, found: str | float) -> bool:
    try:
        number = float(found.replace(",", "").strip(" $€£%")) if isinstance(found, str) else float(found)
    except (ValueError, OverflowError):
        return False
    return math.isclose(expected, number, rel_tol=1e-9, abs_tol=1e-9)


def list_items(args: Args, answer: str, prompt: str) -> Score:
    """A list with as many, as long and as different items as asked for.

    Items are the bulleted (-, *, •) or numbered (1. 1) (1) a.) lines, else all non-empty lines. Bounds:
    `min_items`, `max_items`, `min_words_per_item`, `max_words_per_item`, and `min_distinct` (1.0): the
    share of items that repeat no earlier one (equal when normalised, or token F1 above 0.8). Score is the
    share of bounds that hold; passes when all do.
    """
    items = read_list(answer)
    lengths = [len(words(item)) for item in items]
    distinct = distinct_share(items)
    fewest, most = args.get("min_items", 1), args.get("max_items", math.inf)
    shortest, longest = args.get("min_words_per_item", 0), args.get("max_words_per_item", math.inf)
    checks: list[tuple[str, ErrorKind, bool]] = [
        (f"{len(items)} items, at least {fewest} needed", "too few items", len(items) >= fewest),
        (f"{len(items)} items, at most {most} allowed", "too many items", len(items) <= most),
        (f"an item is under {shortest} words", "too short", min(lengths, default=0) >= shortest),
        (f"an item is over {longest} words", "too long", max(lengths, default=0) <= longest),
        (
            f"only {distinct:.0%} of the items are distinct",
            "repeated items",
            distinct >= args.get("min_distinct", 1.0) - 1e-9,
        ),
    ]
    broken = [(reason, error) for reason, error, holds in checks if not holds]
    if not items or broken:
        reasons = "; ".join(reason for reason, _ in broken) or "no items"
        errors: list[ErrorKind] = [error for _, error in broken] or ["too few items"]
        return failed(reasons, *errors, score=1 - len(broken) / len(checks) if items else 0.0)
    return passed(f"{len(items)} items")


def read_list(answer: str) -> list[str]:
    """The items of a list: the marked lines without their marks, or all non-empty lines if none is marked."""
    lines = [line.strip() for line in answer.split("\n")]
    marked = [line[mark.end() :] for line in lines if (mark := _LIST_MARK.match(line))]
    return [item for item in marked or lines if words(item)]


def distinct_share(items: list[str]) -> float:
    """The share of items that repeat no earlier item."""
    if not items:
        return 0.0
    seen: set[str] = set()
    kept: list[Counter[str]] = []
    distinct = 0
    for item in items:
        text = normalise(item)
        tokens = Counter(text.split()) if len(kept) < _MAX_ITEMS_COMPARED else Counter()
        if text in seen or any(token_f1(tokens, other) > _SAME_ITEM_F1 for other in kept if tokens):
            continue
        seen.add(text)
        distinct += 1
        if tokens:
            kept.append(tokens)
    return distinct / len(items)
