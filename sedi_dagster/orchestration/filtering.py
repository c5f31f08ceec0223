"""Filtering of a round's candidates: the rules, IFD as a workload, and categories of which nothing was kept."""

from dataclasses import dataclass

import dagster as dg
import polars as pl

from sedi_dagster.errors import SediError
from sedi_dagster.filtering.answer_rules import AnswerForm
from sedi_dagster.filtering.ifd import IFD_SCHEMA, drop_by_ifd, ifd_verdicts
from sedi_dagster.filtering.rules import InstructionForm
from sedi_dagster.filtering.verdicts import Rules, judge_candidates
from sedi_dagster.models import BUNDLED_EMBEDDING
from sedi_dagster.orchestration.composing import stored_vectors
from sedi_dagster.orchestration.resources import SediResource
from sedi_dagster.orchestration.round_inputs import evaluation_decontaminator, shared_instructions, task_pool
from sedi_dagster.orchestration.workloads import rows_file, run_workload
from sedi_dagster.records import RoundPlan, task_prompts
from sedi_dagster.settings import Settings
from sedi_dagster.student.loading import special_tokens, student_source, token_counter

_SHOWN = 3
_NOT_ATTEMPTED = ("refusal", "placeholder", "repeated_output")
"""Rules that reject an output which is no attempt at the task."""
_CUT = ("cut by length", "answer cut by length")
"""Problems of outputs that are too long, but attempts."""


def round_rules(sedi: SediResource, seeds: pl.DataFrame, context: dg.AssetExecutionContext | None = None) -> Rules:
    """Return the filter rules, configured by the settings and the user's files."""
    settings = sedi.settings()
    filtering = settings.filtering
    vectors = stored_vectors(sedi, context)
    return Rules(
        decontaminator=evaluation_decontaminator(sedi, seeds, vectors),
        form=InstructionForm.of(filtering),
        novelty_threshold=filtering.threshold,
        max_length=settings.training.max_length,
        count_tokens=token_counter(_student(settings)),
        semantic_threshold=filtering.semantic_threshold,
        embed=vectors,
        latin_only=settings.batching.embedding_model == BUNDLED_EMBEDDING,
        answers=AnswerForm.of(filtering, special_tokens(_student(settings))),
        shared=shared_instructions(seeds),
    )


def judge_round(
    context: dg.AssetExecutionContext, sedi: SediResource, round_key: str, seeds: pl.DataFrame, candidates: pl.DataFrame
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return a verdict for every candidate, and the IFD scores of those that passed all other rules.

    The table of scores is empty if IFD is off.
    """
    filtering = sedi.settings().filtering
    verdicts = judge_candidates(candidates, task_pool(sedi, seeds, round_key), round_rules(sedi, seeds, context))
    if filtering.ifd == "off":
        return verdicts, pl.DataFrame(schema=IFD_SCHEMA)
    kept = verdicts.filter(pl.col("state") == "kept").select("candidate_id")
    scores = _ifd_scores(context, sedi, round_key, candidates.join(kept, on="candidate_id"))
    return drop_by_ifd(verdicts, ifd_verdicts(scores, filtering.ifd, filtering.ifd_share)), scores


def _student(settings: Settings) -> str:
    return student_source(settings.training.student, settings.path(settings.cache))


def _ifd_scores(
    context: dg.AssetExecutionContext, sedi: SediResource, round_key: str, examples: pl.DataFrame
) -> pl.DataFrame:
    settings = sedi.settings()
    rows = examples.select("candidate_id", "category", "output", task_prompts())
    job = {"student": _student(settings), "rows": rows_file(settings, f"ifd-rows-{round_key}", rows)}
    output = run_workload(context, "sedi_dagster.filtering.ifd", settings, f"ifd-{round_key}", job)
    return pl.read_parquet(output / "ifd.parquet")


@dataclass(frozen=True)
class EmptyCategory:
    """A category of which nothing was kept in a round. It `is_fault` if not one output was an attempt at its task."""

    round: str
    category: str
    reason: str
    is_fault: bool

    def __str__(self) -> str:
        return f"{self.category}: nothing was kept in {self.round}. {self.reason}"


def empty_categories(sedi: SediResource, plan: RoundPlan) -> list[EmptyCategory]:
    """Return the categories of a filtered round of which nothing was kept."""
    verdicts = sedi.store().read_table("verdicts", "filtered_batches", plan.round)
    empty = []
    for category in plan.category_ids:
        of_category = verdicts.filter(pl.col("category") == category)
        if not (of_category["state"] == "kept").any():
            rejected = (pl.col("state") == "rejected") & ~pl.col("rule").is_in(_NOT_ATTEMPTED)
            attempts = of_category.filter(rejected | pl.col("rule").is_in(_CUT)).height
            result = sedi.store().read_table("result", "generated_batches", plan.round, category)
            reason = f"{_reasons(of_category)} Generation: {result['reason'][0]}."
            empty.append(EmptyCategory(plan.round, category, reason, is_fault=not attempts))
    return empty


def check_something_was_kept(plan: RoundPlan, candidates: pl.DataFrame, verdicts: pl.DataFrame) -> None:
    """Check that the round has something new to train on.

    Raises:
        SediError: no candidate of the round was kept.
    """
    if (verdicts["state"] == "kept").any():
        return
    raise SediError(
        f"None of the {candidates.height} candidates of {plan.round} was kept, so there is nothing to train on. "
        f"{_reasons(verdicts)}",
        f"`sedi rejected` shows them. Fix the cause, run `sedi calls retry --round {plan.round}`, which repeats the "
        "calls without a usable answer, and start the run again.",
    )


def _reasons(verdicts: pl.DataFrame) -> str:
    """The most frequent reasons why candidates were not kept, with their counts."""
    name = pl.coalesce("rule", "state").str.replace(r"(?s)^(.{120}).+$", "$1...")
    counted = verdicts.group_by(name.alias("reason")).len().sort("len", "reason", descending=[True, False])
    top = counted.head(_SHOWN).iter_rows()
    return "; ".join(f"{reason} ({count} of {verdicts.height})" for reason, count in top) + "."
