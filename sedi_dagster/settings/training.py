"""The student and its fine-tuning."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from sedi_dagster.settings.group import SettingsGroup


class TrainingSettings(SettingsGroup):
    student: str = Field("bundled:smollm2-135m-instruct", description="Student: bundled:..., a folder or a hub name")
    method: Literal["lora", "qlora", "full"] = Field(
        "lora",
        description="Train LoRA adapters or all weights; qlora: adapters on weights held in 4 bits (needs a GPU and "
        "bitsandbytes)",
    )
    start: Literal["previous", "base"] = Field(
        "previous",
        description="previous: go on from the last promoted checkpoint with this round's examples and some replayed; "
        "base: from the untrained student on everything kept so far",
    )
    learning_rate: float | None = Field(
        None, gt=0, description="Peak learning rate; empty: by the student's size (5e-4 for LoRA on the bundled one)"
    )
    schedule: Literal["cosine", "linear", "constant_with_warmup"] = Field(
        "cosine", description="How the learning rate falls after the warm-up"
    )
    warmup_steps: int = Field(3, ge=0, description="Optimiser steps over which the learning rate rises")
    epochs: float = Field(2.0, gt=0, description="Passes over the round's training batches")
    steps: int | None = Field(
        None, ge=1, description="Optimiser steps a round, whatever the number of rows; empty: by epochs"
    )
    seed_epochs: float = Field(
        3.0, ge=0, description="Passes over the human seed tasks of the student trained on them alone; 0: there is none"
    )
    max_length: int = Field(512, ge=32, description="Tokens of prompt and answer together; longer rows are rejected")
    lora_rank: int = Field(16, ge=1, description="Rank of the LoRA adapters, on all linear layers")
    micro_batch_size: int | None = Field(
        None,
        ge=1,
        description="Examples in memory at once on a device; a training batch is made of several (gradient "
        "accumulation); empty: 1,024 tokens on a CPU, up to 8 examples; as many as fit on a GPU",
    )
    precision: Literal["auto", "bf16", "fp32"] = Field(
        "auto", description="bf16: autocast, what is trained stays fp32; auto: bf16 where the device multiplies it"
    )
    attention: Literal["auto", "sdpa", "eager", "flash_attention_2"] = Field(
        "auto",
        description="Attention implementation; auto: what transformers chooses; eager for short rows on a CPU in bf16",
    )
    gradient_checkpointing: bool | None = Field(
        None,
        description="Less memory, a third slower: activations are made again; empty: on a GPU where memory asks for "
        "it, on a CPU from a billion parameters on",
    )
    example_losses: bool = Field(
        True, description="Measure each example's loss before and after the round (two passes without gradients)"
    )
    held_out_share: float = Field(
        0.125, ge=0, lt=1, description="Share of each category's human seed tasks that is measured, never trained on"
    )
    save_steps: int | None = Field(
        None,
        ge=1,
        description="Optimiser steps between two saved states that a kill goes back to; empty: every minute, less "
        "often where saving takes long",
    )
    keep_checkpoints: int | None = Field(
        5, ge=1, description="Newest rounds whose checkpoints stay; promoted ones always do; empty: all stay"
    )
    python: str = Field("", description="Interpreter of the training and evaluation process; empty: this one")
    warm_worker: bool = Field(
        True,
        description="Import training's libraries once, and fork for each training and evaluation (Linux without a GPU, "
        "one process, this interpreter); it ends with `sedi run`, or after 5 idle minutes",
    )
    launcher: str = Field(
        "",
        description="For several devices: `accelerate launch` with its options, such as accelerate launch "
        "--num_processes 4; empty: one process",
    )
