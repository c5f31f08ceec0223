"""Which earlier rows a round trains on, and which human seed tasks are held out.

Every round trains on human seed tasks, so that the student does not drift towards the teacher's habits, and on examples
of earlier rounds, to prevent forgetting. A share of each category's human seed tasks is held out of all training.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from sedi_dagster.records import derived_rng


def human_replay(
    seeds: pl.DataFrame, count: int, first: Sequence[str], round_number: int, project_seed: int
) -> pl.DataFrame:
    """Choose `count` human seed tasks round-robin over the categories: those of the round (`first`), then the others.

    Each round continues where the previous one stopped, so that with a constant `count` every seed task of a category
    is trained on before any is repeated.

    Args:
        seeds: with `seed_id` and `category`.
    """
    others = sorted(set(seeds["category"].unique()) - set(first))
    queues: list[list[str]] = []
    for category in dict.fromkeys([*first, *others]):
        ids = sorted(seeds.filter(pl.col("category") == category)["seed_id"].unique().to_list())
        derived_rng(project_seed, category, "replay").shuffle(ids)
        if ids:
            queues.append(ids)
    chosen: dict[str, None] = {}
    turn = (round_number - 1) * count
    while len(chosen) < min(count, seeds["seed_id"].n_unique()):
        queue = queues[turn % len(queues)]
        chosen[queue[turn // len(queues) % len(queue)]] = None
        turn += 1
    return seeds.filter(pl.col("seed_id").is_in(list(chosen)))


ROW_COLUMNS = ("example_id", "category", "instruction", "input", "output", "origin")


@dataclass(frozen=True)
class ReplayRules:
    """Shares of human seed tasks and of earlier examples among a round's training rows; 1 means all of them."""

    human_share: float
    earlier_share: float
    batch_size: int

    @property
    def own_share(self) -> float:
        """Share of the round's own examples. Sources that are used as a whole (1) do not count."""
        return 1 - sum(share for share in (self.human_share, self.earlier_share) if share < 1)


def held_out_seeds(seeds: pl.DataFrame, share: float, project_seed: int) -> pl.DataFrame:
    """Return the held-out human seed tasks, which are never trained on; the same in every round.

    They are `share` of each category's tasks, rounded down, so a category with few tasks has none.
    """
    chosen: list[str] = []
    for category in sorted(seeds["category"].unique()):
        ids = sorted(seeds.filter(pl.col("category") == category)["seed_id"].unique().to_list())
        derived_rng(project_seed, category, "held out").shuffle(ids)
        chosen += ids[: int(len(ids) * share)]
    return seeds.filter(pl.col("seed_id").is_in(chosen))


def seed_rows(seeds: pl.DataFrame) -> pl.DataFrame:
    """Return human seed tasks as training rows (`ROW_COLUMNS`)."""
    named = seeds.rename({"seed_id": "example_id"})
    return named.select(*ROW_COLUMNS[:-1], origin=pl.lit("human"))


def rows_to_train(
    examples: pl.DataFrame,
    earlier: pl.DataFrame,
    seeds: pl.DataFrame,
    rules: ReplayRules,
    categories: Sequence[str],
    round_number: int,
    project_seed: int,
) -> pl.DataFrame:
    """Return a round's training rows (`ROW_COLUMNS`), of origin machine (its own examples), earlier and human.

    Args:
        examples, earlier: examples kept in this round, and in earlier rounds.
        seeds: human seed tasks that may be trained on (`seed_id` instead of `example_id`).
        categories: those of the round, which human replay takes first.
    """
    in_all = examples.height / rules.own_share
    replayed = earlier
    if rules.earlier_share < 1:
        count = min(round(in_all * rules.earlier_share), earlier.height)
        ids = sorted(earlier["example_id"].to_list())
        chosen = derived_rng(project_seed, round_number, "earlier replay").sample(ids, count)
        replayed = earlier.filter(pl.col("example_id").is_in(chosen))
    human = seeds
    if rules.human_share < 1:
        # Even a round that kept almost nothing trains on a whole batch of human tasks.
        count = max(round(in_all * rules.human_share), rules.batch_size) if rules.human_share else 0
        human = human_replay(seeds, count, categories, round_number, project_seed)
    sources = (("machine", examples), ("earlier", replayed))
    machine = [rows.select(*ROW_COLUMNS[:-1], origin=pl.lit(origin)) for origin, rows in sources]
    return pl.concat([*machine, seed_rows(human)])
