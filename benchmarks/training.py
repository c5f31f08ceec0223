"""Training beside its peers in one run: a minimal PyTorch loop and a plain SFTTrainer, step by step in turn.

    python benchmarks/training.py [--method lora|full] [--steps 6]

Takes turns by optimizer step on the same rows, so that whatever else the machine does hits all alike:
    loop    PyTorch alone: padded batches, autocast, AdamW, clipping
    trl     SFTTrainer of the same settings
    bare    the same with this project's output layer, without signals or order guard
    ours    the workload with all signals
Then the peak memory of `bare` and `ours`, each in a process of its own.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import polars as pl

from sedi_dagster.models import BUNDLED_STUDENT
from sedi_dagster.settings import PROJECT_ROOT, TrainingSettings
from sedi_dagster.student.loading import load_student, load_tokenizer, student_source

BATCH_SIZE = 8
WARM_UP = 1  # steps not counted


class Turns:
    """Lets several threads go one optimizer step each in turn, and times the steps."""

    def __init__(self, names: list[str]) -> None:
        self.seconds: dict[str, list[float]] = {name: [] for name in names}
        self._queue = list(names)
        self._changed = threading.Condition()
        self._began: dict[str, float] = {}

    def take(self, name: str) -> None:
        """End the step under way, if any, and wait for the next turn."""
        with self._changed:
            self._pass_on(name)
            self._changed.wait_for(lambda: self._queue[0] == name)
            self._began[name] = time.perf_counter()

    def leave(self, name: str) -> None:
        with self._changed:
            self._pass_on(name)
            self._queue.remove(name)
            self._changed.notify_all()

    def _pass_on(self, name: str) -> None:
        if name in self._began:
            self.seconds[name].append(time.perf_counter() - self._began.pop(name))
            self._queue.append(self._queue.pop(0))
            self._changed.notify_all()


def rows(steps: int, batch_size: int = BATCH_SIZE) -> pl.DataFrame:
    """Human seed tasks as composed batches; again and again where there are too few."""
    lines = (PROJECT_ROOT / "seeds" / "seed_tasks.jsonl").read_text(encoding="utf-8").splitlines()
    tasks = pl.DataFrame([json.loads(line) for line in lines]).sample(fraction=1, shuffle=True, seed=0)
    tasks = pl.concat([tasks] * -(-steps * batch_size // tasks.height)).head(steps * batch_size)
    text = pl.col("instruction") + pl.when(pl.col("input") == "").then(pl.lit("")).otherwise("\n\n" + pl.col("input"))
    number = pl.int_range(pl.len())
    return tasks.select(
        batch=number // batch_size,
        position=number % batch_size,
        example_id=pl.format("e{}", number),
        category="category",
        origin=pl.lit("human"),
        prompt=text,
        output="output",
    )


def job(
    folder: Path, student: str, method: str, steps: int, batch_size: int = BATCH_SIZE, **settings: Any
) -> dict[str, Any]:
    folder.mkdir(parents=True)
    rows(steps, batch_size).write_parquet(folder / "rows.parquet")
    chosen = TrainingSettings(method=method, save_steps=10_000, example_losses=False, **settings)
    return {
        "student": student,
        "rows": str(folder / "rows.parquet"),
        "output": str(folder),
        "batch_size": batch_size,
        "seed": 0,
        "settings": chosen.model_dump(mode="json"),
    }


def prepare_trainer(kind: str, asked: dict[str, Any]) -> tuple[Any, Callable[[], list[float]]]:
    """A trainer and what runs it and returns the losses by step."""
    from trl import SFTTrainer

    from sedi_dagster.training import setup as making
    from sedi_dagster.training import sft
    from sedi_dagster.training.adapter import lora_config
    from sedi_dagster.training.job import TrainingJob

    described = TrainingJob.from_json(asked)
    frame, tokenizer = pl.read_parquet(described.rows), load_tokenizer(described.student)
    setup = making.build(described, frame, tokenizer, print)
    trainer = setup.trainer
    if kind == "ours":
        run = sft.Run(described, frame, tokenizer, setup, lambda _: None)
        return trainer, lambda: run.train()["loss"].to_list()
    if kind == "trl":  # the same arguments, without what this project puts on top
        lora = described.settings.method == "lora"
        trainer = SFTTrainer(
            model=load_student(described.student, None, trainable=True),
            args=trainer.args,
            train_dataset=making.dataset(frame, making.encode(tokenizer, frame)),
            processing_class=tokenizer,
            peft_config=lora_config(described.settings.lora_rank) if lora else None,
        )
    trainer.data_collator = without_ids(trainer.data_collator)
    return trainer, lambda: train_plainly(trainer)


def without_ids(collate: Callable[..., Any]) -> Callable[..., Any]:
    kept = ("input_ids", "labels")
    return lambda features: collate([{name: row[name] for name in kept} for row in features])


def train_plainly(trainer: Any) -> list[float]:
    trainer.train()
    return [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]


def minimal_loop(asked: dict[str, Any]) -> Iterator[None]:
    """PyTorch, transformers and peft alone; yields before each step."""
    import torch

    from sedi_dagster.training.adapter import lora_config
    from sedi_dagster.training.sizing import attempts, fit

    settings = TrainingSettings(**asked["settings"])
    tokenizer = load_tokenizer(asked["student"])
    model = load_student(asked["student"], None, trainable=True)
    encoded = [encode(tokenizer, row) for row in pl.read_parquet(asked["rows"]).iter_rows(named=True)]
    longest = max(len(ids) for ids, _ in encoded)
    (way,) = attempts(settings, model.num_parameters(), "cpu", longest, BATCH_SIZE)
    fitted = fit(settings, model.num_parameters(), "cpu", longest, way)
    if settings.method == "lora":
        from peft import get_peft_model

        model = get_peft_model(model, lora_config(settings.lora_rank))
    model.train()
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=fitted.learning_rate)
    size = fitted.micro_batch_size
    for start in range(0, len(encoded), BATCH_SIZE):
        yield
        batch = encoded[start : start + BATCH_SIZE]
        answers = sum(label != -100 for _, labels in batch for label in labels[1:])
        for first in range(0, BATCH_SIZE, size):
            with torch.autocast("cpu", torch.bfloat16, enabled=fitted.bf16):
                loss = model(**padded(batch[first : first + size]), num_items_in_batch=answers).loss
            loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        optimizer.zero_grad()


def encode(tokenizer: Any, row: dict[str, Any]) -> tuple[list[int], list[int]]:
    user = {"role": "user", "content": row["prompt"]}
    prompt = tokenizer.apply_chat_template([user], tokenize=False, add_generation_prompt=True)
    whole = tokenizer.apply_chat_template([user, {"role": "assistant", "content": row["output"]}], tokenize=False)
    before, ids = (tokenizer(text, add_special_tokens=False)["input_ids"] for text in (prompt, whole))
    return ids, [-100] * len(before) + ids[len(before) :]


def padded(batch: list[tuple[list[int], list[int]]]) -> dict[str, Any]:
    import torch

    longest = max(len(ids) for ids, _ in batch)
    return {
        "input_ids": torch.tensor([ids + [2] * (longest - len(ids)) for ids, _ in batch]),
        "attention_mask": torch.tensor([[1] * len(ids) + [0] * (longest - len(ids)) for ids, _ in batch]),
        "labels": torch.tensor([labels + [-100] * (longest - len(labels)) for _, labels in batch]),
    }


def in_turn(folder: Path, student: str, method: str, steps: int) -> None:
    from transformers import TrainerCallback

    class TakeTurns(TrainerCallback):
        def __init__(self, name: str) -> None:
            self.name = name

        def on_step_begin(self, *_: Any, **__: Any) -> None:
            turns.take(self.name)

    names = ["loop", "trl", "bare", "ours"]
    turns = Turns(names)
    losses: dict[str, list[float]] = {}
    ready = {name: prepare_trainer(name, job(folder / name, student, method, steps)) for name in names[1:]}

    def go(name: str) -> None:
        try:
            if name == "loop":
                for _ in minimal_loop(job(folder / name, student, method, steps)):
                    turns.take(name)
            else:
                trainer, run = ready[name]
                trainer.add_callback(TakeTurns(name))
                losses[name] = run()
        finally:
            turns.leave(name)

    threads = [threading.Thread(target=go, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    trainer, _ = ready["ours"]
    tokens = sum(len(row) for row in trainer.train_dataset["input_ids"])
    print(f"\n{method}, {steps} steps of {BATCH_SIZE} rows, {tokens / steps:.0f} tokens a step, {os.cpu_count()} cores")
    print("| | s a step (median) | tokens/s | by the loop |\n| --- | --: | --: | --: |")
    median = {name: statistics.median(turns.seconds[name][WARM_UP:]) for name in names}
    for name in names:
        speed = tokens / steps / median[name]
        print(f"| {name} | {median[name]:.2f} | {speed:.0f} | {median['loop'] / median[name]:.2f} |")
    pairs = zip(turns.seconds["ours"][WARM_UP:], turns.seconds["bare"][WARM_UP:], strict=True)
    ratio = statistics.median(ours / bare for ours, bare in pairs)
    print(f"all signals against none: {ratio - 1:+.1%} step time (median of pairs)")
    print(f"loss curves with and without signals identical: {losses['ours'] == losses['bare']}")
    apart = max(abs(a / b - 1) for a, b in zip(losses["ours"], losses["trl"], strict=True))
    print(f"largest difference of a step's loss from SFTTrainer's own output layer: {apart:.2%}")


def high_water_mb() -> int:
    """Peak resident memory of this process. `getrusage` would tell that of the parent it was forked from, if higher."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) // 1024


def peak_memory(kind: str, student: str, method: str, steps: int) -> None:
    """Run alone and print the peak resident memory, in MB."""
    with tempfile.TemporaryDirectory() as folder:
        _, run = prepare_trainer(kind, job(Path(folder) / kind, student, method, steps))
        run()
    print(high_water_mb())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--method", choices=["lora", "full"], action="append")
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--student", default=BUNDLED_STUDENT, help="bundled:..., a folder or a hub name")
    parser.add_argument("--memory-of", choices=["bare", "ours"], help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    student = student_source(chosen.student, PROJECT_ROOT / ".cache")
    methods = chosen.method or ["lora", "full"]
    if chosen.memory_of:
        peak_memory(chosen.memory_of, student, methods[0], chosen.steps)
        return
    for method in methods:
        with tempfile.TemporaryDirectory() as folder:
            in_turn(Path(folder), student, method, chosen.steps)
        peaks = {}
        for kind in ("bare", "ours"):
            command = [sys.executable, __file__, "--memory-of", kind, "--method", method, "--steps", "3"]
            command += ["--student", chosen.student]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            peaks[kind] = int(done.stdout.split()[-1])
        print(
            f"peak memory: {peaks['ours']:,} MB with all signals, {peaks['bare']:,} MB with none "
            f"({peaks['ours'] / peaks['bare'] - 1:+.1%})"
        )


if __name__ == "__main__":
    main()
