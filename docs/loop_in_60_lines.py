"""The whole method as one script, built on the functions that the assets use. Read this first.

    SEDI_PROFILE=rehearsal python docs/loop_in_60_lines.py /tmp/loop 2     # two rounds with the SIMULATED teacher

Two rounds take about five minutes of CPU time. Dagster adds partitions, retries, checks, lineage and a UI
(`assets/`). This script also omits the seed-only baseline, the promotion of seeds, the test whether a checkpoint got
worse, and resuming.
"""

import asyncio
import sys
from pathlib import Path

import numpy as np
import polars as pl

from sedi_dagster.batching.composition import compose, training_rows
from sedi_dagster.batching.replay import ReplayRules, rows_to_train
from sedi_dagster.categories import load_categories
from sedi_dagster.evaluation.answering import evaluate
from sedi_dagster.evaluation.items import draw_items, load_evaluation_items
from sedi_dagster.evaluation.results import read_results
from sedi_dagster.feedback.plan import PlanRequest, Stop, plan_round
from sedi_dagster.feedback.seed_update import prompting, seed_set
from sedi_dagster.filtering.decontamination import Decontaminator
from sedi_dagster.filtering.generation_filter import GenerationFilter
from sedi_dagster.filtering.rules import InstructionForm
from sedi_dagster.filtering.verdicts import Rules, judge_candidates
from sedi_dagster.generation.generate import generate
from sedi_dagster.generation.method import GenerationJob
from sedi_dagster.generation.methods import candidates_per_call
from sedi_dagster.records import CategoryOutcome, RoundOutcome
from sedi_dagster.seed_pool.loading import read_seed_file, seed_frame
from sedi_dagster.settings import load_settings
from sedi_dagster.student.loading import student_source
from sedi_dagster.teacher.open import open_teacher
from sedi_dagster.training.sft import train

folder, rounds = Path(sys.argv[1]), int(sys.argv[2])
s = load_settings({"data": str(folder)})
categories = load_categories(s.path(s.categories))
items = draw_items(load_evaluation_items(s.path(s.items), categories), s.evaluation.items_per_category, s.project_seed)
seeds = seed_set(seed_frame(read_seed_file(s.path(s.seeds), categories).checked().tasks), None)
student, form = student_source(s.training.student, s.path(s.cache)), InstructionForm.of(s.filtering)
limits = s.filtering.decontamination_threshold, s.filtering.decontamination_ngram
guard = Decontaminator([(i.id, i.prompt) for i in items], *limits)


def score(checkpoint: Path | None, name: str) -> dict[str, list[bool]]:
    """Whether each item is passed, by category."""
    asked = [vars(i) | {"key": i.id, "max_answer_tokens": categories[i.category].max_answer_tokens} for i in items]
    results = folder / f"{name}.jsonl"
    evaluate({"student": student, "adapter": checkpoint, "items": asked, "results": results, "batch_size": None}, print)
    found = read_results(results)
    return {c: [found[i.id]["passed"] for i in items if i.category == c] for c in categories}


def kept_texts() -> list[pl.DataFrame]:
    return [examples.select(pl.col("example_id").alias("id"), "instruction", "input") for examples in kept]


async def write(plan) -> list[dict[str, pl.DataFrame]]:
    """What the teacher writes for each planned category; each call is in the ledger before it is parsed."""
    known = pl.concat([seeds.select(pl.col("seed_id").alias("id"), "instruction", "input"), *kept_texts()])
    async with open_teacher(s) as teacher:
        jobs = [
            GenerationJob(
                plan.round, categories[c.category], c.wanted, c.candidates, chat=s.teacher.asks_in_chat,
                seeds=prompting(seeds).filter(pl.col("category") == c.category), kept=pl.DataFrame(),
                teacher=s.teacher.model, settings=s.generation, project_seed=s.project_seed,
            )
            for c in plan.categories
        ]  # fmt: skip
        rules = GenerationFilter(known.iter_rows(), guard, s.filtering.threshold, form)
        return [await generate(job, s.generation.methods, teacher.ask, rules) for job in jobs]


kept: list[pl.DataFrame] = []
plans, finished, checkpoint = [], [], None
start = score(None, "untrained")
for _ in range(rounds):
    # 1. Plan: tokens go where the next ones are expected to gain most.
    per_call = candidates_per_call(s.generation.methods, s.generation, s.teacher.asks_in_chat)
    request = PlanRequest("docs", None, s.generation.candidates_per_category, per_call=per_call)
    plan = plan_round(request, list(categories), plans, finished, {c: sum(p) / len(p) for c, p in start.items()})
    if isinstance(plan, Stop):
        print(plan.reason)
        break
    # 2. Generate, and 3. filter: a verdict for every candidate.
    written = asyncio.run(write(plan))
    candidates, calls = (pl.concat([tables[name] for tables in written]) for name in ("candidates", "calls"))
    pool = pl.concat([seeds.select(pl.col("seed_id").alias("id"), "instruction", "input"), *kept_texts()])
    verdicts = judge_candidates(candidates, pool, Rules(guard, form, s.filtering.threshold))
    good = verdicts.filter(pl.col("state") == "kept").select("candidate_id")
    examples = candidates.join(good, on="candidate_id", maintain_order="left").rename({"candidate_id": "example_id"})
    # 4. Train on everything paid for so far, and the human seed tasks.
    rules = ReplayRules(s.batching.human_replay, s.batching.earlier_replay, s.batching.batch_size)
    rows = rows_to_train(
        examples, pl.concat([examples.clear(), *kept]), seeds, rules, plan.category_ids, plan.number, s.project_seed
    )
    batches = compose(np.empty((rows.height, 0)), rules.batch_size, "random", s.project_seed, plan.round)
    training_rows(rows, batches).write_parquet(folder / f"{plan.round}.parquet")
    job = {"student": student, "checkpoint": checkpoint, "rows": folder / f"{plan.round}.parquet", "seed": 0}
    job |= {"output": folder / plan.round, "batch_size": rules.batch_size, "settings": s.training.model_dump()}
    train(job, print)
    # 5. Evaluate; the outcome is what the next plan is made of.
    checkpoint, passed = folder / plan.round / "checkpoint", score(folder / plan.round / "checkpoint", plan.round)
    tokens = int(calls.select(pl.sum("prompt_tokens") + pl.sum("completion_tokens")).item())
    outcomes = []
    for c in categories:
        of, good_of = candidates.filter(pl.col("category") == c).height, examples.filter(pl.col("category") == c).height
        counts = {"items": len(passed[c]), "passed": sum(passed[c]), "candidates": of, "kept": good_of}
        outcomes.append(
            CategoryOutcome(c, **counts, low=0, high=1, target=0.6, p_value=1, adjusted_p=1, decision="fine", reason="")
        )
    right, asked = sum(map(sum, passed.values())), len(items)
    came_to = (examples.height, candidates.height, tokens, right / asked)
    finished.append(RoundOutcome(plan.round, *came_to, promoted=True, categories=tuple(outcomes)))
    plans.append(plan)
    kept.append(examples)
    print(f"{plan.round}: {examples.height} of {candidates.height} kept, {tokens:,} tokens, {right} of {asked} passed")
