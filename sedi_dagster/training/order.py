"""Verification that training uses exactly the composed batches, at every micro-batch.

Data libraries silently reorder, drop and pad rows (a sampler, a length filter, even batches on several devices). Every
micro-batch is compared with the composed one when it is collated; the first difference ends the run before it is
trained on.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from sedi_dagster.errors import WorkloadError

PADDING = ""
"""The id of a row without labels that fills the last micro-batches on several devices."""


def micro_batch_size(batch_size: int, wanted: int, devices: int) -> int:
    """The largest size up to the one wanted that divides a training batch evenly over the devices.

    Raises:
        WorkloadError: a training batch cannot be shared by so many devices.
    """
    if batch_size % devices:
        raise WorkloadError(
            f"A training batch of {batch_size} rows cannot be shared by {devices} devices.",
            "Set SEDI_BATCHING_BATCH_SIZE to a multiple of the number of processes in SEDI_TRAINING_LAUNCHER.",
        )
    share = batch_size // devices
    return max(size for size in range(1, min(wanted, share) + 1) if share % size == 0)


class OrderGuard:
    """Stands before the collator of one process and compares what passes with what was composed."""

    def __init__(self, batches: Sequence[Sequence[str]], size: int, rank: int = 0, devices: int = 1) -> None:
        """`batches`: the composed batches, ids in order. `size`: rows of a micro-batch."""
        self._epoch: list[list[str]] = []
        self._steps_end: list[int] = []  # for each step of an epoch: its last micro-batch + 1, of this process
        for batch in batches:
            padded = [*batch, *[PADDING] * padding_rows(len(batch), size, devices)]
            parts = [padded[i : i + size] for i in range(0, len(padded), size)]
            self._epoch += parts[rank::devices]
            self._steps_end.append(len(self._epoch))
        self._seen = 0

    def wrap(self, trainer: Any) -> None:
        """Put this guard in front of the trainer's collator."""
        self._collate = trainer.data_collator
        trainer.data_collator = self

    def go_on_after(self, steps: int) -> None:
        """Training resumes after so many optimizer steps."""
        self._seen = self._micro_batches(steps)

    def __call__(self, features: list[dict[str, Any]]) -> Any:
        expected = self._epoch[self._seen % len(self._epoch)]
        check_same(f"micro-batch {self._seen + 1}", [f["example_id"] for f in features], expected)
        self._seen += 1
        return self._collate([{name: f[name] for name in ("input_ids", "labels") if name in f} for f in features])

    def check_complete(self, steps: int) -> None:
        """Raise `WorkloadError` unless every micro-batch of `steps` optimizer steps has passed."""
        if self._seen < self._micro_batches(steps):
            raise WorkloadError(
                f"Training ended after {self._seen} of {self._micro_batches(steps)} composed micro-batches.", _FIX
            )

    def _micro_batches(self, steps: int) -> int:
        epochs, rest = divmod(steps, len(self._steps_end))
        return epochs * len(self._epoch) + (self._steps_end[rest - 1] if rest else 0)


def padding_rows(rows: int, size: int, devices: int) -> int:
    """Rows without labels to add to a batch so that each device has whole micro-batches; 0 on one device."""
    return 0 if devices == 1 else math.ceil(rows / (size * devices)) * size * devices - rows


def check_same(when: str, got: Sequence[Any], expected: Sequence[Any]) -> None:
    """Raise `WorkloadError` naming the first difference between what is trained and what was composed."""
    if list(got) == list(expected):
        return
    both = enumerate(zip(got, expected, strict=False))
    first = next((i for i, (a, b) in both if a != b), min(len(got), len(expected)))
    shown = [repr(side[first]) if first < len(side) else "nothing" for side in (got, expected)]
    raise WorkloadError(
        f"Training order is not the composed order ({when}): first difference at row {first + 1}: "
        f"{shown[0]} where {shown[1]} was composed; {len(got)} rows against {len(expected)}.",
        _FIX,
    )


_FIX = "Report this as a defect; nothing was saved, the last checkpoint is untouched."
