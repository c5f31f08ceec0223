"""What sharing out the tokens by expected gain is worth, in loops whose learning curves are made up and so known.

    python benchmarks/allocation.py                 # half a minute on one core
    python benchmarks/allocation.py --per-call 1    # what it was before tokens were shared out in whole calls

Every loop has twelve categories with a start, a ceiling, a rate of learning and a price of their own; scores are drawn
from the curves, items by item, as an evaluation would measure them. The planner is the product's own. Three ways to
share out the same tokens: all categories alike, by expected gain, and by the true curves, which no planner can know
but which is the most that could be gained. Accuracies are those of the true curves, read at equal tokens.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import click
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from sedi_dagster.feedback.expected_gain import CEILINGS, RATES, LearningCurve, shared_by_gain
from sedi_dagster.feedback.plan import PlanRequest, Stop, plan_round
from sedi_dagster.records import CategoryOutcome, RoundOutcome, RoundPlan, round_key

NAMES = tuple(f"category-{i:02d}" for i in range(12))
PERSISTENCE = 0.7
"""Share of an item's luck that stays from round to round: the same items are answered by a student trained on."""
TRUE_RATES = (0.0, 0.0, 0.002, 0.005, 0.01, 0.02, 0.03, 0.05, 0.08)
PROMPT_TOKENS, EXAMPLE_TOKENS, SPREAD = 420.0, 50.0, 0.4
PER_CALL = 10
KEEP_RATE = 0.85
Way = Literal["even", "expected_gain", "true_curves"]
WAYS: tuple[Way, ...] = ("even", "expected_gain", "true_curves")


@dataclass(frozen=True)
class World:
    """Twelve categories: where each starts, where it ends, how fast, and what a candidate costs."""

    start: dict[str, float]
    ceiling: dict[str, float]
    rate: dict[str, float]
    dearness: dict[str, float]
    luck: np.ndarray  # categories x items: how hard each item is

    def accuracy(self, category: str, examples: float) -> float:
        start = self.start[category]
        return start + (self.ceiling[category] - start) * -float(np.expm1(-self.rate[category] * examples))

    def tokens(self, category: str, candidates: float) -> float:
        """What so many candidates cost: a prompt a call, however few it brings, and what is written."""
        calls = math.ceil(round(candidates, 6) / PER_CALL)
        return self.dearness[category] * (calls * PROMPT_TOKENS + candidates * EXAMPLE_TOKENS)

    def mean_accuracy(self, examples: dict[str, float]) -> float:
        return float(np.mean([self.accuracy(c, examples[c]) for c in NAMES]))


def made_up(rng: np.random.Generator, items: int) -> World:
    start = dict(zip(NAMES, rng.uniform(0.0, 0.3, 12), strict=True))
    return World(
        start,
        {c: float(rng.uniform(max(0.3, start[c]), 1.0)) for c in NAMES},
        dict(zip(NAMES, rng.choice(TRUE_RATES, 12), strict=True)),
        dict(zip(NAMES, np.exp(SPREAD * rng.standard_normal(12)), strict=True)),
        rng.standard_normal((12, items)),
    )


def measured(world: World, rng: np.random.Generator, examples: dict[str, float]) -> dict[str, int]:
    """Items passed of each category, each with its true chance."""
    from scipy.special import ndtri

    fresh = rng.standard_normal(world.luck.shape)
    luck = np.sqrt(PERSISTENCE) * world.luck + np.sqrt(1 - PERSISTENCE) * fresh
    return {c: int((luck[i] < ndtri(world.accuracy(c, examples[c]))).sum()) for i, c in enumerate(NAMES)}


def loop(
    world: World, way: Way, rounds: int, candidates: int, per_call: int, rng: np.random.Generator
) -> list[tuple[float, float, float]]:
    """After each round: tokens spent so far, true mean accuracy, tokens that the round cost beyond a plain one."""
    examples, spent = dict.fromkeys(NAMES, 0.0), 0.0
    plans: list[RoundPlan] = []
    finished: list[RoundOutcome] = []
    request = PlanRequest("benchmark", candidates_per_category=candidates, per_call=per_call)
    points = [(0.0, world.mean_accuracy(examples), 0.0)]
    plain = sum(world.tokens(c, candidates) for c in NAMES)
    for number in range(1, rounds + 1):
        plan = plan_round(
            replace(request, allocation="even" if way == "even" else "expected_gain"),
            NAMES,
            plans,
            finished,
            world.start,
        )
        if isinstance(plan, Stop):
            break
        asked = {p.category: p.candidates if p.wanted is None else p.wanted / KEEP_RATE for p in plan.categories}
        if way == "true_curves" and number > 1:
            asked = _by_true_curves(world, examples, plain)
        outcomes, cost = [], 0.0
        passed_now = {c: examples[c] + asked.get(c, 0.0) * KEEP_RATE for c in NAMES}
        passed = measured(world, rng, passed_now)
        for c in NAMES:
            made = asked.get(c, 0.0)
            tokens = world.tokens(c, made)
            cost += tokens
            outcomes.append(_outcome(c, world.luck.shape[1], passed[c], round(made), round(made * KEEP_RATE), tokens))
        examples, spent = passed_now, spent + cost
        plans.append(plan)
        finished.append(_round(number, outcomes))
        points.append((spent, world.mean_accuracy(examples), cost / plain))
    return points


def _by_true_curves(world: World, examples: dict[str, float], tokens: float) -> dict[str, float]:
    """Candidates of each category if the planner knew every curve."""
    weights = np.zeros(len(RATES) * len(CEILINGS))
    weights[0] = 1.0
    known = {c: _Known(world.start[c], examples[c], weights, world=world, category=c) for c in NAMES}
    prices = {c: world.tokens(c, PER_CALL) / PER_CALL / KEEP_RATE for c in NAMES}
    kept = shared_by_gain(
        known, prices, tokens, dict.fromkeys(NAMES, np.inf), dict.fromkeys(NAMES, PER_CALL * KEEP_RATE)
    )
    return {c: n / KEEP_RATE for c, n in kept.items()}


@dataclass(frozen=True)
class _Known(LearningCurve):
    world: World | None = None
    category: str = ""

    def gain(self, more: float) -> float:
        assert self.world is not None
        now, then = (self.world.accuracy(self.category, self.examples + n) for n in (0.0, more))
        return then - now


def _outcome(name: str, items: int, passed: int, candidates: int, kept: int, tokens: float) -> CategoryOutcome:
    return CategoryOutcome(
        name, items, passed, 0.0, 1.0, 0.6, 1.0, 1.0, "fine", "", candidates=candidates, kept=kept, tokens=round(tokens)
    )


def _round(number: int, outcomes: Sequence[CategoryOutcome]) -> RoundOutcome:
    kept, candidates, tokens = (sum(getattr(o, f) for o in outcomes) for f in ("kept", "candidates", "tokens"))
    score = sum(o.passed for o in outcomes) / sum(o.items for o in outcomes)
    return RoundOutcome(round_key(number), kept, candidates, tokens, score, True, tuple(outcomes))


@click.command(help=__doc__)
@click.option("--loops", default=60, show_default=True)
@click.option("--rounds", default=3, show_default=True)
@click.option("--per-call", default=PER_CALL, show_default=True, help="Candidates a call, as the planner is told.")
def main(loops: int, rounds: int, per_call: int) -> None:
    for candidates in (8, 20):
        for items in (8, 24, 100):
            gained: dict[Way, list[float]] = {way: [] for way in WAYS}
            beyond: dict[Way, list[float]] = {way: [] for way in WAYS}
            for number in range(loops):
                world = made_up(np.random.default_rng([number, items]), items)
                rng = np.random.default_rng([number, 1])
                ways = {way: loop(world, way, rounds, candidates, per_call, deepcopy(rng)) for way in WAYS}
                last = min(points[-1][0] for points in ways.values())
                for way, points in ways.items():
                    spent, accuracy, share = zip(*points, strict=True)
                    gained[way].append(float(np.interp(last, spent, accuracy)))
                    beyond[way] += share[2:]
            even = np.array(gained["even"])
            for way in WAYS[1:]:
                gain = 100 * (np.array(gained[way]) - even)
                print(
                    f"{candidates:>3} candidates {items:>4} items  {way:<14} {gain.mean():+.1f} points over even "
                    f"(standard error {gain.std(ddof=1) / np.sqrt(loops):.1f}; ahead in {(gain > 0).mean():.0%}); "
                    f"a round costs {np.mean(beyond[way]):.2f} of a plain one",
                    flush=True,
                )


if __name__ == "__main__":
    main()
