"""A generation in all categories by all methods, to be killed at any moment: `kill_worker.py LEDGER_URL BASE_URL OUTPUT
CANDIDATES` (so many in each category). What a later call asks depends on what earlier ones answered, so a wrong or lost
answer shows in all that follows."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import polars as pl

from sedi_dagster.categories import load_categories
from sedi_dagster.generation.generate import generate
from sedi_dagster.generation.method import GenerationJob
from sedi_dagster.generation.methods import METHODS
from sedi_dagster.records import Category, Rejection, Tables
from sedi_dagster.seed_pool import read_seed_file, seed_frame
from sedi_dagster.settings import GenerationSettings, TeacherSettings
from sedi_dagster.teacher.client import Teacher
from sedi_dagster.teacher.endpoint import RemoteEndpoint
from sedi_dagster.teacher.ledger import Ledger
from sedi_dagster.testing.simulated_teacher import MODEL

SEEDS = Path(__file__).parents[2] / "seeds"
MIX = {name: 1 / len(METHODS) for name in METHODS}
NO_KEPT = dict.fromkeys(("example_id", "instruction", "input", "output"), pl.String)


class AllPass:
    """A filter without rules: the trial is of the calls."""

    def task(self, candidate_id: str, instruction: str, text_input: str) -> Rejection | None:
        return None

    def instance(self, instruction: str, text_input: str, output: str) -> str | None:
        return None


def job(category: Category, seeds: pl.DataFrame, candidates: int) -> GenerationJob:
    return GenerationJob(
        round="round-0001",
        category=category,
        wanted=None,
        candidates=candidates,
        seeds=seeds.filter(seeds["category"] == category.id),
        kept=pl.DataFrame(schema=NO_KEPT),
        teacher=MODEL,
        chat=True,
        settings=GenerationSettings(methods=MIX),
    )


async def generate_all(ledger: Ledger, base_url: str, candidates: int) -> pl.DataFrame:
    categories = load_categories(SEEDS / "categories.yaml")
    seeds = seed_frame(read_seed_file(SEEDS / "seed_tasks.jsonl", categories).checked().tasks)
    settings = TeacherSettings(base_url=base_url, model=MODEL, max_concurrency=8, timeout_s=10)
    async with Teacher(settings, ledger, endpoint=RemoteEndpoint(base_url, "key")) as teacher:

        async def one(category: Category) -> Tables:
            return await generate(job(category, seeds, candidates), MIX, teacher.ask, AllPass())

        tables = await asyncio.gather(*(one(category) for category in categories.values()))
    return pl.concat([t["candidates"] for t in tables])


def main() -> None:
    url, base_url, output, candidates = sys.argv[1:]
    print("started", flush=True)
    with Ledger(url) as ledger:
        written = asyncio.run(generate_all(ledger, base_url, int(candidates)))
    part = Path(f"{output}.part")
    written.write_parquet(part)
    part.rename(output)


if __name__ == "__main__":
    main()
