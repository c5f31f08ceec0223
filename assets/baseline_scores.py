"""The same evaluation of the untrained student: what every round is compared with.

Tables: `items` (answer, score, pass mark and reference loss of each evaluation item), `origin` (hash of what was
measured, so that a changed student or item file is noticed).
"""

import dagster as dg
import polars as pl

from sedi_dagster.evaluation.statistics import pass_rate
from sedi_dagster.orchestration.evaluating import evaluate_student, evaluation_fingerprint
from sedi_dagster.orchestration.failures import told_plainly
from sedi_dagster.orchestration.resources import SediResource
from sedi_dagster.records import Tables


@dg.asset(kinds={"pytorch"}, pool="student", code_version="2", description=__doc__)
def baseline_scores(
    context: dg.AssetExecutionContext, sedi: SediResource, pipes: dg.PipesSubprocessClient
) -> dg.Output[Tables]:
    with told_plainly():
        items = evaluate_student(context, sedi, pipes, checkpoint=None)
    return dg.Output(
        {"items": items, "origin": pl.DataFrame({"fingerprint": [evaluation_fingerprint(sedi)]})},
        metadata={"items": items.height, "pass_rate": pass_rate(items)},
    )
