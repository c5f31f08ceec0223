"""Jobs, launched by a user, a sensor, a schedule or `sedi run`."""

from typing import Any

import dagster as dg
from pydantic import Field

from sedi_dagster.feedback.plan import Stop
from sedi_dagster.orchestration.checks import the_data_folder_is_as_recorded
from sedi_dagster.orchestration.outputs import as_dagster_failure
from sedi_dagster.orchestration.planning import describe_plan, next_plan, start_round
from sedi_dagster.orchestration.preflight import preflight
from sedi_dagster.orchestration.resources import SediResource
from sedi_dagster.settings import load_settings

PREPARE_ASSETS = ("seed_pool", "baseline_scores")
ROUND_ASSETS = (
    "filtered_batches",
    "sft_checkpoint",
    "seed_feedback",
    "evaluation_scores",
    "lineage_manifest",
    "round_report",
    "sft_dataset",
)
JOB_ASSETS: dict[str, tuple[str, ...]] = {
    "prepare": PREPARE_ASSETS,
    "generate_batch": ("generated_batches",),
    "train_round": ROUND_ASSETS,
}


_POD = {"dagster-k8s/config": pod} if (pod := load_settings().pod) else {}
"""Tags that configure a run's pod for Dagster's Kubernetes run launcher, such as a node with a GPU."""

prepare = dg.define_asset_job(
    "prepare",
    selection=dg.AssetSelection.assets(*PREPARE_ASSETS),
    tags=_POD,
    description="Read the seed tasks and evaluate the untrained student: the prerequisites of every round.",
)
generate_batch = dg.define_asset_job(
    "generate_batch",
    selection=dg.AssetSelection.assets("generated_batches"),
    description="Generate one category's candidates in a round with the teacher.",
)
train_round = dg.define_asset_job(
    "train_round",
    # Verification reads the whole data folder, so it has its own job.
    selection=dg.AssetSelection.assets(*ROUND_ASSETS) - dg.AssetSelection.checks(the_data_folder_is_as_recorded),
    tags=_POD,
    description="Filter a round's candidates, train and evaluate the student, and write the report.",
)

verify_records = dg.define_asset_job(
    "verify_records",
    selection=dg.AssetSelection.checks(the_data_folder_is_as_recorded),
    description="Compare the whole data folder with the manifests, as `sedi verify` does.",
)
write_morning_page = dg.define_asset_job(
    "write_morning_page",
    selection=dg.AssetSelection.assets("morning_page"),
    description="Write a page on the last day: what ran, what it cost and gained, what failed, what is next.",
)


class OpenRound(dg.Config):
    """Options of the round; by default the planner decides."""

    categories: list[str] = Field(
        default=[], description="Categories to generate for; empty: the planner decides (first round: all)"
    )
    candidates_per_category: int = Field(default=0, ge=0, description="Candidates per category; 0: as in the settings")
    trigger: str = Field(default="person", description="What starts the round; recorded in the plan")


@dg.op(name="plan_next_round")
def plan_next_round(context: dg.OpExecutionContext, config: OpenRound, sedi: SediResource) -> None:
    """Open the next round: run the preflight checks, write the plan and add its partitions.

    If the planner stops, nothing is done.
    """
    with as_dagster_failure():
        decided = next_plan(sedi, config.trigger, config.categories or None, config.candidates_per_category or None)
        if isinstance(decided, Stop):
            context.log.warning(f"No round was opened: {decided.reason}.")
            context.add_output_metadata({"no_round_was_opened": decided.reason})
            return
        preflight(sedi)
        if not start_round(sedi, context.instance, decided):
            context.log.warning(f"{decided.round} was opened by another process in the meantime; its plan is kept.")
            return
    context.log.info(f"Opened {decided.round}: {describe_plan(decided)}")
    context.add_output_metadata({"round": decided.round, "plan": dg.MetadataValue.json(decided.to_json())})


@dg.job(
    name="open_round",
    description="Open the next round by hand. If round_ready_sensor is on, it then runs the round to its report.",
)
def open_round() -> None:
    plan_next_round()


JOBS: list[Any] = [prepare, generate_batch, train_round, open_round, verify_records, write_morning_page]
