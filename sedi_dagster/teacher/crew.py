"""The workers of one `ask`, and who watches that the endpoint is still there.

An endpoint may take minutes for a call, so the call's time-out tells too late that nobody is there. But a server of
models answers a small question beside its work: when nothing at all has come back for a while it is asked for its
models, which costs nothing, and three questions in a row without an answer mean that it is dead.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import Any, TypeVar

from sedi_dagster.errors import SediError, TeacherError
from sedi_dagster.teacher import preflight
from sedi_dagster.teacher.endpoint import Endpoint
from sedi_dagster.teacher.failures import EndpointNames, silent_error
from sedi_dagster.teacher.limiter import Gate

QUESTIONS = 3

Work = TypeVar("Work")


class Sending:
    """`sending(now)`: told when a call goes out and when it is back. `is_over`: its ask has failed meanwhile."""

    def __init__(self) -> None:
        self.errors: list[BaseException] = []
        self.tasks: set[asyncio.Task[Any]] = set()

    def __call__(self, now: bool) -> None:
        task = asyncio.current_task()
        if task is not None:
            (self.tasks.add if now else self.tasks.discard)(task)

    @property
    def is_over(self) -> bool:
        return bool(self.errors)


async def work_off(
    works: AsyncIterator[Work],
    work: Callable[[Work, Sending], Awaitable[None]],
    most: int,
    alarm: Awaitable[SediError],
) -> None:
    """Work off all works, at most so many at a time; every worker fetches its next one itself.

    Args:
        alarm: waited for beside the work. If it comes to an error, all stop at once.

    Raises:
        SediError: the first of a worker, who are then sent home, but for those whose call is out: it is paid for.
    """
    sending = Sending()
    errors, fetching = sending.errors, asyncio.Lock()

    async def worker() -> None:
        while not sending.is_over:
            async with fetching:
                next_work = await anext(works, None)
            if next_work is None:
                return
            await work(next_work, sending)

    workers = {asyncio.create_task(worker()) for _ in range(most)}
    watch: asyncio.Future[Any] = asyncio.ensure_future(alarm)
    left: set[asyncio.Future[Any]] = {*workers, watch}
    try:
        while left - {watch} and watch in left:
            done, left = await asyncio.wait(left, return_when=asyncio.FIRST_COMPLETED)
            failed = [e for task in done if not task.cancelled() and (e := task.exception()) is not None]
            errors += failed
            if failed:
                _send_home(workers - sending.tasks)
        if watch.done():
            errors.insert(0, watch.result())
    finally:
        _send_home(workers)
        watch.cancel()
        await asyncio.gather(*workers, watch, return_exceptions=True)
    if errors:
        raise errors[0]


def _send_home(workers: Iterable[asyncio.Task[None]]) -> None:
    """Cancel them, each once: a second time would break off its giving back of what was set aside."""
    for task in workers:
        if not task.cancelling():
            task.cancel()


async def until_silent(gate: Gate, endpoint: Endpoint, names: EndpointNames, silence_s: float) -> TeacherError:
    """Wait until the endpoint is dead: at the earliest after the silence and three questions of half its length."""
    unanswered = 0
    while unanswered < QUESTIONS:
        quiet_s = gate.quiet_s()
        if quiet_s < silence_s:
            unanswered = 0
            await asyncio.sleep(max(0.05, silence_s - quiet_s))
        elif await preflight.answers(endpoint, silence_s / 2):
            gate.heard()
        else:
            unanswered += 1
    return silent_error(gate.quiet_s(), names)
