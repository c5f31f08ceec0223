"""Schedules: nightly regeneration, nightly verification, morning summary."""

from zoneinfo import ZoneInfo

import dagster as dg
from dagster._utils.schedules import is_valid_cron_schedule  # not exported

from sedi_dagster.errors import SediError, SettingsError
from sedi_dagster.feedback.plan import Stop
from sedi_dagster.orchestration.jobs import open_round, verify_records, write_morning_page
from sedi_dagster.orchestration.planning import BY_NIGHT, next_plan
from sedi_dagster.orchestration.resources import SediResource
from sedi_dagster.settings import LoopSettings, load_settings


def _with_valid_crons(loop: LoopSettings) -> LoopSettings:
    for name in ("nightly_cron", "verification_cron", "morning_cron"):
        if not is_valid_cron_schedule(cron := getattr(loop, name)):
            raise SettingsError(
                f"SEDI_LOOP_{name.upper()}: {cron!r} is not a cron schedule.",
                "Write five fields: minute, hour, day, month, day of the week, such as 0 2 * * *.",
            )
    return loop


_LOOP = _with_valid_crons(load_settings().loop)


@dg.schedule(
    name=BY_NIGHT,
    job=open_round,
    cron_schedule=_LOOP.nightly_cron,
    execution_timezone=_LOOP.nightly_timezone,
    description=f"Opens a round at night ({_LOOP.nightly_cron}, {_LOOP.nightly_timezone}) if none is open and the "
    "planner finds one worth its cost within the budget. Turn on round_ready_sensor too, which runs the round.",
)
def nightly_regeneration(context: dg.ScheduleEvaluationContext, sedi: SediResource) -> dg.RunRequest | dg.SkipReason:
    """Open a round at night, if the planner finds one worth its cost."""
    try:
        decided = next_plan(sedi, BY_NIGHT)
    except SediError as error:
        return dg.SkipReason(str(error))
    if isinstance(decided, Stop):
        return dg.SkipReason(f"No round tonight: {decided.reason}.")
    zone = ZoneInfo(sedi.settings().loop.nightly_timezone)
    night = context.scheduled_execution_time.astimezone(zone).date().isoformat()
    return dg.RunRequest(
        run_key=f"{BY_NIGHT}|{night}",  # per night, not per round, so that a failed night is retried the next
        tags={"sedi/night": night},
        run_config={"ops": {"plan_next_round": {"config": {"trigger": BY_NIGHT}}}},
    )


nightly_verification = dg.ScheduleDefinition(
    name="nightly_verification",
    job=verify_records,
    cron_schedule=_LOOP.verification_cron,
    execution_timezone=_LOOP.nightly_timezone,
    description=f"Compares the whole data folder with the manifests ({_LOOP.verification_cron}, "
    f"{_LOOP.nightly_timezone}), as `sedi verify` does. A finding fails a check of lineage_manifest.",
)
morning_summary = dg.ScheduleDefinition(
    name="morning_summary",
    job=write_morning_page,
    cron_schedule=_LOOP.morning_cron,
    execution_timezone=_LOOP.nightly_timezone,
    description=f"Writes a page on the last day ({_LOOP.morning_cron}, {_LOOP.nightly_timezone}): what ran, what it "
    "cost and gained, what failed, what is next. The asset morning_page links to it.",
)

SCHEDULES = [nightly_regeneration, nightly_verification, morning_summary]
