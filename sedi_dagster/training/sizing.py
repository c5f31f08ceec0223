"""Defaults that suit the student's size and the device; a setting that is given wins."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from sedi_dagster.settings import TrainingSettings

LORA_RATES = ((0.5e9, 5e-4), (8e9, 2e-4), (float("inf"), 1e-4))
"""Peak learning rate by number of parameters (up to). QLoRA (arXiv 2305.14314) trains 7 to 13 B at 2e-4, larger at
1e-4; 5e-4 is what a student of 135 M learns fastest at here."""

FULL_DIVISOR = 10
"""All weights take about a tenth of an adapter's learning rate."""

CHECKPOINTING_FROM = 1e9
"""Parameters from which activations are made again in the backward pass; below, they fit and it costs a third."""

MICRO_BATCHES = {"cpu": 2, "cuda": 8}


@dataclass(frozen=True)
class Fitted:
    """What the settings come to for one student on one device."""

    learning_rate: float
    gradient_checkpointing: bool
    micro_batch_size: int
    bf16: bool


def fit(settings: TrainingSettings, parameters: int, device: Literal["cpu", "cuda"]) -> Fitted:
    """Fill in the settings that are left open."""
    rate = next(rate for most, rate in LORA_RATES if parameters <= most)
    if settings.method == "full":
        rate /= FULL_DIVISOR
    checkpointing = settings.gradient_checkpointing
    return Fitted(
        learning_rate=settings.learning_rate or rate,
        gradient_checkpointing=parameters >= CHECKPOINTING_FROM if checkpointing is None else checkpointing,
        micro_batch_size=settings.micro_batch_size or MICRO_BATCHES[device],
        bf16=_has_bf16(device) if settings.precision == "auto" else settings.precision == "bf16",
    )


def _has_bf16(device: Literal["cpu", "cuda"]) -> bool:
    """Whether the device multiplies bf16 itself; where it is emulated, fp32 is faster."""
    import torch

    if device == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())
