"""Training on one GPU beside a plain SFTTrainer of good settings, one after another on the same rows.

    python benchmarks/training_gpu.py [--steps 24] [--folder /dev/shm/training]

For SmolLM2-135M-Instruct and a LLaMA of 1.1 B random weights, LoRA and all weights, batches of 8 and 32:
    trl     SFTTrainer with the whole batch at once, bf16, no gradient checkpointing
    packed  the same with TRL's packing: other batches, so that only its tokens a second compare
    ours    this project's workload with default settings and all signals
    varlen  the same without padding
"""

from __future__ import annotations

import argparse
import dataclasses
import gc
import shutil
import statistics
import sys
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import polars as pl

from benchmarks.training import job
from sedi_dagster.models import BUNDLED_STUDENT
from sedi_dagster.settings import PROJECT_ROOT
from sedi_dagster.student.loading import load_student, load_tokenizer, student_source

WARM_UP = 4  # steps not counted
KINDS = ("trl", "packed", "ours", "varlen")


def random_student(folder: Path, tokenizer_of: str) -> str:
    """TinyLlama's shape (1.1 B) with random weights and the bundled student's tokenizer."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    if not folder.exists():
        tokenizer = load_tokenizer(tokenizer_of)
        config = LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=2048,
            intermediate_size=5632,
            num_hidden_layers=22,
            num_attention_heads=32,
            num_key_value_heads=4,
            eos_token_id=tokenizer.eos_token_id,
            bos_token_id=tokenizer.bos_token_id,
        )
        with torch.device("cuda"):
            LlamaForCausalLM(config).to(torch.bfloat16).save_pretrained(folder)
        tokenizer.save_pretrained(folder)
    return str(folder)


def trainer_of(kind: str, asked: dict[str, Any]) -> tuple[Any, Any]:
    """A trainer, and what runs it."""
    from trl import SFTTrainer

    from sedi_dagster.training import setup as making
    from sedi_dagster.training import sft
    from sedi_dagster.training.adapter import lora_config
    from sedi_dagster.training.job import TrainingJob
    from sedi_dagster.training.sizing import Attempt, fit

    described = TrainingJob.from_json(asked)
    frame, tokenizer = pl.read_parquet(described.rows), load_tokenizer(described.student)
    if kind in ("ours", "varlen"):
        setup = making.build(described, frame, tokenizer, print)
        return setup.trainer, sft.Run(described, frame, tokenizer, setup, lambda _: None).train
    data = making.dataset(frame, making.encode(tokenizer, frame))
    model = load_student(described.student, None, trainable=True)
    whole = Attempt(described.batch_size, gradient_checkpointing=False)
    fitted = fit(described.settings, model.num_parameters(), "cuda", 0, whole)
    args = making._sft_config(described, fitted, described.batch_size, 1, True)
    if kind == "packed":
        args = dataclasses.replace(args, packing=True, max_length=1024)
    lora = described.settings.method == "lora"
    trainer = SFTTrainer(
        model=model,
        args=args,
        train_dataset=data.remove_columns("example_id"),
        processing_class=tokenizer,
        peft_config=lora_config(described.settings.lora_rank) if lora else None,
    )
    return trainer, trainer.train


def free() -> None:
    import torch

    gc.collect()
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()


def measured(kind: str, asked: dict[str, Any]) -> dict[str, Any]:
    """Seconds of a step (median), tokens a second, peak memory, and the losses."""
    import torch
    from transformers import TrainerCallback

    began: list[float] = []

    class Clock(TrainerCallback):
        def on_step_begin(self, *_: Any, **__: Any) -> None:
            torch.cuda.synchronize()
            began.append(time.perf_counter())

        def on_train_end(self, *_: Any, **__: Any) -> None:
            torch.cuda.synchronize()
            began.append(time.perf_counter())

    trainer, run = trainer_of(kind, asked)
    trainer.add_callback(Clock())
    tokens = sum(len(ids) for ids in trainer.train_dataset["input_ids"])
    run()
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    seconds = [after - before for before, after in pairwise(began)]
    found = {
        "seconds": statistics.median(seconds[min(WARM_UP, len(seconds) - 1) :]),
        "micro": trainer.args.per_device_train_batch_size,
        "attention": getattr(trainer.model.config, "_attn_implementation", ""),
        "gigabytes": torch.cuda.max_memory_allocated() / 1e9,
        "losses": losses,
        "tokens": tokens / len(seconds),
    }
    del trainer, run
    free()
    return found


def cases(students: dict[str, str]) -> Iterator[tuple[str, str, str, int]]:
    for batch_size in (32, 8):
        for name, source in students.items():
            for method in ("lora", "full"):
                yield name, source, method, batch_size


def main() -> None:
    import torch

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=24)
    parser.add_argument("--folder", type=Path, default=Path("/dev/shm/training"))
    chosen = parser.parse_args()
    if not torch.cuda.is_available():
        parser.error("there is no GPU that this torch can use")
    bundled = student_source(BUNDLED_STUDENT, PROJECT_ROOT / ".cache")
    students = {"135 M": bundled, "1.1 B": random_student(chosen.folder / "random-1b", bundled)}
    print(f"{torch.cuda.get_device_name(0)}, torch {torch.__version__}, {chosen.steps} steps\n")
    print("| student | method | batch | kind | micro-batch | attention | ms a step | tokens/s | to `trl` | peak GB |")
    print("| --- | --- | --: | --- | --: | --- | --: | --: | --: | --: |", flush=True)
    for name, source, method, batch_size in cases(students):
        plain: dict[str, Any] = {}
        for kind in KINDS:
            if kind == "packed" and (method, batch_size) != ("lora", 8):
                continue  # at 32 rows, attention is over all pairs of 32,768 tokens
            work = chosen.folder / "job"
            shutil.rmtree(work, ignore_errors=True)
            attention = "varlen" if kind == "varlen" else "auto"
            settings = {"attention": attention, "epochs": 1}
            found = measured(kind, job(work, source, method, chosen.steps, batch_size, **settings))
            plain = plain or found
            speed, of = (f["tokens"] / f["seconds"] for f in (found, plain))
            print(
                f"| {name} | {method} | {batch_size} | {kind} | {found['micro']} | {found['attention']} "
                f"| {1000 * found['seconds']:.0f} | {speed:,.0f} | {speed / of:.2f} | {found['gigabytes']:.1f} |",
                flush=True,
            )
            if kind not in ("trl", "packed"):
                apart = max(abs(a / b - 1) for a, b in zip(found["losses"], plain["losses"], strict=True))
                print(f"<!-- largest difference of a step's loss from trl: {apart:.2%} -->", flush=True)


if __name__ == "__main__":
    main()
