"""Compare the generation methods on the same categories with one teacher: kept, rejected by rule, and cost.

python benchmarks/generation.py [--candidates 12] [--only single_call] > docs/generation_trial.md
An interrupted run resumes: every answer is in the ledger (SEDI_DATA), so no call is sent twice.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import click
import polars as pl

from sedi_dagster.filtering.generation_filter import GenerationFilter
from sedi_dagster.filtering.verdicts import judge_candidates
from sedi_dagster.generation.generate import generate
from sedi_dagster.generation.method import GenerationJob
from sedi_dagster.orchestration.filtering import round_rules
from sedi_dagster.orchestration.resources import SediResource
from sedi_dagster.orchestration.round_inputs import evaluation_decontaminator, generation_filter, task_pool
from sedi_dagster.records import AskTeacher, Category, Tables, TeacherAnswer, TeacherRequest, derived_rng
from sedi_dagster.settings import Settings
from sedi_dagster.teacher.open import open_teacher

SHOWN = 1
ROUND = "trial"
NO_KEPT = dict.fromkeys(("example_id", "category", "instruction", "input", "output"), pl.String)


@dataclass(frozen=True)
class Variant:
    """A method in one form, as a column of the table."""

    label: str
    method: str
    settings: dict[str, Any] = field(default_factory=dict)


VARIANTS = (
    Variant("self_instruct, few-shot instances", "self_instruct", {"instances": "few_shot"}),
    Variant("self_instruct, answered", "self_instruct", {"instances": "answer"}),
    Variant("single_call", "single_call"),
    Variant("evol_instruct", "evol_instruct"),
)


@dataclass
class Outcome:
    """What a variant came to, over all categories."""

    variant: Variant
    candidates: pl.DataFrame
    verdicts: pl.DataFrame
    calls: pl.DataFrame
    results: pl.DataFrame

    @property
    def kept(self) -> pl.DataFrame:
        ids = self.verdicts.filter(pl.col("state") == "kept")["candidate_id"]
        return self.candidates.filter(pl.col("candidate_id").is_in(ids.implode()))

    @property
    def tokens(self) -> int:
        return int((self.calls["prompt_tokens"] + self.calls["completion_tokens"]).sum())


@click.command()
@click.option("--candidates", default=12, show_default=True, help="Well-formed candidates per category and method.")
@click.option("--only", default="", help="Only methods whose label contains this.")
def main(candidates: int, only: str) -> None:
    """Run the variants and print the page."""
    chosen = [v for v in VARIANTS if only in v.label]
    outcomes = [asyncio.run(run(variant, candidates)) for variant in chosen]
    print("\n".join(page(outcomes, candidates)))


async def run(variant: Variant, count: int) -> Outcome:
    """All categories with one variant, at once, so that the teacher always has something to do."""
    sedi = SediResource(overrides={"generation": {"methods": {variant.method: 1.0}, **variant.settings}})
    settings, seeds = sedi.settings(), sedi.seeds()
    decontaminator = evaluation_decontaminator(sedi, seeds)

    def rules() -> GenerationFilter:
        return generation_filter(sedi, seeds, ROUND, decontaminator)

    began = time.monotonic()
    async with open_teacher(settings, run="generation trial") as teacher:

        async def ask(requests: Sequence[TeacherRequest]) -> list[TeacherAnswer]:
            return await teacher.ask(requests)

        jobs = [job(settings, category, seeds, count) for category in sedi.categories().values()]
        tables = await asyncio.gather(*(one(j, variant.method, ask, rules()) for j in jobs))
    print(f"{variant.label}: {time.monotonic() - began:.0f} s", file=sys.stderr)
    candidates = pl.concat([t["candidates"] for t in tables])
    verdicts = judge_candidates(candidates, task_pool(sedi, seeds, ROUND), round_rules(sedi, seeds))
    return Outcome(
        variant,
        candidates,
        verdicts,
        pl.concat([t["calls"] for t in tables]).unique("request_key"),
        pl.concat([t["result"] for t in tables]),
    )


async def one(chosen: GenerationJob, method: str, ask: AskTeacher, rules: GenerationFilter) -> Tables:
    return await generate(chosen, {method: 1.0}, ask, rules)


def job(settings: Settings, category: Category, seeds: pl.DataFrame, count: int) -> GenerationJob:
    return GenerationJob(
        round=ROUND,
        category=category,
        wanted=None,
        candidates=count,
        seeds=seeds.filter(seeds["category"] == category.id),
        kept=pl.DataFrame(schema=NO_KEPT),
        teacher=settings.teacher.model,
        chat=settings.teacher.asks_in_chat,
        settings=settings.generation,
        temperature=settings.teacher.temperature,
        top_p=settings.teacher.top_p,
        project_seed=settings.project_seed,
    )


def page(outcomes: Sequence[Outcome], count: int) -> Iterator[str]:
    """The figures and samples as Markdown."""
    yield "# Comparison of generation methods"
    yield ""
    command = f"python benchmarks/generation.py --candidates {count}"
    yield f"Measured with `{command}`, {date.today():%B %Y}, on {os.cpu_count()} CPU cores. The teacher is"
    yield f"{outcomes[0].candidates['teacher'][0]}. All methods used the same {outcomes[0].results.height} categories"
    yield "and seeds, and no examples of earlier rounds. Token counts include prompts, also where the server has them"
    yield "cached."
    yield ""
    yield "| | " + " | ".join(o.variant.label for o in outcomes) + " |"
    yield "| --- |" + " --- |" * len(outcomes)
    for label, figure in FIGURES.items():
        yield f"| {label} | " + " | ".join(figure(o) for o in outcomes) + " |"
    reasons = Counter[str]()
    lost = [Counter(_reasons(o)) for o in outcomes]
    for counted in lost:
        reasons.update(counted)
    for reason, _ in reasons.most_common():
        yield f"| rejected: {reason} | " + " | ".join(str(counted[reason]) for counted in lost) + " |"
    yield ""
    yield "## Samples"
    yield ""
    yield "One kept example of each method, drawn at random, unedited."
    for outcome in outcomes:
        yield from _samples(outcome)


FIGURES: dict[str, Callable[[Outcome], str]] = {
    "candidates": lambda o: str(o.candidates.height),
    "kept": lambda o: str(o.kept.height),
    "keep rate": lambda o: f"{o.kept.height / o.candidates.height:.0%}",
    "calls": lambda o: str(o.calls.height),
    "tokens": lambda o: f"{o.tokens:,}",
    "completion tokens": lambda o: f"{o.calls['completion_tokens'].sum():,}",
    "tokens per kept example": lambda o: f"{o.tokens / max(1, o.kept.height):,.0f}",
    "completion tokens per kept example": lambda o: (
        f"{o.calls['completion_tokens'].sum() / max(1, o.kept.height):,.0f}"
    ),
    "model seconds per kept example": lambda o: f"{o.calls['latency_s'].sum() / max(1, o.kept.height):,.1f}",
}


def _reasons(outcome: Outcome) -> list[str]:
    lost = outcome.verdicts.filter(pl.col("state") != "kept")
    return [str(rule).split(":")[0] for rule in lost["rule"]]


def _samples(outcome: Outcome) -> Iterator[str]:
    kept = outcome.kept.to_dicts()
    shown = derived_rng("generation trial", outcome.variant.label).sample(kept, min(SHOWN, len(kept)))
    yield ""
    yield f"### {outcome.variant.label}"
    for row in shown:
        yield ""
        yield f"**{row['category']}**"
        yield ""
        yield "```text"
        yield f"Instruction: {row['instruction']}"
        if row["input"]:
            yield f"Input: {row['input']}"
        yield f"Output: {row['output']}".replace("```", "'''")
        yield "```"


if __name__ == "__main__":
    main()
