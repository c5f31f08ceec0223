"""The worker pool of one `Teacher.ask`, and a health check of the endpoint.

An endpoint may take minutes for a call, so the call's timeout is too late to notice that it is gone. Model servers
answer small requests while generating: when there has been no response for a while, the list of models is requested,
which is free. After three such requests without a response, the endpoint is considered dead.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from typing import Any, NoReturn, TypeVar

from sedi_dagster.teacher import preflight
from sedi_dagster.teacher.endpoint import Endpoint
from sedi_dagster.teacher.failures import EndpointNames, unresponsive_error
from sedi_dagster.teacher.limiter import CallLimiter

PROBES = 3

Item = TypeVar("Item")


class InFlight:
    """The workers of a pool that have a call in flight: a context manager around the current task's call.

    `is_over`: a worker has failed, so no further call is sent.
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
    health_check: Coroutine[Any, Any, NoReturn],
) -> None:
    """Work on all items with at most `max_workers` workers; each fetches its next item itself.

    Args:
        health_check: runs beside the workers. If it raises an error, all workers are cancelled at once.

    Raises:
        SediError: the first error of a worker, or that of the health check. After an error of a worker, the others are
            cancelled except those with a call in flight: their answers are paid for.
    """
    in_flight = InFlight()
    fetching = asyncio.Lock()
    errors: list[Exception] = []

    async def worker() -> None:
        try:
            while not in_flight.is_over:
                async with fetching:
                    item = await anext(items, None)
                if item is None:
                    return
                await work(item, in_flight)
        except Exception as error:  # noqa: BLE001  (raised below)
            errors.append(error)
            if not in_flight.is_over:
                in_flight.is_over = True
                for task in workers - in_flight.tasks - {asyncio.current_task()}:
                    task.cancel()

    try:
        async with asyncio.TaskGroup() as group:
            health = group.create_task(health_check)
            workers = {group.create_task(worker()) for _ in range(max_workers)}
            await asyncio.wait(workers)
            health.cancel()
    except ExceptionGroup as failed:
        raise failed.exceptions[0] from None
    if errors:
        raise errors[0]


async def watch_endpoint(limiter: CallLimiter, endpoint: Endpoint, names: EndpointNames, silence_s: float) -> NoReturn:
    """Raise when the endpoint is dead: no response for `silence_s`, then three probes unanswered for half of it each.

    Raises:
        TeacherUnavailable: the endpoint is dead.
    """
    unanswered = 0
    while unanswered < PROBES:
        silent_s = limiter.silent_s()
        if silent_s < silence_s:
            unanswered = 0
            await asyncio.sleep(max(0.05, silence_s - silent_s))
        elif await preflight.responds(endpoint, silence_s / 2):
            limiter.mark_active()
        else:
            unanswered += 1
    raise unresponsive_error(limiter.silent_s(), names)
