"""The verifier of form: constraints that a program can check, the families of IFEval (arXiv 2311.07911).

Each constraint (`CONSTRAINTS`) is a function of the hardened answer and its own parameters, and tells whether it holds.
"""

import json
import re
import unicodedata
from collections.abc import Callable, Mapping
from functools import lru_cache
from math import inf
from typing import Any

from .text import Args, Score, failed, normalise, occurs, passed, shown, words

Constraint = Callable[[str, Args], bool]

_BULLET = re.compile(r"(?:[-*•]\s+|・\s*)\S")
_NUMBERED = re.compile(r"[(（]?\d{1,3}(?:[.)]\s+|[、．）]\s*)\S")
_SENTENCE_END = re.compile(r"(?<![.!?…。！？])(?:[.!?…؟۔]++[\"'”’»)\]*_]{0,3}(?=\s|\Z)|[。！？।॥።፧។៕။]++)")
_ABBREVIATION = re.compile(r"(?:\b(?:mr|mrs|ms|dr|prof|st|vs|etc|e\.g|i\.e|jr|sr|no)|\b[A-Z])\Z", re.IGNORECASE)
_PLACEHOLDER = re.compile(r"\[[^\[\]\n]+\]")
_HIGHLIGHT = re.compile(r"\*(?![\s*])[^*\n]+(?<!\s)\*")
_QUOTES = ('""', "“”", "„“", "„”", "«»", "»«", "「」", "『』")
_FENCED = re.compile(r"\A```\w*\n(.*)\n```\Z", re.DOTALL)
_MINOR_WORDS = "a an and as at but by for from in nor of on or so the to up yet with"
_SCRIPTS: dict[str, tuple[str, ...]] = {
    name: (name.upper(),) for name in ("latin", "cyrillic", "greek", "arabic", "hebrew")
}
_SCRIPTS |= {"cjk": ("CJK", "HIRAGANA", "KATAKANA", "HANGUL")}
SCRIPTS = tuple(_SCRIPTS)


def format_constraints(args: Args, answer: str, prompt: str) -> Score:
    """Constraints on form. Score is the share of `constraints` that hold. Passes when all hold."""
    constraints = args["constraints"]
    broken = [c["kind"] for c in constraints if not CONSTRAINTS[c["kind"]](answer, c)]
    if broken:
        reason = "broken: " + ", ".join(map(shown, broken))
        return failed(reason, "missing constraint", score=1 - len(broken) / len(constraints))
    return passed()


def _within(number: int, bounds: Args) -> bool:
    if "count" in bounds:
        return bool(number == bounds["count"])
    return bool(bounds.get("min", 0) <= number <= bounds.get("max", inf))


def _lines(answer: str) -> list[str]:
    return [line.strip() for line in answer.split("\n") if line.strip()]


def _paragraphs(answer: str) -> int:
    blocks = "\n".join(line.strip() for line in answer.split("\n")).split("\n\n")
    return sum(bool(block.strip()) for block in blocks)


def count_sentences(text: str) -> int:
    """Sentences by their closing marks; decimals, "e.g.", initials and list numbers close none.

    A last line without a closing mark counts.
    """
    count, start, has_words = 0, 0, False
    last = len(text.rstrip())
    for end in _SENTENCE_END.finditer(text):
        piece = text[start : end.start()]
        start = end.end()
        has_words = has_words or any(char.isalnum() for char in piece)
        is_abbreviation = end.group() == "." and start < last and _ABBREVIATION.search(piece[-6:])
        if has_words and not is_abbreviation and not _is_list_number(piece):
            count, has_words = count + 1, False
    return count + (has_words or any(char.isalnum() for char in text[start:]))


def _is_list_number(piece: str) -> bool:
    """Whether the full stop after `piece` belongs to a list number ("1.") at the start of a line."""
    return piece.rsplit("\n", 1)[-1].strip().isdigit() and len(piece.strip()) <= 3


def _keywords(answer: str, args: Args) -> bool:
    text = normalise(answer)
    return all(occurs(word, answer, text) for word in args.get("include", ())) and not any(
        occurs(word, answer, text) for word in args.get("exclude", ())
    )


def _keyword_count(answer: str, args: Args) -> bool:
    word = normalise(args["word"])
    found = re.findall(rf"(?<!\S){re.escape(word)}(?!\S)", normalise(answer)) if word else []
    return _within(len(found), args)


def _title_case(answer: str, args: Args) -> bool:
    """Every word starts with a capital; short joining words ("of", "and") may be small, except the first."""
    found = [word.lstrip("\"'“‘(*_-#") for word in words(answer)]
    minor = _MINOR_WORDS.split()
    return any(char.isalpha() for char in answer) and all(
        not word[:1].isalpha() or not word[0].islower() or (place > 0 and word.rstrip(".,:;!?") in minor)
        for place, word in enumerate(found)
    )


def _folded(text: str) -> str:
    """White space collapsed and case folded, for comparing a start or an end."""
    return " ".join(text.split()).casefold()


def _starts(answer: str, args: Args) -> bool:
    return _folded(answer).startswith(_folded(args["text"]))


def _json(answer: str, args: Args) -> bool:
    text = answer.strip()
    fenced = _FENCED.match(text)
    try:
        found: Any = json.loads(fenced[1] if fenced else text)
    except (ValueError, RecursionError):
        return False
    keys = args.get("keys", ())
    return not keys or (isinstance(found, dict) and all(key in found for key in keys))


def _quoted(answer: str, args: Args) -> bool:
    text = answer.strip()
    return len(text) > 2 and text[0] + text[-1] in _QUOTES


def _letters(answer: str, args: Args) -> bool:
    letters = [char for char in answer if char.isalpha()]
    of_script = sum(_unicode_name(char).startswith(_SCRIPTS[args["script"]]) for char in letters)
    return bool(letters) and of_script >= 0.9 * len(letters)


@lru_cache(maxsize=4096)
def _unicode_name(char: str) -> str:
    return unicodedata.name(char, "")


def _separator(answer: str, args: Args) -> bool:
    parts = answer.split(args["text"])
    return len(parts) == args["parts"] and all(any(map(str.isalnum, part)) for part in parts)


def _sections(answer: str, args: Args) -> bool:
    """Every title heads a line, in the given order; heading marks and numbers before it do not matter."""
    lines = iter([_folded(line.lstrip("#*_ \t0123456789.)(-")) for line in _lines(answer)])
    return all(any(line.startswith(_folded(title)) for line in lines) for title in args["titles"])


CONSTRAINTS: Mapping[str, Constraint] = {
    "bullets": lambda answer, args: _within(sum(bool(_BULLET.match(line)) for line in _lines(answer)), args),
    "numbered": lambda answer, args: _within(sum(bool(_NUMBERED.match(line)) for line in _lines(answer)), args),
    "words": lambda answer, args: _within(len(words(answer)), args),
    "sentences": lambda answer, args: _within(count_sentences(answer), args),
    "paragraphs": lambda answer, args: _within(_paragraphs(answer), args),
    "lines": lambda answer, args: _within(len(_lines(answer)), args),
    "keywords": _keywords,
    "keyword_count": _keyword_count,
    "all_lower": lambda answer, args: answer == answer.lower() and any(map(str.isalpha, answer)),
    "all_upper": lambda answer, args: answer == answer.upper() and any(map(str.isalpha, answer)),
    "title_case": _title_case,
    "start": _starts,
    "repeat_prompt": _starts,
    "end": lambda answer, args: _folded(answer).endswith(_folded(args["text"])),
    "json": _json,
    "placeholders": lambda answer, args: _within(len(_PLACEHOLDER.findall(answer)), args),
    "no_commas": lambda answer, args: not set(",،，、፣") & set(answer),
    "quoted": _quoted,
    "letters": _letters,
    "separator": _separator,
    "word_max_length": lambda answer, args: all(len(word) <= args["n"] for word in re.findall(r"[^\W_]+", answer)),
    "sections": _sections,
    "letter_count": lambda answer, args: _within(answer.casefold().count(args["letter"].casefold()), args),
    "no_digits": lambda answer, args: not any(map(str.isdigit, answer)),
    "ends_question": lambda answer, args: answer.rstrip(" \t\n\"'”’»」*)").endswith(("?", "？", "؟", "፧")),
    "highlighted": lambda answer, args: _within(len(_HIGHLIGHT.findall(answer)), args),
}
"""Constraints by kind. `arguments.yaml` has their parameters."""
