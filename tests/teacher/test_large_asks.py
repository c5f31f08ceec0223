"""Asks of 10,000 requests that end early: in seconds, with every call accounted for, and nobody left waiting."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy.exc import OperationalError
from teacher_bench import Bench, chat, chats

from sedi_dagster.errors import BudgetExceeded, StorageError, TeacherError
from sedi_dagster.records import TeacherAnswer
from sedi_dagster.teacher import limiter
from sedi_dagster.teacher.budget import Budget
from sedi_dagster.teacher.calls import sum_calls
from sedi_dagster.teacher.client import Teacher
from sedi_dagster.teacher.ledger import Ledger

MANY = 10_000


@contextmanager
def within(seconds: float) -> Iterator[None]:
    began = time.monotonic()
    yield
    assert time.monotonic() - began < seconds


def accounted_for(bench: Bench) -> None:
    """Nothing is set aside any more, no call is open, and the account holds what the server billed."""
    account = bench.ledger.account("loop")
    assert account.reserved_tokens == 0 and account.spent_tokens >= bench.server.meter.tokens
    assert "pending" not in {line.name for line in sum_calls(bench.ledger, "state")}


@pytest.mark.parametrize("at_once", [8, 64])
def test_a_fatal_error_ends_a_large_ask(bench: Bench, at_once: int) -> None:
    bench.settings = {"max_concurrency": at_once}
    bench.server.configure(outage="no_quota")
    with within(60.0), pytest.raises(TeacherError, match="quota"):
        bench.ask(chats(MANY))
    assert bench.server.meter.requests < 4 * at_once
    accounted_for(bench)


def test_a_budget_that_ends_in_the_middle_ends_a_large_ask_with_what_came(bench: Bench) -> None:
    (call,) = bench.run(lambda teacher: teacher.render_all([chat("question 1")]))
    bench.settings = {"max_concurrency": 64}
    bench.budget = Budget(max_tokens=40 * call.most_tokens)
    with within(90.0), pytest.raises(BudgetExceeded) as exceeded:
        bench.ask(chats(MANY))
    came = [a for a in exceeded.value.answers if a is not None]
    assert len(exceeded.value.answers) == MANY and 40 < len(came) < MANY
    accounted_for(bench)


def test_a_cancelled_large_ask_ends(bench: Bench) -> None:
    bench.settings = {"max_concurrency": 64}
    bench.server.configure(latency_s=0.05)

    async def cancel(teacher: Teacher) -> None:
        came: list[int] = []
        task = asyncio.create_task(teacher.ask(chats(MANY), lambda index, answer: came.append(index)))
        while not came:
            await asyncio.sleep(0.01)
        task.cancel()
        with within(60.0), pytest.raises(asyncio.CancelledError):
            await task

    bench.run(cancel)
    accounted_for(bench)


def test_a_failing_callback_ends_the_ask_with_its_own_error(bench: Bench) -> None:
    def fail(index: int, answer: TeacherAnswer) -> None:
        raise ZeroDivisionError

    with within(60.0), pytest.raises(ZeroDivisionError):
        bench.ask(chats(1000), on_answer=fail)
    accounted_for(bench)


def test_calls_in_flight_when_another_one_fails_are_waited_for_as_they_are_paid_for(bench: Bench) -> None:
    def fail(index: int, answer: TeacherAnswer) -> None:
        raise ZeroDivisionError

    bench.server.configure(latency_s=0.2)
    with pytest.raises(ZeroDivisionError):
        bench.ask(chats(40), on_answer=fail)
    sums = {line.name: line for line in sum_calls(bench.ledger, "state")}
    assert sums["done"].calls == len(bench.server.meter.billed) and not any(s.lost_tokens for s in sums.values())


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_writer_of_the_ledger_that_dies_leaves_nobody_waiting(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def break_down(*arguments: Any) -> Any:
        raise RuntimeError("a defect")

    monkeypatch.setattr(Ledger, "_apply", break_down)
    with within(60.0), pytest.raises(StorageError, match=r"writer has ended|closed"):
        bench.ask(chats(300))


def test_a_commit_whose_acknowledgement_was_lost_is_not_refused_for_ever(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The database has written it, and the connection breaks before it can say so."""
    real = type(bench.ledger._writer).begin
    lost: list[int] = []

    @contextmanager
    def begin(engine: Any) -> Iterator[Any]:
        with real(engine) as connection:
            yield connection
        if len(lost) < 2:
            lost.append(1)
            raise OperationalError("COMMIT", {}, Exception("server closed the connection unexpectedly"))

    monkeypatch.setattr(type(bench.ledger._writer), "begin", begin)
    with within(60.0):
        answers = bench.ask(chats(20))
    assert lost and not any(a.error for a in answers)
    assert set(bench.server.meter.billed.values()) == {1}
    assert bench.ledger.account("loop").spent_tokens == bench.server.meter.tokens


@pytest.mark.parametrize("retry_after_s", [None, 0.0, 0.3, 1.9, 3600.0])
@pytest.mark.parametrize("calls", [1, 12])
def test_patience_is_kept_in_every_pattern_of_retry_after(
    bench: Bench, retry_after_s: float | None, calls: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the server's clock: nothing is sent after patience has ended. The last call is sent as it ends; a pause that
    were not cut off there would end 1.5 s later or more, of which a busy machine has 1 s."""
    monkeypatch.setattr(limiter.random, "uniform", lambda least, most: most)  # pauses of 0.5, 1 and 2 s
    bench.settings = {"patience_s": 2.0, "max_concurrency": 4}
    bench.server.configure(outage="rate_limited", retry_after_s=retry_after_s)
    with within(60.0), pytest.raises(TeacherError, match=r"429|asks to wait until"):
        bench.ask(chats(calls))
    arrivals = bench.server.meter.arrivals
    assert arrivals[-1] - arrivals[0] <= 3.0
