"""Defaults by the student's size and the device; explicit settings win."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from sedi_dagster.settings import TrainingSettings

Device = Literal["cpu", "cuda"]

LORA_RATES = ((0.5e9, 5e-4), (8e9, 2e-4), (float("inf"), 1e-4))
"""Peak learning rate by number of parameters (up to). QLoRA (arXiv 2305.14314) trains 7 to 13 B at 2e-4, larger at
1e-4; 5e-4 is what a student of 135 M learns fastest at here."""

FULL_DIVISOR = 10
"""All weights take about a tenth of an adapter's learning rate."""

CHECKPOINTING_FROM = 1e9
"""Parameters from which activations are made again in the backward pass on a CPU; below, they fit and it costs a third.
On a GPU it is done where memory asks for it."""

CPU_TOKENS = 1024
"""Tokens of a micro-batch on a CPU, padding included: about 1.5 GB of activations of the bundled student."""
CPU_ROWS = 8
GPU_ROWS = 64
EAGER_TOKENS = 256
"""Longest row up to which attention in plain matrix products is faster on a CPU in bf16 than the fused kernel, whose
backward pass is not vectorised there; beyond, its memory counts (docs/training.md)."""


@dataclass(frozen=True)
class Fitted:
    """What the settings come to for one student on one device."""

    learning_rate: float
    gradient_checkpointing: bool
    micro_batch_size: int
    bf16: bool
    attention: str  # "auto": what transformers chooses


@dataclass(frozen=True)
class Attempt:
    """A way to fit a training step into memory."""

    rows: int
    gradient_checkpointing: bool


def attempts(settings: TrainingSettings, parameters: int, device: Device, longest: int, share: int) -> list[Attempt]:
    """Ways to fit a step into memory, the fastest first; a setting that is given stays as it is.

    On a GPU memory ends with an error, and the next one is tried. On a CPU the system may end the process instead, so
    there is one, by what is known to fit.

    Args:
        longest: tokens of the longest row. share: rows of a training batch on each device.
    """
    given, checkpointing = settings.micro_batch_size, settings.gradient_checkpointing
    if device == "cpu":
        rows = given or min(CPU_ROWS, max(1, CPU_TOKENS // longest))
        return [Attempt(rows, parameters >= CHECKPOINTING_FROM if checkpointing is None else checkpointing)]
    largest = min(given or share, GPU_ROWS)
    sizes = [largest >> halvings for halvings in range(largest.bit_length())]
    ways = (False, True) if checkpointing is None else (checkpointing,)
    return [Attempt(rows, again) for again in ways for rows in sizes]


def fit(settings: TrainingSettings, parameters: int, device: Device, longest: int, attempt: Attempt) -> Fitted:
    """Fill in the settings that are left open."""
    rate = next(rate for most, rate in LORA_RATES if parameters <= most)
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
    """Whether the device multiplies bf16 itself; where it is emulated, fp32 is faster."""
    import torch

    if device == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())
