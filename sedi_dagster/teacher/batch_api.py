"""The batch API of an endpoint: files of calls that are answered within a day, at a lower price.

A file has one call a line, up to 50,000 and 200 MB. What became of each is in two files afterwards: answers, and
errors. Reference: platform.openai.com/docs/guides/batch. Every step but one may be repeated without harm; before a
batch is made a second time, the endpoint is asked whether the first one is there.
"""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self, TypeVar

import openai

from sedi_dagster.errors import TeacherError
from sedi_dagster.teacher.endpoint import Endpoint
from sedi_dagster.teacher.failures import EndpointNames, from_status, unavailable_error
from sedi_dagster.teacher.transport import FAILURES, failed, open_client

MOST_REQUESTS = 50_000
MOST_BYTES = 200_000_000
TAG = "sedi_batch"
"""Under this name the batch's own id is in its metadata, so that it is found again."""

_ENDED = ("completed", "failed", "expired", "cancelled")
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.5, 30.0
_LOOKED_BACK_S = 3600.0

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class RemoteBatch:
    """A batch as the endpoint tells of it."""

    id: str
    status: str
    output_file: str
    error_file: str
    errors: tuple[str, ...]

    @property
    def has_ended(self) -> bool:
        return self.status in _ENDED


class BatchApi:
    """An endpoint's batch API; an async context manager."""

    def __init__(self, endpoint: Endpoint, names: EndpointNames, patience_s: float) -> None:
        self._endpoint, self._names, self._patience_s = endpoint, names, patience_s

    async def __aenter__(self) -> Self:
        self._client = open_client(self._endpoint, capped=False)
        return self

    async def __aexit__(self, *details: object) -> None:
        await self._client.close()

    async def exists(self) -> bool:
        """Whether the endpoint has a batch API that the key may use. Asking costs nothing."""
        try:
            page = await self._client.batches.list(limit=1)
        except openai.APIStatusError as error:
            if error.status_code in (400, 401, 403, 404, 405, 501):
                return False
            raise self._error(error) from None
        except (*FAILURES, openai.APIError, ValueError, TypeError, AttributeError):
            return False
        return isinstance(getattr(page, "data", None), list)

    async def upload(self, name: str, content: bytes) -> str:
        """Upload a file of calls; returns its id."""
        file = await self._steadily(
            lambda: self._client.files.create(file=(name, content, "application/jsonl"), purpose="batch")
        )
        return file.id

    async def make(self, file_id: str, path: str, tag: str, since: float) -> RemoteBatch:
        """Make a batch of an uploaded file, or find the one that was made of it before."""
        wanted: Any = f"/v1{path}"

        async def find_or_make() -> RemoteBatch:
            found = await self._find(file_id, tag, since)
            if found is not None:
                return found
            made = await self._client.batches.create(
                input_file_id=file_id, endpoint=wanted, completion_window="24h", metadata={TAG: tag}
            )
            return _remote_batch(made)

        return await self._steadily(find_or_make)

    async def retrieve(self, batch_id: str) -> RemoteBatch:
        """How far a batch is."""
        return _remote_batch(await self._steadily(lambda: self._client.batches.retrieve(batch_id)))

    async def lines(self, file_id: str) -> Sequence[Mapping[str, Any]]:
        """The lines of a file of results, but for what is no JSON object; none if there is no such file."""
        if not file_id:
            return ()
        content = await self._steadily(lambda: self._client.files.content(file_id))
        found = []
        for line in content.content.splitlines():
            try:
                data = json.loads(line)
            except ValueError:
                continue
            if isinstance(data, dict):
                found.append(data)
        return found

    async def _find(self, file_id: str, tag: str, since: float) -> RemoteBatch | None:
        async for batch in self._client.batches.list(limit=100):
            if batch.input_file_id == file_id or (batch.metadata or {}).get(TAG) == tag:
                return _remote_batch(batch)
            if (batch.created_at or 0) < since - _LOOKED_BACK_S:
                return None
        return None

    async def _steadily(self, step: Callable[[], Awaitable[Result]]) -> Result:
        """Do a step, again and again while the endpoint is busy or away, as long as patience lasts.

        Raises:
            TeacherError: it will not work.
        """
        began, pause_s = time.monotonic(), _FIRST_PAUSE_S
        while True:
            try:
                return await step()
            except openai.APIStatusError as error:
                failure = from_status(error.status_code, error.body, error.response.headers, self._names)
                if failure.kind not in ("rate_limited", "passing"):
                    raise self._error(error) from None
                why, asked_s = failure.message, failure.retry_after_s or 0.0
            except FAILURES as error:
                why, asked_s = str(failed(error)), 0.0
            pause_s = max(min(_LONGEST_PAUSE_S, pause_s * 2), asked_s)
            if time.monotonic() + pause_s - began > self._patience_s:
                raise unavailable_error(why, self._names)
            await asyncio.sleep(pause_s)

    def _error(self, error: openai.APIStatusError) -> TeacherError:
        failure = from_status(error.status_code, error.body, error.response.headers, self._names)
        return failure.fatal or TeacherError(
            f"The batch API of {self._names.endpoint} refuses: {failure.message}.",
            "Set SEDI_TEACHER_BATCH=off to send calls one by one.",
        )


def _remote_batch(batch: Any) -> RemoteBatch:
    errors = tuple(str(e.message) for e in (batch.errors.data or ())) if batch.errors else ()
    return RemoteBatch(batch.id, batch.status, batch.output_file_id or "", batch.error_file_id or "", errors)
