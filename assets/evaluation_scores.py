"""Evaluation of the student after the round: answers and scores of all items, and a decision for each category.

A category is weak if its gap to the target is relevant, seen on one half of its items, confirmed on the other, and
significant over all items after correction. A category that targeted rounds did not improve is stuck. The checkpoint is
promoted (the next round starts from it) unless a category or the total score dropped significantly.
Tables: `items`, `before` (of the checkpoint it would replace), `categories` (score, interval, p, decision and reason),
`comparisons` (with the untrained student, the seed-only student, the previous checkpoint and the best one),
`promotion`, `judgements` (of the optional LLM judge; no decision uses them).
"""

import dagster as dg
import polars as pl

from sedi_dagster.evaluation.judge import win_rate
from sedi_dagster.evaluation.statistics import pass_rate
from sedi_dagster.orchestration.deciding import attention_needed, decide, outcome_lines, outcome_table
from sedi_dagster.orchestration.evaluating import evaluate_reference, evaluate_student
from sedi_dagster.orchestration.outputs import as_dagster_failure, table_output
from sedi_dagster.orchestration.partitions import ONE_BY_ONE, ROUNDS
from sedi_dagster.orchestration.resources import SediResource
from sedi_dagster.orchestration.teaching import judgements
from sedi_dagster.orchestration.workloads import clear_workload
from sedi_dagster.records import Tables


@dg.asset(
    partitions_def=ROUNDS,
    backfill_policy=ONE_BY_ONE,
    deps=["sft_checkpoint"],
    kinds={"pytorch"},
    pool="student",
    code_version="2",
    description=__doc__,
)
def evaluation_scores(
    context: dg.AssetExecutionContext, sedi: SediResource, baseline_scores: Tables
) -> dg.Output[Tables]:
    round_key = context.partition_key
    with as_dagster_failure():
        clear_workload(sedi.settings(), f"train-{round_key}")  # its results are stored
        items = evaluate_student(context, sedi, round_key)
        decided = decide(
            sedi,
            sedi.plan(round_key),
            items,
            evaluate_reference(context, sedi),
            lambda checkpoint: evaluate_student(context, sedi, checkpoint),
        )
        judged = judgements(context, sedi.settings(), sedi.plan(round_key), decided.before, items)
    seed_items = baseline_scores.get("seed_items")
    weak, stuck = ([o.category for o in decided.outcomes if o.decision == name] for name in ("weak", "stuck"))
    if message := attention_needed(decided.outcomes):
        context.log.warning(message)
    return table_output(
        {
            "items": items,
            "before": decided.before,
            "categories": outcome_table(decided.outcomes),
            "comparisons": decided.comparisons,
            "promotion": pl.DataFrame({"promoted": [decided.promoted], "reason": [decided.promotion]}),
            "judgements": judged,
        },
        metadata={
            "pass_rate": pass_rate(items),
            "pass_rate_before": pass_rate(decided.before),
            "pass_rate_untrained": pass_rate(baseline_scores["items"]),
            **({"pass_rate_seed_tasks": pass_rate(seed_items)} if seed_items is not None else {}),
            **({"mean_reference_loss": loss} if (loss := items.select(pl.mean("reference_loss")).item()) else {}),
            **{f"pass_rate/{o.category}": o.score for o in decided.outcomes},
            "weak_categories": dg.MetadataValue.json(weak),
            "stuck_categories": dg.MetadataValue.json(stuck),
            **({"attention_needed": message} if message else {}),
            **({f"judge/{name}": value for name, value in vars(rate).items()} if (rate := win_rate(judged)) else {}),
            "promoted": decided.promoted,
            "promotion": decided.promotion,
            "categories": dg.MetadataValue.md(outcome_lines(decided.outcomes)),
        },
    )
