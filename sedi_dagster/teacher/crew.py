"""The workers of one `ask`: what is in the ledger is answered in bulk, the rest is worked off in order."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sedi_dagster.errors import SediError
from sedi_dagster.records import TeacherAnswer, TeacherRequest
from sedi_dagster.teacher.rendering import RenderedRequest

if TYPE_CHECKING:
    from sedi_dagster.teacher.client import Teacher

_CHUNK = 256


@dataclass(slots=True)
class Work:
    """A request under way in this process, and everyone in it who wants the answer."""

    request: TeacherRequest
    rendered: RenderedRequest
    indexes: list[int] = field(default_factory=list)


class Crew:
    """The workers of one `ask`: as many as can be useful, fed from the requests in order."""

    def __init__(
        self,
        teacher: Teacher,
        requests: Sequence[TeacherRequest],
        tell: Callable[[Work, TeacherAnswer], None],
    ) -> None:
        self._teacher = teacher
        self._requests = requests
        self._tell = tell
        self._error: SediError | None = None
        self._sending: set[asyncio.Task[None]] = set()
        self._workers: list[asyncio.Task[None]] = []
        self._queue: asyncio.Queue[Work | None] = asyncio.Queue(maxsize=_CHUNK)

    async def run(self) -> None:
        """Feed and wait. On an error those that are not sending stop at once, the others finish their call."""
        count = min(len(self._requests), 4 * self._teacher.settings.max_concurrency)
        self._workers = [asyncio.create_task(self._work()) for _ in range(count)]
        feeder = asyncio.create_task(self._feed(count))
        try:
            await asyncio.gather(feeder, *self._workers, return_exceptions=True)
        finally:
            for task in (feeder, *self._workers):
                task.cancel()
            await asyncio.gather(feeder, *self._workers, return_exceptions=True)
        if self._error is not None:
            raise self._error
        for task in (feeder, *self._workers):
            if not task.cancelled() and (error := task.exception()) is not None:
                raise error

    async def _feed(self, workers: int) -> None:
        """Answer from the ledger what is there, in bulk, and queue the rest."""
        try:
            for start in range(0, len(self._requests), _CHUNK):
                chunk = self._requests[start : start + _CHUNK]
                for work in await self._missing(start, chunk):
                    await self._queue.put(work)
            for _ in range(workers):
                await self._queue.put(None)
        except SediError as error:
            self._stop(error)

    async def _missing(self, start: int, chunk: Sequence[TeacherRequest]) -> Iterable[Work]:
        works: dict[str, Work] = {}
        rendered = await self._teacher.render_all(chunk)
        for index, (request, one) in enumerate(zip(chunk, rendered, strict=True), start):
            works.setdefault(one.key, Work(request, one)).indexes.append(index)
        for key, call in (await self._teacher.ledger.lookup(works)).items():
            self._tell(works.pop(key), self._teacher.recall(call))
        return works.values()

    async def _work(self) -> None:
        while self._error is None and (work := await self._queue.get()) is not None:
            try:
                self._tell(work, await self._teacher.answer(work.request, work.rendered, self._mark_sending))
            except SediError as error:
                self._stop(error)

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
