"""Finding out what fits in a GPU's memory: before training, a step with the longest row is tried; the result is cached.

This is not done on a CPU, where running out of memory may kill the process.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sedi_dagster.records import content_id
from sedi_dagster.student.memory import free_memory, is_out_of_memory
from sedi_dagster.training.job import TrainingJob
from sedi_dagster.training.sizing import Device, Fitted

FILE = "fitting.json"
_LENGTH_STEP = 64
"""Row lengths are rounded up to a multiple of this, so that similar lengths share a cached result."""


@dataclass(frozen=True)
class TrialResult:
    """The cached number of the attempt that fits for a student, device and row length."""

    file: Path
    key: str
    attempt: int

    @classmethod
    def load(cls, job: TrainingJob, longest: int, device: Device) -> TrialResult:
        """Return the cached result; the first attempt if there is none."""
        settings = job.settings
        model = (job.student, settings.method, settings.lora_rank, settings.precision, settings.attention)
        batch = (settings.micro_batch_size, settings.gradient_checkpointing, job.batch_size)
        length = -(-longest // _LENGTH_STEP) * _LENGTH_STEP
        key = content_id("fitting", model, batch, length, _device_name(device))
        file = job.output.parent / FILE
        return cls(file, key, _read(file).get(key, 0))

    def save(self, attempt: int) -> None:
        """Cache the attempt that fits, unless it is already cached."""
        if attempt != self.attempt:
            temporary = self.file.with_suffix(".tmp")
            temporary.write_text(json.dumps(_read(self.file) | {self.key: attempt}))
            temporary.replace(self.file)


def fits(trainer: Any, rows: int, fitted: Fitted) -> bool:
    """Return whether a step with `rows` copies of the longest row fits in memory, in every process of the training."""
    from accelerate.utils import gather_object

    longest = max(trainer.train_dataset, key=lambda row: len(row["input_ids"]))
    row = {name: longest[name] for name in ("input_ids", "labels")}
    succeeded = True
    try:
        _try_step(trainer, [dict(row) for _ in range(rows)], fitted)
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        succeeded = False
    trainer.model.zero_grad(set_to_none=True)
    free_memory()
    return all(gather_object([succeeded]))


def _try_step(trainer: Any, rows: list[dict[str, Any]], fitted: Fitted) -> None:
    """Run a forward and a backward pass, with memory reserved for the optimizer (two numbers per trained weight)."""
    import torch

    model = trainer.model
    if fitted.gradient_checkpointing:
        model.gradient_checkpointing_enable(trainer.args.gradient_checkpointing_kwargs)
    model.train()
    reserved = [torch.empty_like(p) for p in model.parameters() if p.requires_grad for _ in range(2)]
    loss_of(trainer, rows, fitted).backward()
    del reserved


def loss_of(trainer: Any, rows: list[dict[str, Any]], fitted: Fitted) -> Any:
    """Return the loss of one micro-batch, computed as in a training step."""
    import torch

    device = trainer.model.device
    collated = trainer.data_collator(rows)  # without padding, it also contains plain numbers
    inputs = {name: value.to(device) if isinstance(value, torch.Tensor) else value for name, value in collated.items()}
    with torch.autocast(device.type, torch.bfloat16, enabled=fitted.bf16):
        return trainer.model(**inputs, fused_lm_head=True, use_cache=False).loss


def _device_name(device: Device) -> str:
    if device == "cpu":
        return device
    import torch

    properties = torch.cuda.get_device_properties(torch.cuda.current_device())
    return f"{properties.name} {properties.total_memory}"


def _read(file: Path) -> dict[str, int]:
    try:
        return dict(json.loads(file.read_text()))
    except (OSError, ValueError):
        return {}
