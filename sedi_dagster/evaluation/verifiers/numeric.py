"""The verifier of a final number: reads the answer as graders of GSM8K (arXiv 2110.14168) and MATH do."""

import math
import re
import unicodedata
from bisect import bisect_left

from .text import Args, Score, european_digits, failed, passed, shown

_DIGITS = r"[0-9]+(?:[.,][0-9]+|['’ ][0-9]{3}(?![0-9]))*|\.[0-9]+"
_NUMBER = re.compile(
    rf"(?P<sign>(?<![\w)])[-+])?(?:(?P<whole>[0-9]{{1,9}})\s(?=[0-9]{{1,9}}/[0-9]))?"
    rf"(?P<top>{_DIGITS})(?P<exponent>e[-+]?[0-9]{{1,3}}(?![\w]))?"
    rf"(?:\s?/\s?(?P<bottom>{_DIGITS}))?(?P<percent>\s?%)?"
)
_INDIAN = re.compile(r"[0-9]{1,2}(?:,[0-9]{2})+,[0-9]{3}")
_SEPARATORS = str.maketrans("\u2212\u2013\u2044\u066b\u066c\u066a", "--/.,%")  # the last three are Arabic
_MARKER = re.compile(r"answer\W{0,4}is|answer\W{0,4}:|=|\\boxed|####")
_FRACTION = re.compile(r"\\[dt]?frac\{([0-9.,]{1,40})\}\{([0-9.,]{1,40})\}")
_LATEX_NOISE = re.compile(r"\{,\}|\\[,!; ]|\\text\{|[$€£¥]")
_SMALL = """zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen
sixteen seventeen eighteen nineteen"""
_TENS = {word: 20 + 10 * i for i, word in enumerate("twenty thirty forty fifty sixty seventy eighty ninety".split())}
_WORDS = {word: number for number, word in enumerate(_SMALL.split())} | _TENS
_UNREAD = frozenset({"hundred", "thousand", "million", "billion"})
_MAX_DIGITS = 300  # longer numbers overflow a float, and Python refuses to parse very long ones


def numeric(args: Args, answer: str, prompt: str) -> Score:
    """The final number of an answer.

    The final number is the first one after the last "answer is", "answer:", "=", "\\boxed{" or "####" that
    has one after it, else the last number of the text. Reads 1,234  -3  3.5  1/2  2 1/2  45%  $12  1e6, also as
    other languages write them: 3,5  1.234,56  1 234,56  1'234  12,34,567 and the digits of any script; and English
    number words when there is no digit. A percentage stands for itself and for its hundredth, and 1.234 for 1234 too.
    Score 1 or 0.
    Passes when the number is within `tolerance` (1e-6) of `value`.
    """
    values = final_number(answer)
    if not values:
        return failed("no number found", "no number")
    value, tolerance = float(args["value"]), float(args.get("tolerance", 1e-6))
    slack = max(tolerance, 1e-12 * abs(value))
    right = any(abs(found - value) <= slack for found in values)
    reason = f"final number {shown(f'{values[0]:g}')}"
    return passed(reason) if right else failed(reason, "wrong number")


def final_number(answer: str) -> list[float]:
    """The readings of the final number (a percentage has two), the likeliest first; none when there is no number."""
    text = european_digits(unicodedata.normalize("NFKC", answer)).lower().translate(_SEPARATORS)
    text = _LATEX_NOISE.sub("", _FRACTION.sub(r"\1/\2", text)).replace("\\%", "%")
    matches = list(_NUMBER.finditer(text))
    if not matches:
        return _number_word(text)
    last_start = matches[-1].start()
    markers = [marker.end() for marker in _MARKER.finditer(text) if marker.end() <= last_start]
    if not markers:
        return _read(matches[-1])
    starts = [found.start() for found in matches]
    return _read(matches[bisect_left(starts, markers[-1])])


def _read(found: re.Match[str]) -> list[float]:
    bottom = _plain(found["bottom"])[0] if found["bottom"] else 1.0
    if bottom == 0:
        return []
    sign = -1 if (found["sign"] or "").startswith("-") else 1
    power = float(f"1{found['exponent'] or ''}")
    values = [sign * (float(found["whole"] or 0) + top * power / bottom) for top in _plain(found["top"])]
    values = [value for value in values if math.isfinite(value)]
    return [reading for value in values for reading in (value, value / 100)] if found["percent"] else values


def _plain(digits: str) -> list[float]:
    """The values of digits with separators: of thousands where groups of three follow one, else of decimals."""
    if len(digits) > _MAX_DIGITS:
        return [math.inf]
    separators = re.findall(r"[.,'’ ]", digits)
    first, *groups = re.split(r"[.,'’ ]", digits)
    whole = float("".join([first, *groups]))
    if not groups:
        return [whole]
    decimal = float(f"{''.join([first, *groups[:-1]])}.{groups[-1]}")
    are_thousands = first[:1] not in ("", "0") and len(first) <= 3 and all(len(group) == 3 for group in groups)
    if separators == ["."]:
        return [decimal, whole] if are_thousands else [decimal]
    if len({*separators}) == 1 and (are_thousands or _INDIAN.fullmatch(digits)):
        return [whole]
    *earlier, last = separators
    if last in ".," and last not in earlier and len({*earlier}) < 2 and all(len(g) == 3 for g in groups[:-1]):
        return [decimal]
    return [float(groups[-1])]  # a list, a date or a version


def _number_word(text: str) -> list[float]:
    tokens = re.findall(r"[a-z]+", text)
    if _UNREAD.intersection(tokens):
        return []
    for index in range(len(tokens) - 1, -1, -1):
        value = _WORDS.get(tokens[index])
        if value is None:
            continue
        before = tokens[index - 1] if index else ""
        if 0 < value < 10 and before in _TENS:
            value, before = value + _TENS[before], tokens[index - 2] if index > 1 else ""
        return [float(-value if before in {"minus", "negative"} else value)]
    return []
