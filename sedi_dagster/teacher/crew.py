"""The workers of one `ask`: what is in the ledger is answered in bulk, the rest is worked off in order."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from sedi_dagster.errors import SediError
from sedi_dagster.records import TeacherRequest
from sedi_dagster.teacher.rendering import RenderedRequest
from sedi_dagster.teacher.sending import Sending

_CHUNK = 256


@dataclass(slots=True)
class Work:
    """A request under way in this process, and everyone in it who wants the answer."""

    request: TeacherRequest
    rendered: RenderedRequest
    indexes: list[int] = field(default_factory=list)


Missing = Callable[[int, Sequence[TeacherRequest]], Awaitable[Iterable[Work]]]
"""`missing(start, requests)`: those of the requests, which begin at a place of the whole, that must be worked off."""

Alarm = Callable[[], Awaitable[SediError]]

WorkOff = Callable[[Work, Sending], Awaitable[None]]


class Crew:
    """At most so many workers, fed from the requests in order."""

    def __init__(self, most_workers: int, missing: Missing, work_off: WorkOff) -> None:
        self._most_workers = most_workers
        self._missing = missing
        self._work_off = work_off
        self._error: SediError | None = None
        self._sending: set[asyncio.Task[None]] = set()
        self._workers: list[asyncio.Task[None]] = []
        self._queue: asyncio.Queue[Work | None] = asyncio.Queue(maxsize=_CHUNK)

    async def run(self, requests: Sequence[TeacherRequest], alarm: Alarm) -> None:
        """Feed and wait. On an error those that are not sending stop at once, the others finish their call.

        Args:
            alarm: waited for beside the work; if it comes to an error, all stop at once.
        """
        count = min(len(requests), self._most_workers)
        self._workers = [asyncio.create_task(self._work()) for _ in range(count)]
        feeder = asyncio.create_task(self._feed(requests, count))
        crew = (feeder, *self._workers)
        watch = asyncio.create_task(self._watch(alarm, crew))
        try:
            await asyncio.gather(*crew, return_exceptions=True)
        finally:
            for task in (watch, *crew):
                task.cancel()
            await asyncio.gather(watch, *crew, return_exceptions=True)
        if self._error is not None:
            raise self._error
        for task in (watch, *crew):
            if not task.cancelled() and (error := task.exception()) is not None:
                raise error

    async def _feed(self, requests: Sequence[TeacherRequest], workers: int) -> None:
        """Answer from the ledger what is there, in bulk, and queue the rest."""
        try:
            for start in range(0, len(requests), _CHUNK):
                for work in await self._missing(start, requests[start : start + _CHUNK]):
                    await self._queue.put(work)
            for _ in range(workers):
                await self._queue.put(None)
        except SediError as error:
            self._stop(error)

    async def _work(self) -> None:
        while self._error is None and (work := await self._queue.get()) is not None:
            try:
                await self._work_off(work, self._mark_sending)
            except SediError as error:
                self._stop(error)

    async def _watch(self, alarm: Alarm, crew: Iterable[asyncio.Task[None]]) -> None:
        self._error = await alarm()
        for task in crew:
            task.cancel()

    def _mark_sending(self, now: bool) -> None:
        task: asyncio.Task[Any] | None = asyncio.current_task()
        if task is not None:
            (self._sending.add if now else self._sending.discard)(task)

    def _stop(self, error: SediError) -> None:
        if self._error is None:
            self._error = error
            current = asyncio.current_task()
            for task in self._workers:
                if task not in self._sending and task is not current:
                    task.cancel()
