"""Several people and machines: one ledger in a PostgreSQL, one data folder in an object store, one driver."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from contention_worker import CALLS
from sqlalchemy.exc import OperationalError
from teacher_bench import Bench, chats

from benchmarks.testbed.faulty_teacher import FaultyTeacher
from benchmarks.testbed.postgres import PostgresServer
from sedi_dagster.errors import StorageUnavailable
from sedi_dagster.orchestration.ownership import claim_loop, hold_lease
from sedi_dagster.settings import load_settings
from sedi_dagster.storage.rounds import load_history
from sedi_dagster.storage.store import Store
from sedi_dagster.teacher.ledger import Ledger
from sedi_dagster.teacher.schema import is_unavailable


@contextmanager
def acknowledgements_lost(ledger: Ledger, number: int) -> Iterator[None]:
    """The database commits, and the connection breaks before the client hears of it."""
    dialect, left = ledger._writer.dialect, number
    commit = dialect.do_commit

    def lose(connection: Any) -> None:
        nonlocal left
        commit(connection)
        if left:
            left -= 1
            raise psycopg.OperationalError("server closed the connection unexpectedly")

    dialect.do_commit = lose  # type: ignore[method-assign]
    try:
        yield
    finally:
        dialect.do_commit = commit  # type: ignore[method-assign]
        assert not left


def test_a_commit_whose_acknowledgement_was_lost_is_found_and_nothing_is_counted_twice(
    server: FaultyTeacher, postgres_ledger: str
) -> None:
    with Ledger(postgres_ledger) as ledger:
        bench = Bench(server, ledger)
        with acknowledgements_lost(ledger, 3):
            answers = bench.ask(chats(6))
        assert not any(answer.error for answer in answers)
        account = ledger.account("loop")
        assert account.spent_tokens == server.meter.tokens and account.reserved_tokens == 0
        assert server.meter.as_dict()["billed_twice"] == 0


def test_a_database_that_is_restarted_is_waited_for(
    server: FaultyTeacher, postgres: PostgresServer, postgres_ledger: str
) -> None:
    server.configure(latency_s=0.05)
    with Ledger(postgres_ledger) as ledger:
        bench = Bench(server, ledger)
        bench.settings = {"max_concurrency": 2}
        restart = threading.Timer(0.3, lambda: (postgres.stop(), postgres.start()))
        restart.start()
        answers = bench.ask(chats(40))
        restart.join()
        assert not any(answer.error for answer in answers)
        assert ledger.account("loop").spent_tokens == server.meter.tokens
        assert server.meter.as_dict()["billed_twice"] == 0


def test_a_database_that_stays_away_is_told_as_an_outage(postgres: PostgresServer, postgres_ledger: str) -> None:
    postgres.stop()
    try:
        with pytest.raises(StorageUnavailable, match="cannot be used"):
            Ledger(postgres_ledger)
    finally:
        postgres.start()


@pytest.mark.parametrize(
    ("message", "passing"),
    [
        ("FATAL:  the database system is not yet accepting connections\nDETAIL:  Consistent recovery state ...", True),
        ("FATAL:  the database system is in recovery mode", True),
        ("FATAL:  sorry, too many clients already", True),
        ("FATAL:  remaining connection slots are reserved for roles with the SUPERUSER attribute", True),
        ("FATAL:  no more connections allowed (max_client_conn)", True),
        ("connection refused", True),
        ('FATAL:  password authentication failed for user "sedi"', False),
        ('FATAL:  database "sedi" does not exist', False),
        ('FATAL:  no pg_hba.conf entry for host "10.0.0.1"', False),
    ],
)
def test_a_refused_connection_is_an_outage_only_where_waiting_helps(message: str, passing: bool) -> None:
    assert is_unavailable(OperationalError("select 1", {}, psycopg.OperationalError(message))) is passing


def test_one_machine_drives_a_data_folder_and_another_takes_it_up_when_that_one_leaves(
    postgres_ledger: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two homes stand for two machines: they share nothing but the database."""
    monkeypatch.setenv("SEDI_LEDGER", postgres_ledger)
    here, there = tmp_path / "here", tmp_path / "there"
    settings, other = load_settings({"data": "s3://sedi/loop"}), load_settings({"data": "s3://sedi/other"})
    assert not claim_loop(settings, here) and not claim_loop(other, there)
    with hold_lease(settings, here):
        assert str(here) in claim_loop(settings, there)
    assert not claim_loop(settings, there), "it was given back"


@pytest.mark.slow
def test_eight_processes_that_plan_and_pay_at_once_make_one_plan_a_round_and_pay_no_call_twice(
    server: FaultyTeacher, postgres_ledger: str, s3_folder: str
) -> None:
    server.configure(latency_s=0.05)
    rounds, most = 4, 700
    command = [sys.executable, str(Path(__file__).with_name("contention_worker.py"))]
    common = [s3_folder, postgres_ledger, server.base_url]
    started = [
        subprocess.Popen([*command, *common, f"person-{n}", str(rounds), str(most)], stdout=subprocess.PIPE, text=True)
        for n in range(8)
    ]
    text = [process.communicate(timeout=600)[0].splitlines() for process in started]
    assert all(process.returncode == 0 for process in started), text
    lines = [line.split() for lines in text for line in lines]
    plans = {plan.round: plan.trigger for plan in load_history(Store(s3_folder)).plans}
    assert len(plans) == rounds
    assert {(key, who) for key, who, *_ in lines} == set(plans.items()), "all see the plan that holds"
    assert [key for key, _, opened, *_ in sorted(lines) if opened == "opened"] == sorted(plans)
    assert server.meter.as_dict()["billed_twice"] == 0
    assert len(server.meter.billed) <= CALLS * rounds
    with Ledger(postgres_ledger) as ledger:
        account = ledger.account("loop")
    assert server.meter.tokens <= account.spent_tokens <= most and account.reserved_tokens == 0
    assert "out of budget" in {" ".join(line[3:]) for line in lines}, "the budget was never near"
