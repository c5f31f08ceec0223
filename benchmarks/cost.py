"""What a kept example costs the teacher: `self_instruct` (ROUGE-L 0.7) beside `sedi` (0.85) on the same stream.

    python benchmarks/cost.py stream --folder /tmp/cost --candidates 2000    # may be stopped and started again
    python benchmarks/cost.py compare --folder /tmp/cost --figure docs/images/cost.png

The stream is written by the local teacher in rounds, by the project's own generation: 8 demonstrations a call, 6 human
and 2 machine-made, the latter from what the stricter threshold kept of the rounds before. An instruction is judged
before an answer is paid for, so only instructions are asked for; what an answer costs is measured on a sample.

    tokens per kept example = tokens of all instruction calls / kept + mean tokens of an answer
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import click
import polars as pl

from sedi_dagster.categories import load_categories
from sedi_dagster.evaluation.items import load_evaluation_items
from sedi_dagster.feedback.seed_update import seed_set
from sedi_dagster.filtering.decontamination import Decontaminator
from sedi_dagster.filtering.generation_filter import GenerationFilter
from sedi_dagster.filtering.rules import InstructionForm
from sedi_dagster.generation.generate import generate
from sedi_dagster.generation.method import GenerationJob
from sedi_dagster.records import (
    AskTeacher,
    Category,
    Message,
    Rejection,
    Tables,
    TeacherAnswer,
    TeacherRequest,
    round_key,
    task_prompt,
)
from sedi_dagster.seed_pool import read_seed_file, seed_frame
from sedi_dagster.settings import Settings, load_settings
from sedi_dagster.teacher.open import open_teacher

SHORT = ("open_qa", "brainstorming", "creative_writing", "math", "rewriting", "coding")
"""Categories after the first round: those whose seeds have no long input, for a teacher that reads slowly."""
THRESHOLDS = {"self_instruct": 0.7, "sedi": 0.85}
PER_CATEGORY = 20
ANSWERS = 64
NO_KEPT = dict.fromkeys(("example_id", "instruction", "input", "output"), pl.String)


class InstructionsOnly:
    """A filter that lets no instruction be answered."""

    def task(self, candidate_id: str, instruction: str, text_input: str) -> Rejection | None:
        return Rejection("not_answered")

    def instance(self, instruction: str, text_input: str, output: str) -> str | None:
        return None


def human_seeds(settings: Settings) -> pl.DataFrame:
    categories = load_categories(settings.path(settings.categories))
    found = read_seed_file(settings.path(settings.seeds), categories)
    return seed_set(seed_frame(found.tasks, found.confidence), None)


def filter_of(settings: Settings, seeds: pl.DataFrame, threshold: float) -> GenerationFilter:
    categories = load_categories(settings.path(settings.categories))
    items = load_evaluation_items(settings.path(settings.items), categories)
    filtering = settings.filtering
    decontaminator = Decontaminator(
        ((item.id, item.prompt) for item in items),
        filtering.decontamination_threshold,
        filtering.decontamination_ngram,
    )
    pool = seeds.select("seed_id", "instruction", "input").iter_rows()
    return GenerationFilter(pool, decontaminator, threshold, InstructionForm.of(filtering))


def kept_rows(settings: Settings, seeds: pl.DataFrame, candidates: pl.DataFrame, threshold: float) -> list[bool]:
    """Of each candidate, whether its instruction passes the filter, in order."""
    rules = filter_of(settings, seeds, threshold)
    kept = []
    for name, instruction, problem in candidates.select("candidate_id", "instruction", "problem").iter_rows():
        kept.append(problem is None and rules.task(name, instruction, "") is None)
    return kept


def parts(folder: Path, categories: Sequence[str]) -> Iterator[tuple[int, str, Path]]:
    """Round, category and file of each part of the stream, without end."""
    number = 0
    while number := number + 1:
        for category in categories:
            if number == 1 or category in SHORT:
                yield number, category, folder / f"{round_key(number)}-{category}.parquet"


def read_parts(folder: Path, categories: Sequence[str]) -> list[pl.DataFrame]:
    found = []
    for _, _, path in parts(folder, categories):
        if not path.exists():
            return found
        found.append(pl.read_parquet(path))
    return found


def job(settings: Settings, category: Category, number: int, seeds: pl.DataFrame) -> GenerationJob:
    return GenerationJob(
        round=round_key(number),
        category=category,
        wanted=None,
        candidates=PER_CATEGORY,
        seeds=seeds.filter(pl.col("category") == category.id),
        teacher=settings.teacher.model,
        kept=pl.DataFrame(schema=NO_KEPT),
        chat=False,
        settings=settings.generation,
    )


@click.group()
def main() -> None:
    """Teacher tokens per kept example."""


@main.command()
@click.option("--folder", type=click.Path(path_type=Path), required=True)
@click.option("--candidates", default=2000, show_default=True, help="Well-formed candidates to reach.")
@click.option("--minutes", default=600.0, show_default=True, help="Stop after so long; started again, it goes on.")
def stream(folder: Path, candidates: int, minutes: float) -> None:
    """Let the local teacher write instructions."""
    folder.mkdir(parents=True, exist_ok=True)
    settings = load_settings({"data": str(folder)})
    asyncio.run(_stream(settings, folder, candidates, time.monotonic() + 60 * minutes))


async def _stream(settings: Settings, folder: Path, wanted: int, until: float) -> None:
    categories = load_categories(settings.path(settings.categories))
    human = human_seeds(settings)
    async with open_teacher(settings, run="cost") as teacher:

        async def ask(requests: Sequence[TeacherRequest]) -> list[TeacherAnswer]:
            return await teacher.ask(requests)

        seeds, written = human, 0
        for number, category, path in parts(folder, list(categories)):
            if category == next(iter(categories if number == 1 else SHORT)):
                seeds = pl.concat([human, _machine_seeds(settings, human, read_parts(folder, list(categories)))])
            if not path.exists():
                if time.monotonic() > until:
                    return
                work = job(settings, categories[category], number, seeds)
                tables: Tables = await generate(work, {"self_instruct": 1.0}, ask, InstructionsOnly())
                tables["calls"].write_parquet(folder / f"calls-{path.name}")
                tables["candidates"].write_parquet(path)
            written += int(pl.read_parquet(path)["problem"].is_null().sum())
            click.echo(f"{path.stem}: {written:,} candidates")
            if written >= wanted:
                break
        await _sample_answers(folder, ask, pl.concat(read_parts(folder, list(categories))))


def _machine_seeds(settings: Settings, human: pl.DataFrame, done: list[pl.DataFrame]) -> pl.DataFrame:
    """What the stricter threshold kept so far: what both modes would show the teacher."""
    if not done:
        return human.clear()
    candidates = pl.concat(done)
    kept = candidates.filter(pl.Series(kept_rows(settings, human, candidates, min(THRESHOLDS.values()))))
    named = kept.rename({"candidate_id": "seed_id"}).with_columns(origin=pl.lit("machine"), output=pl.lit(""))
    missing = [pl.lit(None).cast(human.schema[c]).alias(c) for c in human.columns if c not in named.columns]
    return named.with_columns(missing).select(human.columns)


async def _sample_answers(folder: Path, ask: AskTeacher, candidates: pl.DataFrame) -> None:
    sample = candidates.filter(pl.col("problem").is_null()).sample(ANSWERS, seed=0)
    answers = await ask(
        [
            TeacherRequest(
                purpose="answer",
                round=round_key(1),
                category=row["category"],
                messages=(Message("user", task_prompt(row["instruction"], row["input"])),),
                max_tokens=128,
                temperature=0.0,
            )
            for row in sample.iter_rows(named=True)
        ]
    )
    tokens = {
        "prompt_tokens": [answer.prompt_tokens for answer in answers],
        "completion_tokens": [answer.completion_tokens for answer in answers],
    }
    pl.DataFrame(tokens).write_parquet(folder / "answers.parquet")


@main.command()
@click.option("--folder", type=click.Path(path_type=Path), required=True)
@click.option("--figure", type=click.Path(path_type=Path), help="Where to draw the curves.")
def compare(folder: Path, figure: Path | None) -> None:
    """Judge the stream by both thresholds."""
    settings = load_settings()
    categories = load_categories(settings.path(settings.categories))
    found = read_parts(folder, list(categories))
    if not found:
        raise click.UsageError(f"No part of a stream in {folder}; `stream --folder {folder}` writes them.")
    candidates = pl.concat(found)
    calls = pl.concat(pl.read_parquet(path) for path in sorted(folder.glob("calls-*.parquet")))
    tokens = calls.select("request_key", tokens=pl.col("prompt_tokens") + pl.col("completion_tokens"))
    # A call's tokens are spent with the first candidate that it wrote.
    spent = candidates.join(
        tokens, left_on="instruction_key", right_on="request_key", how="left", maintain_order="left"
    )
    first = spent["instruction_key"].is_first_distinct()
    sampled = folder / "answers.parquet"
    answers = pl.read_parquet(sampled).select("prompt_tokens", "completion_tokens") if sampled.exists() else None
    mean_answer = answers.sum_horizontal().mean() if answers is not None else 0.0
    seeds = human_seeds(settings)
    curve = pl.DataFrame(
        {
            "well_formed": candidates["problem"].is_null().cum_sum(),
            "calls": first.cum_sum(),
            "tokens": spent.select(pl.when(first).then("tokens").otherwise(0)).to_series().cum_sum(),
            **{
                mode: pl.Series(kept_rows(settings, seeds, candidates, threshold)).cum_sum()
                for mode, threshold in THRESHOLDS.items()
            },
        }
    )
    for mode in THRESHOLDS:
        curve = curve.with_columns(
            (pl.col("tokens") / pl.col(mode) + mean_answer).alias(f"{mode}_tokens"),
            (pl.col("calls") / pl.col(mode) + 1).alias(f"{mode}_calls"),
        )
    if answers is None:
        print("No answer was sampled yet: tokens are those of instructions alone.\n")
    else:
        print(f"A mean answer takes {mean_answer:.0f} tokens ({answers.height} answers).\n")
    print(
        "| well-formed candidates | kept at 0.7 | at 0.85 | tokens per kept, 0.7 | 0.85 | fewer tokens | fewer calls |"
    )
    print("| --- | --- | --- | --- | --- | --- | --- |")
    last = curve["well_formed"].max()
    for size in sorted({*(s for s in (100, 250, 500, 1000, 1500, 2000) if s < last), last}):
        row = curve.filter(pl.col("well_formed") >= size).row(0, named=True)
        fewer = {k: 1 - row[f"sedi_{k}"] / row[f"self_instruct_{k}"] for k in ("tokens", "calls")}
        print(
            f"| {size:,} | {row['self_instruct']:,} | {row['sedi']:,} | {row['self_instruct_tokens']:.0f} "
            f"| {row['sedi_tokens']:.0f} | {fewer['tokens']:.1%} | {fewer['calls']:.1%} |"
        )
    if figure:
        _draw(curve, figure)


def _draw(curve: pl.DataFrame, path: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    shown = curve.filter(pl.col("well_formed") >= 50)
    figure, axes = plt.subplots(1, 2, figsize=(9, 3.2), layout="constrained")
    for mode, threshold in THRESHOLDS.items():
        axes[0].plot(shown["well_formed"], shown[mode] / shown["well_formed"], label=f"{mode} ({threshold})")
        axes[1].plot(shown["well_formed"], shown[f"{mode}_tokens"], label=f"{mode} ({threshold})")
    axes[0].set_ylabel("share kept")
    axes[1].set_ylabel("teacher tokens per kept example")
    for axis in axes:
        axis.set_xlabel("well-formed candidates so far")
        axis.legend(frameon=False)
    figure.savefig(path, dpi=120)


if __name__ == "__main__":
    main()
