"""Data for the morning page: the last day's runs, rounds, and next steps."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import dagster as dg

from sedi_dagster.errors import SediError
from sedi_dagster.orchestration.due import due
from sedi_dagster.orchestration.jobs import JOB_ASSETS
from sedi_dagster.orchestration.planning import BY_SENSOR
from sedi_dagster.orchestration.reporting import spending
from sedi_dagster.orchestration.resources import SediResource
from sedi_dagster.orchestration.runs import WORK, why_it_ended
from sedi_dagster.orchestration.state import read_state
from sedi_dagster.orchestration.status import describe_step
from sedi_dagster.reporting.morning import Night, NightRun
from sedi_dagster.storage.rounds import LoopHistory
from sedi_dagster.storage.store import Store

SPAN = timedelta(days=1)
_MOST_RUNS = 1000


def last_night(sedi: SediResource, instance: dg.DagsterInstance, now: datetime | None = None) -> Night:
    """The day up to `now` (default: the present), in the time zone of the settings."""
    settings, store, history = sedi.settings(), sedi.store(), sedi.history()
    now = (now or datetime.now(UTC)).astimezone(ZoneInfo(settings.loop.nightly_timezone))
    began = now - SPAN
    rounds = [key for key in history.outcomes if _finished_at(store, key) >= began]
    return Night(
        began=f"{began:%A, %d %B, %H:%M %Z}",
        ended=f"{now:%A, %d %B %Y}",
        runs=tuple(_runs(instance, began)),
        rounds=tuple((history.outcomes[key], _score_before(history, key)) for key in sorted(rounds)),
        warnings=tuple(warning for key in sorted(rounds) for warning in _warnings(store, key)),
        spending=spending(sedi, history),
        next_steps=tuple(_next_steps(sedi, instance)),
        simulated=settings.teacher.is_simulated,
    )


def _finished_at(store: Store, round_key: str) -> datetime:
    manifest = store.read_json("manifests", f"{round_key}.json") or {}
    return datetime.fromisoformat(manifest.get("created_at", "1970-01-01T00:00:00+00:00"))


def _score_before(history: LoopHistory, round_key: str) -> float | None:
    earlier = history.before(round_key)
    return earlier[-1].score if earlier else None


def _runs(instance: dg.DagsterInstance, began: datetime) -> Iterator[NightRun]:
    """Oldest first."""
    records = instance.get_run_records(dg.RunsFilter(created_after=began), limit=_MOST_RUNS)
    for record in reversed(records):
        run = record.dagster_run
        message = why_it_ended(instance, run)[1] if run.status == dg.DagsterRunStatus.FAILURE else ""
        yield NightRun(run.run_id, _what(run), run.status.value, message)


def _what(run: dg.DagsterRun) -> str:
    """The work of a run: its round, or its job; of one that a person launched, its assets."""
    if WORK in run.tags:
        return run.tags[WORK].replace("|", " ")
    assets = sorted(key.path[-1] for key in run.asset_selection or ())
    return run.job_name if run.job_name in JOB_ASSETS or not assets else ", ".join(assets)


def _warnings(store: Store, round_key: str) -> Iterator[str]:
    """Checks of a round's data that did not pass."""
    for path in store.files("checks"):
        parts = path.split("/")
        verdict = store.read_json(*parts) if round_key in parts else None
        if verdict is not None and not verdict["passed"]:
            yield f"{'/'.join(parts[1:-1])}: {parts[-1].removesuffix('.json')}. {verdict['said']}".strip()


def _next_steps(sedi: SediResource, instance: dg.DagsterInstance) -> Iterator[str]:
    try:
        for step in due(read_state(sedi, instance, BY_SENSOR)):
            yield describe_step(step, time.time())
    except SediError as error:
        yield error.problem
