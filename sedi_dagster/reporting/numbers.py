"""Formatting of pass rates, counts and other figures, and making text safe to show."""

import math
import re
from dataclasses import dataclass
from datetime import datetime

import polars as pl

from sedi_dagster.evaluation.statistics import wilson_interval

_UNPRINTABLE = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\x80-\x9f\ud800-\udfff\ufffe\uffff]")
MAX_TEXT_LENGTH = 1200


@dataclass(frozen=True)
class Rate:
    """A pass rate with its Wilson score interval (Wilson 1927)."""

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
    """Return the pass rate over evaluation items; None if there are none, as not measured differs from 0."""
    return Rate(int(items["passed"].sum()), items.height) if items.height else None


def count(number: float | None) -> str:
    """Format a whole number with thousands separators."""
    return "-" if number is None else f"{number:,.0f}"


def percent(share: float | None) -> str:
    """Format a share as whole percent. Only 0 gives 0%, and only 1 gives 100%."""
    if share is None:
        return "-"
    if 0 < share < 0.005:
        return "<1%"
    if 0.995 <= share < 1:
        return ">99%"
    return f"{100 * share:.0f}%"


def points(difference: float | None) -> str:
    """Format a difference of shares in percentage points, with its sign."""
    if difference is None:
        return "-"
    text = f"{100 * difference:+.0f}"
    return "0" if text in ("+0", "-0") else text.replace("-", "\u2212")


def decimal(number: float | None, digits: int = 2) -> str:
    """Format a number with a fixed number of digits, or in scientific notation if it is very small."""
    if number is None or math.isnan(number):
        return "-"
    return f"{number:.{digits}f}" if number == 0 or abs(number) >= 10**-digits / 2 else f"{number:.1e}"


def measured(number: float | None) -> str:
    """Format a rule's measurement: whole numbers without decimals, others with two."""
    if number is None:
        return "-"
    return count(number) if number == int(number) and abs(number) != 1 else decimal(number)


def p_value(p: float) -> str:
    """Format a p-value with two significant digits, or as `< 0.0001`."""
    return "< 0.0001" if p < 0.0001 else f"{p:.2g}"


def p_equation(p: float) -> str:
    """Format a p-value with its relation: `= 0.02` or `< 0.0001`."""
    return p_value(p) if p < 0.0001 else f"= {p_value(p)}"


def duration(seconds: float | None) -> str:
    """Format a duration in seconds, minutes or hours."""
    if seconds is None:
        return "-"
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def usd(amount: float) -> str:
    """Format an amount in USD, with four decimals if it is below $1."""
    return f"${amount:,.2f}" if amount >= 1 or amount == 0 else f"${amount:.4f}"


def words(name: str) -> str:
    """Format an identifier as words, such as `closed_qa` as `closed qa`."""
    return name.replace("_", " ")


def moment(iso: str) -> str:
    """Format an ISO 8601 time to the minute. Other text is returned unchanged."""
    try:
        when = datetime.fromisoformat(iso)
    except ValueError:
        return iso
    return f"{when:%Y-%m-%d %H:%M} {when.tzname() or ''}".rstrip()


def printable(text: str) -> str:
    """Replace control characters and lone surrogates, which a page cannot contain, by U+FFFD."""
    return _UNPRINTABLE.sub("\ufffd", text)


def one_line(text: str, limit: int) -> str:
    """Return text for one line of a terminal: with single spaces, printable and clipped."""
    return clip(printable(" ".join(text.split())), limit)


def clip(text: str, limit: int = MAX_TEXT_LENGTH) -> str:
    """Truncate text to `limit` characters, and say how many were removed."""
    return text if len(text) <= limit else f"{text[:limit].rstrip()} [{len(text) - limit:,} more characters]"
