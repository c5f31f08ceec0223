"""Targets of categories: pass rates that the student should reach, absolute or relative to another student's.

In `categories.yaml`:

    target: 0.6                        60 % of the items
    target: untrained + 0.2            20 points above the untrained student
    target: best + 0.05                5 points above the best checkpoint before this round
    target: reference                  as good as the reference model (SEDI_EVALUATION_REFERENCE)
    target: [0.6, untrained + 0.2]     the lowest of several

Relative targets use pass rates on the same items. Messages and reports show a target with its source.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sedi_dagster.errors import InputFileError
from sedi_dagster.records import Category, TargetSpec

REFERENCE = "reference"
MODELS = {
    "untrained": "the untrained student",
    "best": "the best checkpoint before",
    REFERENCE: "the reference model",
}
"""Students that a target may be relative to, with their names in messages."""

_RELATIVE = re.compile(rf"({'|'.join(MODELS)})(?:\s*\+\s*(0?\.\d+))?")
EXPECTED = (
    "a pass rate above 0, at most 1; untrained, best or reference, also with a gain (untrained + 0.2); "
    "or a list, of which the lowest holds"
)

Rates = Mapping[str, Mapping[str, tuple[int, int]]]
"""(items passed, items) by student (a key of `MODELS`) and category."""


@dataclass(frozen=True)
class Target:
    """The target of a category in a round.

    Attributes:
        rate: pass rate to reach.
        source: what the rate is derived from, as text; empty for a fixed rate.
        is_paired: the target is the reference model's own rate, so the two are compared item by item.
    """

    rate: float
    source: str = ""
    is_paired: bool = False

    def __str__(self) -> str:
        return f"{self.rate:.0%} ({self.source})" if self.source else f"{self.rate:.0%}"


def target_problem(spec: object) -> str | None:
    """Return what is wrong with a target in `categories.yaml`; None if it is valid."""
    parts = spec if isinstance(spec, list | tuple) else [spec]
    wrong = [part for part in parts if not _is_target(part)]
    if parts and not wrong:
        return None
    return f"field 'target' is {wrong[0] if wrong else spec!r}; expected {EXPECTED}"


def _is_target(part: object) -> bool:
    if isinstance(part, str):
        return _RELATIVE.fullmatch(part.strip()) is not None
    return isinstance(part, int | float) and not isinstance(part, bool) and 0 < part <= 1


def target_specs(categories: Mapping[str, Category], has_reference: bool) -> dict[str, TargetSpec]:
    """Return the target of each category before anything is measured.

    If a reference model is set and no category mentions it, it is the target of all categories.
    """
    specs = {category.id: category.target for category in categories.values()}
    if has_reference and not any(_uses_reference(spec) for spec in specs.values()):
        return dict.fromkeys(specs, REFERENCE)
    return specs


def resolve(categories: Mapping[str, Category], measured: Rates) -> dict[str, Target]:
    """Return the target of each category, given the measured pass rates."""
    specs = target_specs(categories, REFERENCE in measured)
    return {
        name: min((_resolve(name, part, measured) for part in _parts(spec)), key=lambda target: target.rate)
        for name, spec in specs.items()
    }


def check_reference(categories: Mapping[str, Category], reference: str) -> None:
    """Raise `InputFileError` if a target mentions the reference model, but none is set (`reference` is empty)."""
    dependent = [category.id for category in categories.values() if _uses_reference(category.target)]
    if dependent and not reference:
        raise InputFileError(
            f"The target of {', '.join(dependent)} is the reference model's pass rate, but no reference model is set.",
            "Set SEDI_EVALUATION_REFERENCE to bundled:..., a folder or a hub name, or change the target.",
        )


def describe_target(spec: TargetSpec) -> str:
    """Return a target as text, such as `60%, or 20 points above the untrained student if that is less`."""
    parts = [_describe_part(part) for part in _parts(spec)]
    return parts[0] if len(parts) == 1 else f"{parts[0]}, or {' or '.join(parts[1:])} if that is less"


def _describe_part(part: float | str) -> str:
    if not isinstance(part, str):
        return f"{part:.0%}"
    model, points = _split(part)
    return f"{100 * points:.0f} points above {MODELS[model]}" if points else f"as good as {MODELS[model]}"


def _parts(spec: TargetSpec) -> Sequence[float | str]:
    return [spec] if isinstance(spec, int | float | str) else spec


def _split(part: str) -> tuple[str, float]:
    match = _RELATIVE.fullmatch(part.strip())
    assert match is not None, part  # checked when the file was read
    return match[1], float(match[2] or 0)


def _uses_reference(spec: TargetSpec) -> bool:
    return any(isinstance(part, str) and _split(part)[0] == REFERENCE for part in _parts(spec))


def _resolve(category: str, part: float | str, measured: Rates) -> Target:
    if not isinstance(part, str):
        return Target(float(part))
    model, points = _split(part)
    passed, items = measured[model].get(category, (0, 0))
    above = f"{100 * points:.0f} points above " if points else ""
    rate = min(1.0, passed / max(1, items) + points)
    return Target(round(rate, 9), f"{above}{MODELS[model]}'s {passed} of {items}", model == REFERENCE and not points)
