"""What the page of the morning is told: the runs and rounds of one day, in the time zone of the settings."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest

from sedi_dagster.definitions import defs
from sedi_dagster.orchestration.reporting import last_night
from sedi_dagster.orchestration.resources import SediResource
from sedi_dagster.orchestration.runs import CAUSE, WORK
from sedi_dagster.records import RoundOutcome, RoundPlan
from sedi_dagster.storage.rounds import save_plan


def test_the_last_day_and_no_more_is_told(
    project: Path, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEDI_LOOP_NIGHTLY_TIMEZONE", "Asia/Tokyo")
    sedi, now = SediResource(), datetime.now(UTC)
    for number, age in ((1, timedelta(days=3)), (2, timedelta(hours=5))):
        key = f"round-{number:04d}"
        save_plan(sedi.store(), RoundPlan(key, None, "test", (), number))
        outcome = RoundOutcome(key, 10, 8, 1000, 0.2 * number, True, ()).to_json()
        manifest = {"outcome": outcome, "created_at": (now - age).isoformat(timespec="seconds")}
        sedi.store().write_json(manifest, "manifests", f"{key}.json")
    failing = {"data_version": "x", "passed": False, "blocking": False, "said": "Few were kept."}
    sedi.store().write_json(failing, "checks", "filtered_batches", "round-0002", "the_keep_rate_does_not_fall.json")
    sedi.store().write_json(failing, "checks", "filtered_batches", "round-0001", "the_keep_rate_does_not_fall.json")
    run = instance.create_run_for_job(
        defs().resolve_job_def("prepare"), tags={WORK: "prepare|seed_pool", CAUSE: "lost"}
    )
    instance.report_run_failed(run)

    night = last_night(sedi, instance, now)
    assert [(done.round, before) for done, before in night.rounds] == [("round-0002", 0.2)]
    assert [(run.work, run.failed) for run in night.runs] == [("prepare seed_pool", True)]
    assert len(night.warnings) == 1 and "round-0002" in night.warnings[0] and "Few were kept." in night.warnings[0]
    assert "JST" in night.began and night.next_steps
    later = last_night(sedi, instance, now + timedelta(days=2))
    assert not later.rounds and not later.runs and not later.warnings
