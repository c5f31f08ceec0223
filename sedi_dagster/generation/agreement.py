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
    """The answer that most of them agree with, itself included: its index, and how many. Of equals the first."""
    counts = [sum(agree(one, other, numeric) for other in answers) for one in answers]
    best = max(range(len(answers)), key=counts.__getitem__)
    return best, counts[best]


def agree(one: str, other: str, numeric: bool) -> bool:
    """Whether two answers say the same.

    Args:
        numeric: the answer is a number at the end of its working, which alone is compared.
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
    """Without case, quotes, bold marks, end punctuation, and the commas of 1,000."""
    return " ".join(_MARKS.sub(" ", _DIGITS_COMMA.sub("", answer.casefold())).split())


def _last_number(answer: str) -> float | None:
    found = _NUMBER.findall(answer)
    return float(found[-1]) if found else None
