"""The loop on an object store, with its records and its ledger in PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
import pytest
import yaml
from loops import Loop

from benchmarks.testbed.faulty_teacher import FaultyTeacher
from benchmarks.testbed.postgres import PostgresServer
from benchmarks.testbed.s3_server import S3Server
from sedi_dagster.orchestration.jobs import ROUND_ASSETS
from sedi_dagster.orchestration.resources import SediResource


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
def test_a_first_round_on_s3_and_postgresql_is_carried_to_its_report(
    loop: Loop,
    simulated_teacher: FaultyTeacher,
    s3: S3Server,
    s3_folder: str,
    postgres: PostgresServer,
    postgres_ledger: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SEDI_DATA", s3_folder)
    monkeypatch.setenv("SEDI_LEDGER", postgres_ledger)
    monkeypatch.setenv("SEDI_CACHE", str(tmp_path / "other-cache"))
    s3.forget()
    with records_in(postgres, "dagster", tmp_path / "shared-home") as instance:
        Loop(loop.project, instance).run()
        print("S3 requests of a first round:", s3.requests())
        assert instance.get_materialized_partitions(dg.AssetKey("round_report")) == {"round-0001"}
    store = SediResource().store()
    for asset in ROUND_ASSETS:
        parts = (asset,) if asset == "sft_dataset" else (asset, "round-0001")
        assert store.read_tables(*parts), asset
    assert store.names("checkpoints") == ["round-0001"]
    assert simulated_teacher.meter.as_dict()["billed_twice"] == 0
