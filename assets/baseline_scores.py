"""Evaluation of the untrained student, and of the student trained on the human seed tasks alone.

Every round is compared with both. The first round starts from the better one (more items passed, then the lower
held-out loss). `SEDI_TRAINING_SEED_EPOCHS=0` skips the second.
Tables: `items` and `seed_items` (answer, score, pass or fail and reference loss of each evaluation item: untrained, and
after the seed tasks), `seed_steps`, `seed_heldout`, `seed_files` (of that training, as in `sft_checkpoint`), `origin`
(hash of student, seed file and items, to detect changes; the starting point of the first round).
"""

import dagster as dg
import polars as pl

from sedi_dagster.evaluation.statistics import pass_rate
from sedi_dagster.orchestration.evaluating import evaluate_student, evaluation_fingerprint
from sedi_dagster.orchestration.outputs import as_dagster_failure, table_output
from sedi_dagster.orchestration.resources import SediResource
from sedi_dagster.orchestration.round_inputs import mean_losses
from sedi_dagster.orchestration.training import train_on_seed_tasks
from sedi_dagster.records import Tables
from sedi_dagster.storage.rounds import SEED_TASKS


@dg.asset(kinds={"pytorch"}, pool="student", code_version="3", description=__doc__)
def baseline_scores(context: dg.AssetExecutionContext, sedi: SediResource, seed_pool: Tables) -> dg.Output[Tables]:
    with as_dagster_failure():
        items = evaluate_student(context, sedi, checkpoint=None)
        tables, start = {"items": items}, ""
        if sedi.settings().training.seed_epochs:
            tables |= train_on_seed_tasks(context, sedi, seed_pool["seeds"])
            tables["seed_items"] = evaluate_student(context, sedi, checkpoint=SEED_TASKS)
            start = SEED_TASKS if _is_better(tables) else ""
        tables["origin"] = pl.DataFrame({"fingerprint": [evaluation_fingerprint(sedi)], "start": [start]})
    after_seeds = {"pass_rate_seed_tasks": pass_rate(tables["seed_items"])} if "seed_items" in tables else {}
    return table_output(
        tables,
        metadata={
            "items": items.height,
            "pass_rate": pass_rate(items),
            **after_seeds,
            "first_round_starts_from": "the seed-only student" if start else "the untrained student",
        },
    )


def _is_better(tables: Tables) -> bool:
    """Whether training on the seed tasks improved the student: more items passed, or as many and a lower loss."""
    before, after = (int(tables[name]["passed"].sum()) for name in ("items", "seed_items"))
    heldout = mean_losses(tables["seed_heldout"])
    return after > before or (after == before and len(heldout) > 1 and heldout[-1] < heldout[0])
