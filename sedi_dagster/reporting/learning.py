"""Figures on a round's training for its report: steps, batches, and seeds."""

from collections import Counter
from typing import Any

import polars as pl

SET_MEASURES = {
    "nearest_neighbour_distance": "mean cosine distance to the nearest other instruction",
    "novelsum": "NovelSum: distances to other instructions, weighted by rank and density (arXiv 2502.17184)",
    "cluster_entropy": "evenness over the clusters of the human seed tasks, 0 to 1",
    "distinct_1": "share of distinct words",
    "distinct_2": "share of distinct word pairs",
    "equal_size_distance": "cosine distance to the nearest in samples of as many examples as the first rounds kept",
    "equal_size_error": "standard error of equal_size_distance",
}
"""Descriptions of the metrics of a set of examples."""


def training_figures(steps: pl.DataFrame) -> dict[str, Any] | None:
    """Return figures on the steps, or None if there are no steps.

    The first and the last loss are means over the first and the last fifth of the steps.
    """
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
    """Return figures on the batches, compared with random ones, and one batch in full; None if there are no batches."""
    if batches.is_empty():
        return None
    categories = batches.group_by("batch").agg(pl.col("category").n_unique())["category"]
    measured = {row["measure"]: row for row in diversity.filter(pl.col("scope") == "batches").iter_rows(named=True)}
    distance, vendi_score = measured.get("distance", {}), measured.get("vendi_score", {})
    human = batches.filter(pl.col("origin") == "human").height
    shown, why = _batch_to_show(batches, steps)
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
    """Return by category the number of held-out examples and their loss `before` and `after` the training."""
    if heldout.is_empty():
        return []
    before, after = (pl.col("loss").filter(pl.col("step") == heldout["step"].min()).last(),
                     pl.col("loss").filter(pl.col("step") == heldout["step"].max()).last())  # fmt: skip
    by_category = heldout.group_by("category").agg(pl.last("examples"), before=before, after=after)
    return by_category.sort("category").to_dicts()


def set_measures(diversity: pl.DataFrame) -> list[dict[str, Any]]:
    """Return the available metrics of the examples kept in this round and in all rounds, in order of `SET_MEASURES`."""
    found = {(row["scope"], row["measure"]): row["value"] for row in diversity.iter_rows(named=True)}
    return [
        {"name": name, "meaning": meaning, "of_round": found.get(("round", name)), "of_pool": found.get(("pool", name))}
        for name, meaning in SET_MEASURES.items()
        if ("round", name) in found or ("pool", name) in found
    ]


def _batch_to_show(batches: pl.DataFrame, steps: pl.DataFrame) -> tuple[int, str]:
    """The batch with the highest gradient norm, whose examples may become seeds, and why it is shown."""
    members = batches.sort("batch", "position").group_by("batch", maintain_order=True).agg("example_id")
    batch_of = {tuple(ids): batch for batch, ids in members.iter_rows()}
    for step in steps.sort("grad_norm", descending=True, nulls_last=True).iter_rows(named=True):
        if (batch := batch_of.get(tuple(step["example_ids"]))) is not None:  # earlier versions had a batch 0
            return batch, f"the one with the highest gradient norm, {step['grad_norm']:.2f} at step {step['step']}"
    return int(batches["batch"][0]), "the first one"


def seed_rows(seeds: pl.DataFrame, changes: pl.DataFrame) -> list[dict[str, Any]]:
    """Return by category the number of seeds by origin and in total, and of promoted and retired ones."""
    pairs = [*seeds.select("category", "origin").iter_rows(), *changes.select("category", "change").iter_rows()]
    counted = Counter(pairs)
    rows = [
        {"category": name, **{kind: counted[name, kind] for kind in ("human", "machine", "promoted", "retired")}}
        for name in dict.fromkeys(category for category, _ in pairs)
    ]
    return [{**row, "total": row["human"] + row["machine"]} for row in rows]
