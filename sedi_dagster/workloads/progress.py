"""Progress lines in the Dagster log, which `sedi run` parses for its display.

progress train 12/40 loss=2.314 tokens=5120
"""

import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

_INTERVAL_S = 2.0
_NUMBER = r"(?:[-+]?\d+(?:\.\d+)?(?:e[-+]?\d+)?|[-+]?inf|nan)"
_LINE = re.compile(
    rf"progress (?P<stage>[\w-]+) (?P<done>\d+)/(?P<total>\d+)(?P<figures>(?: \w+={_NUMBER})*)\s*$", re.ASCII
)


@dataclass(frozen=True)
class ProgressLine:
    """The progress of a stage: `done` of `total` steps, and further figures by name."""

    stage: str
    done: int
    total: int
    figures: Mapping[str, float]


def format_progress(stage: str, done: int, total: int, figures: Mapping[str, int | float]) -> str:
    """Return the line that `parse_progress` reads."""
    fields = "".join(
        f" {name}={value:.4g}" if isinstance(value, float) else f" {name}={int(value)}"
        for name, value in figures.items()
    )
    return f"progress {stage} {done}/{total}{fields}"


def throttled_progress(
    log: Callable[[str], None], stage: str, total_grows: bool = False
) -> Callable[[int, int, Mapping[str, int | float]], None]:
    """Return a `Progress` that logs a line at most every two seconds, and always the last one.

    Args:
        total_grows: the total may still grow, so the last line cannot be recognised; the caller has to log it.
    """
    reported_at = 0.0

    def report(done: int, total: int, figures: Mapping[str, int | float]) -> None:
        nonlocal reported_at
        if (done == total and not total_grows) or time.monotonic() - reported_at > _INTERVAL_S:
            reported_at = time.monotonic()
            log(format_progress(stage, done, total, figures))

    return report


def parse_progress(text: str) -> ProgressLine | None:
    """Return the progress in a log message; None if it contains none."""
    match = _LINE.search(text)
    if match is None:
        return None
    pairs = (pair.split("=", 1) for pair in match["figures"].split())
    figures = {name: float(value) for name, value in pairs}
    return ProgressLine(match["stage"], int(match["done"]), int(match["total"]), figures)
