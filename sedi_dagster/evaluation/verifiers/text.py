"""Common ground of the verifiers: the score they return and the way they read text.

Belongs here: normalisation, word lists, whole-word search, token F1, hardening of an answer before it is
judged.
Does not belong here: any verdict. Everything is linear in the length of the text.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

import regex

from sedi_dagster.texts.words import has_unspaced, segments

Args = Mapping[str, Any]

MAX_ANSWER_CHARS = 20_000
"""A longer answer fails every verifier: no item asks for one, and judging it would cost time without end."""

_MAX_MARKS_IN_A_ROW = 30  # the limit of Unicode's stream-safe text format (UAX 15)
_ARTICLES = frozenset({"a", "an", "the"})
_THOUSANDS_COMMA = re.compile(r"(?<=[0-9]),(?=[0-9]{3}(?![0-9]))")
_MINUS = re.compile(r"(?<![\w)])-(?=[0-9])")
_KOREAN = re.compile(r"[가-힣]\Z")
_KOREAN_ENDING = (
    "(?:입니다|이에요|예요|이다|이며|이고|이라고|라고|에서는|에서|에게|에는|에|으로|로|부터|까지|처럼|보다|은|는|이|가|"
    "을|를|의|와|과|도|만|요)?"
)
"""Particles and forms of "to be" that Korean writes to a noun without a space."""
_NOT_A_WORD = regex.compile(r"(?:[^\w.]|_|(?<![0-9])\.|\.(?![0-9]))+")


ErrorKind = Literal[
    "empty", "cut off", "too long", "too short", "wrong answer", "wrong number", "no number", "wrong choice",
    "no clear choice", "wrong label", "no clear label", "missing fact", "something wrong added", "copied", "no JSON",
    "wrong field", "extra field", "too few items", "too many items", "repeated items", "missing constraint",
    "no code", "code does not run", "wrong result", "too slow",
]  # fmt: skip
"""What can be wrong with an answer: a closed set, so that no text of an item or an answer can travel in it."""


@dataclass(frozen=True)
class Score:
    """A verifier's judgement: how right the answer is in [0, 1], whether it passes, why, and the kinds of error."""

    score: float
    passed: bool
    reason: str
    errors: tuple[ErrorKind, ...] = ()


def passed(reason: str = "all conditions hold", score: float = 1.0) -> Score:
    """A passing judgement."""
    return Score(min(1.0, max(0.0, score)), True, reason)


def failed(reason: str, *errors: ErrorKind, score: float = 0.0) -> Score:
    """A failing judgement with its kinds of error; `score` keeps what was right of it."""
    return Score(min(1.0, max(0.0, score)), False, reason, tuple(dict.fromkeys(errors)))


def shown(text: object, limit: int = 60) -> str:
    """`text` made safe to quote in a reason: short, on one line, and encodable as UTF-8."""
    line = " ".join(str(text)[: 4 * limit].split()).encode("utf-8", "replace").decode("utf-8")
    line = "".join(char if char.isprintable() else "?" for char in line)
    return repr(line if len(line) <= limit else line[:limit] + "...")


def harden(text: str) -> str:
    """The answer with Unix line ends and no endless runs of combining marks.

    Unicode normalisation sorts a run of marks in quadratic time, so a run is cut at 30.
    """
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    if text.isascii():
        return text
    kept, run = [], 0
    for char in text:
        run = run + 1 if unicodedata.combining(char) else 0
        if run <= _MAX_MARKS_IN_A_ROW:
            kept.append(char)
    return "".join(kept)


def is_too_long(answer: str) -> bool:
    """Whether an answer is beyond `MAX_ANSWER_CHARS`, as it stands or with its ligatures spelled out.

    One character can stand for 18 others in Unicode's compatibility form.
    """
    if len(answer) > MAX_ANSWER_CHARS:
        return True
    if answer.isascii():
        return False
    return len(unicodedata.normalize("NFKC", harden(answer))) > 2 * MAX_ANSWER_CHARS


def european_digits(text: str) -> str:
    """The text with the digits 0 to 9 for those of other scripts."""
    return text if text.isascii() else re.sub(r"\d", lambda digit: str(unicodedata.decimal(digit[0])), text)


def normalise(text: str) -> str:
    """NFKC, casefold, punctuation to spaces, no articles, single spaces.

    Numbers stay whole ("1,200" is "1200", "3.5" stays, "-3" is "minus 3"), so that "3" is not found in "3.5", and have
    European digits in every script.
    A text made of articles alone keeps them, so that the option "A" does not vanish. Scripts without spaces between
    words (Chinese, Japanese, Thai ...) are given them, so that words are counted and compared in every script.
    """
    text = european_digits(unicodedata.normalize("NFKC", text)).replace("\u2212", "-").casefold()
    text = _MINUS.sub(" minus ", _THOUSANDS_COMMA.sub("", text))
    tokens = [word for token in _NOT_A_WORD.sub(" ", text).split() for word in segments(token)]
    return " ".join([token for token in tokens if token not in _ARTICLES] or tokens)


def words(text: str) -> list[str]:
    """The words of a text as a reader counts them: runs without white space which hold a letter or digit; in scripts
    without spaces, words as ICU cuts them."""
    return [
        word
        for token in text.split()
        for word in (segments(token) if has_unspaced(token) else (token,))
        if any(char.isalnum() for char in word)
    ]


def occurs(phrase: str, text: str, normalised: str | None = None) -> bool:
    """Whether `phrase` occurs in `text` as whole words, both normalised.

    A phrase of punctuation alone ("<=") is looked up as it stands. Pass `normalised` to normalise a text
    once.
    """
    wanted = normalise(phrase)
    if not wanted:
        return bool(phrase.strip()) and phrase.strip().casefold() in text.casefold()
    return _words_pattern(wanted).search(normalise(text) if normalised is None else normalised) is not None


@lru_cache(maxsize=4096)
def _words_pattern(phrase: str) -> re.Pattern[str]:
    """Finds a normalised phrase as whole words in a normalised text."""
    if has_unspaced(phrase):  # where a word ends there depends on what surrounds it
        return re.compile(" ?".join(map(re.escape, phrase.replace(" ", ""))))
    ending = _KOREAN_ENDING if _KOREAN.search(phrase) else ""
    return re.compile(rf"(?<!\S){re.escape(phrase)}{ending}(?!\S)")


def first_occurring(phrases: Iterable[str], text: str, normalised: str) -> str | None:
    """The first of `phrases` which occurs in the text, or None."""
    return next((phrase for phrase in phrases if occurs(phrase, text, normalised)), None)


def names_occurring(spellings: Mapping[str, Sequence[str]], normalised: str) -> set[str]:
    """Which names occur in a normalised text by one of their spellings, longer spellings first.

    What a longer spelling has taken is not read again, so "not spam" is not also "spam".
    """
    found: set[str] = set()
    pairs = [(normalise(spelling), name) for name, known in spellings.items() for spelling in known]
    for spelling, name in sorted(pairs, key=lambda pair: -len(pair[0])):
        if not spelling:
            continue
        rest = _words_pattern(spelling).sub("|", normalised)
        if rest != normalised:
            found.add(name)
            normalised = rest
    return found


def token_f1(left: Counter[str], right: Counter[str]) -> float:
    """F1 over tokens as in SQuAD (arXiv 1606.05250, section 6.1)."""
    total = left.total() + right.total()
    if not total:
        return 0.0
    fewer, more = (left, right) if len(left) <= len(right) else (right, left)
    return 2 * sum(min(count, more[token]) for token, count in fewer.items() if token in more) / total
