"""How the student does after the round: each item's answer and score, each category's verdict.

A category is weak only if it is significantly below its target after correction over categories, by a gap that
matters. The checkpoint is promoted (the next round builds on it) unless its pass rate dropped significantly.
Tables: `items`, `categories` (score, interval, p, decision and reason), `promotion`.
"""

import dagster as dg
import polars as pl

from sedi_dagster.evaluation.statistics import judge_categories, may_be_promoted, pass_rate
from sedi_dagster.orchestration.evaluating import evaluate_student, items_before
from sedi_dagster.orchestration.failures import told_plainly
from sedi_dagster.orchestration.partitions import ROUNDS
from sedi_dagster.orchestration.resources import SediResource
from sedi_dagster.records import Tables


@dg.asset(
    partitions_def=ROUNDS,
    ins={"baseline_scores": dg.AssetIn()},
    deps=["sft_checkpoint"],
    kinds={"pytorch"},
    pool="student",
    code_version="1",
    description=__doc__,
)
def evaluation_scores(
    context: dg.AssetExecutionContext,
    sedi: SediResource,
    pipes: dg.PipesSubprocessClient,
    baseline_scores: Tables,
) -> dg.Output[Tables]:
    round_key = context.partition_key
    with told_plainly():
        settings = sedi.settings().evaluation
        items = evaluate_student(context, sedi, pipes, checkpoint=round_key)
        before = items_before(sedi, round_key, baseline_scores)
        outcomes = judge_categories(items, sedi.categories(), settings.alpha, settings.min_gap)
        promoted, promotion_reason = may_be_promoted(before, items, settings.alpha)
    weak = [outcome.category for outcome in outcomes if outcome.decision == "weak"]
    rows = [{**vars(outcome), "score": outcome.score} for outcome in outcomes]
    table = ["| category | passed | 95 % interval | decision |", "| --- | --- | --- | --- |"]
    table += [
        f"| {o.category} | {o.passed}/{o.items} | {o.low:.2f} to {o.high:.2f} | {o.decision}: {o.reason} |"
        for o in outcomes
    ]
    return dg.Output(
        {
            "items": items,
            "categories": pl.DataFrame(rows),
            "promotion": pl.DataFrame({"promoted": [promoted], "reason": [promotion_reason]}),
        },
        metadata={
            "pass_rate": pass_rate(items),
            "pass_rate_before": pass_rate(before),
            "pass_rate_untrained": pass_rate(baseline_scores["items"]),
            "mean_reference_loss": items.select(pl.mean("reference_loss")).item(),
            **{f"pass_rate/{o.category}": o.score for o in outcomes},
            "weak_categories": dg.MetadataValue.json(weak),
            "promoted": promoted,
            "promotion": promotion_reason,
            "categories": dg.MetadataValue.md("\n".join(table)),
        },
    )
