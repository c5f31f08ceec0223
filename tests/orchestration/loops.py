"""A whole loop in one process, fast: real jobs, a simulated teacher behind HTTP, a student with planted answers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import dagster as dg
import pytest

from benchmarks.testbed.planted_student import JOURNAL, interpreter
from sedi_dagster.definitions import build_defs
from sedi_dagster.orchestration.checking import BLOCKING, not_passed
from sedi_dagster.orchestration.driver import Driver, Stage
from sedi_dagster.orchestration.jobs import ROUND_ASSETS
from sedi_dagster.orchestration.resources import SediResource
from sedi_dagster.records import Tables
from sedi_dagster.reporting import report
from sedi_dagster.workloads.progress import ProgressLine


@dataclass
class Loop:
    """A project with a planted student, and a Dagster instance for it."""

    project: Path
    instance: dg.DagsterInstance
    stages: list[str] = field(default_factory=list)

    @property
    def sedi(self) -> SediResource:
        return SediResource()

    def run(self, rounds: int = 1, categories: Sequence[str] | None = None) -> str:
        """As `sedi run` does. Returns why it ended."""

        def watch(stage: Stage, line: ProgressLine | None) -> None:
            if line is None:
                self.stages.append(stage.name)

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


def ending(sedi: SediResource) -> dict[str, object]:
    """What a loop has come to, but for when and by whom: equal for a loop that was disturbed and one that was not."""
    store, history = sedi.store(), sedi.history()
    found: dict[str, object] = {}
    for plan in history.plans:
        found[plan.round] = {
            "asked for": [vars(category) for category in plan.categories],
            "outcome": history.outcomes[plan.round].to_json(),
            "not passed": {asset: not_passed(store, asset, plan.round) for asset in BLOCKING if asset in ROUND_ASSETS},
            "kept": store.read_tables("filtered_batches", plan.round)["examples"]["example_id"].to_list(),
            "trained": store.read_tables("filtered_batches", plan.round)["batches"]["example_id"].to_list(),
            "weights": store.read_tables("sft_checkpoint", plan.round)["files"].rows(),
            "passed": store.read_tables("evaluation_scores", plan.round)["items"]["passed"].to_list(),
            "seeds": store.read_tables("seed_feedback", plan.round)["seeds"]["seed_id"].to_list(),
            "report": store.path("reports", f"{plan.round}.html").exists(),
        }
    found["dataset"] = store.read_tables("sft_dataset")["examples"]["example_id"].to_list()
    return found


def run_apart(*arguments: str, log: Path) -> subprocess.Popen[bytes]:
    """`sedi run` as a process of its own, in a process group of its own."""
    command = [sys.executable, "-m", "sedi_dagster.cli", "run", *arguments]
    with log.open("ab") as out:
        return subprocess.Popen(command, stdout=out, stderr=out, start_new_session=True)


@pytest.fixture
def light(monkeypatch: pytest.MonkeyPatch) -> None:
    """Processes that are started take a fake sentence-transformers: seconds less for each of many."""
    folders = [str(Path(__file__).with_name("fakes")), *filter(None, [os.environ.get("PYTHONPATH")])]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(folders))


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Plots are made of each round's figures and not drawn, which takes a second a round; test_first_visit.py draws."""
    monkeypatch.setattr(report, "to_svg", lambda figure, label: "<svg></svg>")
    monkeypatch.setattr(report, "to_png", lambda figure: b"")


@pytest.fixture
def loop(project: Path, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch) -> Loop:
    monkeypatch.setenv("SEDI_TRAINING_PYTHON", str(interpreter(project)))
    monkeypatch.setenv(JOURNAL, str(project / "trainings.jsonl"))
    return Loop(project, instance)
