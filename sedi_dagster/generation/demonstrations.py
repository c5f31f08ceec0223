"""Selection of the seeds shown in a prompt: mostly human, some machine-made, weighted by training feedback.

Self-Instruct (arXiv 2212.10560, section 2.2) shows 8: 6 human, 2 machine-made, shuffled.
"""

from collections.abc import Sequence
from itertools import combinations
from typing import Any

import polars as pl

from sedi_dagster.records import derived_rng

LEAST_WEIGHT, MOST_WEIGHT = 0.25, 4.0


class DemonstrationPicker:
    """Chooses the seeds for one prompt after another.

    Seeds are shown in proportion to their weight: the next are those that were shown least relative to it (stride
    scheduling), so that with equal weights each is shown once before any is shown twice. No set is repeated while there
    are others.
    """

    def __init__(self, seeds: pl.DataFrame, seed: Sequence[object]) -> None:
        """`seed`: the values from which the random choice derives, such as (project seed, round, category)."""
        rows = [{**row, "weight": w} for row, w in zip(seeds.iter_rows(named=True), weights(seeds), strict=True)]
        self._human = [row for row in rows if row["origin"] == "human"]
        self._machine = [row for row in rows if row["origin"] != "human"]
        self._seed = tuple(seed)
        self._shown: dict[str, int] = {}
        self._sets: set[frozenset[str]] = set()
        self._number = 0

    def next(self, count: int, most_machine: int) -> list[dict[str, Any]]:
        """Return the seeds for the next prompt, shuffled; human ones replace missing machine-made ones."""
        machine = self._ranked(self._machine)[: min(most_machine, count)]
        chosen = [*machine, *self._unseen_set(machine, self._ranked(self._human), count - len(machine))]
        for row in chosen:
            self._shown[row["seed_id"]] = self._shown.get(row["seed_id"], 0) + 1
        self._sets.add(_ids(chosen))
        derived_rng(*self._seed, "demonstrations", self._number).shuffle(chosen)
        self._number += 1
        return chosen

    def _ranked(self, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return sorted(rows, key=lambda row: (self._due(row), row["seed_id"]))

    def _due(self, row: dict[str, Any]) -> float:
        shown = self._shown.get(row["seed_id"], 0)
        chance = derived_rng(*self._seed, "demonstrations", row["seed_id"], shown).random()
        return float((shown + chance) / row["weight"])

    def _unseen_set(
        self, machine: list[dict[str, Any]], human: list[dict[str, Any]], count: int
    ) -> Sequence[dict[str, Any]]:
        """Return the first `count` human seeds that form a new set with the machine-made ones, or just the first."""
        for chosen in combinations(human, min(count, len(human))):
            if _ids([*machine, *chosen]) not in self._sets:
                return chosen
        return human[:count]


def weights(seeds: pl.DataFrame) -> list[float]:
    """Return the weight of each seed, with 1 as usual: its `weight`, or else its `signal` relative to the mean."""
    if "weight" in seeds.columns:
        found = seeds["weight"]
    elif "signal" in seeds.columns and seeds["signal"].drop_nulls().len():
        found = seeds["signal"] / (seeds["signal"].mean() or 1.0)
    else:
        return [1.0] * seeds.height
    return [float(w) for w in found.fill_nan(1.0).fill_null(1.0).clip(LEAST_WEIGHT, MOST_WEIGHT)]


def _ids(rows: Sequence[dict[str, Any]]) -> frozenset[str]:
    return frozenset(row["seed_id"] for row in rows)
