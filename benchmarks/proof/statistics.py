"""Arms against each other: accuracy at equal tokens, tokens to an accuracy, area under the curve, with intervals.

A loop is a curve: accuracy of its student against the teacher tokens spent, linear between rounds, starting at no
tokens with the student of the seed tasks. Two arms are compared in pairs, one for each project seed. Intervals are
percentiles of a bootstrap that draws project seeds, and whole wordings of items within (both anew in every resample,
the same for both arms): a difference has to stand against the luck of either. With five project seeds such an interval
is somewhat too narrow (Davison and Hinkley 1997, section 2.4); the spread over seeds stands beside it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
RESAMPLES = 10_000


@dataclass(frozen=True)
class Interval:
    """An estimate with its 95 % interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.3f} ({self.low:.3f} to {self.high:.3f})"


@dataclass(frozen=True)
class Curve:
    """One loop. `tokens`: spent, from 0 on, rising; `passes`: one row for each, one column an item, 0 to 1."""

    tokens: Floats
    passes: Floats

    @classmethod
    def of(cls, loop: Mapping[str, Any], measure: str = "tokens") -> Curve:
        """From a loop in `results.json`; `measure`: tokens or priced_tokens."""
        start = loop["seed_tasks"] if loop["seed_tasks"] is not None else loop["untrained"]
        rows = [start, *(r["passes"] for r in loop["rounds"])]
        return cls(np.array([0.0, *(r[measure] for r in loop["rounds"])]), np.array(rows, dtype=np.float64))

    @property
    def end(self) -> float:
        return float(self.tokens[-1])

    def at(self, tokens: float) -> Floats:
        """Passes of each item at so many tokens; past the end as at the end."""
        place = int(np.searchsorted(self.tokens, tokens, side="right"))
        if place >= len(self.tokens):
            return self.passes[-1]
        left, right = self.tokens[place - 1], self.tokens[place]
        share = (tokens - left) / (right - left)
        mixed: Floats = (1 - share) * self.passes[place - 1] + share * self.passes[place]
        return mixed

    def accuracy(self, tokens: float) -> float:
        return float(self.at(tokens).mean())

    def area(self, tokens: float) -> float:
        """Mean accuracy from no tokens to so many."""
        inside = self.tokens[self.tokens < tokens]
        x = np.append(inside, tokens)
        y = np.array([self.accuracy(t) for t in x])
        return float(np.trapezoid(y, x) / tokens)

    def tokens_to(self, accuracy: float) -> float:
        """Tokens at which the accuracy is first reached; infinity if it never is."""
        level = self.passes.mean(axis=1)
        if level[0] >= accuracy:
            return 0.0
        for i in range(1, len(level)):
            if level[i] >= accuracy:
                share = (accuracy - level[i - 1]) / (level[i] - level[i - 1])
                return float(self.tokens[i - 1] + share * (self.tokens[i] - self.tokens[i - 1]))
        return float("inf")


@dataclass(frozen=True)
class Comparison:
    """An arm against another at the same teacher tokens.

    Attributes:
        tokens: where they are compared: what the one that spent least had spent at its end.
        difference: accuracy minus the other's. relative: the same by the other's accuracy.
        wins: project seeds in which the arm is ahead.
        token_ratio: tokens to reach the other's accuracy there, by the tokens the other took; None: never reached.
    """

    tokens: float
    difference: Interval
    relative: Interval
    wins: int
    seeds: int
    token_ratio: float | None


def compare(
    arm: Mapping[int, Curve], other: Mapping[int, Curve], clusters: Sequence[str], resamples: int = RESAMPLES
) -> Comparison:
    """Paired by project seed.

    Args:
        arm, other: curves by project seed; those that both have are compared.
        clusters: the wording of each item, in the order of the curves' columns.
    """
    seeds = sorted(arm.keys() & other.keys())
    budget = min(curve.end for curves in (arm, other) for seed, curve in curves.items() if seed in seeds)
    ours = np.stack([arm[s].at(budget) for s in seeds])
    theirs = np.stack([other[s].at(budget) for s in seeds])
    means = resampled_means(np.stack([ours, theirs]), clusters, resamples)
    least = 1 / len(clusters)  # a student that passes nothing is taken to pass one item
    difference, relative = means[:, 0] - means[:, 1], means[:, 0] / np.maximum(means[:, 1], least) - 1
    mine, its = float(ours.mean()), float(theirs.mean())
    reached = float(np.mean([arm[s].tokens_to(float(other[s].at(budget).mean())) for s in seeds]))
    return Comparison(
        budget,
        Interval(mine - its, *_percentiles(difference)),
        Interval(mine / max(its, least) - 1, *_percentiles(relative)),
        int((ours.mean(axis=1) > theirs.mean(axis=1)).sum()),
        len(seeds),
        reached / budget if np.isfinite(reached) else None,
    )


def resampled_means(passes: Floats, clusters: Sequence[str], resamples: int) -> Floats:
    """Bootstrap means of several arms at once, drawing project seeds and clusters of items with replacement.

    Args:
        passes: shape (arms, project seeds, items).

    Returns:
        Shape (resamples, arms).
    """
    _, cluster = np.unique(np.asarray(clusters), return_inverse=True)
    groups = int(cluster.max()) + 1
    arms, seeds, _ = passes.shape
    sums = np.zeros((arms, seeds, groups))
    for group in range(groups):
        sums[:, :, group] = passes[:, :, cluster == group].sum(axis=2)
    sizes = np.bincount(cluster, minlength=groups).astype(float)
    rng = np.random.default_rng(0)
    drawn_seeds = rng.multinomial(seeds, np.full(seeds, 1 / seeds), size=resamples) / seeds
    drawn_groups = rng.multinomial(groups, np.full(groups, 1 / groups), size=resamples)
    by_group = np.einsum("rs,asg->rag", drawn_seeds, sums)
    means: Floats = np.einsum("rag,rg->ra", by_group, drawn_groups) / (drawn_groups @ sizes)[:, None]
    return means


def _percentiles(values: Floats) -> tuple[float, float]:
    low, high = np.quantile(values, [0.025, 0.975])
    return float(low), float(high)


def interval_of_mean(curves: Mapping[int, Curve], tokens: float, clusters: Sequence[str]) -> Interval:
    """Mean accuracy of an arm at so many tokens."""
    passes = np.stack([curve.at(tokens) for _, curve in sorted(curves.items())])
    return Interval(float(passes.mean()), *_percentiles(resampled_means(passes[None], clusters, RESAMPLES)[:, 0]))
