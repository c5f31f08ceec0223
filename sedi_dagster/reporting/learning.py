"""Training figures of a round: steps, batches, and seeds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl


@dataclass(frozen=True)
class TrainingFigures:
    """A training run in a few figures. `first_loss` and `last_loss` are each a mean over a fifth of it."""

    steps: int
    completion_tokens: int
    first_loss: float
    last_loss: float
    highest_norm: float
    highest_norm_step: int
    median_norm: float
    peak_learning_rate: float


@dataclass(frozen=True)
class BatchFigures:
    """The composed batches in a few figures, and one of them in full."""

    batches: int
    rows: int
    human: int
    machine: int
    mean_categories: float
    distance: float | None
    random_distance: float | None
    vendi_score: float | None
    random_vendi_score: float | None
    shown: int
    shown_why: str
    shown_rows: tuple[Mapping[str, Any], ...]


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


@dataclass(frozen=True)
class SetMeasure:
    """A measure of diversity of what this round kept, and of what all rounds kept so far."""

    name: str
    meaning: str
    of_round: float | None
    of_pool: float | None


@dataclass(frozen=True)
class SeedRow:
    """Seeds of a category by origin, and how many of them the round promoted and retired."""

    category: str
    human: int
    machine: int
    promoted: int
    retired: int

    @property
    def total(self) -> int:
        return self.human + self.machine


def training_figures(steps: pl.DataFrame) -> TrainingFigures | None:
    """None if no step was made."""
    if not steps.height:
        return None
    end = max(1, steps.height // 5)
    losses = steps.sort("step")["loss"].to_list()
    highest = steps.sort("grad_norm", descending=True, nulls_last=True).row(0, named=True)
    norms = sorted(steps["grad_norm"].to_list())
    return TrainingFigures(
        steps=steps.height,
        completion_tokens=int(steps["completion_tokens"].sum()),
        first_loss=sum(losses[:end]) / end,
        last_loss=sum(losses[-end:]) / end,
        highest_norm=highest["grad_norm"],
        highest_norm_step=highest["step"],
        median_norm=norms[len(norms) // 2],
        peak_learning_rate=max(steps["learning_rate"].to_list()),
    )


def batch_figures(batches: pl.DataFrame, steps: pl.DataFrame, diversity: pl.DataFrame) -> BatchFigures | None:
    """None if nothing was composed."""
    if not batches.height:
        return None
    inside = batches.group_by("batch").agg(pl.col("category").n_unique().alias("categories"))
    measured = {row["measure"]: row for row in diversity.filter(pl.col("scope") == "batches").iter_rows(named=True)}
    distance, vendi_score = measured.get("distance", {}), measured.get("vendi_score", {})
    shown, why = _telling_batch(batches, steps)
    return BatchFigures(
        batches=inside.height,
        rows=batches.height,
        human=batches.filter(pl.col("origin") == "human").height,
        machine=batches.filter(pl.col("origin") != "human").height,
        mean_categories=sum(inside["categories"].to_list()) / inside.height,
        distance=distance.get("value"),
        random_distance=distance.get("random"),
        vendi_score=vendi_score.get("value"),
        random_vendi_score=vendi_score.get("random"),
        shown=shown,
        shown_why=why,
        shown_rows=tuple(batches.filter(pl.col("batch") == shown).sort("position").to_dicts()),
    )


@dataclass(frozen=True)
class HeldoutLoss:
    """Mean loss (nats per answer token) of a category's seed tasks that are never trained on."""

    category: str
    examples: int
    before: float | None
    after: float | None


def heldout_losses(heldout: pl.DataFrame) -> list[HeldoutLoss]:
    """By category, at the first and the last step that measured them."""
    if heldout.is_empty():
        return []
    losses = {(category, step): loss for category, step, loss in heldout.select("category", "step", "loss").iter_rows()}
    first, last = heldout["step"].min(), heldout["step"].max()
    counted = dict(heldout.select("category", "examples").iter_rows())
    return [HeldoutLoss(c, n, losses.get((c, first)), losses.get((c, last))) for c, n in sorted(counted.items())]


def set_measures(diversity: pl.DataFrame) -> list[SetMeasure]:
    """The measures that were taken, in the order of `SET_MEASURES`."""
    found = {(row["scope"], row["measure"]): row["value"] for row in diversity.iter_rows(named=True)}
    return [
        SetMeasure(name, meaning, found.get(("round", name)), found.get(("pool", name)))
        for name, meaning in SET_MEASURES.items()
        if ("round", name) in found or ("pool", name) in found
    ]


def _telling_batch(batches: pl.DataFrame, steps: pl.DataFrame) -> tuple[int, str]:
    """The batch whose step had the highest gradient norm (its examples may become seeds), else the first."""
    members = {
        tuple(ids): batch
        for batch, ids in batches.sort("batch", "position")
        .group_by("batch", maintain_order=True)
        .agg("example_id")
        .iter_rows()
    }
    for step in steps.sort("grad_norm", descending=True, nulls_last=True).iter_rows(named=True):
        batch = members.get(tuple(step["example_ids"]))
        if batch is not None:
            return (batch, f"the one with the highest gradient norm, {step['grad_norm']:.2f} at step {step['step']}")
    return int(batches["batch"].to_list()[0]), "the first one"


def seed_rows(seeds: pl.DataFrame, changes: pl.DataFrame) -> list[SeedRow]:
    """The seed set by category and origin, with what the round changed in it."""
    names = dict.fromkeys([*seeds["category"].to_list(), *changes["category"].to_list()])

    def number(frame: pl.DataFrame, category: str, column: str, value: str) -> int:
        return frame.filter((pl.col("category") == category) & (pl.col(column) == value)).height

    return [
        SeedRow(
            category=name,
            human=number(seeds, name, "origin", "human"),
            machine=number(seeds, name, "origin", "machine"),
            promoted=number(changes, name, "change", "promoted"),
            retired=number(changes, name, "change", "retired"),
        )
        for name in names
    ]
