"""Training figures of a round, as its page shows them: steps, batches, and seeds."""

from collections import Counter
from typing import Any

import polars as pl

SET_MEASURES = {
    "nearest_neighbour_distance": "cosine distance to the nearest other instruction, mean",
    "novelsum": "NovelSum: distances to the others, near ones and dense regions weighing more (arXiv 2502.17184)",
    "cluster_entropy": "evenness over the clusters of the human seed tasks, 0 to 1",
    "distinct_1": "different words per word",
    "distinct_2": "different pairs of words per pair",
    "equal_size_distance": "cosine distance to the nearest among as many examples as the first rounds kept",
    "equal_size_error": "standard error of that",
}
"""What each measure of a whole set says, in words."""


def training_figures(steps: pl.DataFrame) -> dict[str, Any] | None:
    """The first and the last loss are each a mean over a fifth of the steps. None if no step was made."""
    if steps.is_empty():
        return None
    fifth = max(1, steps.height // 5)
    losses = steps.sort("step")["loss"]
    highest = steps.sort("grad_norm", descending=True, nulls_last=True).row(0, named=True)
    return {
        "steps": steps.height,
        "completion_tokens": steps["completion_tokens"].sum(),
        "first_loss": losses.head(fifth).mean(),
        "last_loss": losses.tail(fifth).mean(),
        "highest_norm": highest["grad_norm"],
        "highest_norm_step": highest["step"],
        "median_norm": steps["grad_norm"].sort()[steps.height // 2],
        "peak_learning_rate": steps["learning_rate"].max(),
    }


def batch_figures(batches: pl.DataFrame, steps: pl.DataFrame, diversity: pl.DataFrame) -> dict[str, Any] | None:
    """The composed batches, beside random ones, and one batch in full. None if nothing was composed."""
    if batches.is_empty():
        return None
    categories = batches.group_by("batch").agg(pl.col("category").n_unique())["category"]
    measured = {row["measure"]: row for row in diversity.filter(pl.col("scope") == "batches").iter_rows(named=True)}
    distance, vendi_score = measured.get("distance", {}), measured.get("vendi_score", {})
    human = batches.filter(pl.col("origin") == "human").height
    shown, why = _telling_batch(batches, steps)
    return {
        "batches": categories.len(),
        "rows": batches.height,
        "human": human,
        "machine": batches.height - human,
        "mean_categories": categories.mean(),
        "distance": distance.get("value"),
        "random_distance": distance.get("random"),
        "vendi_score": vendi_score.get("value"),
        "random_vendi_score": vendi_score.get("random"),
        "shown": shown,
        "shown_why": why,
        "shown_rows": batches.filter(pl.col("batch") == shown).sort("position").to_dicts(),
    }


def heldout_losses(heldout: pl.DataFrame) -> list[dict[str, Any]]:
    """By category: number of examples, and the loss at the first and the last step that measured it."""
    if heldout.is_empty():
        return []
    before, after = (pl.col("loss").filter(pl.col("step") == heldout["step"].min()).last(),
                     pl.col("loss").filter(pl.col("step") == heldout["step"].max()).last())  # fmt: skip
    by_category = heldout.group_by("category").agg(pl.last("examples"), before=before, after=after)
    return by_category.sort("category").to_dicts()


def set_measures(diversity: pl.DataFrame) -> list[dict[str, Any]]:
    """The measures of what this round and all rounds kept that were taken, in the order of `SET_MEASURES`."""
    found = {(row["scope"], row["measure"]): row["value"] for row in diversity.iter_rows(named=True)}
    return [
        {"name": name, "meaning": meaning, "of_round": found.get(("round", name)), "of_pool": found.get(("pool", name))}
        for name, meaning in SET_MEASURES.items()
        if ("round", name) in found or ("pool", name) in found
    ]


def _telling_batch(batches: pl.DataFrame, steps: pl.DataFrame) -> tuple[int, str]:
    """The batch whose step had the highest gradient norm (its examples may become seeds), else the first."""
    members = batches.sort("batch", "position").group_by("batch", maintain_order=True).agg("example_id")
    batch_of = {tuple(ids): batch for batch, ids in members.iter_rows()}
    for step in steps.sort("grad_norm", descending=True, nulls_last=True).iter_rows(named=True):
        if (batch := batch_of.get(tuple(step["example_ids"]))) is not None:  # an earlier version counted from 0
            return batch, f"the one with the highest gradient norm, {step['grad_norm']:.2f} at step {step['step']}"
    return int(batches["batch"][0]), "the first one"


def seed_rows(seeds: pl.DataFrame, changes: pl.DataFrame) -> list[dict[str, Any]]:
    """By category: seeds of each origin and in total, and how many the round promoted and retired."""
    pairs = [*seeds.select("category", "origin").iter_rows(), *changes.select("category", "change").iter_rows()]
    counted = Counter(pairs)
    rows = [
        {"category": name, **{what: counted[name, what] for what in ("human", "machine", "promoted", "retired")}}
        for name in dict.fromkeys(category for category, _ in pairs)
    ]
    return [{**row, "total": row["human"] + row["machine"]} for row in rows]
