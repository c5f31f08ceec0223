"""Calling the teacher, or the optional judge, from an asset, with progress in Dagster's log.

The judge has its own endpoint, but uses the same client, ledger and budget.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence

import dagster as dg
import polars as pl

from sedi_dagster.errors import SettingsError
from sedi_dagster.evaluation.judge import JUDGEMENT_SCHEMA, judge_pairs
from sedi_dagster.orchestration.planning import BY_NIGHT
from sedi_dagster.records import AskTeacher, RoundPlan, Tables, TeacherAnswer, TeacherRequest
from sedi_dagster.settings import Settings
from sedi_dagster.teacher.open import open_teacher
from sedi_dagster.workloads.progress import format_progress, throttled_progress


async def ask_teacher(
    context: dg.AssetExecutionContext,
    settings: Settings,
    plan: RoundPlan,
    work: Callable[[AskTeacher], Awaitable[Tables]],
) -> tuple[Tables, dict[str, int | float | str]]:
    """Run `work` with a function that calls the teacher within the round's budget.

    Returns:
        The tables that `work` returns, and metadata: the teacher, its usage, and notes on it.
    """
    nightly = plan.trigger == BY_NIGHT
    async with open_teacher(
        settings, run=context.run_id, max_tokens_per_round=plan.max_tokens, nightly=nightly
    ) as teacher:
        calls, figures = Counter[str](), Counter[str](tokens=0, reused=0)
        report = throttled_progress(context.log.info, "generate", total_grows=True)

        def count(_: int, answer: TeacherAnswer) -> None:
            calls["done"] += 1
            figures.update(tokens=answer.total_tokens, reused=answer.cached)
            report(calls["done"], calls["total"], figures)

        async def ask(requests: Sequence[TeacherRequest]) -> list[TeacherAnswer]:
            calls["total"] += len(requests)
            return await teacher.ask(requests, on_answer=count)

        tables = await work(ask)
        context.log.info(format_progress("generate", calls["done"], calls["total"], figures))
        for note in teacher.usage.notes:
            context.log.warning(note)
        notes: dict[str, str] = {"teacher_notes": " ".join(teacher.usage.notes)} if teacher.usage.notes else {}
        return tables, {"teacher": settings.teacher.shown, **notes, **teacher.usage.metadata()}


def check_judge(settings: Settings) -> None:
    """Check that a judge, if it is turned on, is configured and is not the teacher.

    Raises:
        SettingsError: it is not.
    """
    evaluation = settings.evaluation
    if not evaluation.judge:
        return
    if not evaluation.judge_base_url or not evaluation.judge_model:
        raise SettingsError(
            "SEDI_EVALUATION_JUDGE is on, but no judge is configured.",
            "Set SEDI_EVALUATION_JUDGE_BASE_URL and SEDI_EVALUATION_JUDGE_MODEL. The judge receives evaluation items.",
        )
    if (evaluation.judge_base_url, evaluation.judge_model) == (settings.teacher.base_url, settings.teacher.model):
        raise SettingsError(
            "The judge is the teacher: evaluation items must never reach the model that writes the training data.",
            "Set SEDI_EVALUATION_JUDGE_MODEL (or SEDI_EVALUATION_JUDGE_BASE_URL) to another model.",
        )


def judgements(
    context: dg.AssetExecutionContext, settings: Settings, plan: RoundPlan, before: pl.DataFrame, after: pl.DataFrame
) -> pl.DataFrame:
    """Let the judge compare answers before and after the round; its calls count against the round's budget.

    Args:
        before, after: tables of items with the answers of the previous and the new checkpoint.

    Returns:
        The judgements (`JUDGEMENT_SCHEMA`); empty if the judge is off.
    """
    check_judge(settings)
    if not settings.evaluation.judge:
        return pl.DataFrame(schema=JUDGEMENT_SCHEMA)

    async def work(ask: AskTeacher) -> Tables:
        return {"judgements": await judge_pairs(ask, before, after, plan.round)}

    options = settings.evaluation
    judge = settings.teacher.model_copy(
        update={"base_url": options.judge_base_url, "model": options.judge_model, "api_key": options.judge_api_key}
    )
    with_judge = settings.model_copy(update={"teacher": judge})  # same ledger, same caps
    tables, _ = asyncio.run(ask_teacher(context, with_judge, plan, work))
    return tables["judgements"]
