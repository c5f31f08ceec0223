"""Building the trainer: the student with its adapter, the rows in the composed order, the arguments."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import polars as pl

from sedi_dagster.errors import WorkloadError
from sedi_dagster.student.chat import TEMPLATE_SWITCHES, chat_text, token_ids
from sedi_dagster.student.loading import load_student, student_device
from sedi_dagster.student.memory import free_memory
from sedi_dagster.training.failures import out_of_memory
from sedi_dagster.training.job import TrainingJob
from sedi_dagster.training.order import check_same, micro_batch_size
from sedi_dagster.training.sizing import Device, Fitted, attempts, fit
from sedi_dagster.training.state import FOLDER
from sedi_dagster.workloads.process import Log

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase
    from trl import SFTTrainer

    from sedi_dagster.training.example_losses import Encoded

LORA_ALPHA_PER_RANK = 2

PADDING_FREE = frozenset({"flash_attention_2"})
"""Attention implementations that take rows one after another in one sequence, without padding and at no extra cost.
Others need a mask over all pairs of tokens: on a CPU that takes longer than the padding (docs/training.md)."""


@dataclass(frozen=True)
class Setup:
    """A trainer that is ready to train, and what was chosen for it."""

    trainer: SFTTrainer
    fitted: Fitted
    micro_batch_size: int
    whole_model: bool  # the checkpoint will be a whole model, not an adapter


def build(job: TrainingJob, rows: pl.DataFrame, tokenizer: PreTrainedTokenizerBase, log: Log) -> Setup:
    """The trainer with its model and its rows in the composed order, as large a micro-batch as fits.

    Raises:
        WorkloadError: no micro-batch fits into the memory of the device.
    """
    from sedi_dagster.training.memory_trial import TrialResult, fits

    device = _kind_of_device()
    devices = _devices()
    chats = rows.select("prompt", "output").iter_rows()
    longest = max((len(token_ids(tokenizer, chat_text(tokenizer, *chat))) for chat in chats), default=1)
    _check_length(job, longest)
    found = TrialResult.of(job, longest, device)
    number = found.attempt
    while True:
        model = _load(job)
        ways = attempts(job.settings, model.num_parameters(), device, longest, max(1, job.batch_size // devices))
        if number >= len(ways):
            raise out_of_memory(job.settings)
        fitted = fit(job.settings, model.num_parameters(), device, longest, ways[number])
        setup = _with_trainer(job, rows, tokenizer, model, fitted, devices)
        if device == "cpu" or fits(setup.trainer, setup.micro_batch_size, fitted):
            found.remember(number)
            return setup
        log(f"Memory ends with {ways[number]}; trying less.")
        del model, setup
        free_memory()
        number += 1


def _load(job: TrainingJob) -> PreTrainedModel:
    whole = job.checkpoint is not None and not (job.checkpoint / "adapter_config.json").exists()
    if job.settings.method == "qlora" and whole:
        raise WorkloadError(
            "An adapter on 4-bit weights cannot be merged into the full model of the last round.",
            "Set SEDI_TRAINING_METHOD to lora or full, or SEDI_TRAINING_START=base.",
        )
    model = load_student(
        job.student,
        job.checkpoint,
        trainable=job.settings.method != "full",  # all weights are trained with an adapter folded in
        attention=None if job.settings.attention == "auto" else job.settings.attention,
        four_bit=job.settings.method == "qlora",
    )
    if job.settings.method == "full":
        model.requires_grad_(True)  # folding an adapter in leaves the weights frozen
    return model


def _check_length(job: TrainingJob, longest: int) -> None:
    """Without padding, TRL does not cut rows: one that is too long would be trained whole."""
    settings = job.settings
    if settings.attention in PADDING_FREE and longest > settings.max_length:
        raise WorkloadError(
            f"A row of {longest} tokens is longer than SEDI_TRAINING_MAX_LENGTH={settings.max_length}.",
            "Raise SEDI_TRAINING_MAX_LENGTH, or set SEDI_TRAINING_ATTENTION=sdpa, with which rows are cut.",
        )


def _with_trainer(
    job: TrainingJob,
    rows: pl.DataFrame,
    tokenizer: PreTrainedTokenizerBase,
    model: PreTrainedModel,
    fitted: Fitted,
    devices: int,
) -> Setup:
    from transformers import PrinterCallback
    from trl import SFTTrainer

    from sedi_dagster.training.head import use_answer_head

    gpu = model.device.type == "cuda"
    method = job.settings.method
    from_adapter = job.checkpoint is not None and (job.checkpoint / "adapter_config.json").exists()
    size = micro_batch_size(job.batch_size, fitted.micro_batch_size, devices)
    if fitted.attention != "auto":
        _innermost(model).set_attn_implementation(fitted.attention)
    adapt = method != "full" and not from_adapter
    trainer = SFTTrainer(
        model=model,
        args=_sft_config(job, fitted, size, devices, gpu),
        train_dataset=dataset(rows),
        processing_class=tokenizer,
        peft_config=lora_config(job.settings.lora_rank) if adapt else None,
    )
    trainer.remove_callback(PrinterCallback)  # the signals are logged in our own lines
    check_same("after preparing", trainer.train_dataset["example_id"], rows["example_id"].to_list())
    if not gpu:
        use_answer_head(_innermost(trainer.model))
    # An adapter on top of a whole checkpoint would need both to be loaded: it is folded in when saved.
    folded = method != "full" and job.checkpoint is not None and not from_adapter
    return Setup(trainer, fitted, size, whole_model=folded or method == "full")


def _sft_config(job: TrainingJob, fitted: Fitted, size: int, devices: int, gpu: bool) -> Any:
    from trl import SFTConfig

    settings = job.settings
    return SFTConfig(
        output_dir=str(job.output / FOLDER),
        # Several micro-batches make one optimizer step: the same gradient with less memory.
        per_device_train_batch_size=size,
        gradient_accumulation_steps=job.batch_size // (size * devices),
        num_train_epochs=settings.epochs,
        max_steps=settings.steps or -1,  # given: the batches are gone through again and again, in their order
        learning_rate=fitted.learning_rate,
        lr_scheduler_type=settings.schedule,
        warmup_steps=settings.warmup_steps,
        padding_free=fitted.attention in PADDING_FREE,
        max_length=None if fitted.attention in PADDING_FREE else settings.max_length,
        gradient_checkpointing=fitted.gradient_checkpointing,  # TRL's own default is on: a third slower
        # The order of the rows is the composition; each of these would change it.
        train_sampling_strategy="sequential",
        shuffle_dataset=False,
        packing=False,
        remove_unused_columns=False,
        bf16=fitted.bf16,  # autocast: what is trained stays fp32
        use_cpu=not gpu,
        logging_steps=1,
        logging_nan_inf_filter=False,
        save_strategy="no" if settings.save_steps is None else "steps",  # no: by time, see state.py
        save_steps=settings.save_steps or 0,
        save_total_limit=2,
        report_to="none",
        disable_tqdm=True,
        dataloader_num_workers=0,
        dataloader_pin_memory=gpu,
        seed=job.seed,
        data_seed=job.seed,
    )


def lora_config(rank: int) -> Any:
    """peft's configuration of an adapter on all linear layers."""
    from peft import LoraConfig

    return LoraConfig(
        r=rank,
        lora_alpha=LORA_ALPHA_PER_RANK * rank,
        lora_dropout=0.0,
        target_modules="all-linear",
        task_type="CAUSAL_LM",
    )


def dataset(rows: pl.DataFrame) -> Any:
    """Rows as a `datasets.Dataset` in the conversational form that TRL takes."""
    from datasets import Dataset

    return Dataset.from_list(
        [
            {
                "prompt": [{"role": "user", "content": row["prompt"]}],
                "completion": [{"role": "assistant", "content": row["output"]}],
                "chat_template_kwargs": TEMPLATE_SWITCHES,
                "example_id": row["example_id"],
            }
            for row in rows.iter_rows(named=True)
        ]
    )


def encode(trainer: SFTTrainer, rows: pl.DataFrame) -> list[Encoded]:
    """Rows tokenised and labelled exactly as the training rows are."""
    from sedi_dagster.training.example_losses import Encoded

    if rows.is_empty():
        return []
    prepared = trainer._prepare_dataset(dataset(rows), trainer.processing_class, trainer.args, False, None, "held out")
    check_same("held out", prepared["example_id"], rows["example_id"].to_list())
    return [Encoded(row["input_ids"], row["labels"]) for row in prepared]


def _innermost(model: Any) -> Any:
    """The causal language model under an adapter, or the model itself."""
    get: Callable[[], Any] | None = getattr(model, "get_base_model", None)
    return get() if get else model


def _kind_of_device() -> Device:
    return "cuda" if student_device().type == "cuda" else "cpu"


def _devices() -> int:
    """Processes of this training; `accelerate launch` and `torchrun` tell each of them."""
    return int(os.environ.get("WORLD_SIZE", "1"))
