"""Every candidate the teacher wrote for a category in a round, well-formed or not.

Every call is in the ledger before it is sent and its answer before it is parsed; running a partition again
reuses them and pays for nothing twice.
Tables: `candidates` (one row each, with its problem if malformed and its screening verdict if it was not worth an
answer), `calls` (request key, tokens, cost of each call).
"""

import asyncio

import dagster as dg
import polars as pl

from sedi_dagster.feedback.seed_update import prompting, seed_set
from sedi_dagster.generation.self_instruct import GenerationJob, Screened, generate
from sedi_dagster.orchestration.failures import told_plainly
from sedi_dagster.orchestration.partitions import CATEGORY_ROUNDS
from sedi_dagster.orchestration.planning import check_categories
from sedi_dagster.orchestration.resources import SediResource
from sedi_dagster.orchestration.rounds import evaluation_decontaminator, instruction_screen, machine_seeds
from sedi_dagster.orchestration.teaching import ask_teacher
from sedi_dagster.records import AskTeacher, Tables


@dg.asset(
    partitions_def=CATEGORY_ROUNDS,
    ins={"seed_pool": dg.AssetIn()},
    kinds={"openai", "polars"},
    code_version="1",
    description=__doc__,
)
def generated_batches(context: dg.AssetExecutionContext, sedi: SediResource, seed_pool: Tables) -> dg.Output[Tables]:
    keys = dict(zip(("category", "round"), str(context.partition_key).split("|"), strict=True))
    with told_plainly():
        settings = sedi.settings()
        plan = sedi.plan(keys["round"])
        categories = sedi.categories()
        check_categories(sedi, [keys["category"]])
        category = categories[keys["category"]]
        wanted = plan.candidates_for(category.id)
        if wanted == 0:
            raise dg.Failure(f"{plan.round} does not plan any {category.id}; it plans {', '.join(plan.category_ids)}.")
        seeds = seed_set(seed_pool["seeds"], machine_seeds(sedi, plan.round))
        decontaminator = evaluation_decontaminator(sedi)
        screen = instruction_screen(sedi, seeds, plan.round, decontaminator)

        def worth_an_answer(candidate_id: str, instruction: str) -> Screened | None:
            verdict = screen.judge(instruction)
            if verdict is None:
                screen.add(candidate_id, instruction)
                return None
            return (verdict.rule, verdict.score, verdict.threshold, verdict.neighbour_id, verdict.neighbour)

        job = GenerationJob(
            round=plan.round,
            category=category,
            wanted=wanted,
            seeds=prompting(seeds).filter(pl.col("category") == category.id),
            teacher=settings.teacher.model,
            prompt_style="chat" if settings.teacher.asks_in_chat else "completion",
            demonstrations=settings.generation.demonstrations,
            machine_demonstrations=settings.generation.machine_demonstrations,
            max_instruction_tokens=settings.generation.max_instruction_tokens,
            max_answer_tokens=min(settings.generation.max_answer_tokens, 2 * category.max_answer_tokens),
            max_calls=max(1, round(wanted * settings.generation.max_calls_factor)),
            temperature=settings.teacher.temperature,
            top_p=settings.teacher.top_p,
            project_seed=settings.project_seed,
        )

        async def work(ask: AskTeacher) -> Tables:
            return await generate(job, ask, worth_an_answer)

        tables, figures = asyncio.run(ask_teacher(context, settings, plan, work))
    candidates, calls = tables["candidates"], tables["calls"]
    answered = candidates["answer_key"].is_not_null().sum()
    return dg.Output(
        tables,
        metadata={
            "wanted": wanted,
            "candidates": candidates.height,
            "answered": int(answered),
            "malformed": int(candidates["problem"].is_not_null().sum()),
            "calls": calls.height,
            "prompt_tokens": int(calls["prompt_tokens"].sum()),
            "completion_tokens": int(calls["completion_tokens"].sum()),
            "tokens": int((calls["prompt_tokens"] + calls["completion_tokens"]).sum()),
            **figures,
        },
    )
