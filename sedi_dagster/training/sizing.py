"""Training defaults by the student's size and the device; explicit settings take precedence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from sedi_dagster.settings import TrainingSettings

Device = Literal["cpu", "cuda"]

LORA_RATES = ((0.5e9, 5e-4), (8e9, 2e-4), (float("inf"), 1e-4))
"""Peak learning rates of an adapter, each up to a number of parameters. QLoRA (arXiv 2305.14314) uses 2e-4 for 7 to
13 B and 1e-4 above; 5e-4 was the fastest here for a student of 135 M."""

FULL_DIVISOR = 10
"""The learning rate of full fine-tuning is that of an adapter divided by this."""

CHECKPOINTING_FROM = 1e9
"""On a CPU, number of parameters from which gradient checkpointing is used. Smaller students fit without it, and it
takes a third longer. On a GPU, it is used when memory is short."""

CPU_TOKENS = 1024
"""Tokens per micro-batch on a CPU, padding included: about 1.5 GB of activations for the bundled student."""
CPU_ROWS = 8
GPU_ROWS = 64
EAGER_TOKENS = 256
"""On a CPU in bf16, the longest row for which eager attention is faster than the fused kernel, whose backward pass is
not vectorized there. Longer rows would need too much memory (docs/training.md)."""


@dataclass(frozen=True)
class Fitted:
    """The settings chosen for a student on a device."""

    learning_rate: float
    gradient_checkpointing: bool
    micro_batch_size: int
    bf16: bool
    attention: str  # "auto": chosen by transformers


@dataclass(frozen=True)
class Attempt:
    """A way to fit a training step into memory."""

    rows: int
    gradient_checkpointing: bool


def attempts(settings: TrainingSettings, parameters: int, device: Device, longest: int, share: int) -> list[Attempt]:
    """Return the ways to fit a step into memory, fastest first; explicit settings are kept.

    On a GPU, running out of memory raises an error, after which the next attempt is made. On a CPU, the system may kill
    the process instead, so there is only one attempt, known to fit.

    Args:
        parameters: number of parameters of the student.
        longest: tokens of the longest row.
        share: rows of a training batch per device.
    """
    size, checkpointing = settings.micro_batch_size, settings.gradient_checkpointing
    if device == "cpu":
        rows = size or min(CPU_ROWS, max(1, CPU_TOKENS // longest))
        return [Attempt(rows, parameters >= CHECKPOINTING_FROM if checkpointing is None else checkpointing)]
    largest = min(size or share, GPU_ROWS)
    sizes = [largest >> halvings for halvings in range(largest.bit_length())]
    options = (False, True) if checkpointing is None else (checkpointing,)
    return [Attempt(rows, option) for option in options for rows in sizes]


def fit(settings: TrainingSettings, parameters: int, device: Device, longest: int, attempt: Attempt) -> Fitted:
    """Return the settings with defaults for those that are not set; arguments as for `attempts`."""
    rate = next(rate for limit, rate in LORA_RATES if parameters <= limit)
    if settings.method == "full":
        rate /= FULL_DIVISOR
    bf16 = _has_bf16(device) if settings.precision == "auto" else settings.precision == "bf16"
    attention: str = settings.attention
    if attention == "auto" and device == "cpu" and bf16 and longest <= EAGER_TOKENS:
        attention = "eager"
    return Fitted(
        learning_rate=settings.learning_rate or rate,
        gradient_checkpointing=attempt.gradient_checkpointing,
        micro_batch_size=attempt.rows,
        bf16=bf16,
        attention=attention,
    )


def _has_bf16(device: Device) -> bool:
    """Whether the device supports bf16 natively; emulated bf16 is slower than fp32."""
    import torch

    if device == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())
