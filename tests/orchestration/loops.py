"""A whole loop in one process, fast: real jobs, a simulated teacher behind HTTP, a student with planted answers."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import dagster as dg
import pytest

from sedi_dagster.definitions import build_defs
from sedi_dagster.orchestration.driver import Driver, Stage
from sedi_dagster.orchestration.resources import SediResource
from sedi_dagster.progress import ProgressLine
from sedi_dagster.records import Tables
from sedi_dagster.testing.planted_student import JOURNAL, interpreter


@dataclass
class Loop:
    """A project with a planted student, and a Dagster instance for it."""

    project: Path
    instance: dg.DagsterInstance
    told: list[str] = field(default_factory=list)

    @property
    def sedi(self) -> SediResource:
        return SediResource()

    def run(self, rounds: int = 1, categories: Sequence[str] | None = None) -> str:
        """As `sedi run` does. Returns why it ended."""

        def watch(stage: Stage, line: ProgressLine | None) -> None:
            if line is None:
                self.told.append(stage.name)

        return Driver(build_defs(), self.instance, self.sedi, watch).run(rounds, categories, None)

    def materialize(self, asset: str, partition: str | None = None, **overrides: object) -> dg.ExecuteInProcessResult:
        """As a click on `Materialize` does: the asset with its checks. `overrides`: as the launchpad takes them."""
        config = {"resources": {"sedi": {"config": {"overrides": overrides}}}} if overrides else {}
        job = build_defs().resolve_implicit_global_asset_job_def()
        return job.execute_in_process(
            run_config=config,
            instance=self.instance,
            partition_key=partition,
            asset_selection=[dg.AssetKey(asset)],
            raise_on_error=False,
        )

    def tables(self, *parts: str) -> Tables:
        return self.sedi.store().read_tables(*parts)

    def data_version(self, asset: str, partition: str | None = None) -> str:
        """As Dagster records it."""
        records = dg.AssetRecordsFilter(dg.AssetKey(asset), asset_partitions=[partition] if partition else None)
        event = self.instance.fetch_materializations(records, limit=1).records[0].event_log_entry.asset_materialization
        assert event is not None and event.tags is not None
        return event.tags["dagster/data_version"]

    def trainings(self) -> list[dict[str, object]]:
        """Every training that came to its end, in order."""
        journal = self.project / "trainings.jsonl"
        return [json.loads(line) for line in journal.read_text().splitlines()] if journal.exists() else []


@pytest.fixture
def loop(project: Path, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch) -> Loop:
    monkeypatch.setenv("SEDI_TRAINING_PYTHON", str(interpreter(project)))
    monkeypatch.setenv(JOURNAL, str(project / "trainings.jsonl"))
    return Loop(project, instance)
