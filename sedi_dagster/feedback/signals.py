"""Signals, which rank a round's examples for promotion to seeds.

A signal takes the training measurements and gives each considered example a score (higher: promoted sooner) and a
reason. Each has a known weakness, which is why the promotion gate applies to all of them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import polars as pl

from sedi_dagster.records import derived_rng

SCORE_SCHEMA: dict[str, Any] = {"example_id": pl.String, "signal": pl.Float64, "reason": pl.String}


@dataclass(frozen=True)
class Training:
    """A round's training measurements.

    Attributes:
        steps: with `step`, `grad_norm`, `example_ids`.
        examples: with `example_id`, `category`, `loss_before`, `loss_after`, `ifd_loss_ratio`.
        heldout: with `step`, `category`, `loss`.
        window: optimizer steps per window (SeDi-Instruct: 10).
        window_batches: batches taken from each window.
        seed: seed of random choices.
    """

    steps: pl.DataFrame
    examples: pl.DataFrame
    heldout: pl.DataFrame
    window: int = 10
    window_batches: int = 1
    seed: tuple[object, ...] = ()


Signal = Callable[[Training], pl.DataFrame]
"""Returns scores as `SCORE_SCHEMA`; an example without a score is not considered."""


def grad_norm(training: Training) -> pl.DataFrame:
    """Score by the gradient norm of the batch; the highest batches of each window (SeDi-Instruct, arXiv 2502.04774).

    A last batch that is shorter than the others is left out: the mean over one or two rows has a high norm whatever
    they contain.

    Weakness: it favours noise. Wrong or garbled answers also have large gradients, and all rows of a batch share one
    norm.
    """
    rows: dict[str, tuple[float, str]] = {}
    size = pl.col("example_ids").list.len()
    in_order = training.steps.sort("step").with_columns(whole=size == size.max())
    for start in range(0, in_order.height, training.window):
        # A step that overflowed would win every window.
        finite = in_order.slice(start, training.window).filter(pl.col("grad_norm").is_finite() & pl.col("whole"))
        best = finite.sort("grad_norm", descending=True, maintain_order=True).head(training.window_batches)
        for step in best.iter_rows(named=True):
            why = f"in a batch of highest gradient norm of its window ({step['grad_norm']:.2f}, step {step['step']})"
            for example_id in step["example_ids"]:
                rows.setdefault(example_id, (step["grad_norm"], why))
    return _scores(rows)


def loss_drop(training: Training) -> pl.DataFrame:
    """Score by the example's loss before the round minus its loss after it.

    Source: learning progress as a curriculum signal (Graves and others, arXiv 1704.03003).
    Weakness: it favours what is quickly memorised, such as short set phrases, and a high initial loss.
    """
    measured = training.examples.filter(pl.col("loss_before").is_finite() & pl.col("loss_after").is_finite())
    return _scores(
        {
            row["example_id"]: (
                row["loss_before"] - row["loss_after"],
                f"its loss fell from {row['loss_before']:.2f} to {row['loss_after']:.2f}",
            )
            for row in measured.iter_rows(named=True)
        }
    )


def ifd(training: Training) -> pl.DataFrame:
    """Score by instruction-following difficulty (Li and others, NAACL 2024, long 421).

    Weakness: rewriting and classification score low regardless of their value, so it only ranks within a category; a
    value near 1 often means that the answer ignores the instruction.
    """
    measured = training.examples.filter(pl.col("ifd_loss_ratio").is_finite())
    return _scores(
        {
            row["example_id"]: (row["ifd_loss_ratio"], f"IFD {row['ifd_loss_ratio']:.2f}")
            for row in measured.iter_rows(named=True)
        }
    )


def heldout_gain(training: Training) -> pl.DataFrame:
    """Score by the drop of the category's held-out loss over the window of steps that used the example.

    Source: the influence of a training step on a validation loss (TracIn, arXiv 2002.08484), measured directly.
    Weakness: coarse. All examples of a category in a window share one number, other categories contribute, a few
    held-out tasks are noisy, and early windows gain most because the learning rate is high.
    """
    category = dict(training.examples.select("example_id", "category").iter_rows())
    moments = sorted(training.heldout["step"].unique().to_list())
    loss = {
        (step, name): value for step, name, value in training.heldout.select("step", "category", "loss").iter_rows()
    }
    rows: dict[str, tuple[float, str]] = {}
    for step in training.steps.sort("step").iter_rows(named=True):
        before = max((m for m in moments if m < step["step"]), default=None)
        after = min((m for m in moments if m >= step["step"]), default=None)
        for example_id in step["example_ids"]:
            name = category.get(example_id)
            if (before, name) in loss and (after, name) in loss:
                gain = loss[before, name] - loss[after, name]
                why = f"held-out loss of {name} fell by {gain:.3f} over steps {before} to {after}"
                rows.setdefault(example_id, (gain, why))
    return _scores(rows)


def random(training: Training) -> pl.DataFrame:
    """Score at random, as a baseline."""
    ids = sorted(training.examples["example_id"].unique().to_list())
    rng = derived_rng(*training.seed, "random signal")
    return _scores({example_id: (rng.random(), "at random") for example_id in ids})


SIGNALS: dict[str, Signal] = {
    "grad_norm": grad_norm,
    "loss_drop": loss_drop,
    "ifd": ifd,
    "heldout_gain": heldout_gain,
    "random": random,
}


def _scores(rows: dict[str, tuple[float, str]]) -> pl.DataFrame:
    return pl.DataFrame([(key, *value) for key, value in rows.items()], schema=SCORE_SCHEMA, orient="row")
