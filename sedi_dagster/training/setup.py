"""Building the trainer: the student with its adapter, the rows in the composed order, the arguments."""

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
from sedi_dagster.student.reading import (
    FAILURES,
    PADDING,
    TOLERANCE,
    sample,
    takes_padding,
    unusable,
)
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
"""Attention implementations that take rows one after another in one sequence, without padding and at no extra cost.
Others need a mask over all pairs of tokens: on a CPU that takes longer than the padding (docs/training.md)."""


_ROUNDING_BF16 = 0.02
"""Nats that the mean loss of a few tokens may differ by when rows are computed together in bf16."""

_ROUTER = ("router_aux_loss_coef", "output_router_logits")
"""What TRL writes into the config of a mixture of experts, which is saved with a whole model."""


@dataclass(frozen=True)
class Setup:
    """A trainer that is ready to train, and what was chosen for it."""

    trainer: SFTTrainer
    fitted: Fitted
    micro_batch_size: int
    whole_model: bool  # the checkpoint will be a whole model, not an adapter
    padded: bool = True  # rows of different lengths can be read together, padded on the left


def build(job: TrainingJob, rows: pl.DataFrame, tokenizer: PreTrainedTokenizerBase, log: Log) -> Setup:
    """The trainer with its model and its rows in the composed order, as large a micro-batch as fits.

    Raises:
        WorkloadError: no micro-batch fits into the memory of the device.
    """
    from sedi_dagster.training.memory_trial import TrialResult, fits

    device = _kind_of_device()
    devices = _devices()
    encoded = encode(tokenizer, rows)
    _check_length(job, rows, encoded)
    longest = max((len(row.input_ids) for row in encoded), default=1)
    found = TrialResult.of(job, longest, device)
    number = found.attempt
    if job.settings.attention == VARLEN:
        check_available()
        register()
    while True:
        model = _load(job)
        check_vocabulary(job.student, tokenizer, model, (row.input_ids for row in encoded))
        _check_context(model, longest)
        model.eval()
        padded = takes_padding(model)
        trained_padded = padded or takes_padding(model, right=True)
        ways = attempts(job.settings, model.num_parameters(), device, longest, max(1, job.batch_size // devices))
        if number >= len(ways):
            raise out_of_memory(job.settings)
        fitted = fit(job.settings, model.num_parameters(), device, longest, ways[number])
        if not trained_padded:
            fitted = replace(fitted, micro_batch_size=1)
        setup = _with_trainer(job, dataset(rows, encoded), tokenizer, model, fitted, devices, padded)
        _check_trains(setup.trainer, fitted)
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
        attention=None if job.settings.attention in ("auto", VARLEN) else job.settings.attention,
        four_bit=job.settings.method == "qlora",
    )
    if job.settings.method == "full":
        model.requires_grad_(True)  # folding an adapter in leaves the weights frozen
    return model


def _check_length(job: TrainingJob, rows: pl.DataFrame, encoded: Sequence[Encoded]) -> None:
    """No row is cut: its end, and with it the token that closes an answer, would be missing."""
    most = job.settings.max_length
    for name, row in zip(rows["example_id"], encoded, strict=True):
        if len(row.input_ids) > most:
            raise WorkloadError(
                f"Row {name} has {len(row.input_ids)} tokens, more than SEDI_TRAINING_MAX_LENGTH={most}.",
                "Raise SEDI_TRAINING_MAX_LENGTH, or leave the row out.",
            )


def _check_context(model: PreTrainedModel, longest: int) -> None:
    """Beyond the positions that it knows, a student has no embedding (GPT-2) or has never learned anything."""
    most = known_positions(model.config)
    if most and longest > most:
        raise WorkloadError(
            f"A row has {longest} tokens, and the student knows {most} positions.",
            f"Set SEDI_TRAINING_MAX_LENGTH to {most} or less.",
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

    from sedi_dagster.training.head import use_right_head

    gpu = model.device.type == "cuda"
    method = job.settings.method
    from_adapter = job.checkpoint is not None and (job.checkpoint / "adapter_config.json").exists()
    size = micro_batch_size(job.batch_size, fitted.micro_batch_size, devices)
    if fitted.attention != "auto":
        _innermost(model).set_attn_implementation(fitted.attention)
    adapt = method != "full" and not from_adapter
    text_config = model.config.get_text_config()
    router = {name: getattr(text_config, name) for name in _ROUTER if hasattr(text_config, name)}
    trainer = SFTTrainer(
        model=model,
        args=_sft_config(job, fitted, size, devices, gpu),
        train_dataset=rows,
        processing_class=tokenizer,
        peft_config=lora_config(job.settings.lora_rank, model) if adapt else None,
    )
    for name, value in router.items():
        setattr(text_config, name, value)
    trainer.remove_callback(PrinterCallback)  # the signals are logged in our own lines
    check_same("after preparing", trainer.train_dataset["example_id"], rows["example_id"])
    use_right_head(_innermost(trainer.model))
    # An adapter on top of a whole checkpoint would need both to be loaded: it is folded in when saved.
    folded = method != "full" and job.checkpoint is not None and not from_adapter
    return Setup(trainer, fitted, size, whole_model=folded or method == "full", padded=padded)


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
        max_length=None,  # checked: TRL would cut longer rows without a word
        gradient_checkpointing=fitted.gradient_checkpointing,  # TRL's own default is on: a third slower
        # The order of the rows is the composition; each of these would change it.
        train_sampling_strategy="sequential",
        shuffle_dataset=False,
        packing=False,
        remove_unused_columns=False,
        router_aux_loss_coef=0.0,  # losses and gradient norms are the answers' alone, and no config is changed
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


def _check_trains(trainer: SFTTrainer, fitted: Fitted) -> None:
    """Raise `ModelError` if a step of a few tokens fails or mixes its rows, before anything is measured or trained."""
    import torch

    from sedi_dagster.training.memory_trial import loss_of

    model = trainer.model
    ids = sample(_innermost(model))[0].tolist()
    rows = [{"input_ids": row, "labels": row} for row in (ids, ids[PADDING:])[: fitted.micro_batch_size]]
    flat = fitted.attention in PADDING_FREE
    try:
        if flat:
            _check_rows_apart(trainer, rows, fitted)
        model.train()
        with torch.random.fork_rng(devices=[model.device] if model.device.type == "cuda" else []):
            loss_of(trainer, rows, fitted).backward()
    except FAILURES as error:
        if is_out_of_memory(error):
            raise
        kind, why = type(_innermost(model)).__name__, f"({type(error).__name__}: {str(error)[:300]})"
        if flat:
            raise ModelError(
                f"The student is a {kind}, which cannot be trained with attention {fitted.attention} {why}.",
                "Set SEDI_TRAINING_ATTENTION=auto.",
            ) from None
        raise unusable(_innermost(model), f"it cannot be trained {why}") from None
    model.zero_grad(set_to_none=True)


def _check_rows_apart(trainer: SFTTrainer, rows: list[dict[str, Any]], fitted: Fitted) -> None:
    """Without padding, rows stand in one sequence: a recurrent state may go on from one into the next."""
    import torch

    from sedi_dagster.training.memory_trial import loss_of

    trainer.model.eval()
    predicted = [len(row["input_ids"]) - 1 for row in rows]
    with torch.no_grad():
        together = float(loss_of(trainer, rows, fitted))
        alone = [float(loss_of(trainer, [row], fitted)) for row in rows]
    expected = sum(loss * count for loss, count in zip(alone, predicted, strict=True)) / sum(predicted)
    if abs(together - expected) > (_ROUNDING_BF16 if fitted.bf16 else TOLERANCE):
        kind = type(_innermost(trainer.model)).__name__
        raise ModelError(
            f"The student is a {kind}, which reads rows without padding as one text.",
            f"Set SEDI_TRAINING_ATTENTION=auto instead of {fitted.attention}, or SEDI_TRAINING_MICRO_BATCH_SIZE=1.",
        )


def encode(tokenizer: PreTrainedTokenizerBase, rows: pl.DataFrame) -> list[Encoded]:
    """Rows as token ids, and labels for their answers alone."""
    chats = trained_ids(tokenizer, rows.select("prompt", "output").rows())
    return [Encoded([*context, *answer], [*[-100] * len(context), *answer]) for context, answer in chats]


def dataset(rows: pl.DataFrame, encoded: Sequence[Encoded]) -> Dataset:
    """Rows as TRL takes them when there is nothing left for it to tokenise, to label or to cut."""
    from datasets import Dataset

    columns = {name: [getattr(row, name) for row in encoded] for name in ("input_ids", "labels")}
    return Dataset.from_dict({"example_id": rows["example_id"].to_list(), **columns})


def _innermost(model: Any) -> Any:
    """The causal language model under an adapter, or the model itself."""
    get: Callable[[], Any] | None = getattr(model, "get_base_model", None)
    return get() if get else model


def _kind_of_device() -> Device:
    return "cuda" if student_device().type == "cuda" else "cpu"


def _devices() -> int:
    """Processes of this training; `accelerate launch` and `torchrun` tell each of them."""
    return int(os.environ.get("WORLD_SIZE", "1"))
