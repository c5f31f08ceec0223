"""Measurements of training by step, example and category, at almost no cost.

The trainer computes the loss, gradient norm (before clipping) and learning rate of each step anyway; the gradient norm
is the signal of SeDi-Instruct (arXiv 2502.04774). Losses by example take a pass without gradients before the round and
another after it; so do held-out losses.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from sedi_dagster.records import Progress
from sedi_dagster.training.example_losses import Encoded
from sedi_dagster.training.failures import diverged
from sedi_dagster.training.state import SavingTimes, StopRequest, mark_state
from sedi_dagster.training.tables import EXAMPLE_SCHEMA

_REPORT_EVERY = 5


@dataclass(frozen=True)
class Batch:
    """A composed training batch."""

    example_ids: Sequence[str]
    tokens: int
    completion_tokens: int


class StepSignals(TrainerCallback):
    """Records each step's signals, reports progress, marks saved states, and stops on request."""

    def __init__(
        self,
        batches: Sequence[Batch],
        output: Path,
        report: Progress,
        stop: StopRequest,
        held_out: Callable[[int], None] | None = None,
        held_out_every: int = 0,
        saving: SavingTimes | None = None,
    ) -> None:
        """Set up the callback.

        Args:
            output: the job's output folder.
            stop: polled after each step.
            held_out: called with the step every `held_out_every` steps (0: never).
            saving: decides when states are saved; None: the trainer does, after a fixed number of steps.
        """
        self.rows: list[dict[str, Any]] = []
        self._batches, self._output, self._report, self._stop = batches, output, report, stop
        self._held_out, self._held_out_every = held_out, held_out_every
        self._began = self._seconds = 0.0
        self._saving = saving

    def on_step_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self._began = time.perf_counter()

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Save a state if one is due; save one and end the training if a stop was requested."""
        self._seconds = time.perf_counter() - self._began
        due = self._saving is not None and self._saving.is_due()
        stop, save = _agree(args, self._stop.requested, due)
        if stop:
            self._stop.requested = control.should_training_stop = True
        if stop or save:
            control.should_save = True
        if self._saving and control.should_save:
            self._saving.start()

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, float] | None = None,
        **_: Any,
    ) -> None:
        """Record the step; raise `WorkloadError` if its loss or gradient norm is not finite."""
        if not logs or "loss" not in logs:  # the final summary
            return
        step = state.global_step
        batch = self._batches[(step - 1) % len(self._batches)]
        for name in ("loss", "grad_norm"):
            if not math.isfinite(logs[name]):
                raise diverged(step, name.replace("grad_", "gradient "), logs[name], args.learning_rate)
        self.rows.append(
            {
                "step": step,
                "loss": float(logs["loss"]),
                "grad_norm": float(logs["grad_norm"]),
                "grad_norm_per_token": float(logs["grad_norm"]) / max(1, batch.completion_tokens),
                "learning_rate": float(logs["learning_rate"]),
                "tokens": batch.tokens,
                "completion_tokens": batch.completion_tokens,
                "seconds": self._seconds,
                "example_ids": list(batch.example_ids),
            }
        )
        if step % _REPORT_EVERY == 0 or step == state.max_steps:
            figures = {name: self.rows[-1][name] for name in ("loss", "grad_norm")}
            speed = sum(row["tokens"] for row in self.rows) / sum(row["seconds"] for row in self.rows)
            self._report(step, state.max_steps, {**figures, "tokens_per_s": speed})
        if self._held_out and self._held_out_every and step % self._held_out_every == 0 and step < state.max_steps:
            self._held_out(step)

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        if args.should_save:  # only one of several processes
            mark_state(self._output, state.global_step, self.rows)
        if self._saving:
            self._saving.finish()


def _agree(args: TrainingArguments, stop: bool, save: bool) -> tuple[bool, bool]:
    """Make the same decision in every process: stop if any process has to, save if the first one decides to.

    A signal may reach only one process, and clocks differ; a process that continued alone would wait forever.
    """
    if args.world_size == 1:
        return stop, save
    import torch

    flags = torch.tensor([stop, save and args.process_index == 0], dtype=torch.int32, device=args.device)
    torch.distributed.all_reduce(flags, op=torch.distributed.ReduceOp.MAX)
    return bool(flags[0]), bool(flags[1])


def batches_of(rows: pl.DataFrame, encoded: Sequence[Encoded]) -> list[Batch]:
    """Return the composed batches with their token counts; `encoded` are the tokenized `rows`, in the same order."""
    counts = rows.with_columns(
        tokens=pl.Series([len(row.input_ids) for row in encoded], dtype=pl.Int64),
        answer=pl.Series([row.answer_tokens for row in encoded], dtype=pl.Int64),
    )
    batches = counts.group_by("batch", maintain_order=True).agg("example_id", pl.sum("tokens"), pl.sum("answer"))
    return [Batch(row["example_id"], row["tokens"], row["answer"]) for row in batches.iter_rows(named=True)]


def example_table(
    rows: pl.DataFrame,
    encoded: Sequence[Encoded],
    before: Sequence[float] | None,
    after: Sequence[float] | None,
    alone: Sequence[float] | None,
) -> pl.DataFrame:
    """Return one row per distinct example (`EXAMPLE_SCHEMA`).

    Args:
        before, after: loss of each row before and after training, in nats; None: not measured (null).
        alone: loss of each row's answer without its instruction; None: no IFD.
    """
    nulls = [None] * rows.height
    pairs = list(zip(before, alone, strict=True)) if before and alone else None
    columns = {
        **{name: rows[name].to_list() for name in ("example_id", "category", "origin")},
        "loss_before": before or nulls,
        "loss_after": after or nulls,
        "answer_tokens": [row.answer_tokens for row in encoded],
        "ifd_loss_ratio": [b / a if a else None for b, a in pairs] if pairs else nulls,
        "ifd_perplexity_ratio": [math.exp(b - a) for b, a in pairs] if pairs else nulls,
    }
    return pl.DataFrame(columns, schema=EXAMPLE_SCHEMA).unique("example_id", maintain_order=True)


def heldout_rows(
    step: int, categories: Sequence[str], encoded: Sequence[Encoded], losses: Sequence[float]
) -> pl.DataFrame:
    """Return the held-out losses by category after a step (`HELDOUT_SCHEMA`)."""
    tokens = [row.answer_tokens for row in encoded]
    frame = pl.DataFrame({"category": categories, "loss": losses, "answer_tokens": tokens})
    by_token = (pl.col("loss") * pl.col("answer_tokens")).sum() / pl.col("answer_tokens").sum()
    return (
        frame.group_by("category")
        .agg(loss=by_token, examples=pl.len().cast(pl.Int64), answer_tokens=pl.sum("answer_tokens"))
        .sort("category")
        .select(pl.lit(step, pl.Int64).alias("step"), "category", "loss", "examples", "answer_tokens")
    )
