"""Calls in batches: the same ledger and budget, half the price, and nothing twice wherever it is killed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select
from teacher_bench import Bench, chat, chats

from sedi_dagster.errors import BudgetExceeded, TeacherError
from sedi_dagster.settings import Price
from sedi_dagster.teacher import batch, batch_api
from sedi_dagster.teacher.batch_api import BatchApi
from sedi_dagster.teacher.budget import Budget
from sedi_dagster.teacher.client import Teacher
from sedi_dagster.teacher.endpoint import RemoteEndpoint
from sedi_dagster.teacher.ledger import Ledger
from sedi_dagster.teacher.schema import batches


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch, "FIRST_POLL_S", 0.01)
    monkeypatch.setattr(batch_api, "_FIRST_PAUSE_S", 0.01)


@pytest.fixture
def batched(bench: Bench) -> Bench:
    bench.settings = {"batch": "on", "max_attempts": 2}
    return bench


def sent_singly(bench: Bench) -> int:
    return bench.server.meter.requests


def test_a_batch_brings_what_single_calls_bring_and_costs_half(batched: Bench) -> None:
    batched.price = Price(input=1000.0, output=1000.0, as_of="2026-11")
    answers = batched.ask(chats(30))
    assert all(a.text.startswith("simulated") and not a.error and not a.cached for a in answers)
    assert sent_singly(batched) == 0 and batched.server.batches.made == 1
    tokens = batched.server.meter.tokens
    account = batched.ledger.account("loop")
    assert (account.spent_tokens, account.reserved_tokens, account.reserved_nanousd) == (tokens, 0, 0)
    assert account.spent_nanousd == tokens * 1_000_000 // 2
    assert all(a.cached for a in batched.ask(chats(30))) and batched.server.batches.made == 1


def test_what_a_batch_left_is_sent_again_in_another_and_nothing_twice(batched: Bench) -> None:
    batched.server.configure(batch_fault="expired")
    answers = batched.ask(chats(40))
    assert not any(a.error for a in answers)
    assert set(batched.server.meter.billed.values()) == {1} and len(batched.server.meter.billed) == 40
    assert batched.teacher is not None and "expired" in batched.teacher.usage.notes[0]


def test_refused_calls_are_read_from_the_error_file(batched: Bench) -> None:
    batched.server.configure(refused=0.3)
    answers = batched.ask(chats(40))
    refused = [a for a in answers if a.error]
    assert 0 < len(refused) < 40 and all(a.error.startswith("content_policy") for a in refused)
    assert sent_singly(batched) == 0


def test_a_lost_error_file_loses_no_call(batched: Bench) -> None:
    batched.server.configure(refused=0.3, batch_fault="no_error_file")
    assert len(batched.ask(chats(40))) == 40
    assert batched.ledger.account("loop").reserved_tokens == 0


def test_fields_that_the_endpoint_refuses_are_left_out_of_the_next_batch(batched: Bench) -> None:
    batched.server.configure(refused_fields=("top_p",))
    assert not any(a.error for a in batched.ask(chats(10)))


def test_a_batch_that_is_not_taken_is_one_error_or_goes_by_single_calls(bench: Bench) -> None:
    bench.server.configure(batch_fault="failed")
    bench.settings = {"batch": "on"}
    with pytest.raises(TeacherError, match="refused a batch of 30 calls: The file is not valid"):
        bench.ask(chats(30))
    assert bench.ledger.account("loop").spent_tokens == 0
    bench.settings = {"batch": "auto"}
    assert not any(a.error for a in at_night(bench, 30)) and sent_singly(bench) == 30


def at_night(bench: Bench, count: int) -> Any:
    made = bench.make

    def nightly() -> Teacher:
        teacher = made()
        teacher._nightly = True
        return teacher

    bench.make = nightly  # type: ignore[method-assign]
    try:
        return bench.ask(chats(count))
    finally:
        bench.make = made  # type: ignore[method-assign]


def test_auto_means_batches_in_nightly_rounds_where_there_are_any(bench: Bench) -> None:
    bench.ask(chats(30))
    assert bench.server.batches.made == 0
    bench.ask([chat("by day")])
    at_night(bench, 60)
    assert bench.server.batches.made == 1
    bench.server.configure(batch_fault="none")
    assert not any(a.error for a in at_night(bench, 90)) and bench.server.batches.made == 1


def test_an_endpoint_without_a_batch_api_is_told_where_it_is_asked_for(batched: Bench) -> None:
    batched.server.configure(batch_fault="none")
    with pytest.raises(TeacherError, match="has no batch API"):
        batched.ask(chats(3))


def test_a_budget_holds_for_a_batch_and_what_fits_is_answered(batched: Bench) -> None:
    (first,) = batched.ask([chat("question 0")])
    most = batched.ledger.account("loop").spent_tokens
    call = batched.run(lambda teacher: teacher.render_all([chat("question 1")]))[0]
    batched.budget = Budget(max_tokens=most + 4 * call.most_tokens)
    with pytest.raises(BudgetExceeded) as exceeded:
        batched.ask(chats(200))
    came = [a for a in exceeded.value.answers if a is not None]
    account = batched.ledger.account("loop")
    assert len(came) > 4 and first.text in {a.text for a in came}
    assert account.spent_tokens <= most + 4 * call.most_tokens and account.reserved_tokens == 0
    assert account.spent_tokens == batched.server.meter.tokens


def test_files_keep_to_the_limits_of_the_api(batched: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch, "MAX_REQUESTS", 10)
    assert not any(a.error for a in batched.ask(chats(35)))
    assert batched.server.batches.made == 4
    monkeypatch.setattr(batch, "MAX_BYTES", 2_000)
    assert not any(a.error for a in batched.ask(chats(60)))
    files = [f for f in batched.server.batches.files.values() if b'"method"' in f]
    assert len(files) > 6 and all(len(f) <= 2_000 for f in files[4:])


def test_a_cut_connection_makes_no_second_batch(batched: Bench) -> None:
    batched.server.configure(batch_fault="lost_reply")
    assert not any(a.error for a in batched.ask(chats(20)))
    assert batched.server.batches.made == 1 and set(batched.server.meter.billed.values()) == {1}


class Killed(BaseException):
    """The process ends here."""


def _kill_before(name: str) -> Callable[..., Any]:
    async def killed(*arguments: Any) -> Any:
        raise Killed

    return killed


def _kill_after(name: str) -> Callable[..., Any]:
    real = getattr(BatchApi, name)

    async def killed(*arguments: Any) -> Any:
        await real(*arguments)
        raise Killed

    return killed


@pytest.mark.parametrize("when", [_kill_before, _kill_after])
@pytest.mark.parametrize("step", ["upload", "create", "retrieve", "lines"])
def test_killed_at_any_step_and_started_again_nothing_is_sent_twice(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str, when: Callable[[str], Any]
) -> None:
    bench.settings = {"batch": "on"}
    dead = Ledger(f"sqlite:///{tmp_path / 'batches.sqlite'}")
    bench.ledger = dead
    with monkeypatch.context() as patched:
        patched.setattr(BatchApi, step, when(step))
        with pytest.raises(Killed):
            bench.ask(chats(25))
    monkeypatch.setattr(
        type(dead.owner), "sees_alive", lambda self, row: row.id != dead.owner.id
    )  # kill -9: no farewell
    with Ledger(f"sqlite:///{tmp_path / 'batches.sqlite'}") as alive:
        bench.ledger = alive
        answers = bench.ask(chats(25))
        assert not any(a.error for a in answers)
        assert bench.server.batches.made == 1 and set(bench.server.meter.billed.values()) == {1}
        account = alive.account("loop")
        assert (account.spent_tokens, account.reserved_tokens) == (bench.server.meter.tokens, 0)
        assert {row.state for row in alive.read(select(batches.c.state))} == {"ended"}
    dead.close()


def test_the_file_holds_the_calls_as_they_would_be_sent(batched: Bench) -> None:
    batched.ask([chat("what is in the file?")])
    (content,) = [f for f in batched.server.batches.files.values() if b'"method"' in f]
    line = json.loads(content)
    assert line["url"] == "/v1/chat/completions" and line["body"]["messages"][0]["content"] == "what is in the file?"
    assert batched.ledger.read_call(line["custom_id"]) is not None
    assert RemoteEndpoint(batched.server.base_url).is_remote
