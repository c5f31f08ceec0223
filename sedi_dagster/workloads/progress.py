"""One line of progress, as it stands in the Dagster log; `sedi run` reads it back for its display.

progress train 12/40 loss=2.314 tokens=5120
"""

import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

SECONDS_BETWEEN_LINES = 2.0
_NUMBER = r"(?:[-+]?\d+(?:\.\d+)?(?:e[-+]?\d+)?|[-+]?inf|nan)"
_LINE = re.compile(
    rf"progress (?P<stage>[\w-]+) (?P<done>\d+)/(?P<total>\d+)(?P<figures>(?: \w+={_NUMBER})*)\s*$", re.ASCII
)


@dataclass(frozen=True)
class ProgressLine:
    """A stage with `done` of `total` steps, and its figures by name."""

    stage: str
    done: int
    total: int
    figures: Mapping[str, float]


def format_progress(stage: str, done: int, total: int, figures: Mapping[str, int | float]) -> str:
    """The line that `parse_progress` reads."""
    fields = "".join(
        f" {name}={value:.4g}" if isinstance(value, float) else f" {name}={int(value)}"
        for name, value in figures.items()
    )
    return f"progress {stage} {done}/{total}{fields}"


def throttled_progress(
    log: Callable[[str], None], stage: str, total_grows: bool = False
) -> Callable[[int, int, Mapping[str, int | float]], None]:
    """A `Progress` that writes a line every few seconds, and the last one (its caller does if the total grows)."""
    reported_at = 0.0

    def report(done: int, total: int, figures: Mapping[str, int | float]) -> None:
        nonlocal reported_at
        if (done == total and not total_grows) or time.monotonic() - reported_at > SECONDS_BETWEEN_LINES:
            reported_at = time.monotonic()
            log(format_progress(stage, done, total, figures))

    return report


def parse_progress(text: str) -> ProgressLine | None:
    """The progress in a log message, None if it tells none."""
    found = _LINE.search(text)
    if found is None:
        return None
    figures = dict(pair.split("=", 1) for pair in found["figures"].split())
    return ProgressLine(
        found["stage"], int(found["done"]), int(found["total"]), {k: float(v) for k, v in figures.items()}
    )
