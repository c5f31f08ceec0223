"""Whether two answers agree, and which of several agrees with most others."""

import re
from collections.abc import Sequence

from rapidfuzz.distance import Indel

LONG_ANSWER = 12
"""Words from which on an answer is compared as a text; a shorter one (a label, a fact) must be the same."""
SIMILAR = 0.5
"""ROUGE-L F1 from which on two long answers agree: of two 40-word answers, 20 words in the same order."""

_WORD = re.compile(r"[a-z0-9]+|\w")  # other scripts by character: not all of them put blanks between words
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
_DIGITS_COMMA = re.compile(r"(?<=\d),(?=\d{3}\b)")
_MARKS = re.compile(r"[*_`\"'“”‘’]+|[.!?,;:。！？、]+(?=\s|$)")


def most_agreed(answers: Sequence[str], numeric: bool) -> tuple[int, int]:
    """Return the index of the answer that most answers agree with (the first of equals), and their number."""
    counts = [sum(agree(one, other, numeric) for other in answers) for one in answers]
    best = max(range(len(answers)), key=counts.__getitem__)
    return best, counts[best]


def agree(one: str, other: str, numeric: bool) -> bool:
    """Return whether two answers say the same.

    Args:
        numeric: the answers are worked solutions, of which only the last number is compared.
    """
    one, other = _plain(one), _plain(other)
    if one == other:
        return True
    if numeric:
        return _last_number(one) is not None and _last_number(one) == _last_number(other)
    words, other_words = _WORD.findall(one), _WORD.findall(other)
    if min(len(words), len(other_words)) < LONG_ANSWER:
        return False
    return bool(Indel.normalized_similarity(words, other_words) >= SIMILAR)


def _plain(answer: str) -> str:
    """Normalize an answer: no case, quotes, bold marks, end punctuation or thousands separators."""
    return " ".join(_MARKS.sub(" ", _DIGITS_COMMA.sub("", answer.casefold())).split())


def _last_number(answer: str) -> float | None:
    found = _NUMBER.findall(answer)
    return float(found[-1]) if found else None
