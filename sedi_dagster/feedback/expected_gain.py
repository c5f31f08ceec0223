"""Expected gain from further examples by category, and the allocation of a round based on it.

The gap to a target does not predict how much further tokens will gain: a category that cannot be learned has the
largest gap, and one above its target may still improve cheaply. Therefore each category's learning curve is inferred
from the finished rounds. A curve rises from the student's starting point p0 towards a ceiling a at a rate h, the usual
form of practice curves (Heathcote, Brown and Mewhort 2000, Psychonomic Bulletin & Review 7):

    p(n) = p0 + (a - p0) (1 - exp(-h n))        after n kept examples of the category

Each curve of a grid gets a posterior weight: the prior is uniform, the likelihood that of the observed scores
(binomial). The newest scores count most, because all rounds are measured on the same items. The expected gain is the
posterior mean. With few items many curves remain plausible, so a category about which little is known gets neither
nothing nor everything.

Tokens are allocated greedily, one call at a time, to the category with the highest expected gain per token. As gains
diminish along every curve, this allocation is optimal (up to one call).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sedi_dagster.records import RoundOutcome

Floats = NDArray[np.float64]

RATES = np.concatenate([[0.0], np.logspace(-3.5, -0.3, 24)])
"""Learning rates of the grid: from a category that is never learned to one that takes two or three examples."""
CEILINGS = np.array([0.25, 0.5, 0.75, 1.0])
_RATE, _CEILING = (grid.ravel() for grid in np.meshgrid(RATES, CEILINGS, indexing="ij"))

DECAY = 0.5
"""Weight of a round's scores relative to those of the next round."""
SUREST = 0.01
"""Predicted pass rates are clipped to this distance from 0 and 1, so that a single item rules out no curve."""
PORTIONS = 600
"""Largest number of steps in which a round's tokens are allocated."""


@dataclass(frozen=True)
class LearningCurve:
    """Posterior over a category's learning curves.

    Attributes:
        start: share of the items passed before the first round.
        examples: number of examples kept so far.
        weights: posterior weight of each curve of the grid; they sum to 1.
        most: score above which a gain does not count, such as the target if reaching targets is the goal.
    """

    start: float
    examples: float
    weights: Floats
    most: float = 1.0

    def gain(self, more: float) -> float:
        """Return the expected gain, as a share of the items, from `more` further kept examples."""
        now, then = (np.minimum(_score(self.start, n), self.most) for n in (self.examples, self.examples + more))
        return float(self.weights @ (then - now))


def _score(start: float, examples: float) -> Floats:
    """The share of items passed after `examples` examples, for each curve of the grid."""
    rises = np.maximum(_CEILING - start, 0) * -np.expm1(-_RATE * examples)
    return np.asarray(start + rises, dtype=np.float64)


def learning_curve(category: str, finished: Sequence[RoundOutcome], start: float, most: float = 1.0) -> LearningCurve:
    """Infer a category's learning curve from the finished rounds.

    Args:
        start: share of the category's items passed before the first round.
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
    """Allocate `tokens` to the categories so that the expected gain is highest.

    Args:
        prices: teacher tokens per kept example.
        most: largest number of examples per category.
        lots: kept examples per call. Allocation is by whole calls, because a call's prompt costs the same however few
            examples it returns; the last call of a category, or of the tokens, may be partial, but at least half.

    Returns:
        The number of examples per category, not rounded; 0 where no gain is expected.
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
    """The expected gain per token of giving the category `more` examples on top of its share."""
    if more <= 0:
        return 0.0
    return (curve.gain(share + more) - curve.gain(share)) / (more * price)
