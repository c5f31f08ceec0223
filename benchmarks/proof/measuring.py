"""What a finished loop came to: tokens, rows, decisions, and the score of each student on items it never decided by.

The items that decide inside a loop (weak categories, promotion) are not those that measure it here. Checkpoints are
measured by the product's own evaluation workload, all of a loop in one process.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import polars as pl

from benchmarks.proof.loops import ROOT, Loop, python_path
from sedi_dagster.categories import load_categories
from sedi_dagster.evaluation.items import draw_items, load_evaluation_items
from sedi_dagster.evaluation.results import read_results
from sedi_dagster.models import BUNDLED_STUDENT
from sedi_dagster.records import EvaluationItem, content_id
from sedi_dagster.storage.rounds import SEED_TASKS, load_history
from sedi_dagster.storage.store import Store
from sedi_dagster.student.loading import student_source

UNTRAINED = "untrained"
MEASURED = "measured.jsonl"
PROMPT_PRICE = 0.25
"""Price of a prompt token, a completion token being 1: what most sellers ask (docs/teacher.md has their prices)."""


def measurement_items(ground: Path, per_category: int) -> list[EvaluationItem]:
    """The items that measure: the same for every arm and project seed."""
    categories = load_categories(ground / "categories.yaml")
    return draw_items(load_evaluation_items(ground / "measurement_items.jsonl", categories), per_category, 0)


def measure(loops: Sequence[Loop], items: Sequence[EvaluationItem], processes: int, threads: int) -> None:
    """Answer the items with every checkpoint of these loops that has not answered them yet.

    Loops whose baselines others take over come first.

    Raises:
        subprocess.CalledProcessError: a process failed; `measuring.log` says why.
    """
    waiting = [(loop, jobs) for loop in loops if (jobs := _jobs(loop, items))]
    shares = [waiting[first::processes] for first in range(min(processes, len(waiting)))]
    with ThreadPoolExecutor(processes) as pool:
        list(pool.map(lambda share: _in_one_process(share, threads), shares))


def _in_one_process(waiting: Sequence[tuple[Loop, list[dict[str, Any]]]], threads: int) -> None:
    folder = waiting[0][0].folder
    file = folder / "measurements.json"
    file.write_text(json.dumps([job for _, jobs in waiting for job in jobs]), encoding="utf-8")
    environment = os.environ | {"OMP_NUM_THREADS": str(threads), "PYTHONPATH": python_path()}
    command = [sys.executable, "-m", "benchmarks.proof.measuring", str(file)]
    with (folder / "measuring.log").open("ab") as log:
        subprocess.run(command, cwd=ROOT, env=environment, check=True, stdout=log, stderr=subprocess.STDOUT)


def _jobs(loop: Loop, items: Sequence[EvaluationItem]) -> list[dict[str, Any]]:
    limits = {c.id: c.max_answer_tokens for c in load_categories(loop.ground / "categories.yaml").values()}
    results, known = loop.folder / MEASURED, _known(loop)
    jobs = []
    for student in _students(loop):
        asked = [
            vars(item) | {"key": _key(student, item), "max_answer_tokens": limits[item.category]} for item in items
        ]
        missing = [item for item in asked if item["key"] not in known]
        if missing:
            adapter = None if student == UNTRAINED else str(loop.folder / "data" / "checkpoints" / student)
            jobs.append(
                {
                    "student": student_source(BUNDLED_STUDENT, loop.folder / "cache"),
                    "adapter": adapter,
                    "items": missing,
                    "results": str(results),
                    "batch_size": 48,
                    "output": str(loop.folder),
                }
            )
    return jobs


def _known(loop: Loop) -> dict[str, dict[str, Any]]:
    """Answers on record; those of the baselines lie with the loop that they were taken over from."""
    shared = read_results(loop.shares / MEASURED) if loop.shares else {}
    return shared | read_results(loop.folder / MEASURED)


def _students(loop: Loop) -> list[str]:
    store = Store(str(loop.folder / "data"))
    rounds = [outcome.round for outcome in load_history(store).finished]
    seeds_alone = [SEED_TASKS] if store.path("checkpoints", SEED_TASKS).exists() else []
    return [UNTRAINED, *seeds_alone, *rounds]


def _key(student: str, item: EvaluationItem) -> str:
    return content_id("measured", student, item.id, item.prompt)


def points(loop: Loop, items: Sequence[EvaluationItem]) -> dict[str, Any]:
    """A loop as `results.json` holds it.

    `untrained` and `seed_tasks` are passes of each item (0 or 1, in the order of `items`); `rounds` has for each
    round what it cost so far and the passes of the student that a user would take then: the last one promoted.
    `losses`: of each item's reference answer, by the untrained student, that of the seed tasks, and the last one.
    """
    store = Store(str(loop.folder / "data"))
    known = _known(loop)

    def passes(student: str) -> list[int]:
        return [int(known[_key(student, item)]["passed"]) for item in items]

    def losses(student: str) -> list[float]:
        return [round(float(known[_key(student, item)]["reference_loss"]), 3) for item in items]

    history = load_history(store)
    there = store.path("checkpoints", SEED_TASKS).exists()
    baseline = passes(SEED_TASKS) if there else None
    start = store.read_tables("baseline_scores")["origin"].row(0, named=True).get("start")
    name = SEED_TASKS if start == SEED_TASKS and baseline is not None else UNTRAINED
    standing = baseline if start == SEED_TASKS and baseline is not None else passes(UNTRAINED)
    rounds, prompt, completion, steps = [], 0, 0, 0
    for outcome in history.finished:
        plan = next(plan for plan in history.plans if plan.round == outcome.round)
        calls = pl.concat(
            [
                store.read_tables("generated_batches", plan.round, c)["calls"].select(
                    "request_key", "prompt_tokens", "completion_tokens"
                )
                for c in plan.category_ids
            ]
        ).unique("request_key")
        prompt += int(calls["prompt_tokens"].sum())
        completion += int(calls["completion_tokens"].sum())
        steps += store.read_tables("sft_checkpoint", plan.round)["steps"].height
        trained = passes(outcome.round)
        standing, name = (trained, outcome.round) if outcome.promoted else (standing, name)
        rounds.append(
            {
                "round": outcome.round,
                "tokens": prompt + completion,
                "prompt_tokens": prompt,
                "completion_tokens": completion,
                "priced_tokens": completion + PROMPT_PRICE * prompt,
                "steps": steps,
                "candidates": outcome.candidates,
                "kept": outcome.kept,
                "asked": {c.category: c.candidates for c in plan.categories},
                "promoted": outcome.promoted,
                "decided_score": outcome.score,
                "trained": trained,
                "passes": standing,
            }
        )
    record = loop.finished() or {}
    measured = {UNTRAINED: losses(UNTRAINED), "last": losses(name)} | (
        {"seed_tasks": losses(SEED_TASKS)} if there else {}
    )
    return {
        "losses": measured,
        "untrained": passes(UNTRAINED),
        "seed_tasks": baseline,
        "rounds": rounds,
        "seconds": record.get("seconds"),
        "commit": record.get("commit"),
        "arm_version": loop.arm.version,
    }


def _main(jobs: Sequence[Mapping[str, Any]]) -> None:
    from sedi_dagster.evaluation.answering import evaluate

    for job in jobs:
        evaluate(job, lambda line: print(line, flush=True))


if __name__ == "__main__":
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    _main(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))
