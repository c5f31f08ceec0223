"""The status of a category over rounds: hysteresis, cool-down, and giving up.

An evaluation on its own judges a category without its history. A loop that acted on that alone would flip back and
forth on a category near its target, and pay forever for one that does not improve. Therefore:

- a weak category stays weak until its score reaches the target (it became weak at `min_gap` below the target);
- a recovered category is not targeted for `cool_down_rounds` rounds;
- a category that was targeted for `stuck_after` rounds without a significant paired gain is stuck: it gets no more
  tokens until the user names it, its score reaches the target, or a significant gain appears.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace

from sedi_dagster.records import CategoryOutcome


@dataclass(frozen=True)
class StatusRules:
    """When to stop targeting a category. `alpha` is the significance level of the test for a gain."""

    alpha: float = 0.05
    cool_down_rounds: int = 1
    stuck_after: int = 2


def status_over_rounds(
    judged: CategoryOutcome,
    before: CategoryOutcome | None,
    requested: bool,
    since: str,
    rules: StatusRules,
) -> CategoryOutcome:
    """Return a category's outcome after a round, taking the earlier rounds into account.

    Args:
        judged: the outcome based on this round's evaluation alone; if the category was weak, `gain_p` tests its gain
            since `before.since`.
        before: the outcome after the previous round; None after the first.
        requested: whether this round generated candidates for the category. A stuck one is only requested by the user.
        since: the round of the current checkpoint (empty: the untrained student).
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
    targeted = 1 if before.decision == "stuck" and requested else before.targeted + requested
    kept = replace(judged, since=before.since, targeted=targeted)
    if targeted >= rules.stuck_after:
        reason = (
            f"{judged.passed} of {judged.items} passed against a target of {judged.target_in_words}: no significant "
            f"gain since {before.since or 'the untrained student'} in {targeted} rounds that targeted it"
        )
        return replace(kept, decision="stuck", reason=reason)
    return replace(kept, decision="weak", reason=_not_reached(judged, "it was weak"))


def _recovered(judged: CategoryOutcome, since: str, rules: StatusRules) -> CategoryOutcome:
    """The outcome of a category that reached its target. It cools down, so that it does not flip back and forth."""
    reason = f"{judged.passed} of {judged.items} passed: its target of {judged.target_in_words} is reached"
    if rules.cool_down_rounds == 0:
        return replace(judged, decision="fine", since=since, reason=reason)
    return replace(judged, decision="cooling", cooling=rules.cool_down_rounds - 1, since=since, reason=reason)


def _not_reached(judged: CategoryOutcome, how: str) -> str:
    if judged.decision == "weak":
        return judged.reason
    return f"{judged.passed} of {judged.items} passed: {how} and has not reached its target of {judged.target_in_words}"


def stuck(outcomes: Collection[CategoryOutcome]) -> list[str]:
    """Return the categories that get no more tokens until the user names them."""
    return [outcome.category for outcome in outcomes if outcome.decision == "stuck"]
