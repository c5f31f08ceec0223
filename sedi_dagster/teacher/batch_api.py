"""The batch API of an endpoint: files of calls that are answered within a day, at a lower price.

A file has one call per line, up to 50,000 calls and 200 MB. The results are two files: answers and errors. Reference:
platform.openai.com/docs/guides/batch. Every step can be repeated without harm except the creation of a batch; before
that is repeated, the endpoint's batches are searched for the first one.
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

MAX_REQUESTS = 50_000
MAX_BYTES = 200_000_000
TAG = "sedi_batch"
"""Metadata field of a remote batch that contains our id of it, by which it is found again."""

_ENDED = ("completed", "failed", "expired", "cancelled")
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.5, 30.0
_CLOCK_TOLERANCE_S = 3600.0

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class RemoteBatch:
    """A batch as the endpoint reports it."""

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
        """Return whether the endpoint has a batch API that the key may use. The request is free."""
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
        """Upload a file of calls and return its id."""
        file = await self._with_retries(
            lambda: self._client.files.create(file=(name, content, "application/jsonl"), purpose="batch")
        )
        return file.id

    async def create(self, file_id: str, path: str, tag: str, since: float) -> RemoteBatch:
        """Create a batch from an uploaded file, or find the one that was created from it before.

        Args:
            path: of the calls, such as `/chat/completions`.
            tag: our id of the batch.
            since: when the batch was recorded (seconds since 1970); older ones are not searched.
        """
        endpoint: Any = f"/v1{path}"

        async def find_or_create() -> RemoteBatch:
            found = await self._find(file_id, tag, since)
            if found is not None:
                return found
            created = await self._client.batches.create(
                input_file_id=file_id, endpoint=endpoint, completion_window="24h", metadata={TAG: tag}
            )
            return _remote_batch(created)

        return await self._with_retries(find_or_create)

    async def retrieve(self, batch_id: str) -> RemoteBatch:
        """Return the present state of a batch."""
        return _remote_batch(await self._with_retries(lambda: self._client.batches.retrieve(batch_id)))

    async def lines(self, file_id: str) -> Sequence[Mapping[str, Any]]:
        """Return the JSON objects of a file of results; none if `file_id` is empty."""
        if not file_id:
            return ()
        content = await self._with_retries(lambda: self._client.files.content(file_id))
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
            if (batch.created_at or 0) < since - _CLOCK_TOLERANCE_S:
                return None
        return None

    async def _with_retries(self, step: Callable[[], Awaitable[Result]]) -> Result:
        """Do a step, and repeat it while the endpoint is busy or unreachable, as long as patience lasts.

        Raises:
            TeacherError: another attempt would not help, or patience has run out.
        """
        began, pause_s = time.monotonic(), _FIRST_PAUSE_S
        while True:
            try:
                return await step()
            except openai.APIStatusError as error:
                failure = from_status(error.status_code, error.body, error.response.headers, self._names)
                if failure.kind not in ("rate_limited", "passing"):
                    raise self._error(error) from None
                why, requested_s = failure.message, failure.retry_after_s or 0.0
            except FAILURES as error:
                why, requested_s = str(failed(error)), 0.0
            pause_s = max(min(_LONGEST_PAUSE_S, pause_s * 2), requested_s)
            if time.monotonic() + pause_s - began > self._patience_s:
                raise unavailable_error(why, self._names)
            await asyncio.sleep(pause_s)

    def _error(self, error: openai.APIStatusError) -> TeacherError:
        failure = from_status(error.status_code, error.body, error.response.headers, self._names)
        return failure.fatal or TeacherError(
            f"The batch API of {self._names.endpoint} refused a request: {failure.message}.",
            "Set SEDI_TEACHER_BATCH=off to send calls one by one.",
        )


def _remote_batch(batch: Any) -> RemoteBatch:
    errors = tuple(str(e.message) for e in (batch.errors.data or ())) if batch.errors else ()
    return RemoteBatch(batch.id, batch.status, batch.output_file_id or "", batch.error_file_id or "", errors)
