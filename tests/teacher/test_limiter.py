"""The pace: adaptive concurrency, limits per minute, and pauses."""

from __future__ import annotations

import asyncio
import time

import pytest

from sedi_dagster.errors import TeacherError
from sedi_dagster.teacher import limiter
from sedi_dagster.teacher.failures import EndpointNames, Failure
from sedi_dagster.teacher.limiter import CallLimiter, Concurrency, Rate

NAMES = EndpointNames("http://endpoint/v1", "model")
REFUSED = Failure("rate_limited", "429")
BROKEN = Failure("passing", "503")


def test_concurrency_grows_quickly_to_its_limit_and_bears_single_refusals() -> None:
    concurrency = Concurrency(64)
    for _ in range(56):
        concurrency.grow()
    assert concurrency.limit == 64
    for _ in range(20):
        concurrency.shrink()
        for _ in range(19):
            concurrency.grow()
    assert concurrency.limit == 64


def test_concurrency_shrinks_under_many_refusals_and_stays_at_least_one() -> None:
    concurrency = Concurrency(64)
    for _ in range(500):
        concurrency.shrink()
    assert concurrency.limit == 1


def test_concurrency_settles_near_what_a_server_bears() -> None:
    concurrency, bears = Concurrency(64), 20
    for _ in range(400):
        limit = concurrency.limit
        for place in range(limit):
            concurrency.grow() if place < bears else concurrency.shrink()
    assert bears - 4 <= concurrency.limit <= bears + 6


def test_a_rate_lets_through_its_limit_a_minute_without_saving_up() -> None:
    async def work() -> None:
        rate = Rate(600)
        began = time.monotonic()
        for _ in range(15):
            await rate.take(1)
        assert 0.4 < time.monotonic() - began < 1.5

    run(work())


def test_a_large_call_makes_the_next_ones_wait_for_it_and_what_it_did_not_use_is_spared_them() -> None:
    async def work() -> None:
        rate = Rate(60_000)
        began = time.monotonic()
        await rate.take(1_500)
        assert 0.4 < time.monotonic() - began < 1.5
        rate.give_back(1_400)
        began = time.monotonic()
        await rate.take(1_300)
        assert time.monotonic() - began < 0.2

    run(work())


def run(gate_work: object) -> None:
    asyncio.run(gate_work)  # type: ignore[arg-type]


def test_requests_per_minute_are_kept() -> None:
    async def work() -> None:
        limiter = CallLimiter(NAMES, 8, requests_per_minute=600)
        began = time.monotonic()
        for _ in range(16):
            await limiter.acquire(10)
            limiter.succeeded()
        assert time.monotonic() - began > 0.5

    run(work())


def test_calls_sent_again_go_first() -> None:
    async def work() -> None:
        limiter = CallLimiter(NAMES, 1)
        order: list[str] = []

        async def call(name: str, again: bool) -> None:
            await limiter.acquire(1, again)
            order.append(name)
            limiter.succeeded()

        await limiter.acquire(1)
        tasks = [asyncio.create_task(call("new", False))]
        await asyncio.sleep(0)
        tasks.append(asyncio.create_task(call("again", True)))
        await asyncio.sleep(0)
        limiter.succeeded()
        await asyncio.gather(*tasks)
        assert order == ["again", "new"]

    run(work())


def test_after_refusals_in_a_row_one_call_at_a_time_is_let_in_and_a_success_opens_the_gate() -> None:
    async def work() -> None:
        limiter = CallLimiter(NAMES, 8)
        for _ in range(3):
            await limiter.acquire(1)
        for _ in range(3):
            assert not limiter.failed(REFUSED, time.monotonic())
        began = time.monotonic()
        await limiter.acquire(1)
        assert time.monotonic() - began > 0.3
        waiting = asyncio.create_task(limiter.acquire(1))
        await asyncio.sleep(0.05)
        assert not waiting.done()
        limiter.succeeded()
        await asyncio.wait_for(waiting, 1)

    run(work())


def test_an_endpoint_that_fails_every_call_is_given_up_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limiter, "BREAKER_S", 0.5)

    async def work() -> None:
        limiter = CallLimiter(NAMES, 4)
        with pytest.raises(TeacherError, match="503"):
            for _ in range(50):
                await limiter.acquire(1)
                other = asyncio.create_task(limiter.acquire(1))
                await asyncio.sleep(0)
                limiter.failed(BROKEN, time.monotonic())
                await other
                limiter.failed(BROKEN, time.monotonic())

    began = time.monotonic()
    run(work())
    assert time.monotonic() - began < 10


def test_a_late_failure_of_a_call_sent_before_the_last_success_is_no_sign_of_death() -> None:
    async def work() -> None:
        limiter = CallLimiter(NAMES, 8)
        sent_at = time.monotonic()
        for _ in range(8):
            await limiter.acquire(1)
        limiter.succeeded()
        for _ in range(7):
            assert limiter.failed(BROKEN, sent_at)
        await asyncio.wait_for(limiter.acquire(1), 0.1)

    run(work())
