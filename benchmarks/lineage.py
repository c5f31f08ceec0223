"""How long a trace takes in a store of a million examples.

    python benchmarks/lineage.py /tmp/store --examples 1000000

Writes a synthetic store (rounds of 12 categories, with the columns and cardinalities of real ones), then times the
first opening of the index, and `sedi trace` as a process of its own for each kind of id and for a piece of text.
"""

from __future__ import annotations

import hashlib
import os
import random
import resource
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import click
import polars as pl

from sedi_dagster.filtering.verdicts import VERDICT_SCHEMA
from sedi_dagster.generation.candidates import CALL_SCHEMA, CANDIDATE_SCHEMA
from sedi_dagster.records import CategoryPlan, RoundPlan, round_key
from sedi_dagster.storage.rounds import save_plan
from sedi_dagster.storage.store import Store

CATEGORIES, SEEDS, BATCH, KEEP_RATE = 12, 288, 8, 0.8
WORDS = [hashlib.md5(str(i).encode()).hexdigest()[: 2 + i % 8] for i in range(20_000)]


def frame(schema: dict[str, Any], rows: list[dict[str, Any]]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=schema, orient="row")


def write_category(store: Store, key: str, name: str, count: int, rng: random.Random) -> list[dict[str, Any]]:
    """One generated batch; returns its candidates."""
    mine = [f"seed-{i:016x}" for i in range(SEEDS) if i % CATEGORIES == int(name[1:])]
    candidates: list[dict[str, Any]] = []
    calls = []
    for n in range(count):
        answer, instruction = f"{rng.getrandbits(128):032x}", f"{rng.getrandbits(128):032x}"
        calls += [{"request_key": k, "purpose": "answer", "category": name, "finish_reason": "stop",
                   "prompt_tokens": 300, "completion_tokens": 60, "latency_s": 0.1}
                  for k in (answer, instruction)]  # fmt: skip
        candidates.append(
            {"candidate_id": f"cand-{rng.getrandbits(64):016x}", "round": key, "category": name, "position": n,
             "instruction_id": f"instr-{rng.getrandbits(64):016x}", "instruction": " ".join(rng.choices(WORDS, k=14)),
             "input": "", "output": " ".join(rng.choices(WORDS, k=30)), "is_classification": False,
             "method": "self_instruct", "teacher": "benchmark", "prompt_version": "v1",
             "demonstration_ids": rng.sample(mine, 8), "instruction_key": instruction, "answer_key": answer,
             "further_keys": [], "raw": ""}
        )  # fmt: skip
    store.write_tables(
        {"candidates": frame(CANDIDATE_SCHEMA, candidates), "calls": frame(CALL_SCHEMA, calls)},
        "generated_batches", key, name,
    )  # fmt: skip
    return candidates


def write_round(store: Store, number: int, per_category: int) -> str:
    """A round with training; returns the id of one of its examples."""
    key, rng = round_key(number), random.Random(number)
    names = [f"c{i}" for i in range(CATEGORIES)]
    plan = RoundPlan(key, None, "benchmark", tuple(CategoryPlan(n, per_category, "") for n in names), number)
    save_plan(store, plan)
    candidates = [row for name in names for row in write_category(store, key, name, per_category, rng)]
    verdicts = [
        {"candidate_id": row["candidate_id"], "category": row["category"], "instruction": row["instruction"],
         **({"state": "kept"} if rng.random() < KEEP_RATE else
            {"state": "rejected", "rule": "near_duplicate", "score": 0.9, "threshold": 0.85,
             "neighbour_id": candidates[0]["candidate_id"], "neighbour": candidates[0]["instruction"]})}
        for row in candidates
    ]  # fmt: skip
    kept = [row for row, verdict in zip(candidates, verdicts, strict=True) if verdict["state"] == "kept"]
    rng.shuffle(kept)
    ids = pl.Series("example_id", [row["candidate_id"] for row in kept])
    numbers = pl.int_range(len(ids), eager=True)
    batches = pl.DataFrame(
        {"batch": numbers // BATCH + 1, "position": numbers % BATCH, "example_id": ids}
    ).with_columns(
        origin=pl.lit("machine"),
        category=pl.Series([row["category"] for row in kept]),
        prompt=pl.Series([row["instruction"] for row in kept]),
        output=pl.Series([row["output"] for row in kept]),
    )
    store.write_tables({"verdicts": frame(VERDICT_SCHEMA, verdicts), "batches": batches}, "filtered_batches", key)
    steps = batches.group_by("batch", maintain_order=True).agg(example_ids="example_id").rename({"batch": "step"})
    steps = steps.with_columns(loss=pl.lit(1.0), grad_norm=pl.lit(2.0), learning_rate=pl.lit(1e-4))
    files = pl.DataFrame({"file": ["adapter_model.safetensors"], "sha256": [f"{rng.getrandbits(256):064x}"]})
    origin = pl.DataFrame(
        {"student": ["benchmark"], "parent": [None]}, schema={"student": pl.String, "parent": pl.String}
    )
    store.write_tables({"steps": steps, "files": files, "origin": origin}, "sft_checkpoint", key)
    return str(ids[0])


def timed_trace(data: Path, wanted: str, times: int = 3) -> str:
    """Wall clock and CPU seconds of the best of some `sedi trace`, start of the interpreter included."""
    environment = os.environ | {"SEDI_DATA": str(data), "SEDI_CACHE": str(data / "cache")}
    command = [sys.executable, "-m", "sedi_dagster.cli", "trace", wanted]
    took = []
    for _ in range(times):
        began, used = time.perf_counter(), cpu_seconds()
        subprocess.run(command, env=environment, check=True, capture_output=True)
        took.append((time.perf_counter() - began, cpu_seconds() - used))
    return "{:.2f} s, of them {:.2f} s CPU".format(*min(took))


def cpu_seconds() -> float:
    """CPU time of all children so far."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--examples", default=1_000_000, show_default=True, help="Kept examples in all.")
@click.option("--rounds", default=100, show_default=True)
def main(folder: Path, examples: int, rounds: int) -> None:
    """Write a synthetic store into FOLDER (unless it is there) and time traces in it."""
    store = Store(str(folder))
    per_category = round(examples / KEEP_RATE / rounds / CATEGORIES)
    if not (folder / "plans").exists():
        seeds = pl.DataFrame(
            {"seed_id": [f"seed-{i:016x}" for i in range(SEEDS)],
             "category": [f"c{i % CATEGORIES}" for i in range(SEEDS)],
             "instruction": [f"Seed task {i}." for i in range(SEEDS)], "input": "", "output": "", "origin": "human"}
        )  # fmt: skip
        store.write_tables({"seeds": seeds}, "seed_pool")
        for number in range(1, rounds + 1):
            write_round(store, number, per_category)
            click.echo(f"\rround {number} of {rounds}", nl=False, err=True)
    middle = store.read_tables("filtered_batches", round_key(rounds // 2 + 1))["batches"].row(5, named=True)
    shutil.rmtree(folder / "cache", ignore_errors=True)
    click.echo(f"first trace, which makes the index: {timed_trace(folder, middle['example_id'], times=1)}")
    index = sum(file.stat().st_size for file in (folder / "cache" / "lineage").iterdir())
    click.echo(f"index: {index / 1e6:.0f} MB")
    call = store.read_tables("generated_batches", middle_round(rounds), "c1")["calls"]["request_key"][0]
    for name, wanted in (
        ("example", middle["example_id"]),
        ("beginning of an id", middle["example_id"][:14]),
        ("seed", "seed-0000000000000001"),
        ("call", call),
        ("batch", f"{middle_round(rounds)}/batch-0003"),
        ("checkpoint", middle_round(rounds)),
        ("piece of text", middle["prompt"][8:48]),
    ):
        click.echo(f"{name:20} {timed_trace(folder, wanted)}")


def middle_round(rounds: int) -> str:
    return round_key(rounds // 2 + 1)


if __name__ == "__main__":
    main()
