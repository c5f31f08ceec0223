"""Figures as they are shown: pass rates with their intervals, counts, and text made safe to show."""

import math
import re
from dataclasses import dataclass
from datetime import datetime

import polars as pl

from sedi_dagster.evaluation.statistics import wilson_interval

_UNPRINTABLE = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\x80-\x9f\ud800-\udfff\ufffe\uffff]")
LONGEST_TEXT = 1200


@dataclass(frozen=True)
class Rate:
    """So many of so many, with the Wilson score interval (Wilson 1927)."""

    passed: int
    items: int

    @property
    def share(self) -> float:
        return self.passed / self.items if self.items else 0.0

    @property
    def low(self) -> float:
        return self._interval()[0]

    @property
    def high(self) -> float:
        return self._interval()[1]

    def _interval(self) -> tuple[float, float]:
        return wilson_interval(self.passed, self.items) if self.items else (0.0, 1.0)


def pass_rate(items: pl.DataFrame) -> Rate | None:
    """The pass rate over evaluation items; None if there are none (not measured is not 0)."""
    return Rate(int(items["passed"].sum()), items.height) if items.height else None


def count(number: float | None) -> str:
    """A whole number with thousands separators."""
    return "-" if number is None else f"{number:,.0f}"


def percent(share: float | None) -> str:
    """A share as whole percent. A positive share never reads 0%, one below 1 never 100%."""
    if share is None:
        return "-"
    if 0 < share < 0.005:
        return "<1%"
    if 0.995 <= share < 1:
        return ">99%"
    return f"{100 * share:.0f}%"


def points(difference: float | None) -> str:
    """A difference of shares in percentage points, with its sign."""
    if difference is None:
        return "-"
    text = f"{100 * difference:+.0f}"
    return "0" if text in ("+0", "-0") else text.replace("-", "\u2212")


def decimal(number: float | None, digits: int = 2) -> str:
    """A number with a fixed number of digits; very small ones in scientific form."""
    if number is None or math.isnan(number):
        return "-"
    return f"{number:.{digits}f}" if number == 0 or abs(number) >= 10**-digits / 2 else f"{number:.1e}"


def measured(number: float | None) -> str:
    """What a rule measured: whole numbers without digits, others with two."""
    if number is None:
        return "-"
    return count(number) if number == int(number) and abs(number) != 1 else decimal(number)


def p_value(p: float) -> str:
    """A p-value with two digits that tell; a tiny one as a bound."""
    return "< 0.0001" if p < 0.0001 else f"{p:.2g}"


def p_equation(p: float) -> str:
    """The same with its sign: `= 0.02`, `< 0.0001`."""
    return p_value(p) if p < 0.0001 else f"= {p_value(p)}"


def duration(seconds: float | None) -> str:
    """Seconds, minutes or hours, whichever reads best."""
    if seconds is None:
        return "-"
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def usd(amount: float) -> str:
    """An amount of money; cents of cents when it is small."""
    return f"${amount:,.2f}" if amount >= 1 or amount == 0 else f"${amount:.4f}"


def words(name: str) -> str:
    """An identifier as words: `closed_qa` to `closed qa`."""
    return name.replace("_", " ")


def moment(iso: str) -> str:
    """An ISO 8601 time to the minute; any other text as it is."""
    try:
        when = datetime.fromisoformat(iso)
    except ValueError:
        return iso
    return f"{when:%Y-%m-%d %H:%M} {when.tzname() or ''}".rstrip()


def printable(text: str) -> str:
    """The text without what no page can carry: control characters and lone surrogates become U+FFFD."""
    return _UNPRINTABLE.sub("\ufffd", text)


def one_line(text: str, longest: int) -> str:
    """The text for a line of a terminal: white space and what is not printable replaced, its end cut."""
    return clip(printable(" ".join(text.split())), longest)


def clip(text: str, longest: int = LONGEST_TEXT) -> str:
    """The text, or its start and how much is left out."""
    return text if len(text) <= longest else f"{text[:longest].rstrip()} [{len(text) - longest:,} more characters]"
