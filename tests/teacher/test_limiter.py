"""The pace: adaptive concurrency, limits per minute, and pauses. By a clock of its own, which no machine holds up."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from types import SimpleNamespace
from typing import Any

import pytest

from sedi_dagster.errors import TeacherError
from sedi_dagster.teacher import limiter
from sedi_dagster.teacher.failures import EndpointNames, Failure
from sedi_dagster.teacher.limiter import CallLimiter, Concurrency, Rate

NAMES = EndpointNames("http://endpoint/v1", "model")
REFUSED = Failure("rate_limited", "429")
BROKEN = Failure("passing", "503")


class PassingTime(selectors.DefaultSelector):
    """Where an event loop would wait, its clock goes on by that much at once."""

    now_s = 0.0

    def select(self, timeout: float | None = None) -> Any:
        assert timeout is not None, "everybody waits, and nothing is to come"
        self.now_s += timeout
        return super().select(0)


class Loop(asyncio.SelectorEventLoop):
    """An event loop with such a clock."""

    def __init__(self) -> None:
        self._passing = PassingTime()
        super().__init__(self._passing)

    def time(self) -> float:
        return self._passing.now_s


Run = Callable[[Coroutine[Any, Any, None]], None]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Run:
    """`run(work)`: in a loop with such a clock, which the limiter reads too."""

    def inside(work: Coroutine[Any, Any, None]) -> None:
        with asyncio.Runner(loop_factory=Loop) as runner:
            monkeypatch.setattr(limiter, "time", SimpleNamespace(monotonic=runner.get_loop().time))
            runner.run(work)

    return inside


def now() -> float:
    return asyncio.get_running_loop().time()


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


def test_a_rate_lets_through_its_limit_a_minute_without_saving_up(run: Run) -> None:
    async def work() -> None:
        rate = Rate(600)
        began = now()
        for _ in range(15):
            await rate.take(1)
        assert now() - began == pytest.approx(0.5, abs=0.01), "of ten at once, five wait"

    run(work())


def test_a_large_call_makes_the_next_ones_wait_for_it_and_what_it_did_not_use_is_spared_them(
    run: Run,
) -> None:
    async def work() -> None:
        rate = Rate(60_000)
        began = now()
        await rate.take(1_500)
        assert now() - began == pytest.approx(0.5, abs=0.01)
        rate.refund(1_400)
        began = now()
        await rate.take(1_300)
        assert now() == began

    run(work())


def test_requests_per_minute_are_kept(run: Run) -> None:
    async def work() -> None:
        limiter = CallLimiter(NAMES, 8, requests_per_minute=600)
        began = now()
        for _ in range(16):
            await limiter.acquire(10)
            limiter.succeeded()
        assert now() - began == pytest.approx(0.6, abs=0.01)

    run(work())


def test_after_refusals_in_a_row_one_call_at_a_time_is_let_in_and_a_success_opens_the_gate(
    run: Run,
) -> None:
    async def work() -> None:
        limiter = CallLimiter(NAMES, 8)
        for _ in range(3):
            await limiter.acquire(1)
        for _ in range(3):
            assert not limiter.failed(REFUSED, now())
        began = now()
        await limiter.acquire(1)
        assert 0.375 <= now() - began <= 0.51
        waiting = asyncio.create_task(limiter.acquire(1))
        await asyncio.sleep(60.0)
        assert not waiting.done()
        limiter.succeeded()
        await asyncio.wait_for(waiting, 1)

    run(work())


def test_an_endpoint_that_fails_every_call_is_given_up_in_time(run: Run) -> None:
    async def work() -> None:
        calls = CallLimiter(NAMES, 4)
        began = now()
        with pytest.raises(TeacherError, match="503"):
            for _ in range(50):
                await calls.acquire(1)
                other = asyncio.create_task(calls.acquire(1))
                await asyncio.sleep(0)
                calls.failed(BROKEN, now())
                await other
                calls.failed(BROKEN, now())
        assert limiter.BREAKER_S < now() - began < limiter.BREAKER_S + 2 * limiter._LONGEST_PAUSE_S

    run(work())


def test_a_late_failure_of_a_call_sent_before_the_last_success_is_no_sign_of_death(
    run: Run,
) -> None:
    async def work() -> None:
        limiter = CallLimiter(NAMES, 8)
        sent_at = now()
        for _ in range(8):
            await limiter.acquire(1)
        await asyncio.sleep(1.0)
        limiter.succeeded()
        for _ in range(7):
            assert limiter.failed(BROKEN, sent_at)
        began = now()
        await limiter.acquire(1)
        assert now() == began, "at once"

    run(work())
