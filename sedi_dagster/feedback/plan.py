"""The planner: a pure function from the history of rounds to the next round plan, or a reason to stop.

It is used by `weak_category_sensor`, `nightly_regeneration`, the job `open_round`, `sedi run` and `sedi plan`. The
status of each category is decided beforehand (`category_status.py`); the planner allocates the budget.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from sedi_dagster.feedback.allocation import keep_rates, tokens_per_candidate, usd_per_token
from sedi_dagster.feedback.category_status import stuck
from sedi_dagster.feedback.expected_gain import learning_curve, shared_by_gain
from sedi_dagster.records import CategoryOutcome, CategoryPlan, RoundOutcome, RoundPlan, round_key

Allocation = Literal["expected_gain", "even"]
Goal = Literal["score", "targets"]

FEWEST_PORTIONS = 4
"""A small round is split into at least this many portions, even if one call could return all its candidates."""
LEAST_GAIN = 1.0
"""The loop ends when another round is expected to gain fewer items than this."""


@dataclass(frozen=True)
class Stop:
    """Why no round is started."""

    reason: str


@dataclass(frozen=True)
class PlanRequest:
    """A request for a plan, and the limits that the plan must keep.

    Attributes:
        trigger: what asks for the round; recorded in the plan.
        categories: the categories that the user named, weak or not; None: the planner decides.
        candidates_per_category: average number of candidates per category; in the first round, the number of each.
        allocation: how a round is divided among the categories; `even` is the baseline.
        goal: `score`: the best student for the budget; `targets`: every target reached at the lowest cost.
        floor_share: share of a round reserved for the categories that were not targeted for longest, weak ones first,
            so that no estimate becomes stale. If half of the round pays for it, every weak category gets a call.
        most_per_category: largest number of candidates for a category as a multiple of the average, rounded up to whole
            calls.
        per_call: candidates that one call returns. A category gets whole calls, or none.
    """

    trigger: str
    categories: tuple[str, ...] | None = None
    candidates_per_category: int = 10
    target_round: int = 0
    max_rounds: int = 20
    max_tokens: int | None = None
    max_tokens_per_round: int | None = None
    max_usd: float | None = None
    max_usd_per_round: float | None = None
    plateau_rounds: int = 4
    allocation: Allocation = "expected_gain"
    goal: Goal = "score"
    floor_share: float = 0.1
    most_per_category: float = 2.0
    per_call: int = 1


def plan_round(
    request: PlanRequest,
    known_categories: Sequence[str],
    plans: Sequence[RoundPlan],
    finished: Sequence[RoundOutcome],
    start: Mapping[str, float] | None = None,
) -> RoundPlan | Stop:
    """Plan the next round, or say why there is none.

    Args:
        known_categories: ids of all categories.
        plans: all plans so far; at most one of them without an outcome.
        finished: outcomes of the finished rounds, in order.
        start: share of each category's items that the student passed before the first round.
    """
    stop = _reason_to_stop(request, plans, finished)
    if stop:
        return Stop(stop)
    wanted: list[CategoryPlan] | Stop
    if request.categories is not None:
        wanted = _evenly(request.categories, request, f"requested ({request.trigger})")
    elif not finished:
        wanted = _evenly(known_categories, request, "first round: nothing is known yet")
    elif request.allocation == "even":
        wanted = _evenly(known_categories, request, "all categories alike (SEDI_LOOP_ALLOCATION)")
    else:
        wanted = _by_expected_gain(request, known_categories, finished, start or {})
        if isinstance(wanted, Stop):
            return wanted
    if not wanted:
        return Stop("no category is requested")
    caps = _token_caps(request, finished)
    afforded = _afforded(wanted, finished, caps)
    if not afforded:
        return Stop(f"the remaining budget ({min(caps):,.0f} teacher tokens) does not cover one candidate")
    number = max((plan.number for plan in plans), default=0) + 1
    token_limit = _token_limit(request, finished)
    return RoundPlan(
        round=round_key(number),
        parent=plans[-1].round if plans else None,
        trigger=request.trigger,
        categories=tuple(afforded),
        target_round=max(request.target_round, number),
        max_tokens=token_limit,
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
    paid = _paid(finished)
    if request.max_usd is not None and paid >= request.max_usd:
        return f"the budget is spent: {paid:.2f} of {request.max_usd:.2f} USD (SEDI_BUDGET_MAX_USD)"
    scores = [outcome.score for outcome in finished]
    recent = scores[-request.plateau_rounds :]
    of_this_request = sum(p.trigger == request.trigger and p.target_round == request.target_round for p in plans)
    if (
        # Naming categories after a plateau allows more rounds, but not forever.
        (request.categories is None or of_this_request >= request.plateau_rounds)
        and len(scores) > request.plateau_rounds
        and max(recent) <= max(scores[: -request.plateau_rounds])
    ):
        return f"no better score for {request.plateau_rounds} rounds (SEDI_LOOP_PLATEAU_ROUNDS)"
    return ""


def _nothing_to_do(last: RoundOutcome) -> str:
    given_up = stuck(last.categories)
    if not given_up:
        return f"no category is weak after {last.round}"
    return (
        f"after {last.round} every weak category is stuck, without a measurable gain: {', '.join(given_up)}. You need "
        "to act: see the report, then name the categories to try again with `sedi run --categories`, use a better "
        "teacher, or change the target"
    )


def _evenly(categories: Sequence[str], request: PlanRequest, reason: str) -> list[CategoryPlan]:
    return [CategoryPlan(c, request.candidates_per_category, reason) for c in dict.fromkeys(categories)]


def _by_expected_gain(
    request: PlanRequest, known: Sequence[str], finished: Sequence[RoundOutcome], start: Mapping[str, float]
) -> list[CategoryPlan] | Stop:
    """Allocate by expected gain, with a floor for weak categories and for those not targeted for longest."""
    status = {o.category: o for o in _status(known, finished)}
    if request.goal == "targets" and not any(o.decision == "weak" for o in status.values()):
        return Stop(_nothing_to_do(finished[-1]))
    eligible = [c for c in known if _may_gain(status.get(c), request.goal)]
    rates, each = keep_rates(known, finished), tokens_per_candidate(known, finished)
    weak = {c for c in eligible if c in status and status[c].decision == "weak"}
    prices = {c: (each[c] if each else 1.0) / rates[c] for c in eligible}
    calls = math.ceil(int(request.candidates_per_category * request.most_per_category) / request.per_call)
    allowed = calls * request.per_call
    most = {c: allowed * rates[c] for c in eligible}
    portion = max(1, request.candidates_per_category * len(known) // FEWEST_PORTIONS)
    lots = {c: min(request.per_call, allowed, portion) * rates[c] for c in eligible}
    budget = request.candidates_per_category * sum((each[c] if each else 1.0) for c in known)
    for_weak = sum(lots[c] * prices[c] for c in weak)
    half = budget / 2 * (1 + 1e-9)  # a small round often needs exactly half; rounding must not decide
    for_floor = max(request.floor_share * budget, for_weak if for_weak <= half else 0.0)
    floor = _left_alone_longest(eligible, weak, finished, for_floor, prices, lots)
    curves = {
        c: learning_curve(c, finished, start.get(c, 0.0), _most_that_counts(status.get(c), request.goal))
        for c in eligible
    }
    beyond = {c: replace(o, examples=o.examples + floor[c]) for c, o in curves.items()}
    left = max(0.0, budget - sum(floor[c] * prices[c] for c in eligible))  # the floor's last call may exceed it
    best = shared_by_gain(beyond, prices, left, {c: most[c] - floor[c] for c in eligible}, lots)
    wanted = {c: floor[c] + best[c] for c in eligible}
    items = {c: status[c].items if c in status else 0 for c in eligible}
    gains = {c: items[c] * curves[c].gain(wanted[c]) for c in eligible}
    if sum(gains.values()) < LEAST_GAIN and len(finished) > 1:
        return Stop(
            f"another round is expected to gain {sum(gains.values()):.1f} of {sum(items.values())} items, less than "
            f"{LEAST_GAIN:g}"
        )
    ranked = sorted((c for c in eligible if round(wanted[c])), key=lambda c: (-wanted[c], c))
    return [
        _planned(c, round(wanted[c]), rates, allowed, _gain_in_words(status.get(c), gains[c]), status.get(c))
        for c in ranked
    ]


def _left_alone_longest(
    eligible: Sequence[str],
    weak: Collection[str],
    finished: Sequence[RoundOutcome],
    tokens: float,
    prices: Mapping[str, float],
    lots: Mapping[str, float],
) -> dict[str, float]:
    """Kept examples for the categories not targeted for longest: one call each, while the tokens last."""

    def order(category: str) -> tuple[bool, int, str]:
        targeted = [n for n, o in enumerate(finished) if (seen := o.of(category)) is not None and seen.candidates]
        return category not in weak, max(targeted, default=-1), category

    floor = dict.fromkeys(eligible, 0.0)
    for category in sorted(eligible, key=order):
        price = lots[category] * prices[category]
        if price / 2 > tokens:
            break
        floor[category] = lots[category]
        tokens -= price
    return floor


def _may_gain(seen: CategoryOutcome | None, goal: Goal) -> bool:
    """Whether a gain is possible: for the goal `targets`, in weak categories only; else, unless all items pass."""
    if goal == "targets":
        return seen is not None and seen.decision == "weak" and seen.gap > 0
    return seen is None or not seen.items or seen.passed < seen.items


def _most_that_counts(seen: CategoryOutcome | None, goal: Goal) -> float:
    return seen.target if seen is not None and goal == "targets" else 1.0


def _gain_in_words(seen: CategoryOutcome | None, gain: float) -> str:
    if seen is None:
        return "not measured yet"
    judged = (
        seen.reason
        if seen.decision == "weak"
        else f"{seen.passed} of {seen.items} passed, target {seen.target_in_words}"
    )
    return f"{judged}; expected to gain {gain:.1f} items"


def _status(known: Sequence[str], finished: Sequence[RoundOutcome]) -> list[CategoryOutcome]:
    """The outcomes of the categories for the checkpoint that the next round starts from.

    If the last checkpoint was not promoted, the scores are those of the last promoted one, but categories that have
    since become stuck or are cooling down keep that status. If none was promoted, the last scores are used.
    """
    last = finished[-1]
    kept = next((outcome for outcome in reversed(finished) if outcome.promoted), last)
    status = []
    for outcome in kept.categories:
        newest = last.of(outcome.category)
        rests = newest is not None and newest.decision in ("stuck", "cooling")
        if outcome.category in known:
            status.append(replace(outcome, decision=newest.decision) if newest and rests else outcome)
    return status


def _planned(
    category: str, wanted: int, rates: Mapping[str, float], most: int, reason: str, seen: CategoryOutcome | None
) -> CategoryPlan:
    """Plan for `wanted` kept examples, with the number of candidates that follows from the keep rate."""
    candidates = min(most, math.ceil(wanted / rates[category]))
    return CategoryPlan(
        category=category,
        candidates=candidates,
        reason=reason,
        wanted=min(wanted, candidates),
        difficulty=seen.difficulty if seen else "",
        errors=seen.errors if seen else (),
    )


def _paid(finished: Sequence[RoundOutcome]) -> float:
    return sum(outcome.cost_usd or 0.0 for outcome in finished)


def _token_limit(request: PlanRequest, finished: Sequence[RoundOutcome]) -> int | None:
    """The hard token limit of the round, enforced by the teacher client: its own, or what is left of the loop's."""
    left = None if request.max_tokens is None else request.max_tokens - sum(o.tokens for o in finished)
    return min((cap for cap in (request.max_tokens_per_round, left) if cap is not None), default=None)


def _token_caps(request: PlanRequest, finished: Sequence[RoundOutcome]) -> list[float]:
    """All limits of the round in tokens; limits in USD are converted at the mean price so far, if it is known."""
    limit = _token_limit(request, finished)
    caps = [] if limit is None else [float(limit)]
    price = usd_per_token(finished)
    if price:
        left = None if request.max_usd is None else request.max_usd - _paid(finished)
        caps += [cap / price for cap in (request.max_usd_per_round, left) if cap is not None]
    return caps


def _afforded(
    wanted: Sequence[CategoryPlan], finished: Sequence[RoundOutcome], caps: Sequence[float]
) -> list[CategoryPlan]:
    """Cut the plan to the limits, all categories in proportion; empty if not even one candidate is covered."""
    each = tokens_per_candidate([c.category for c in wanted], finished)
    if not caps or each is None:
        return list(wanted)
    expected = sum(each[c.category] * c.candidates for c in wanted)
    share = min(1.0, min(caps) / expected)
    if share == 1.0:
        return list(wanted)
    left, fitting = min(caps), []
    for c in wanted:
        candidates = min(max(1, int(c.candidates * share)), int(left / each[c.category]))
        if candidates:
            left -= candidates * each[c.category]
            goal = None if c.wanted is None else max(1, min(round(c.wanted * share), candidates))
            fitting.append(replace(c, candidates=candidates, wanted=goal))
    return fitting
