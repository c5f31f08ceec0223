"""The student and its fine-tuning."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from sedi_dagster.settings.group import Command, SettingsGroup
from sedi_dagster.settings.paths import local_path


def _at_home(model: str) -> str:
    """A folder as a shell would give it, out of a file of variables; other names as they are."""
    return str(local_path(model)) if model.startswith("~") else model


ModelName = Annotated[str, AfterValidator(_at_home)]
"""bundled:..., a folder or a hub name."""


class TrainingSettings(SettingsGroup):
    student: ModelName = Field(
        "bundled:smollm2-135m-instruct", description="Student model: bundled:..., a folder or a hub name"
    )
    method: Literal["lora", "qlora", "full"] = Field(
        "lora",
        description="lora: LoRA adapters; qlora: adapters on 4-bit weights (needs a GPU and bitsandbytes); full: "
        "all weights",
    )
    start: Literal["previous", "base"] = Field(
        "previous",
        description="previous: continue from the last promoted checkpoint with this round's examples and replay; "
        "base: retrain the untrained student on all kept examples",
    )
    learning_rate: float | None = Field(
        None,
        gt=0,
        le=1,
        description="Peak learning rate; empty: by the student's size (5e-4 for LoRA on the bundled one)",
    )
    schedule: Literal["cosine", "linear", "constant_with_warmup"] = Field(
        "cosine", description="Learning rate schedule after the warm-up"
    )
    warmup_steps: int = Field(3, ge=0, description="Warm-up steps of the learning rate")
    epochs: float = Field(2.0, gt=0, description="Epochs over the round's training batches")
    steps: int | None = Field(
        None, ge=1, description="Optimizer steps per round, regardless of the number of rows; empty: by epochs"
    )
    seed_epochs: float = Field(
        3.0,
        ge=0,
        description="Epochs over the human seed tasks for the student trained on them alone; 0: none is trained",
    )
    max_length: int = Field(
        512, ge=32, description="Maximum length of prompt and answer together, in tokens; longer rows are rejected"
    )
    lora_rank: int = Field(16, ge=1, description="Rank of the LoRA adapters, on all linear layers")
    micro_batch_size: int | None = Field(
        None,
        ge=1,
        description="Examples per forward pass and device (gradient accumulation makes up the batch); empty: "
        "1,024 tokens and up to 8 examples on a CPU, as many as fit on a GPU",
    )
    precision: Literal["auto", "bf16", "fp32"] = Field(
        "auto", description="bf16: autocast, trained weights stay fp32; auto: bf16 if the device supports it natively"
    )
    attention: Literal["auto", "sdpa", "eager", "varlen", "flash_attention_2"] = Field(
        "auto",
        description="Attention implementation; auto: transformers' default, or eager for short rows on a CPU in bf16; "
        "varlen and flash_attention_2 train rows without padding on a GPU (the latter needs the package flash-attn)",
    )
    gradient_checkpointing: bool | None = Field(
        None,
        description="Saves memory, about a third slower; empty: on a GPU if needed, on a CPU from a billion parameters",
    )
    example_losses: bool = Field(
        True, description="Measure each example's loss before and after the round (two passes without gradients)"
    )
    held_out_share: float = Field(
        0.125,
        ge=0,
        lt=1,
        description="Share of each category's human seed tasks held out from training to measure the loss",
    )
    save_steps: int | None = Field(
        None,
        ge=1,
        description="Optimizer steps between saved states, from which a killed training resumes; empty: every "
        "minute, less often if saving is slow",
    )
    keep_checkpoints: int | None = Field(
        5, ge=1, description="Newest rounds whose checkpoints are kept; promoted ones always are; empty: keep all"
    )
    python: str = Field(
        "", description="Python interpreter of the training and evaluation processes; empty: the current one"
    )
    warm_worker: bool = Field(
        True,
        description="Import training libraries once and fork for each training and evaluation (Linux without a "
        "GPU, one process, this interpreter); ends with `sedi run`, or after 5 idle minutes",
    )
    launcher: Command = Field(
        "",
        description="Launcher for several devices, such as accelerate launch --num_processes 4; empty: one process",
    )
