"""Jobs: what a person, a sensor, a schedule or `sedi run` launches."""

from typing import Any

import dagster as dg
from pydantic import Field

from sedi_dagster.errors import SettingsError
from sedi_dagster.feedback.plan import Stop
from sedi_dagster.orchestration.failures import as_dagster_failure
from sedi_dagster.orchestration.partitions import CATEGORY_ROUNDS, ROUNDS
from sedi_dagster.orchestration.planning import next_plan, start_round
from sedi_dagster.orchestration.preflight import preflight
from sedi_dagster.orchestration.resources import SediResource
from sedi_dagster.orchestration.verifying import the_data_folder_is_as_recorded, verify_records
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


def _pod() -> dict[str, Any]:
    """Tags by which Dagster's run launcher for Kubernetes gives a run its pod, such as a node with a GPU."""
    try:
        pod = load_settings().pod
    except SettingsError:  # told where the settings are used
        pod = {}
    return {"dagster-k8s/config": pod} if pod else {}


prepare = dg.define_asset_job(
    "prepare",
    selection=dg.AssetSelection.assets(*PREPARE_ASSETS),
    tags=_pod(),
    description="Read the seed tasks and evaluate the untrained student: what every round needs first.",
)
generate_batch = dg.define_asset_job(
    "generate_batch",
    selection=dg.AssetSelection.assets("generated_batches"),
    partitions_def=CATEGORY_ROUNDS,
    description="Ask the teacher for one category's candidates in a round.",
)
train_round = dg.define_asset_job(
    "train_round",
    # Verification reads the whole data folder: it has a job of its own.
    selection=dg.AssetSelection.assets(*ROUND_ASSETS) - dg.AssetSelection.checks(the_data_folder_is_as_recorded),
    partitions_def=ROUNDS,
    tags=_pod(),
    description="Filter a round's candidates, train, evaluate, and report.",
)


write_morning_page = dg.define_asset_job(
    "write_morning_page",
    selection=dg.AssetSelection.assets("morning_page"),
    description="Write the page on the last day: what ran, what it spent and gained, what failed, what is next.",
)


class OpenRound(dg.Config):
    """What a person may say about the round; by default the planner decides."""

    categories: list[str] = Field(
        default=[], description="Categories to ask for; empty: the weak ones (first round: all)"
    )
    candidates_per_category: int = Field(default=0, ge=0, description="Candidates to ask for; 0: as in the settings")
    trigger: str = Field(default="person", description="Who starts the round; shown in the plan")


@dg.op(name="plan_next_round")
def plan_next_round(context: dg.OpExecutionContext, config: OpenRound, sedi: SediResource) -> None:
    with as_dagster_failure():
        decided = next_plan(sedi, config.trigger, config.categories or None, config.candidates_per_category or None)
        if isinstance(decided, Stop):
            context.log.warning(f"No round was opened: {decided.reason}.")
            context.add_output_metadata({"no_round_was_opened": decided.reason})
            return
        preflight(sedi)
        if not start_round(sedi, context.instance, decided):
            context.log.warning(f"{decided.round} was opened by somebody else meanwhile; their plan holds.")
            return
    context.log.info(
        f"Opened {decided.round}: " + ", ".join(f"{c.category} ({c.candidates})" for c in decided.categories)
    )
    context.add_output_metadata({"round": decided.round, "plan": dg.MetadataValue.json(decided.to_json())})


@dg.job(
    name="open_round",
    description="Open the next round by hand. With round_ready_sensor switched on, it is then carried to its report.",
)
def open_round() -> None:
    plan_next_round()


JOBS: list[Any] = [prepare, generate_batch, train_round, open_round, verify_records, write_morning_page]
