"""Verification that training uses exactly the composed batches.

Data libraries silently reorder, drop and pad rows (a sampler, a length filter, equal batches on several devices).
Therefore every micro-batch is compared with the composed one when it is collated; the first difference ends the run
before the micro-batch is trained on.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from sedi_dagster.errors import WorkloadError

PADDING = ""
"""The id of a row without labels that fills the last micro-batches on several devices."""


def micro_batch_size(batch_size: int, max_size: int, devices: int) -> int:
    """Return the largest size, up to `max_size`, that divides a training batch evenly over the devices.

    Raises:
        WorkloadError: the batch size is not a multiple of the number of devices.
    """
    if batch_size % devices:
        raise WorkloadError(
            f"A training batch of {batch_size} rows cannot be divided evenly among {devices} devices.",
            "Set SEDI_BATCHING_BATCH_SIZE to a multiple of the number of processes in SEDI_TRAINING_LAUNCHER.",
        )
    share = batch_size // devices
    return max(size for size in range(1, min(max_size, share) + 1) if share % size == 0)


class OrderGuard:
    """Wraps the collator of one process and compares every micro-batch with the composed one."""

    def __init__(self, batches: Sequence[Sequence[str]], size: int, rank: int = 0, devices: int = 1) -> None:
        """Set up the guard of the process `rank`.

        Args:
            batches: the ids of each composed batch, in order.
            size: rows per micro-batch.
        """
        self._epoch: list[list[str]] = []
        self._step_ends: list[int] = []  # the number of micro-batches of this process up to the end of each step
        for batch in batches:
            padded = [*batch, *[PADDING] * padding_rows(len(batch), size, devices)]
            micro_batches = [padded[i : i + size] for i in range(0, len(padded), size)]
            self._epoch += micro_batches[rank::devices]
            self._step_ends.append(len(self._epoch))
        self._seen = 0

    def wrap(self, trainer: Any) -> None:
        """Put this guard in front of the trainer's collator."""
        self._collate = trainer.data_collator
        trainer.data_collator = self

    def resume_after(self, steps: int) -> None:
        """Continue after this number of optimizer steps."""
        self._seen = self._micro_batches(steps)

    def __call__(self, features: list[dict[str, Any]]) -> Any:
        expected = self._epoch[self._seen % len(self._epoch)]
        check_same(f"micro-batch {self._seen + 1}", [f["example_id"] for f in features], expected)
        self._seen += 1
        return self._collate([{name: f[name] for name in ("input_ids", "labels") if name in f} for f in features])

    def check_complete(self, steps: int) -> None:
        """Raise `WorkloadError` unless all micro-batches of `steps` optimizer steps were used."""
        if self._seen < self._micro_batches(steps):
            raise WorkloadError(
                f"Training ended after {self._seen} of {self._micro_batches(steps)} composed micro-batches.", _FIX
            )

    def _micro_batches(self, steps: int) -> int:
        epochs, rest = divmod(steps, len(self._step_ends))
        return epochs * len(self._epoch) + (self._step_ends[rest - 1] if rest else 0)


def padding_rows(rows: int, size: int, devices: int) -> int:
    """Return the number of unlabelled rows to add to a batch, so that each device has full micro-batches."""
    return 0 if devices == 1 else math.ceil(rows / (size * devices)) * size * devices - rows


def check_same(when: str, got: Sequence[Any], expected: Sequence[Any]) -> None:
    """Raise `WorkloadError` with the first difference, unless the trained rows are the composed ones in their order."""
    if list(got) == list(expected):
        return
    pairs = enumerate(zip(got, expected, strict=False))
    first = next((i for i, (a, b) in pairs if a != b), min(len(got), len(expected)))
    shown = [repr(ids[first]) if first < len(ids) else "nothing" for ids in (got, expected)]
    raise WorkloadError(
        f"The training order differs from the composed order ({when}), first at row {first + 1}: "
        f"{shown[0]} instead of {shown[1]} ({len(got)} rows, {len(expected)} composed).",
        _FIX,
    )


_FIX = "Report this as a bug. No checkpoint was written; the last one is untouched."
