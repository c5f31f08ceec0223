"""Expected gain from further examples by category, and the allocation of a round based on it.

The gap to a target does not say how much further tokens will gain: a category that cannot be learned has the largest
gap, and one above its target may still improve cheaply. Therefore each category's learning curve is inferred from the
rounds so far. A curve rises from the student's starting point (p0) towards a ceiling a at a rate h, the usual form of
practice curves (Heathcote, Brown and Mewhort 2000, Psychonomic Bulletin & Review 7):

    p(n) = p0 + (a - p0) (1 - exp(-h n))        after n kept examples of the category

Bayes' rule gives a weight to each curve of a grid: uniform at first, then by the binomial likelihood of every score so
far, the newest counting most (scores of several rounds are of the same items). The expected gain is the mean over all
curves. With few items many curves stay possible, so a category that is poorly known gets neither nothing nor
everything.

Tokens are allocated greedily, one call at a time, to the category with the highest expected gain. As gains diminish
along every curve, this allocation is optimal (up to one call).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sedi_dagster.records import RoundOutcome

Floats = NDArray[np.float64]

RATES = np.concatenate([[0.0], np.logspace(-3.5, -0.3, 24)])
"""From a category that is never learnt to one that is learnt in two or three examples."""
CEILINGS = np.array([0.25, 0.5, 0.75, 1.0])
_RATE, _CEILING = (grid.ravel() for grid in np.meshgrid(RATES, CEILINGS, indexing="ij"))

DECAY = 0.5
"""Weight of a round's scores by the weight of those of the round after it."""
SUREST = 0.01
"""No curve is ruled out by a single item: pass rates are taken to be at least this far from 0 and 1."""
PORTIONS = 600
"""A round is shared out in at most so many steps."""


@dataclass(frozen=True)
class LearningCurve:
    """What is known of a category's learning curve.

    Attributes:
        start: share of the items passed before the first round.
        examples: kept so far.
        weights: of each curve of the grid, summing to 1.
        most: score above which a gain does not count: the target, where targets are the goal.
    """

    start: float
    examples: float
    weights: Floats
    most: float = 1.0

    def gain(self, more: float) -> float:
        """Share of the items expected to be gained by so many more kept examples."""
        now, then = (np.minimum(_score(self.start, n), self.most) for n in (self.examples, self.examples + more))
        return float(self.weights @ (then - now))


def _score(start: float, examples: float) -> Floats:
    """Share passed after so many examples, by each curve of the grid."""
    rises = np.maximum(_CEILING - start, 0) * -np.expm1(-_RATE * examples)
    return np.asarray(start + rises, dtype=np.float64)


def learning_curve(category: str, finished: Sequence[RoundOutcome], start: float, most: float = 1.0) -> LearningCurve:
    """The category's learning curve as the finished rounds tell of it.

    Args:
        start: share of its items passed before the first round.
        most: score above which a gain does not count.
    """
    likelihood, kept = np.zeros(len(_RATE)), 0
    for age, outcome in zip(range(len(finished) - 1, -1, -1), finished, strict=True):
        seen = outcome.of(category)
        if seen is None:
            continue
        kept += seen.kept
        p = np.clip(_score(start, kept), SUREST, 1 - SUREST)
        likelihood += DECAY**age * (seen.passed * np.log(p) + (seen.items - seen.passed) * np.log1p(-p))
    weights = np.exp(likelihood - likelihood.max())
    return LearningCurve(start, kept, weights / weights.sum(), most)


def shared_by_gain(
    curves: Mapping[str, LearningCurve],
    prices: Mapping[str, float],
    tokens: float,
    most: Mapping[str, float],
    lots: Mapping[str, float],
) -> dict[str, float]:
    """Examples of each category that are expected to gain most for so many tokens.

    Args:
        prices: teacher tokens that a kept example takes.
        most: examples that a category gets at most.
        lots: examples that one call brings. They are shared out in whole calls, as a call's prompt is paid for however
            few it brings; the last one of a category, or of the tokens, may be a partial one of at least half.

    Returns:
        Examples, not rounded. Nothing is spent where nothing is expected to be gained.
    """
    shares = dict.fromkeys(curves, 0.0)
    finest = tokens / PORTIONS
    steps = {c: min(most[c], max(lots[c], finest / prices[c])) for c in curves}
    worth = {c: _gain_a_token(o, 0.0, steps[c], prices[c]) for c, o in curves.items()}
    left = tokens
    while worth:
        category = max(worth, key=lambda c: worth[c])
        if worth[category] <= 0:
            break
        step, price, share = steps[category], prices[category], shares[category]
        more = min(step, most[category] - share, left / price)
        if more < step / 2 and (more < most[category] - share or share) and any(shares.values()):
            del worth[category]
            continue
        shares[category] = share = share + more
        left -= more * price
        if share >= most[category] or left <= 0:
            del worth[category]
            continue
        worth[category] = _gain_a_token(curves[category], share, min(step, most[category] - share), price)
    return shares


def _gain_a_token(curve: LearningCurve, share: float, more: float, price: float) -> float:
    """Expected gain by each token, if the category gets so many more examples on top of its share."""
    if more <= 0:
        return 0.0
    return (curve.gain(share + more) - curve.gain(share)) / (more * price)
