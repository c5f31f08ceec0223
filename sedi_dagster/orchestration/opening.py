"""Opening a round from the UI, by materializing or adding one of its partitions."""

import dagster as dg

from sedi_dagster.errors import SediError
from sedi_dagster.feedback.plan import Stop
from sedi_dagster.orchestration.planning import next_plan, start_round
from sedi_dagster.orchestration.preflight import preflight
from sedi_dagster.orchestration.resources import SediResource
from sedi_dagster.records import RoundPlan, round_key
from sedi_dagster.storage.rounds import load_plan

BY_PERSON = "person"


def open_partition(sedi: SediResource, instance: dg.DagsterInstance, key: str) -> RoundPlan:
    """Return the plan of the round that a batch is materialized for. If it is the next round, it is opened.

    Raises:
        SediError: the round does not exist and cannot be opened, or the planner finds no round worth opening.
    """
    if load_plan(sedi.store(), key) is None and not invalid_partition(sedi, key):
        decided = next_plan(sedi, BY_PERSON)
        if isinstance(decided, Stop):
            raise SediError(f"{key} was not opened: {decided.reason}.", "Name categories in the job open_round.")
        preflight(sedi)
        start_round(sedi, instance, decided)
    return sedi.plan(key)


def invalid_partition(sedi: SediResource, key: str) -> str:
    """Return why no round partition of that name can be added; empty if it is a planned round or the next one."""
    history = sedi.history()
    following = round_key(history.plans[-1].number + 1 if history.plans else 1)
    if key in {plan.round for plan in history.plans} or (key == following and history.open_round is None):
        return ""
    state = f"{history.open_round.round} is open" if history.open_round else f"The next round is {following}"
    return (
        f"{key!r} is not a round. {state}. Rounds are opened by the job open_round (Jobs, open_round, Launchpad, "
        "Launch Run) and by the sensors, which also add the partitions."
    )
