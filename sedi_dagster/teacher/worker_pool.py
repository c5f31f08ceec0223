"""The worker pool of one `Teacher.ask`, and a health check of the endpoint.

An endpoint may take minutes for a call, so the call's timeout is too late to notice that it is gone. Model servers
answer small requests while generating: when there has been no response for a while, the list of models is requested,
which is free. After three such requests without a response, the endpoint is considered dead.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import Any, TypeVar

from sedi_dagster.errors import SediError, TeacherError
from sedi_dagster.teacher import preflight
from sedi_dagster.teacher.endpoint import Endpoint
from sedi_dagster.teacher.failures import EndpointNames, unresponsive_error
from sedi_dagster.teacher.limiter import CallLimiter

PROBES = 3

Item = TypeVar("Item")


class InFlight:
    """Which workers of a pool have a call in flight: a context manager around the current task's call.

    `is_over`: a worker of the pool has failed, so no call is sent again.
    """

    def __init__(self) -> None:
        self.is_over = False
        self.tasks: set[asyncio.Task[Any] | None] = set()

    def __enter__(self) -> None:
        self.tasks.add(asyncio.current_task())

    def __exit__(self, *details: object) -> None:
        self.tasks.discard(asyncio.current_task())


async def run_workers(
    items: AsyncIterator[Item],
    work: Callable[[Item, InFlight], Awaitable[None]],
    max_workers: int,
    health_check: Awaitable[SediError],
) -> None:
    """Work on all items with at most `max_workers` workers; each fetches its next item itself.

    Args:
        health_check: awaited beside the workers. If it returns an error, all workers are cancelled at once.

    Raises:
        SediError: the first error of a worker. The other workers are cancelled, except those with a call in flight:
            their answers are paid for.
    """
    in_flight = InFlight()
    fetching = asyncio.Lock()

    async def worker() -> None:
        while not in_flight.is_over:
            async with fetching:
                item = await anext(items, None)
            if item is None:
                return
            await work(item, in_flight)

    async def first_error() -> BaseException | None:
        ended, _ = await asyncio.wait(workers, return_when=asyncio.FIRST_EXCEPTION)
        in_flight.is_over = True
        _cancel(workers - in_flight.tasks)
        await asyncio.wait(workers)
        return next((e for task in ended if not task.cancelled() and (e := task.exception()) is not None), None)

    workers = {asyncio.create_task(worker()) for _ in range(max_workers)}
    ends: list[asyncio.Future[Any]] = [asyncio.ensure_future(health_check), asyncio.create_task(first_error())]
    try:
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        error = next(end for end in ends if end.done()).result()
    finally:
        _cancel(workers)
        for end in ends:
            end.cancel()
        await asyncio.gather(*workers, *ends, return_exceptions=True)
    if error is not None:
        raise error


def _cancel(workers: Iterable[asyncio.Task[None]]) -> None:
    """Cancel each worker once: a second time would interrupt the release of what it had reserved."""
    for task in workers:
        if not task.cancelling():
            task.cancel()


async def until_silent(
    limiter: CallLimiter, endpoint: Endpoint, names: EndpointNames, silence_s: float
) -> TeacherError:
    """Wait until the endpoint is dead: no answer for `silence_s`, then three probes unanswered for half of it each."""
    unanswered = 0
    while unanswered < PROBES:
        silent_s = limiter.silent_s()
        if silent_s < silence_s:
            unanswered = 0
            await asyncio.sleep(max(0.05, silence_s - silent_s))
        elif await preflight.answers(endpoint, silence_s / 2):
            limiter.mark_active()
        else:
            unanswered += 1
    return unresponsive_error(limiter.silent_s(), names)
