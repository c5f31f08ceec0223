"""A category's target: the pass rate that the student is to reach, alone or relative to a student that is known.

In `categories.yaml`:

    target: 0.6                        60 % of the items
    target: untrained + 0.2            20 points above the untrained student
    target: best + 0.05                5 points above the best checkpoint before this round
    target: reference                  as good as the reference model (SEDI_EVALUATION_REFERENCE)
    target: [0.6, untrained + 0.2]     the lowest of several

What a target is relative to was measured on the same items. The words of a target go wherever its figure goes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sedi_dagster.errors import InputFileError
from sedi_dagster.records import AskedTarget, Category

REFERENCE = "reference"
MODELS = {
    "untrained": "the untrained student",
    "best": "the best checkpoint before",
    REFERENCE: "the reference model",
}
"""What a target may be relative to, and its name in messages."""

_RELATIVE = re.compile(rf"({'|'.join(MODELS)})(?:\s*\+\s*(0?\.\d+))?")
EXPECTED = (
    "a pass rate above 0, at most 1; untrained, best or reference, also with a gain (untrained + 0.2); "
    "or a list, of which the lowest holds"
)

Rates = Mapping[str, Mapping[str, tuple[int, int]]]
"""By what was measured (`MODELS`), then by category: items passed, and items."""


@dataclass(frozen=True)
class Target:
    """A target as it holds in a round.

    Attributes:
        rate: share of the items to pass.
        source: where it comes from, in words; empty for a rate that the user named.
        is_paired: the aim is to do as well as the reference model, so the two are compared item by item.
    """

    rate: float
    source: str = ""
    is_paired: bool = False

    def __str__(self) -> str:
        return f"{self.rate:.0%} ({self.source})" if self.source else f"{self.rate:.0%}"


def target_problem(asked: object) -> str | None:
    """What is wrong with a target as `categories.yaml` has it; None: nothing."""
    parts = asked if isinstance(asked, list | tuple) else [asked]
    wrong = [part for part in parts if not _is_target(part)]
    if parts and not wrong:
        return None
    return f"field 'target' is {wrong[0] if wrong else asked!r}; expected {EXPECTED}"


def _is_target(part: object) -> bool:
    if isinstance(part, str):
        return _RELATIVE.fullmatch(part.strip()) is not None
    return isinstance(part, int | float) and not isinstance(part, bool) and 0 < part <= 1


def asked_targets(categories: Mapping[str, Category], has_reference: bool) -> dict[str, AskedTarget]:
    """What each category's target is asked to be.

    A reference model that no category names is the target of all of them.
    """
    asked = {category.id: category.target for category in categories.values()}
    if has_reference and not any(_names_reference(_parts(target)) for target in asked.values()):
        return dict.fromkeys(asked, REFERENCE)
    return asked


def resolve(categories: Mapping[str, Category], measured: Rates) -> dict[str, Target]:
    """The target of each category as it holds now."""
    asked = asked_targets(categories, REFERENCE in measured)
    return {name: _lowest(name, _parts(target), measured) for name, target in asked.items()}


def check_reference(categories: Mapping[str, Category], reference: str) -> None:
    """Raise `InputFileError` if a target names the reference model and the settings name none."""
    wanting = [c.id for c in categories.values() if _names_reference(_parts(c.target))]
    if wanting and not reference:
        raise InputFileError(
            f"The target of {', '.join(wanting)} is the reference model's pass rate, but no reference model is set.",
            "Set SEDI_EVALUATION_REFERENCE to bundled:..., a folder or a hub name, or change the target.",
        )


def in_words(asked: AskedTarget) -> str:
    """A target before anything was measured: `60 %, or 20 points above the untrained student if that is less`."""
    parts = [_part_in_words(part) for part in _parts(asked)]
    return parts[0] if len(parts) == 1 else f"{parts[0]}, or {' or '.join(parts[1:])} if that is less"


def _part_in_words(part: float | str) -> str:
    if not isinstance(part, str):
        return f"{part:.0%}"
    model, points = _split(part)
    return f"{100 * points:.0f} points above {MODELS[model]}" if points else f"as good as {MODELS[model]}"


def _parts(asked: AskedTarget) -> Sequence[float | str]:
    return [asked] if isinstance(asked, int | float | str) else asked


def _split(part: str) -> tuple[str, float]:
    found = _RELATIVE.fullmatch(part.strip())
    assert found is not None, part  # checked when the file was read
    return found[1], float(found[2] or 0)


def _names_reference(parts: Sequence[float | str]) -> bool:
    return any(isinstance(part, str) and _split(part)[0] == REFERENCE for part in parts)


def _lowest(category: str, parts: Sequence[float | str], measured: Rates) -> Target:
    return min((_resolved(category, part, measured) for part in parts), key=lambda target: target.rate)


def _resolved(category: str, part: float | str, measured: Rates) -> Target:
    if not isinstance(part, str):
        return Target(float(part))
    model, points = _split(part)
    passed, items = measured[model].get(category, (0, 0))
    above = f"{100 * points:.0f} points above " if points else ""
    rate = min(1.0, passed / max(1, items) + points)
    return Target(round(rate, 9), f"{above}{MODELS[model]}'s {passed} of {items}", model == REFERENCE and not points)
