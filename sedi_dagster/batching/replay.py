"""Human seed tasks in every round's training: without them a student drifts to the teacher's habits."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from sedi_dagster.records import derived_rng


def human_replay(
    seeds: pl.DataFrame, count: int, first: Sequence[str], round_number: int, project_seed: int
) -> pl.DataFrame:
    """`count` human seed tasks, the categories taking turns, those of the round (`first`) before the others.

    The turn goes on from round to round, so that in time every seed task is trained on.

    Args:
        seeds: with `seed_id` and `category`.
    """
    others = sorted(set(seeds["category"].unique()) - set(first))
    queues: list[list[str]] = []
    for category in [*first, *others]:
        ids = sorted(seeds.filter(pl.col("category") == category)["seed_id"].to_list())
        derived_rng(project_seed, category, "replay").shuffle(ids)
        turn = (round_number - 1) * max(1, round(count / max(1, len(first) + len(others)))) % max(1, len(ids))
        queues.append(ids[turn:] + ids[:turn])
    chosen: list[str] = []
    depth = 0
    while len(chosen) < min(count, seeds.height):
        level = [queue[depth] for queue in queues if depth < len(queue)]
        chosen += level[: count - len(chosen)]
        depth += 1
    return seeds.filter(pl.col("seed_id").is_in(chosen))
