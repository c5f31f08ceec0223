"""All candidates that the teacher wrote for a category in a round, well-formed or not.

Every call is in the ledger before it is sent, and its answer before it is parsed. Re-running a partition reuses the
answers, so nothing is paid for twice. A round opened by `sedi import` takes its candidates from the imported file.
Tables: `candidates` (one row each, with its problem if malformed, or the rule that rejected it before it was
answered), `calls` (request key, tokens, cost of each call), `result` (one row: what was requested, what was generated,
why generation stopped).
"""

import asyncio

import dagster as dg
import polars as pl

from sedi_dagster.feedback.seed_update import prompting, seed_set
from sedi_dagster.generation.generate import generate
from sedi_dagster.generation.method import GenerationJob
from sedi_dagster.orchestration.importing import imported_batch
from sedi_dagster.orchestration.opening import open_partition
from sedi_dagster.orchestration.outputs import as_dagster_failure, table_output
from sedi_dagster.orchestration.partitions import CATEGORY_ROUNDS, ONE_BY_ONE
from sedi_dagster.orchestration.planning import check_categories
from sedi_dagster.orchestration.resources import SediResource
from sedi_dagster.orchestration.round_inputs import generation_filter, kept_examples, machine_seeds
from sedi_dagster.orchestration.teaching import ask_teacher
from sedi_dagster.records import AskTeacher, Tables
from sedi_dagster.texts.markdown import markdown_table


@dg.asset(
    partitions_def=CATEGORY_ROUNDS,
    backfill_policy=ONE_BY_ONE,
    kinds={"openai", "polars"},
    code_version="2",
    description=__doc__,
)
def generated_batches(context: dg.AssetExecutionContext, sedi: SediResource, seed_pool: Tables) -> dg.Output[Tables]:
    keys = dict(zip(("category", "round"), str(context.partition_key).split("|"), strict=True))
    with as_dagster_failure():
        settings = sedi.settings()
        plan = open_partition(sedi, context.instance, keys["round"])
        categories = sedi.categories()
        check_categories(sedi, [keys["category"]])
        category = categories[keys["category"]]
        planned = plan.for_category(category.id)
        if planned is None:
            raise dg.Failure(
                f"{plan.round} does not include {category.id}; it includes {', '.join(plan.category_ids)}. "
                "Open a round that includes it with the job open_round (`categories` in its config).",
                allow_retries=False,
            )
        seeds = seed_set(seed_pool["seeds"], machine_seeds(sedi, plan.round))
        rules = generation_filter(sedi, seeds, plan.round)
        job = GenerationJob(
            round=plan.round,
            category=category,
            wanted=planned.wanted,
            candidates=planned.candidates,
            difficulty=planned.difficulty,
            errors=planned.errors,
            seeds=prompting(seeds).filter(pl.col("category") == category.id),
            kept=kept_examples(sedi, plan.round).filter(pl.col("category") == category.id),
            teacher=settings.teacher.model,
            chat=settings.teacher.asks_in_chat,
            settings=settings.generation,
            temperature=settings.teacher.temperature,
            top_p=settings.teacher.top_p,
            project_seed=settings.project_seed,
        )

        async def work(ask: AskTeacher) -> Tables:
            return await generate(job, settings.generation.methods, ask, rules)

        imported = imported_batch(sedi.store(), plan, category.id)
        if imported is None:
            tables, figures = asyncio.run(ask_teacher(context, settings, plan, work))
        else:
            tables, figures = imported, {"teacher": "none: candidates were imported"}
    candidates, calls = tables["candidates"], tables["calls"]
    result = tables["result"].row(0, named=True)
    context.log.info(f"{plan.round} {category.id}: stopped ({result['stopped']}): {result['reason']}")
    return table_output(
        tables,
        metadata={
            **result,
            "methods": ", ".join(f"{name} {share:.0%}" for name, share in settings.generation.methods.items()),
            "answered": int(candidates["answer_key"].is_not_null().sum()),
            "malformed": int(candidates["problem"].is_not_null().sum()),
            "calls": calls.height,
            "prompt_tokens": int(calls["prompt_tokens"].sum()),
            "completion_tokens": int(calls["completion_tokens"].sum()),
            "tokens": int((calls["prompt_tokens"] + calls["completion_tokens"]).sum()),
            "calls_by_purpose": dg.MetadataValue.md(_purposes_table(calls)),
            **figures,
        },
    )


def _purposes_table(calls: pl.DataFrame) -> str:
    """Number of calls and tokens by purpose."""
    tokens = (pl.col("prompt_tokens") + pl.col("completion_tokens")).sum()
    summed = calls.group_by("purpose", maintain_order=True).agg(pl.len(), tokens)
    rows = [(purpose, count, f"{used:,}") for purpose, count, used in summed.iter_rows()]
    return markdown_table(("purpose", "calls", "tokens"), rows)
