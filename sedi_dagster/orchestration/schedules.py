"""The nightly regeneration: opens the next round when the planner finds one worth its cost."""

import dagster as dg

from sedi_dagster.errors import SediError
from sedi_dagster.feedback.plan import Stop
from sedi_dagster.orchestration.jobs import open_round
from sedi_dagster.orchestration.planning import BY_NIGHT, next_plan
from sedi_dagster.orchestration.resources import SediResource
from sedi_dagster.orchestration.verifying import nightly_verification
from sedi_dagster.settings import load_settings

NIGHTLY = BY_NIGHT


_LOOP = load_settings().loop


@dg.schedule(
    name=NIGHTLY,
    job=open_round,
    cron_schedule=_LOOP.nightly_cron,
    execution_timezone=_LOOP.nightly_timezone,
    description=f"Opens a round at night ({_LOOP.nightly_cron}, {_LOOP.nightly_timezone}) if none is open and the "
    "planner finds one worth its cost within the budget. Switch on round_ready_sensor too: it finishes the round.",
)
def nightly_regeneration(context: dg.ScheduleEvaluationContext, sedi: SediResource) -> dg.RunRequest | dg.SkipReason:
    """Opens a round at night; with round_ready_sensor on, it is finished by itself."""
    try:
        decided = next_plan(sedi, NIGHTLY)
    except SediError as error:
        return dg.SkipReason(str(error))
    if isinstance(decided, Stop):
        return dg.SkipReason(f"No round tonight: {decided.reason}.")
    return dg.RunRequest(
        run_key=f"{NIGHTLY}|{decided.round}",
        run_config={"ops": {"plan_next_round": {"config": {"trigger": NIGHTLY}}}},
    )


SCHEDULES = [nightly_regeneration, nightly_verification]
