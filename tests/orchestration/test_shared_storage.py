"""The loop on an object store, its records and ledger in PostgreSQL: it comes to what it comes to on one machine."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import dagster as dg
import pytest
import yaml
from loops import Loop

from sedi_dagster.orchestration.jobs import ROUND_ASSETS
from sedi_dagster.orchestration.resources import SediResource
from sedi_dagster.store import Store
from sedi_dagster.testing.postgres import PostgresServer
from sedi_dagster.testing.s3_server import S3Server
from sedi_dagster.testing.simulated_teacher import SimulatedTeacher

MADE_OF_PLACES_AND_TIMES = {"lineage_manifest", "round_report", "sft_dataset"}
"""They name the run, the day, the data folder; what they are made of is compared."""


def versions(sedi: SediResource) -> dict[str, str]:
    """Data version of every partition, and what became of the round."""
    store, found = sedi.store(), {}
    plan = sedi.history().plans[0]
    paths = [("seed_pool",), ("baseline_scores",)]
    paths += [("generated_batches", plan.round, category) for category in plan.category_ids]
    paths += [(asset, plan.round) for asset in ROUND_ASSETS if asset not in MADE_OF_PLACES_AND_TIMES]
    for path in paths:
        marker = store.tables_marker(*path)
        assert marker is not None, path
        for table, described in marker["tables"].items():
            if table != "calls":  # how long each took
                found["/".join((*path, table))] = described["blake2b"]
    return found | {"outcome": str(replace(sedi.history().finished[0], cost_usd=None))}


@contextmanager
def records_in(postgres: PostgresServer, database: str, home: Path) -> Iterator[dg.DagsterInstance]:
    """A Dagster instance whose records are in a new database."""
    postgres.create(database)
    home.mkdir()
    storage = {
        "storage": {"postgres": {"postgres_url": postgres.url(database, driver="psycopg2")}},
        "telemetry": {"enabled": False},
    }
    (home / "dagster.yaml").write_text(yaml.safe_dump(storage))
    with dg.DagsterInstance.from_config(str(home)) as found:
        yield found


@pytest.mark.slow
def test_a_round_on_s3_and_postgresql_equals_the_one_on_a_disk_by_content_hash(
    loop: Loop,
    simulated_teacher: SimulatedTeacher,
    s3: S3Server,
    s3_folder: str,
    postgres: PostgresServer,
    postgres_ledger: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    loop.run()
    on_disk = versions(loop.sedi)
    simulated_teacher.forget()
    monkeypatch.setenv("SEDI_DATA", s3_folder)
    monkeypatch.setenv("SEDI_LEDGER", postgres_ledger)
    monkeypatch.setenv("SEDI_CACHE", str(tmp_path / "other-cache"))
    s3.forget()
    with records_in(postgres, "dagster", tmp_path / "shared-home") as instance:
        Loop(loop.project, instance).run()
        print("S3 requests of a first round:", s3.requests())
        assert instance.get_materialized_partitions(dg.AssetKey("round_report")) == {"round-0001"}
    assert versions(SediResource()) == on_disk
    assert Store(s3_folder).names("checkpoints") == ["round-0001"]
    assert simulated_teacher.meter.told()["billed_twice"] == 0
