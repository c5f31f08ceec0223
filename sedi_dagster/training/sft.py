"""Supervised fine-tuning of the student with TRL, in exactly the composed order.

The job file (JSON) has:
    student: what `from_pretrained` takes       adapter: checkpoint folder to go on from, or null
    rows: Parquet with batch, position, example_id, prompt, output (sorted by batch, position)
    output: folder for `checkpoint/`, `steps.parquet`
    settings: the training settings             batch_size, seed
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from itertools import count, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from sedi_dagster.errors import WorkloadError
from sedi_dagster.student import load_student, load_tokenizer
from sedi_dagster.training.head import use_answer_head
from sedi_dagster.workload import Log, progress_log

if TYPE_CHECKING:
    from datasets import Dataset

LORA_ALPHA_PER_RANK = 2


def train(job: Mapping[str, Any], log: Log) -> None:
    """Train, write the checkpoint (safetensors) and one row of signals per optimiser step.

    Raises:
        WorkloadError: the trained order differs from the composed one, or the loss is not a number.
    """
    from transformers import TrainerCallback, set_seed
    from trl import SFTTrainer

    rows = pl.read_parquet(job["rows"])
    output = Path(job["output"])
    set_seed(job["seed"])
    tokenizer = load_tokenizer(job["student"])
    adapter = Path(job["adapter"]) if job["adapter"] else None
    model = load_student(job["student"], adapter, trainable=True)
    recorder = RecordingCollator()

    report = progress_log(log, "train")

    class LogSteps(TrainerCallback):
        def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
            if logs and "loss" in logs and (state.global_step % 5 == 0 or state.global_step == state.max_steps):
                report(state.global_step, state.max_steps, {"loss": logs["loss"], "grad_norm": logs["grad_norm"]})

    trainer = SFTTrainer(
        model=model,
        args=_sft_config(job, output),
        train_dataset=_dataset(rows),
        processing_class=tokenizer,
        peft_config=_lora_config(job) if adapter is None and job["settings"]["method"] == "lora" else None,
        callbacks=[LogSteps()],
    )
    recorder.wrap(trainer)
    if trainer.args.device.type == "cpu":
        use_answer_head(trainer.model.get_base_model() if hasattr(trainer.model, "get_base_model") else trainer.model)
    _check_same("after preparing", list(trainer.train_dataset["example_id"]), rows["example_id"].to_list())
    trainer.train()

    composed = rows.group_by("batch", maintain_order=True).agg("example_id")["example_id"].to_list()
    steps = _steps(trainer.state.log_history, recorder.by_step([len(ids) for ids in composed], _micro_batch_size(job)))
    _check_same("while training", steps["example_ids"].to_list()[: len(composed)], composed[: steps.height])
    if not steps["loss"].is_finite().all():
        step = steps.filter(~pl.col("loss").is_finite())["step"][0]
        raise WorkloadError(
            f"The loss stopped being a number at step {step}.",
            "Lower SEDI_TRAINING_LEARNING_RATE and run again.",
        )
    trainer.save_model(str(output / "checkpoint"))
    tokenizer.save_pretrained(str(output / "checkpoint"))
    (output / "checkpoint" / "training_args.bin").unlink(missing_ok=True)  # a pickle; nobody needs it
    steps.write_parquet(output / "steps.parquet")
    (output / "summary.json").write_text(json.dumps({"device": str(trainer.args.device), "steps": steps.height}))


def _sft_config(job: Mapping[str, Any], output: Path) -> Any:
    import torch
    from trl import SFTConfig

    settings = job["settings"]
    gpu = torch.cuda.is_available()
    return SFTConfig(
        output_dir=str(output / "trainer"),
        # Several micro-batches make one optimiser step: the same gradient with less memory.
        per_device_train_batch_size=_micro_batch_size(job),
        gradient_accumulation_steps=job["batch_size"] // _micro_batch_size(job),
        num_train_epochs=settings["epochs"],
        learning_rate=settings["learning_rate"],
        lr_scheduler_type="cosine",
        warmup_steps=3,
        max_length=settings["max_length"],
        gradient_checkpointing=False,  # TRL's own default is on: a third slower
        # The order of the rows is the composition; each of these would change it.
        train_sampling_strategy="sequential",
        shuffle_dataset=False,
        packing=False,
        remove_unused_columns=False,
        bf16=True,  # autocast: weights stay fp32
        use_cpu=not gpu,
        logging_steps=1,
        logging_nan_inf_filter=False,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        dataloader_num_workers=0,
        dataloader_pin_memory=gpu,
        seed=job["seed"],
        data_seed=job["seed"],
    )


def _micro_batch_size(job: Mapping[str, Any]) -> int:
    """The largest size up to the setting that divides a training batch."""
    return math.gcd(job["batch_size"], job["settings"]["micro_batch_size"])


def _lora_config(job: Mapping[str, Any]) -> Any:
    from peft import LoraConfig

    rank = job["settings"]["lora_rank"]
    return LoraConfig(
        r=rank,
        lora_alpha=LORA_ALPHA_PER_RANK * rank,
        lora_dropout=0.0,
        target_modules="all-linear",
        task_type="CAUSAL_LM",
    )


def _dataset(rows: pl.DataFrame) -> Dataset:
    from datasets import Dataset

    return Dataset.from_list(
        [
            {
                "prompt": [{"role": "user", "content": row["prompt"]}],
                "completion": [{"role": "assistant", "content": row["output"]}],
                "example_id": row["example_id"],
            }
            for row in rows.iter_rows(named=True)
        ]
    )


class RecordingCollator:
    """Notes which examples each micro-batch holds, so that the composed order can be asserted, not assumed."""

    def __init__(self) -> None:
        self.batches: list[tuple[list[str], int]] = []

    def wrap(self, trainer: Any) -> None:
        """Put this collator in front of the trainer's own."""
        self._collate = trainer.data_collator
        trainer.data_collator = self

    def __call__(self, features: list[dict[str, Any]]) -> Any:
        ids = [feature["example_id"] for feature in features]
        kept = ("input_ids", "completion_mask", "assistant_masks", "labels", "seq_lengths")
        batch = self._collate([{k: f[k] for k in kept if k in f} for f in features])
        self.batches.append((ids, int((batch["labels"] != -100).sum())))
        return batch

    def by_step(self, sizes: list[int], micro_batch_size: int) -> list[tuple[list[str], int]]:
        """Ids and completion tokens of each optimiser step; `sizes` are those of the composed batches, in turn."""
        micro = iter(self.batches)
        steps: list[tuple[list[str], int]] = []
        for step in count():
            parts = list(islice(micro, math.ceil(sizes[step % len(sizes)] / micro_batch_size)))
            if not parts:
                return steps
            steps.append(([example for ids, _ in parts for example in ids], sum(tokens for _, tokens in parts)))
        return steps


def _steps(history: list[dict[str, Any]], batches: list[tuple[list[str], int]]) -> pl.DataFrame:
    """Signals by step: loss, grad_norm (before clipping), learning_rate, completion_tokens, example_ids."""
    logged = [entry for entry in history if "loss" in entry]
    return pl.DataFrame(
        [
            {
                "step": entry["step"],
                "loss": float(entry["loss"]),
                "grad_norm": float(entry["grad_norm"]),
                "learning_rate": float(entry["learning_rate"]),
                "completion_tokens": tokens,
                "example_ids": ids,
            }
            for entry, (ids, tokens) in zip(logged, batches, strict=False)
        ]
    )


def _check_same(when: str, got: list[Any], expected: list[Any]) -> None:
    if got == expected:
        return
    first = next(
        (i for i, (a, b) in enumerate(zip(got, expected, strict=False)) if a != b),
        min(len(got), len(expected)),
    )
    raise WorkloadError(
        f"Training order is not the composed order ({when}): first difference at {first}, "
        f"{len(got)} rows or batches against {len(expected)} composed.",
        "Report this as a defect; nothing was saved, the last checkpoint is untouched.",
    )
