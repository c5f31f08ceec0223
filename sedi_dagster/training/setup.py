"""Building the trainer: the student with its adapter, the rows in their composed order, the training arguments."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import polars as pl

from sedi_dagster.errors import ModelError, WorkloadError
from sedi_dagster.student.chat import trained_ids
from sedi_dagster.student.config import known_positions
from sedi_dagster.student.loading import check_vocabulary, load_student, student_device
from sedi_dagster.student.memory import free_memory, is_out_of_memory
from sedi_dagster.student.reading import FAILURES, PADDING, TOLERANCE, sample, takes_padding, unusable
from sedi_dagster.training.adapter import lora_config
from sedi_dagster.training.example_losses import Encoded
from sedi_dagster.training.failures import out_of_memory
from sedi_dagster.training.job import TrainingJob
from sedi_dagster.training.order import check_same, micro_batch_size
from sedi_dagster.training.sizing import Device, Fitted, attempts, fit
from sedi_dagster.training.state import FOLDER
from sedi_dagster.training.varlen import VARLEN, check_available, register
from sedi_dagster.workloads.process import Log

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import PreTrainedModel, PreTrainedTokenizerBase
    from trl import SFTTrainer

PADDING_FREE = frozenset({VARLEN, "flash_attention_2"})
"""Attention implementations that support concatenated rows without padding, at no extra cost. The others need a mask
over all pairs of tokens, which takes longer than padding on a CPU (docs/training.md)."""

_BF16_TOLERANCE = 0.02
"""Allowed difference, in nats, between the mean losses of a few tokens computed together and separately in bf16."""

_ROUTER_FIELDS = ("router_aux_loss_coef", "output_router_logits")
"""Fields that TRL overwrites in the config of a mixture of experts. They are restored, as the config is saved."""


@dataclass(frozen=True)
class Setup:
    """A trainer that is ready to train, and the options chosen for it."""

    trainer: SFTTrainer
    fitted: Fitted
    micro_batch_size: int
    whole_model: bool  # the checkpoint will be a full model, not an adapter
    padded: bool = True  # rows of different lengths can share a batch, padded on the left


def build(job: TrainingJob, rows: pl.DataFrame, tokenizer: PreTrainedTokenizerBase, log: Log) -> Setup:
    """Build the trainer with its model and rows, with the first of `attempts` that fits in memory.

    Raises:
        WorkloadError: a row is too long, or no attempt fits in the memory of the device.
        ModelError: the student cannot be loaded or trained.
    """
    from sedi_dagster.training.memory_trial import TrialResult, fits

    device = _device_kind()
    devices = _devices()
    encoded = encode(tokenizer, rows)
    _check_length(job, rows, encoded)
    longest = max((len(row.input_ids) for row in encoded), default=1)
    cached = TrialResult.load(job, longest, device)
    number = cached.attempt
    if job.settings.attention == VARLEN:
        check_available()
        register()
    while True:
        model = _load(job)
        check_vocabulary(job.student, tokenizer, model, (row.input_ids for row in encoded))
        _check_context(model, longest)
        model.eval()
        padded = takes_padding(model)
        options = attempts(job.settings, model.num_parameters(), device, longest, max(1, job.batch_size // devices))
        if number >= len(options):
            raise out_of_memory(job.settings)
        fitted = fit(job.settings, model.num_parameters(), device, longest, options[number])
        if not padded and not takes_padding(model, right=True):
            fitted = replace(fitted, micro_batch_size=1)
        setup = _with_trainer(job, dataset(rows, encoded), tokenizer, model, fitted, devices, padded)
        _check_trains(setup.trainer, fitted)
        if device == "cpu" or fits(setup.trainer, setup.micro_batch_size, fitted):
            cached.save(number)
            return setup
        log(f"Out of memory with {options[number]}; trying the next option.")
        del model, setup
        free_memory()
        number += 1


def _load(job: TrainingJob) -> PreTrainedModel:
    if job.settings.method == "qlora" and job.checkpoint is not None and not _is_adapter(job):
        raise WorkloadError(
            "An adapter on 4-bit weights cannot be merged into the full model of the last round.",
            "Set SEDI_TRAINING_METHOD to lora or full, or SEDI_TRAINING_START=base.",
        )
    model = load_student(
        job.student,
        job.checkpoint,
        trainable=job.settings.method != "full",  # for full training, an adapter is merged
        attention=None if job.settings.attention in ("auto", VARLEN) else job.settings.attention,
        four_bit=job.settings.method == "qlora",
    )
    if job.settings.method == "full":
        model.requires_grad_(True)  # merging an adapter leaves the weights frozen
    return model


def _is_adapter(job: TrainingJob) -> bool:
    """Whether the job continues from an adapter."""
    return job.checkpoint is not None and (job.checkpoint / "adapter_config.json").exists()


def _check_length(job: TrainingJob, rows: pl.DataFrame, encoded: Sequence[Encoded]) -> None:
    """Refuse rows that are too long: truncated, they would lack the token that ends the answer."""
    limit = job.settings.max_length
    for name, row in zip(rows["example_id"], encoded, strict=True):
        if len(row.input_ids) > limit:
            raise WorkloadError(
                f"Row {name} has {len(row.input_ids)} tokens, more than SEDI_TRAINING_MAX_LENGTH={limit}.",
                "Raise SEDI_TRAINING_MAX_LENGTH, or remove the row.",
            )


def _check_context(model: PreTrainedModel, longest: int) -> None:
    """Refuse rows longer than the context, for which there are no embeddings (GPT-2) or no trained ones."""
    positions = known_positions(model.config)
    if positions and longest > positions:
        raise WorkloadError(
            f"A row has {longest} tokens, but the student has only {positions} positions.",
            f"Set SEDI_TRAINING_MAX_LENGTH to {positions} or less.",
        )


def _with_trainer(
    job: TrainingJob,
    rows: Dataset,
    tokenizer: PreTrainedTokenizerBase,
    model: PreTrainedModel,
    fitted: Fitted,
    devices: int,
    padded: bool,
) -> Setup:
    from transformers import PrinterCallback
    from trl import SFTTrainer

    from sedi_dagster.training.head import choose_head

    gpu = model.device.type == "cuda"
    size = micro_batch_size(job.batch_size, fitted.micro_batch_size, devices)
    if fitted.attention != "auto":
        _base_model(model).set_attn_implementation(fitted.attention)
    new_adapter = job.settings.method != "full" and not _is_adapter(job)
    text_config = model.config.get_text_config()
    router = {name: getattr(text_config, name) for name in _ROUTER_FIELDS if hasattr(text_config, name)}
    trainer = SFTTrainer(
        model=model,
        args=_sft_config(job, fitted, size, devices, gpu),
        train_dataset=rows,
        processing_class=tokenizer,
        peft_config=lora_config(job.settings.lora_rank, model) if new_adapter else None,
    )
    for name, value in router.items():
        setattr(text_config, name, value)
    trainer.remove_callback(PrinterCallback)  # `StepSignals` logs the progress
    check_same("after preparing", trainer.train_dataset["example_id"], rows["example_id"])
    choose_head(_base_model(trainer.model))
    # A new adapter on a full checkpoint is merged when saved; otherwise loading it would require both.
    merged = new_adapter and job.checkpoint is not None
    return Setup(trainer, fitted, size, whole_model=merged or job.settings.method == "full", padded=padded)


def _sft_config(job: TrainingJob, fitted: Fitted, size: int, devices: int, gpu: bool) -> Any:
    from trl import SFTConfig

    settings = job.settings
    return SFTConfig(
        output_dir=str(job.output / FOLDER),
        # Micro-batches are accumulated to one optimizer step: the same gradient with less memory.
        per_device_train_batch_size=size,
        gradient_accumulation_steps=job.batch_size // (size * devices),
        num_train_epochs=settings.epochs,
        max_steps=settings.steps or -1,  # if set, the batches are repeated in order until this step
        learning_rate=fitted.learning_rate,
        lr_scheduler_type=settings.schedule,
        warmup_steps=settings.warmup_steps,
        padding_free=fitted.attention in PADDING_FREE,
        max_length=None,  # lengths are checked; TRL would silently truncate
        gradient_checkpointing=fitted.gradient_checkpointing,  # TRL's default is on, which is a third slower
        # The rows must stay in their composed order, which each of these options would change.
        train_sampling_strategy="sequential",
        shuffle_dataset=False,
        packing=False,
        remove_unused_columns=False,
        router_aux_loss_coef=0.0,  # losses and gradient norms are those of the answers only
        bf16=fitted.bf16,  # autocast; trained weights stay in fp32
        use_cpu=not gpu,
        logging_steps=1,
        logging_nan_inf_filter=False,
        save_strategy="no" if settings.save_steps is None else "steps",  # "no": saved by time, see state.py
        save_steps=settings.save_steps or 0,
        save_total_limit=2,
        report_to="none",
        disable_tqdm=True,
        dataloader_num_workers=0,
        dataloader_pin_memory=gpu,
        seed=job.seed,
        data_seed=job.seed,
    )


def _check_trains(trainer: SFTTrainer, fitted: Fitted) -> None:
    """Raise `ModelError` if a training step on a few tokens fails, or mixes its rows."""
    import torch

    from sedi_dagster.training.memory_trial import loss_of

    model = trainer.model
    ids = sample(_base_model(model))[0].tolist()
    rows = [{"input_ids": row, "labels": row} for row in (ids, ids[PADDING:])[: fitted.micro_batch_size]]
    padding_free = fitted.attention in PADDING_FREE
    try:
        if padding_free:
            _check_rows_independent(trainer, rows, fitted)
        model.train()
        with torch.random.fork_rng(devices=[model.device] if model.device.type == "cuda" else []):
            loss_of(trainer, rows, fitted).backward()
    except FAILURES as error:
        if is_out_of_memory(error):
            raise
        kind, reason = type(_base_model(model)).__name__, f"({type(error).__name__}: {str(error)[:300]})"
        if padding_free:
            raise ModelError(
                f"The student is a {kind}, which cannot be trained with attention {fitted.attention} {reason}.",
                "Set SEDI_TRAINING_ATTENTION=auto.",
            ) from None
        raise unusable(_base_model(model), f"it cannot be trained {reason}") from None
    model.zero_grad(set_to_none=True)


def _check_rows_independent(trainer: SFTTrainer, rows: list[dict[str, Any]], fitted: Fitted) -> None:
    """Raise `ModelError` if concatenated rows influence each other, for example through a recurrent state."""
    import torch

    from sedi_dagster.training.memory_trial import loss_of

    trainer.model.eval()
    counts = [len(row["input_ids"]) - 1 for row in rows]
    with torch.no_grad():
        together = float(loss_of(trainer, rows, fitted))
        separate = [float(loss_of(trainer, [row], fitted)) for row in rows]
    expected = sum(loss * count for loss, count in zip(separate, counts, strict=True)) / sum(counts)
    if abs(together - expected) > (_BF16_TOLERANCE if fitted.bf16 else TOLERANCE):
        kind = type(_base_model(trainer.model)).__name__
        raise ModelError(
            f"The student is a {kind}, which reads rows without padding as one text.",
            f"Set SEDI_TRAINING_ATTENTION=auto instead of {fitted.attention}, or SEDI_TRAINING_MICRO_BATCH_SIZE=1.",
        )


def encode(tokenizer: PreTrainedTokenizerBase, rows: pl.DataFrame) -> list[Encoded]:
    """Tokenize rows (`prompt`, `output`) with the chat template; only the answers have labels."""
    chats = trained_ids(tokenizer, rows.select("prompt", "output").rows())
    return [Encoded([*context, *answer], [*[-100] * len(context), *answer]) for context, answer in chats]


def dataset(rows: pl.DataFrame, encoded: Sequence[Encoded]) -> Dataset:
    """Return the dataset for TRL, in which the rows are already tokenized and labelled."""
    from datasets import Dataset

    columns = {name: [getattr(row, name) for row in encoded] for name in ("input_ids", "labels")}
    return Dataset.from_dict({"example_id": rows["example_id"].to_list(), **columns})


def _base_model(model: Any) -> Any:
    """The causal language model without its adapter."""
    get: Callable[[], Any] | None = getattr(model, "get_base_model", None)
    return get() if get else model


def _device_kind() -> Device:
    return "cuda" if student_device().type == "cuda" else "cpu"


def _devices() -> int:
    """The number of training processes, which `accelerate launch` and `torchrun` set."""
    return int(os.environ.get("WORLD_SIZE", "1"))
