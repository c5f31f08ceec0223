"""The planner: one pure function from the history of rounds to the next round plan, or a reason to stop.

Everyone who starts a round asks it: `weak_category_sensor`, `nightly_regeneration`, the job `open_round`, `sedi run`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sedi_dagster.records import CategoryOutcome, CategoryPlan, RoundOutcome, RoundPlan, round_key

MOST_PER_CATEGORY = 2.0  # a category with a wide gap gets at most this many times the usual number of candidates
LEAST_PER_CATEGORY = 0.5


@dataclass(frozen=True)
class Stop:
    """No round is to be started, and why."""

    reason: str


@dataclass(frozen=True)
class PlanRequest:
    """What a planner is asked. `categories`: ask for these, weak or not (a person chose); None: decide by evidence."""

    trigger: str
    categories: tuple[str, ...] | None = None
    candidates_per_category: int = 10
    target_round: int = 0
    max_rounds: int = 20
    max_tokens: int | None = None
    max_tokens_per_round: int | None = None
    plateau_rounds: int = 4


def plan_round(
    request: PlanRequest,
    known_categories: Sequence[str],
    plans: Sequence[RoundPlan],
    finished: Sequence[RoundOutcome],
) -> RoundPlan | Stop:
    """The next round, or why there is none.

    Args:
        known_categories: ids of all categories.
        plans: every plan so far; at most one of them without an outcome.
        finished: outcomes of the finished rounds, in order.
    """
    stop = _reason_to_stop(request, plans, finished)
    if stop:
        return Stop(stop)
    if request.categories is not None:
        wanted = [
            CategoryPlan(c, request.candidates_per_category, f"asked for ({request.trigger})")
            for c in dict.fromkeys(request.categories)
        ]
    elif not finished:
        wanted = [
            CategoryPlan(c, request.candidates_per_category, "first round: nothing is known yet")
            for c in known_categories
        ]
    else:
        wanted = _for_weak(finished[-1], known_categories, request.candidates_per_category)
        if not wanted:
            return Stop(f"no category is weak after {finished[-1].round}")
    if not wanted:
        return Stop("no category is asked for")
    spent = sum(outcome.tokens for outcome in finished)
    left = None if request.max_tokens is None else request.max_tokens - spent
    caps = [cap for cap in (request.max_tokens_per_round, left) if cap is not None]
    number = max((plan.number for plan in plans), default=0) + 1
    return RoundPlan(
        round=round_key(number),
        parent=plans[-1].round if plans else None,
        trigger=request.trigger,
        categories=tuple(wanted),
        target_round=max(request.target_round, number),
        max_tokens=min(caps) if caps else None,
    )


def _reason_to_stop(request: PlanRequest, plans: Sequence[RoundPlan], finished: Sequence[RoundOutcome]) -> str:
    done = {outcome.round for outcome in finished}
    still_open = [plan.round for plan in plans if plan.round not in done]
    if still_open:
        return f"{still_open[0]} is still open"
    if len(plans) >= request.max_rounds:
        return f"the limit of {request.max_rounds} rounds is reached (SEDI_LOOP_MAX_ROUNDS)"
    spent = sum(outcome.tokens for outcome in finished)
    if request.max_tokens is not None and spent >= request.max_tokens:
        return f"the budget is spent: {spent:,} of {request.max_tokens:,} teacher tokens (SEDI_LOOP_MAX_TOKENS)"
    scores = [outcome.score for outcome in finished]
    recent = scores[-request.plateau_rounds :]
    if (
        request.categories is None
        and len(scores) > request.plateau_rounds
        and max(recent) <= max(scores[: -request.plateau_rounds])
    ):
        return f"no better score for {request.plateau_rounds} rounds (SEDI_LOOP_PLATEAU_ROUNDS)"
    return ""


def _for_weak(last: RoundOutcome, known_categories: Sequence[str], usual: int) -> list[CategoryPlan]:
    """More for a wider gap: the usual number times gap / mean gap, within limits."""
    weak = [o for o in last.categories if o.decision == "weak" and o.category in known_categories]
    mean_gap = sum(_gap(o) for o in weak) / max(1, len(weak))
    shares = [_gap(o) / mean_gap if mean_gap > 0 else 1.0 for o in weak]
    by_gap = sorted(zip(weak, shares, strict=True), key=lambda pair: pair[1], reverse=True)
    return [
        CategoryPlan(
            o.category, max(1, round(usual * min(max(share, LEAST_PER_CATEGORY), MOST_PER_CATEGORY))), o.reason
        )
        for o, share in by_gap
    ]


def _gap(outcome: CategoryOutcome) -> float:
    return outcome.target - outcome.score
