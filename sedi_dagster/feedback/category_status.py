"""The status of a category over rounds: hysteresis, cool-down, and giving up.

One evaluation judges a category without history. Acting on that alone, a loop would flip back and forth on a category
near its target, and pay forever for one that does not improve. Therefore:

- a weak category stays weak until its score reaches its target (it became weak at `min_gap` below it);
- a recovered category is not targeted for `cool_down_rounds` rounds;
- a category that `stuck_after` rounds targeted without a significant paired gain is stuck: it gets no more tokens until
  the user names it, its score reaches the target, or a significant gain appears.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace

from sedi_dagster.records import CategoryOutcome


@dataclass(frozen=True)
class StatusRules:
    """When a category is left alone. `alpha`: level of the test of a gain."""

    alpha: float = 0.05
    cool_down_rounds: int = 1
    stuck_after: int = 2


def status_over_rounds(
    judged: CategoryOutcome,
    before: CategoryOutcome | None,
    asked_for: bool,
    since: str,
    rules: StatusRules,
) -> CategoryOutcome:
    """A category's outcome after a round, with what the rounds before say about it.

    Args:
        judged: by this round's evaluation alone; `gain_p` is the gain since `before.since`, if it was weak.
        before: its outcome after the last round; None after the first.
        asked_for: whether this round asked for candidates of it; of a stuck one only a person asks, by name.
        since: the round whose checkpoint stands now (empty: the untrained student).
    """
    if before is None:
        return replace(judged, since=since)
    if before.cooling > 0:
        reason = f"{judged.reason}; cooling down after recovering"
        return replace(judged, decision="cooling", cooling=before.cooling - 1, since=since, reason=reason)
    if before.decision not in ("weak", "stuck"):
        return replace(judged, since=since)
    if judged.gap <= 0:
        return _recovered(judged, since, rules)
    gained = judged.gain_p is not None and judged.gain_p <= rules.alpha
    if gained:
        return replace(judged, decision="weak", since=since, targeted=0, reason=_not_reached(judged, "but gaining"))
    targeted = 1 if before.decision == "stuck" and asked_for else before.targeted + asked_for
    kept = replace(judged, since=before.since, targeted=targeted)
    if targeted >= rules.stuck_after:
        reason = (
            f"{judged.passed} of {judged.items} passed against a target of {judged.target_in_words}: no significant "
            f"gain since {before.since or 'the untrained student'} in {targeted} rounds that targeted it"
        )
        return replace(kept, decision="stuck", reason=reason)
    return replace(kept, decision="weak", reason=_not_reached(judged, "it was weak"))


def _recovered(judged: CategoryOutcome, since: str, rules: StatusRules) -> CategoryOutcome:
    """Its target is reached: no longer weak, and left alone for a while so that it does not come and go."""
    reason = f"{judged.passed} of {judged.items} passed: its target of {judged.target_in_words} is reached"
    if rules.cool_down_rounds == 0:
        return replace(judged, decision="fine", since=since, reason=reason)
    return replace(judged, decision="cooling", cooling=rules.cool_down_rounds - 1, since=since, reason=reason)


def _not_reached(judged: CategoryOutcome, how: str) -> str:
    if judged.decision == "weak":
        return judged.reason
    return f"{judged.passed} of {judged.items} passed: {how} and has not reached its target of {judged.target_in_words}"


def stuck(outcomes: Collection[CategoryOutcome]) -> list[str]:
    """Categories that are given up until a person looks at them."""
    return [outcome.category for outcome in outcomes if outcome.decision == "stuck"]
