"""Calling the teacher, or the optional judge, from an asset, with progress in the Dagster log.

The judge has an endpoint of its own; its calls go through the same client, ledger and budget.
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
    """Run `work` with a teacher; its calls share the round's budget.

    Returns:
        The tables, and as metadata who the teacher was and what it did, in numbers.
    """
    nightly = plan.trigger == BY_NIGHT
    async with open_teacher(
        settings, run=context.run_id, max_tokens_per_round=plan.max_tokens, nightly=nightly
    ) as teacher:
        counted, figures = Counter[str](), Counter[str](tokens=0, reused=0)
        report = throttled_progress(context.log.info, "generate", total_grows=True)

        def count(_: int, answer: TeacherAnswer) -> None:
            counted["done"] += 1
            figures.update(tokens=answer.total_tokens, reused=answer.cached)
            report(counted["done"], counted["total"], figures)

        async def ask(requests: Sequence[TeacherRequest]) -> list[TeacherAnswer]:
            counted["total"] += len(requests)
            return await teacher.ask(requests, on_answer=count)

        tables = await work(ask)
        context.log.info(format_progress("generate", counted["done"], counted["total"], figures))
        for note in teacher.usage.notes:
            context.log.warning(note)
        notes: dict[str, str] = {"teacher_notes": " ".join(teacher.usage.notes)} if teacher.usage.notes else {}
        return tables, {"teacher": settings.teacher.shown, **notes, **teacher.usage.metadata()}


def check_judge(settings: Settings) -> None:
    """Raise `SettingsError` if a judge is wanted but not named, or is the teacher, who must not see the items."""
    chosen = settings.evaluation
    if not chosen.judge:
        return
    if not chosen.judge_base_url or not chosen.judge_model:
        raise SettingsError(
            "SEDI_EVALUATION_JUDGE is on, but no judge is named.",
            "Set SEDI_EVALUATION_JUDGE_BASE_URL and SEDI_EVALUATION_JUDGE_MODEL. The judge is sent evaluation items.",
        )
    if (chosen.judge_base_url, chosen.judge_model) == (settings.teacher.base_url, settings.teacher.model):
        raise SettingsError(
            "The judge is the teacher: evaluation items must never reach the model that writes the training data.",
            "Set SEDI_EVALUATION_JUDGE_MODEL (or SEDI_EVALUATION_JUDGE_BASE_URL) to another model.",
        )


def judgements(
    context: dg.AssetExecutionContext, settings: Settings, plan: RoundPlan, before: pl.DataFrame, after: pl.DataFrame
) -> pl.DataFrame:
    """What the judge says of the new checkpoint's answers beside those before (`JUDGEMENT_SCHEMA`); empty without one.

    Its calls count against the round's budget.
    """
    check_judge(settings)
    if not settings.evaluation.judge:
        return pl.DataFrame(schema=JUDGEMENT_SCHEMA)

    async def work(ask: AskTeacher) -> Tables:
        return {"judgements": await judge_pairs(ask, before, after, plan.round)}

    chosen = settings.evaluation
    judge = settings.teacher.model_copy(
        update={"base_url": chosen.judge_base_url, "model": chosen.judge_model, "api_key": chosen.judge_api_key}
    )
    in_its_place = settings.model_copy(update={"teacher": judge})  # same ledger, same caps
    tables, _ = asyncio.run(ask_teacher(context, in_its_place, plan, work))
    return tables["judgements"]
