"""Filtering of a round's candidates: assembling the rules, and IFD in its own process if enabled."""

from __future__ import annotations

import dagster as dg
import polars as pl

from sedi_dagster.filtering.answer_rules import AnswerForm
from sedi_dagster.filtering.ifd import IFD_SCHEMA, drop_by_ifd, ifd_verdicts
from sedi_dagster.filtering.rules import InstructionForm
from sedi_dagster.filtering.verdicts import Rules, judge_candidates
from sedi_dagster.models import BUNDLED_EMBEDDING
from sedi_dagster.orchestration.composing import stored_vectors
from sedi_dagster.orchestration.resources import SediResource
from sedi_dagster.orchestration.round_inputs import evaluation_decontaminator, instruction_pool
from sedi_dagster.orchestration.workloads import run_workload
from sedi_dagster.records import task_prompts
from sedi_dagster.settings import Settings
from sedi_dagster.student.loading import special_tokens, student_source, token_counter


def round_rules(
    sedi: SediResource, context: dg.AssetExecutionContext | None = None, pipes: dg.PipesSubprocessClient | None = None
) -> Rules:
    """What the rules need to know, from the settings and the user's files."""
    settings = sedi.settings()
    filtering = settings.filtering

    vectors = stored_vectors(sedi, context, pipes)
    return Rules(
        decontaminator=evaluation_decontaminator(sedi, vectors),
        form=InstructionForm.of(filtering),
        novelty_threshold=filtering.threshold,
        max_length=settings.training.max_length,
        count_tokens=token_counter(_student(settings)),
        semantic_threshold=filtering.semantic_threshold,
        embed=vectors,
        latin_only=settings.batching.embedding_model == BUNDLED_EMBEDDING,
        answers=AnswerForm.of(filtering, special_tokens(_student(settings))),
    )


def judge_round(
    context: dg.AssetExecutionContext,
    sedi: SediResource,
    pipes: dg.PipesSubprocessClient,
    round_key: str,
    seeds: pl.DataFrame,
    candidates: pl.DataFrame,
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """A verdict for every candidate, and the IFD scores of those that passed all other rules (none if IFD is off)."""
    filtering = sedi.settings().filtering
    verdicts = judge_candidates(candidates, instruction_pool(sedi, seeds, round_key), round_rules(sedi, context, pipes))
    if filtering.ifd == "off":
        return verdicts, pl.DataFrame(schema=IFD_SCHEMA)
    kept = verdicts.filter(pl.col("state") == "kept").select("candidate_id")
    scores = _ifd_scores(context, sedi, pipes, round_key, candidates.join(kept, on="candidate_id"))
    return drop_by_ifd(verdicts, ifd_verdicts(scores, filtering.ifd, filtering.ifd_share)), scores


def _student(settings: Settings) -> str:
    return student_source(settings.training.student, settings.path(settings.cache))


def _ifd_scores(
    context: dg.AssetExecutionContext,
    sedi: SediResource,
    pipes: dg.PipesSubprocessClient,
    round_key: str,
    examples: pl.DataFrame,
) -> pl.DataFrame:
    settings = sedi.settings()
    rows = settings.path(settings.cache) / "work" / f"ifd-rows-{round_key}.parquet"
    rows.parent.mkdir(parents=True, exist_ok=True)
    examples.select("candidate_id", "category", "output", task_prompts()).write_parquet(rows)
    job = {"student": _student(settings), "rows": str(rows)}
    output = run_workload(context, pipes, "sedi_dagster.filtering.ifd", settings, f"ifd-{round_key}", job)
    return pl.read_parquet(output / "ifd.parquet")
