"""One line of progress, as it stands in the Dagster log; `sedi run` reads it back for its display.

progress train 12/40 loss=2.314 tokens=5120
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

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


def parse_progress(text: str) -> ProgressLine | None:
    """The progress in a log message, None if it tells none."""
    found = _LINE.search(text)
    if found is None:
        return None
    figures = dict(pair.split("=", 1) for pair in found["figures"].split())
    return ProgressLine(
        found["stage"], int(found["done"]), int(found["total"]), {k: float(v) for k, v in figures.items()}
    )
