"""Human seed tasks in every round's training: without them a student drifts to the teacher's habits."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from sedi_dagster.records import derived_rng


def human_replay(
    seeds: pl.DataFrame, count: int, first: Sequence[str], round_number: int, project_seed: int
) -> pl.DataFrame:
    """`count` human seed tasks, the categories taking turns: those of the round (`first`), then the others.

    The turn goes on where the round before left off, so that with a steady `count` every seed task is trained on
    before any is repeated within its category.

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
