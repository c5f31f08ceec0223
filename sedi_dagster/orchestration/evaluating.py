"""Evaluating a checkpoint in its own process, and finding the scores to compare it with."""

from __future__ import annotations

import dagster as dg
import polars as pl

from sedi_dagster.orchestration.resources import SediResource
from sedi_dagster.orchestration.rounds import promoted_checkpoint
from sedi_dagster.orchestration.workloads import run_workload
from sedi_dagster.records import Tables, content_id
from sedi_dagster.student import student_source


def evaluate_student(
    context: dg.AssetExecutionContext,
    sedi: SediResource,
    pipes: dg.PipesSubprocessClient,
    checkpoint: str | None,
) -> pl.DataFrame:
    """Answers and scores of the student after round `checkpoint`, or of the untrained student (None)."""
    settings, store = sedi.settings(), sedi.store()
    cache = settings.path(settings.cache)
    caps = {category.id: category.max_answer_tokens for category in sedi.categories().values()}
    output = run_workload(
        context,
        pipes,
        "sedi_dagster.evaluation",
        settings,
        f"evaluate-{checkpoint or 'baseline'}",
        {
            "student": student_source(settings.training.student, cache),
            "adapter": str(store.local_copy(cache, "checkpoints", checkpoint)) if checkpoint else None,
            "items": [{**vars(item), "max_answer_tokens": caps[item.category]} for item in sedi.items()],
            "batch_size": settings.evaluation.batch_size,
        },
    )
    return pl.read_parquet(output / "items.parquet")


def evaluation_fingerprint(sedi: SediResource) -> str:
    """Hash of what a score depends on besides the checkpoint: the student, the items, the answers' token limits."""
    caps = {category.id: category.max_answer_tokens for category in sedi.categories().values()}
    return content_id("eval", sedi.settings().training.student, caps, [vars(item) for item in sedi.items()])


def items_before(sedi: SediResource, round_key: str, baseline: Tables) -> pl.DataFrame:
    """Scores of the checkpoint that this round's would replace: the last promoted one, or the untrained student."""
    parent = promoted_checkpoint(sedi, round_key)
    return baseline["items"] if parent is None else sedi.store().read_tables("evaluation_scores", parent)["items"]
