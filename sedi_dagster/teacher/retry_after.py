"""How long an endpoint asks to wait: from headers, error fields or error messages. Pure functions."""

import email.utils
import math
import re
import time
from collections.abc import Mapping
from datetime import UTC, datetime

LONGEST_WAIT_S = 366 * 86_400.0
WAIT_FIELD = re.compile(
    r"(?:retry[-_]?(?:after|delay|in)|x-ratelimit-reset|(?:quota_?)?resets?(?:_?(?:at|in|after|time))?|wait|estimated_time)"
    r"(?:_?(?:ms|s|sec|seconds|time))?"
)
"""Names, in lower case, of error fields that contain it."""

_SECONDS = {
    r"m(?:s|sec|illi\w+)": 0.001,
    r"s(?:e[ckg]\w*)?|сек\w*|saniye|giây|秒|초": 1.0,
    r"m(?:in\w*)?|мин\w*|dakika|phút|分[钟鐘]?|분": 60.0,
    r"h(?:rs?|our\w*|eure\w*)?|hora\w*|or[ae]|stunden?|час\w*|saat|giờ|小时|小時|時間|시간": 3600.0,
    r"d(?:ays?|[ií]as?)?|tage?n?|jours?|天|日": 86_400.0,
}
"""Units of time in the languages of error messages, in seconds."""
_UNIT = "|".join(_SECONDS)
_AMOUNT = re.compile(rf"(\d+(?:\.\d+)?)\s*({_UNIT})(?![^\W\d_])", re.IGNORECASE)
_DURATION = rf"(?:\d+(?:\.\d+)?\s*(?:{_UNIT})(?![a-z])[\s,]*(?:and\s+)?)+"
_CLOCK = r"(?:\d+:)?\d?\d:\d\d(?:\.\d+)?"
"""Hours, minutes and seconds; in a sentence this may be a time of day."""
_WORDS = re.compile(
    rf"(?:try again|retry|wait|come back|available|reset|réessay|patient|int[eé]nt|tente|riprova|повтор|thử lại)\w*"
    rf"[^.\d]{{0,30}}({_DURATION})|({_DURATION})(?:[后後후]|erneut|nochmal|wieder|sonra)|"
    rf"(?:try again|retry|available|reset|replenish)\w* (?:in|after) ({_CLOCK})(?![\d:])|"
    r"retry[ _-]?(?:after|delay|in)\W{0,4}(?:seconds\W{0,3})?(\d+(?:\.\d+)?)(?=\W*(?:[,;}]|\Z))",
    re.IGNORECASE,
)
_DATE = re.compile(
    r"(?:again|retry|reset|regain|resume|until)\w*[^.\d]{0,40}(\d{4}-\d\d-\d\d.{0,22})|(\d{4}-\d\d-\d\d.{0,22}?)\s*(?:重置|恢复)",
    re.IGNORECASE,
)
_MOMENT = re.compile(r"(\d{4}-\d\d-\d\d)(?:T|\s|\sat\s)?(\d\d:\d\d(?::\d\d)?)?(?:\.\d+)?\s*(Z|UTC|GMT|[+-]\d\d:?\d\d)?")
_RESET = re.compile(r"rate-?limit.*reset")
_LEFT = re.compile(r"(?:remaining|\br)=(\d+).*?(?:reset|\bt)=(\d+)")
"""In the header `ratelimit` of the IETF's drafts."""
_EPOCH_S = 1e9
"""A number of at least this is a point in time (seconds since 1970) and not a duration."""


def from_headers(headers: Mapping[str, str]) -> float | None:
    """Return the seconds in `retry-after` or a similar header; else until all exhausted rate limits are reset."""
    names = {name.lower(): value.strip(' "') for name, value in headers.items()}
    for name in ("retry-after-ms", "x-ms-retry-after-ms", "retry-after", "x-retry-after"):
        wait_s = seconds(names.get(name, ""), 0.001 if name.endswith("-ms") else 1.0)
        if wait_s is not None:
            return wait_s
    resets = [
        seconds(value)
        for name, value in names.items()
        if _RESET.search(name) and names.get(name.replace("-reset", "-remaining", 1), "0") == "0"
    ]
    resets += [seconds(reset) for left, reset in _LEFT.findall(names.get("ratelimit", "")) if left == "0"]
    return max((wait_s for wait_s in resets if wait_s is not None), default=None)


def from_words(text: str) -> float | None:
    """Return the seconds in a sentence such as `Please try again in 7h12m` or `请在 10 秒后重试`; None without one."""
    found = _WORDS.search(text)
    if found:
        return seconds(found[found.lastindex or 0])
    named = _DATE.search(text)
    moment = _MOMENT.match(named[1] or named[2]) if named else None
    if moment is None:
        return None
    zone = "+00:00" if moment[3] in ("Z", "UTC", "GMT") else moment[3]
    at = f"{moment[1]}T{moment[2] or '00:00'}"  # without a zone it is the reader's, as in a dashboard
    return seconds(f"{at}{zone}" if zone else datetime.fromisoformat(at).astimezone().isoformat()) or None


def from_field(name: str, value: str) -> float | None:
    """Return the seconds in the value of a field (`WAIT_FIELD`)."""
    return seconds(value, 0.001 if name.endswith("ms") else 1.0)


def _unit_s(unit: str) -> float:
    return next(value for pattern, value in _SECONDS.items() if re.fullmatch(pattern, unit, re.IGNORECASE))


def seconds(value: str, scale: float = 1.0) -> float | None:
    """Convert a number, a duration (`1m30s`) or a date (HTTP, ISO 8601, seconds since 1970) to seconds from now.

    Returns:
        Between 0 and a year; None if the value is none of these.
    """
    try:
        number = float(value) * scale
    except ValueError:
        value = re.sub(r"^\s*PT", "", value)  # ISO 8601: PT1M30S
        amounts = _AMOUNT.findall(value) if re.fullmatch(rf"\s*{_DURATION}", value, re.IGNORECASE) else []
        if re.fullmatch(_CLOCK, value):
            amounts = list(zip(reversed(value.split(":")), "smh", strict=False))
        number = sum(float(n) * _unit_s(unit) for n, unit in amounts) if amounts else _until(value)
    else:
        if scale == 1.0 and number >= 1000 * _EPOCH_S and not math.isinf(number):
            number /= 1000
        if scale == 1.0 and _EPOCH_S <= number < 10 * _EPOCH_S:
            number -= time.time()
    return None if math.isnan(number) else min(LONGEST_WAIT_S, max(0.0, number))


def _until(date: str) -> float:
    for read in (email.utils.parsedate_to_datetime, datetime.fromisoformat):
        try:
            at = read(date)
            return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() - time.time()
        except (ValueError, TypeError, OverflowError):
            continue
    first, comma, _ = date.partition(",")  # the header twice, joined
    return (seconds(first) if comma and first.strip().isdigit() else None) or math.nan
