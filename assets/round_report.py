"""The report of the round: an HTML page with plots, `reports/<round>.html`, and an index of all rounds.

Tables: `pages` (path under the data folder, SHA-256 and size of each).
"""

import dagster as dg
import polars as pl

from sedi_dagster.lineage.contents import file_hashes
from sedi_dagster.orchestration.outputs import as_dagster_failure, page_url, plot, table_output
from sedi_dagster.orchestration.partitions import MANY, ONE_BY_ONE, ROUNDS
from sedi_dagster.orchestration.reporting import report_facts, spending
from sedi_dagster.orchestration.resources import SediResource
from sedi_dagster.records import Tables
from sedi_dagster.reporting.report import (
    RoundData,
    plot_scores,
    render_index,
    render_report,
    starting_rates,
    teacher_gain,
)


@dg.asset(
    partitions_def=ROUNDS,
    backfill_policy=ONE_BY_ONE,
    ins={"generated_batches": dg.AssetIn(metadata={MANY: True})},
    deps=["lineage_manifest"],
    kinds={"matplotlib"},
    code_version="2",
    description=__doc__,
)
def round_report(
    context: dg.AssetExecutionContext,
    sedi: SediResource,
    generated_batches: dict[str, Tables],
    filtered_batches: Tables,
    sft_checkpoint: Tables,
    seed_feedback: Tables,
    evaluation_scores: Tables,
    baseline_scores: Tables,
) -> dg.Output[Tables]:
    with as_dagster_failure():
        settings, store, history = sedi.settings(), sedi.store(), sedi.history()
        plan = sedi.plan(context.partition_key)
        candidates, calls = (sedi.concat_batches(name, plan, generated_batches) for name in ("candidates", "calls"))
        data = RoundData(
            plan=plan,
            outcome=history.outcomes[plan.round],
            promotion=evaluation_scores["promotion"]["reason"][0],
            candidates=candidates,
            calls=calls,
            verdicts=filtered_batches["verdicts"],
            examples=filtered_batches["examples"],
            batches=filtered_batches["batches"],
            diversity=filtered_batches["diversity"],
            steps=sft_checkpoint["steps"],
            seeds=seed_feedback["seeds"],
            changes=seed_feedback["changes"],
            items=evaluation_scores["items"],
            items_before=evaluation_scores["before"],
            items_baseline=baseline_scores["items"],
            earlier=tuple(history.before(plan.round)),
            teacher=settings.teacher.shown,
            student=settings.training.student,
            simulated=settings.teacher.is_simulated,
            items_seed_tasks=baseline_scores.get("seed_items", pl.DataFrame()),
            comparisons=evaluation_scores["comparisons"],
            considered=seed_feedback["considered"],
            heldout=sft_checkpoint["heldout"],
            facts=report_facts(context, sedi, plan),
        )
        is_newest = plan.round == history.finished[-1].round
        pages = {
            f"reports/{plan.round}.html": render_report(data),
            "reports/index.html": render_index(
                history.finished,
                history.plans,
                starting_rates(data),
                spending(sedi, history),
                data.facts.next if is_newest else "",
                teacher_gain(data) if is_newest else None,
                settings.teacher.is_simulated,
            ),
        }
        for name, page in pages.items():
            store.write_text(page, name)
        hashes = file_hashes(store, pages)
    return table_output(
        {
            "pages": pl.DataFrame(
                [(name, hashes[name], len(page.encode())) for name, page in pages.items()],
                schema=["path", "sha256", "bytes"],
                orient="row",
            )
        },
        metadata={
            "report": dg.MetadataValue.url(page_url(plan.round)),
            "path": str(store.path("reports", f"{plan.round}.html")),
            "scores": plot(store, plot_scores(data), "round_report", plan.round, "scores"),
        },
    )
