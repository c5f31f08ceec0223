"""A verdict for each of a million candidates: seconds of each rule, and memory.

    python benchmarks/rules.py --candidates 1000000

Candidates are grown from the project's seed tasks: beginnings and ends of real instructions crossed, words exchanged
among all; 5 % are near copies of an earlier one, 2 % exact copies, 1 % evaluation items, 1 % break a rule of form.
Vectors are not compared (`decontamination_cosine`, `semantic_threshold` off): an embedding model makes some hundred a
second on two cores. Prints a Markdown table.
"""

from __future__ import annotations

import random
import resource
import time
from collections.abc import Callable
from typing import Any

import click
import polars as pl

from sedi_dagster.categories import load_categories
from sedi_dagster.evaluation.items import load_evaluation_items
from sedi_dagster.filtering import verdicts
from sedi_dagster.filtering.decontamination import Decontaminator
from sedi_dagster.filtering.rules import InstructionForm
from sedi_dagster.seed_pool import read_seed_file
from sedi_dagster.settings import Settings, load_settings
from sedi_dagster.student.loading import student_source, token_counter

STAGES = {
    "first_broken": "form, keywords, instances, contradictions",
    "_near_items": "nearness to 1,359 evaluation items: runs of words, ROUGE-L (4 texts a candidate)",
    "_too_long": "length in the student's tokens",
    "_not_new": "exact duplicates, novelty (ROUGE-L 0.85, greedy)",
    "_repeated_instances": "repeated instances",
    "_rejected_unanswered": "rejected before they were answered",
}


def grown(settings: Settings, items: list[str], size: int) -> pl.DataFrame:
    """Candidates as generation makes them."""
    rng = random.Random(0)
    categories = load_categories(settings.path(settings.categories))
    seeds = read_seed_file(settings.path(settings.seeds), categories).tasks
    pool = [seed.instruction.split() for seed in seeds]
    words = sorted({word for instruction in pool for word in instruction})
    outputs = [seed.output for seed in seeds]
    inputs = [seed.input for seed in seeds]
    instructions: list[str] = []
    for _ in range(size):
        kind = rng.random()
        if kind < 0.02 and instructions:
            instructions.append(rng.choice(instructions))
        elif kind < 0.03:
            instructions.append(rng.choice(items))
        elif kind < 0.04:
            instructions.append("Draw it.")
        else:
            a, b = rng.choice(pool), rng.choice(pool)
            if kind < 0.09 and instructions:
                made = rng.choice(instructions).split()
                made[rng.randrange(len(made))] = rng.choice(words)
            else:
                made = a[: len(a) // 2 + 1] + b[len(b) // 2 :]
                made = [word if rng.random() < 0.7 else rng.choice(words) for word in made]
            instructions.append(" ".join(made))
    frame = pl.DataFrame(
        {
            "instruction": instructions,
            "input": [rng.choice(inputs) if rng.random() < 0.4 else "" for _ in instructions],
            "output": [f"{rng.choice(outputs)} {rng.randrange(10**6)}" for _ in instructions],
        }
    )
    number = pl.int_range(pl.len()).cast(pl.String)
    nothing = ("problem", "rejection_rule", "rejection_neighbour_id", "rejection_neighbour")
    return frame.with_columns(
        candidate_id="c" + number,
        instruction_id="i" + number,
        category=pl.lit("math"),
        rejection_score=pl.lit(None, pl.Float64),
        rejection_threshold=pl.lit(None, pl.Float64),
        **{name: pl.lit(None, pl.String) for name in nothing},
    )


def timed(name: str, seconds: dict[str, float], cpu: dict[str, float]) -> Callable[..., Any]:
    """The stage of that name, its seconds added up: those that pass, and those of the processor."""
    stage = getattr(verdicts, name)

    def call(*arguments: Any) -> Any:
        begun, begun_cpu = time.perf_counter(), time.process_time()
        found = stage(*arguments)
        seconds[name] = seconds.get(name, 0.0) + time.perf_counter() - begun
        cpu[name] = cpu.get(name, 0.0) + time.process_time() - begun_cpu
        return found

    return call


@click.command()
@click.option("--candidates", default=100_000, show_default=True)
def main(candidates: int) -> None:
    settings = load_settings()
    categories = load_categories(settings.path(settings.categories))
    items = load_evaluation_items(settings.path(settings.items), categories)
    frame = grown(settings, [item.prompt for item in items], candidates)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    filtering = settings.filtering
    rules = verdicts.Rules(
        Decontaminator(
            ((item.id, item.prompt) for item in items),
            filtering.decontamination_threshold,
            filtering.decontamination_ngram,
        ),
        InstructionForm.of(filtering),
        filtering.threshold,
        settings.training.max_length,
        token_counter(student_source(settings.training.student, settings.path(settings.cache))),
    )
    pool = pl.DataFrame(schema=dict.fromkeys(("id", "instruction", "input"), pl.String))
    verdicts.judge_candidates(frame.head(500), pool, rules)  # loads
    seconds: dict[str, float] = {}
    cpu: dict[str, float] = {}
    for name in STAGES:
        setattr(verdicts, name, timed(name, seconds, cpu))
    begun, begun_cpu = time.perf_counter(), time.process_time()
    judged = verdicts.judge_candidates(frame, pool, rules)
    whole, whole_cpu = time.perf_counter() - begun, time.process_time() - begun_cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"| {candidates:,} candidates | seconds | of processor |\n| --- | --- | --- |")
    for name, label in STAGES.items():
        print(f"| {label} | {seconds[name]:.1f} | {cpu[name]:.1f} |")
    print(f"| all | {whole:.1f} | {whole_cpu:.1f} |")
    print(f"\nPeak memory {peak:.1f} GB ({before:.1f} GB with the candidates read).")
    print(dict(judged.group_by(pl.col("rule").fill_null("kept")).len().sort("len", descending=True).iter_rows()))


if __name__ == "__main__":
    main()
