"""Finding out what fits into a GPU's memory: a step with the longest row is tried before training, and cached.

Not on a CPU, where running out of memory kills the process.
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
ROUNDED_TO = 64
"""Rows whose lengths round up to the same count as equally long."""


@dataclass(frozen=True)
class TrialResult:
    """What was found to fit for one student, device and length: the number of the attempt."""

    file: Path
    key: str
    attempt: int

    @classmethod
    def of(cls, job: TrainingJob, longest: int, device: Device) -> TrialResult:
        """What is remembered; the first attempt where nothing is."""
        settings = job.settings
        asked = (job.student, settings.method, settings.lora_rank, settings.precision, settings.attention)
        given = (settings.micro_batch_size, settings.gradient_checkpointing, job.batch_size)
        length = -(-longest // ROUNDED_TO) * ROUNDED_TO
        key = content_id("fitting", asked, given, length, _device_name(device))
        file = job.output.parent / FILE
        return cls(file, key, _read(file).get(key, 0))

    def remember(self, attempt: int) -> None:
        """Store the attempt that fitted, if another was stored."""
        if attempt != self.attempt:
            temporary = self.file.with_suffix(".tmp")
            temporary.write_text(json.dumps(_read(self.file) | {self.key: attempt}))
            temporary.replace(self.file)


def fits(trainer: Any, rows: int, fitted: Fitted) -> bool:
    """Whether a step of the longest row, `rows` times, fits into memory; on every process of the training."""
    from accelerate.utils import gather_object

    longest = max(trainer.train_dataset, key=lambda row: len(row["input_ids"]))
    row = {name: longest[name] for name in ("input_ids", "labels")}
    whole = True
    try:
        _try_step(trainer, [dict(row) for _ in range(rows)], fitted)
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        whole = False
    trainer.model.zero_grad(set_to_none=True)
    free_memory()
    return all(gather_object([whole]))


def _try_step(trainer: Any, rows: list[dict[str, Any]], fitted: Fitted) -> None:
    """Forward and backward pass, with room for what the optimizer will keep (two numbers a trained weight)."""
    import torch

    model = trainer.model
    if fitted.gradient_checkpointing:
        model.gradient_checkpointing_enable(trainer.args.gradient_checkpointing_kwargs)
    model.train()
    reserved = [torch.empty_like(p) for p in model.parameters() if p.requires_grad for _ in range(2)]
    loss_of(trainer, rows, fitted).backward()
    del reserved


def loss_of(trainer: Any, rows: list[dict[str, Any]], fitted: Fitted) -> Any:
    """The loss of one micro-batch, as in a step of training."""
    import torch

    device = trainer.model.device
    collated = trainer.data_collator(rows)  # without padding it holds plain numbers too
    inputs = {name: value.to(device) if isinstance(value, torch.Tensor) else value for name, value in collated.items()}
    with torch.autocast(device.type, torch.bfloat16, enabled=fitted.bf16):
        return trainer.model(**inputs, fused_lm_head=True, use_cache=False).loss


def _device_name(device: Device) -> str:
    if device == "cpu":
        return device
    import torch

    found = torch.cuda.get_device_properties(torch.cuda.current_device())
    return f"{found.name} {found.total_memory}"


def _read(file: Path) -> dict[str, int]:
    try:
        found: dict[str, int] = json.loads(file.read_text())
    except (OSError, ValueError):
        return {}
    return found
