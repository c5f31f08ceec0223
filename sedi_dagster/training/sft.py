"""Supervised fine-tuning of the student with TRL, in exactly the composed order.

`train` is the entry point of the workload; `job.py` defines its input, `signals.py` its measurements. Runs in one
process, or in several under `accelerate launch`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import polars as pl

from sedi_dagster.errors import WorkloadError
from sedi_dagster.records import Progress
from sedi_dagster.student.chat import opening_ids
from sedi_dagster.student.loading import device_note, load_tokenizer
from sedi_dagster.student.reading import NOT_PADDED
from sedi_dagster.training.job import TrainingJob
from sedi_dagster.training.order import PADDING, OrderGuard, check_same, padding_rows
from sedi_dagster.training.setup import Setup, build, encode
from sedi_dagster.training.state import FOLDER, SavingTimes, StopRequest, last_state
from sedi_dagster.training.tables import HELDOUT_SCHEMA, STEP_SCHEMA
from sedi_dagster.workloads.process import Log, progress_log

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from sedi_dagster.training.example_losses import Encoded

SUMMARY = "summary.json"


def train(data: Mapping[str, Any], log: Log) -> None:
    """Train and write the checkpoint and the tables of signals, resuming from a saved state of the job if there is one.

    Args:
        data: the content of the job file (`job.FIELDS`).

    Raises:
        WorkloadError: the job file is invalid, the training order differs from the composed order, or training
            diverged, ran out of memory or disk space, or was stopped.
        ModelError: the student or the checkpoint cannot be loaded or trained.
    """
    job = TrainingJob.from_json(data)
    if (job.output / SUMMARY).exists():
        log("This job is already done; its results are reused.")
        return
    from datasets import disable_progress_bars
    from transformers import set_seed

    from sedi_dagster.training.failures import as_workload_error

    disable_progress_bars()  # the log shows progress
    set_seed(job.seed)
    with as_workload_error(job.settings):
        rows = pl.read_parquet(job.rows)
        tokenizer = load_tokenizer(job.student)
        if device_note():
            log(device_note())
        setup = build(job, rows, tokenizer, log)
        if not setup.padded:
            log(NOT_PADDED)
        Run(job, rows, tokenizer, setup, log).execute()


class Run:
    """A training run, from its start or a saved state to its results."""

    def __init__(
        self, job: TrainingJob, rows: pl.DataFrame, tokenizer: PreTrainedTokenizerBase, setup: Setup, log: Log
    ) -> None:
        from sedi_dagster.training.example_losses import Encoded
        from sedi_dagster.training.signals import batches_of

        self.job, self.rows, self.tokenizer, self.setup, self.log = job, rows, tokenizer, setup, log
        self.trainer = setup.trainer
        self.encoded = [Encoded(row["input_ids"], row["labels"]) for row in self.trainer.train_dataset]
        self.batches = batches_of(rows, self.encoded)
        self.state = job.output / FOLDER
        self.held_out = pl.read_parquet(job.held_out) if job.held_out else None
        self.held_out_rows = encode(tokenizer, self.held_out) if self.held_out is not None else []

    def execute(self) -> None:
        """Train, measure losses before and after, and write the checkpoint and the tables."""
        from sedi_dagster.training.signals import example_table

        self.state.mkdir(parents=True, exist_ok=True)
        before, alone = self._losses_before()
        self._measure_held_out(0)
        steps = self.train()
        self._measure_held_out(steps.height)
        after = self._losses(self.encoded, "after") if self.job.settings.example_losses else None
        self._save(steps, example_table(self.rows, self.encoded, before, after, alone))

    def train(self) -> pl.DataFrame:
        """Train to the end and return the signals by step."""
        from sedi_dagster.training.signals import StepSignals

        stop = StopRequest()
        job, trainer = self.job, self.trainer
        process, devices = trainer.args.process_index, trainer.args.world_size
        guard = OrderGuard([b.example_ids for b in self.batches], self.setup.micro_batch_size, process, devices)
        report: Progress = progress_log(self.log if trainer.args.should_log else lambda _: None, "train")
        saving = SavingTimes() if job.settings.save_steps is None else None
        every = job.held_out_every
        signals = StepSignals(self.batches, job.output, report, stop, self._measure_held_out, every, saving)
        trainer.add_callback(signals)
        self._pad_last_batch(devices)
        guard.wrap(trainer)
        saved = last_state(job.output)
        if saved is not None:
            signals.rows += saved[1]
            guard.resume_after(len(signals.rows))
            self.log(f"Resuming from the state saved after step {len(signals.rows)}.")
        with stop.listening():
            trainer.train(resume_from_checkpoint=str(saved[0]) if saved else None)
        done, planned = trainer.state.global_step, trainer.state.max_steps
        if stop.requested and done < planned:
            raise WorkloadError(
                f"Training was stopped after step {done} of {planned}; its state is saved.", "Run it again to resume."
            )
        guard.check_complete(done)
        composed = [list(self.batches[n % len(self.batches)].example_ids) for n in range(planned)]
        check_same("after training", [row["example_ids"] for row in signals.rows], composed)
        return pl.DataFrame(signals.rows, schema=STEP_SCHEMA)

    def _pad_last_batch(self, devices: int) -> None:
        """On several devices, add rows without labels, so that the last batch can be divided evenly."""
        from datasets import Dataset, concatenate_datasets

        missing = padding_rows(len(self.batches[-1].example_ids), self.setup.micro_batch_size, devices)
        if missing:
            rows = self.trainer.train_dataset.select_columns(["example_id", "input_ids", "labels"])
            pad = self.tokenizer.pad_token_id
            padding = [{"example_id": PADDING, "input_ids": [pad, pad], "labels": [-100, -100]}] * missing
            self.trainer.train_dataset = concatenate_datasets(
                [rows, Dataset.from_list(padding, features=rows.features)]
            )

    def _losses_before(self) -> tuple[list[float] | None, list[float] | None]:
        """Each row's loss before training and, for IFD, that of its answer alone; read from disk in a resumed run."""
        if not (self.job.settings.example_losses or self.job.ifd):
            return None, None
        file = self.state / "before.json"
        if not file.exists():
            losses = {"before": self._losses(self.encoded, "before")}
            if self.job.ifd:
                opening = opening_ids(self.tokenizer)
                losses["alone"] = self._losses([row.answer_alone(opening) for row in self.encoded], "alone")
            if self.trainer.args.should_save:
                temporary = file.with_suffix(".tmp")
                temporary.write_text(json.dumps(losses))
                temporary.replace(file)
        else:
            losses = json.loads(file.read_text())
        self.trainer.accelerator.wait_for_everyone()
        return losses["before"], losses.get("alone")

    def _losses(self, encoded: Sequence[Encoded], when: str) -> list[float]:
        """The loss of each row; each process computes a share of them."""
        from accelerate.utils import gather_object

        from sedi_dagster.training.example_losses import example_losses

        accelerator = self.trainer.accelerator
        rank, devices = accelerator.process_index, accelerator.num_processes
        if accelerator.is_main_process:
            self.log(f"measuring the loss of {len(encoded)} rows ({when})")
        model = accelerator.unwrap_model(self.trainer.model)
        own = example_losses(model, encoded[rank::devices], self.setup.fitted.bf16, self.setup.padded)
        shares = gather_object([own])
        return [shares[i % devices][i // devices] for i in range(len(encoded))]

    def _measure_held_out(self, step: int) -> None:
        """Write the held-out loss by category after `step`, unless it was written before an interruption."""
        from sedi_dagster.training.signals import heldout_rows

        file = self.state / f"heldout-{step:08d}.parquet"
        if self.held_out is None or not self.held_out_rows or file.exists():
            return
        losses = self._losses(self.held_out_rows, f"held out, step {step}")
        if self.trainer.args.should_save:
            table = heldout_rows(step, self.held_out["category"].to_list(), self.held_out_rows, losses)
            table.write_parquet(file)

    def _save(self, steps: pl.DataFrame, examples: pl.DataFrame) -> None:
        """Write the tables, the checkpoint, and last the summary, which marks the job as done."""
        from sedi_dagster.training.checkpoint import save_checkpoint

        trainer, output = self.trainer, self.job.output
        trainer.accelerator.wait_for_everyone()
        if not trainer.args.should_save:
            return
        measured = [pl.read_parquet(file) for file in sorted(self.state.glob("heldout-*.parquet"))]
        heldout = pl.concat(measured) if measured else pl.DataFrame(schema=HELDOUT_SCHEMA)
        for name, table in (("steps", steps), ("examples", examples), ("heldout", heldout)):
            table.write_parquet(output / f"{name}.parquet")
        model = trainer.accelerator.unwrap_model(trainer.model)
        save_checkpoint(self.job, self.setup.fitted, model, self.tokenizer, self.setup.whole_model, steps, heldout)
        summary = {
            "device": str(trainer.args.device),
            "processes": trainer.args.world_size,
            "steps": steps.height,
            "tokens_per_s": steps.select(pl.sum("tokens") / pl.sum("seconds")).item(),
            **vars(self.setup.fitted),
            "micro_batch_size": self.setup.micro_batch_size,
        }
        (output / SUMMARY).write_text(json.dumps(summary))
