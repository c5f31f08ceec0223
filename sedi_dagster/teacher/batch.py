"""Sending calls through the endpoint's batch API, with the same ledger and budget as all other calls.

The batch is recorded before its calls, the calls before the file is uploaded, and the file before the batch is created.
A process killed at any moment leaves a row with its progress, and the next process that needs one of the calls resumes
from there. Calls belong to the batch, which outlives the process that created it.
"""

import asyncio
import json
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sedi_dagster.errors import BudgetExceeded, TeacherError
from sedi_dagster.records import TeacherAnswer, TeacherRequest
from sedi_dagster.teacher.answers import ReadAnswer
from sedi_dagster.teacher.batch_api import MAX_BYTES, MAX_REQUESTS, BatchApi
from sedi_dagster.teacher.batch_rows import (
    BatchCall,
    BatchRow,
    add_batch,
    change_batch,
    claim_batch,
    open_calls,
    read_batch,
)
from sedi_dagster.teacher.budget import budget_exceeded
from sedi_dagster.teacher.rendering import RenderedRequest, rendered_again
from sedi_dagster.teacher.sending import Sender
from sedi_dagster.teacher.transaction import Answered, Busy, EndedCall, NoRoom, Reserved, is_batch

FIRST_POLL_S, LONGEST_POLL_S = 2.0, 60.0
_CHUNK = 512
_LINE_BYTES = 200
"""A generous bound of what a line of the file contains besides the body of its call."""

Call = tuple[TeacherRequest, RenderedRequest]


@dataclass
class Outcome:
    """The result of batches.

    Attributes:
        answers: by request key.
        exceeded: set if a call did not fit in the budget.
        refused: set if the endpoint refused a batch.
    """

    answers: dict[str, TeacherAnswer] = field(default_factory=dict)
    exceeded: BudgetExceeded | None = None
    refused: TeacherError | None = None


class Batches:
    """Sends calls in batches and waits for them."""

    def __init__(self, sender: Sender, api: BatchApi, price_factor: float) -> None:
        self._sender, self._api, self._factor = sender, api, price_factor
        self._ledger = sender.ledger

    async def send(self, requested: Sequence[Call]) -> Outcome:
        """Send the calls and wait; those without an answer then have to be sent one by one or in another batch.

        Raises:
            TeacherError: the endpoint cannot be used, or the calls of a purpose keep failing.
        """
        outcome = Outcome()
        batch_ids: set[str] = set()
        for calls in _files(requested):
            batch_ids |= await self._begin(calls, outcome)
        errors: list[TeacherError] = []
        for batch_id in sorted(batch_ids):
            errors += await self._follow(batch_id, outcome)
        left = [rendered.key for _, rendered in requested if rendered.key not in outcome.answers]
        for start in range(0, len(left), _CHUNK):  # another process may have settled them
            found = await self._ledger.lookup(left[start : start + _CHUNK])
            outcome.answers |= {key: self._sender.recall(call) for key, call in found.items()}
        if errors:
            raise errors[0]
        return outcome

    async def _begin(self, requested: Sequence[Call], outcome: Outcome) -> set[str]:
        """Record calls of one path under a new batch; return the ids of the batches that contain them."""
        identity, model = self._sender.endpoint.identity, self._sender.settings.model
        batch_id = await asyncio.to_thread(add_batch, self._ledger, identity, model)
        batches: set[str] = set()
        count = 0
        for start in range(0, len(requested), _CHUNK):
            calls = [
                self._sender.new_call(request, rendered, batch_id, self._factor)
                for request, rendered in requested[start : start + _CHUNK]
            ]
            for begun in await asyncio.gather(*map(self._ledger.begin, calls)):
                if isinstance(begun, Reserved):
                    count += 1
                elif isinstance(begun, Busy) and is_batch(begun.owner):
                    batches.add(begun.owner)
                elif isinstance(begun, Answered):
                    found = await self._ledger.lookup([begun.key])
                    outcome.answers[begun.key] = self._sender.recall(found[begun.key])
                elif isinstance(begun, NoRoom) and begun.for_good and outcome.exceeded is None:
                    outcome.exceeded = budget_exceeded(begun.cap, begun.account)
        changed = {"requests": count} | ({} if count else {"state": "ended"})
        await asyncio.to_thread(change_batch, self._ledger, batch_id, **changed)
        return batches | ({batch_id} if count else set())

    async def _follow(self, batch_id: str, outcome: Outcome) -> list[TeacherError]:
        """Handle a batch to its end, from its present state; if another process does so, wait for it."""
        while True:
            row = await asyncio.to_thread(read_batch, self._ledger, batch_id)
            if row is None or row.state == "ended":
                return []
            if batch_id not in self._ledger.followed_batches:
                self._ledger.followed_batches.add(batch_id)
                try:
                    if await asyncio.to_thread(claim_batch, self._ledger, batch_id):
                        return await self._run_to_end(row, outcome)
                finally:
                    self._ledger.followed_batches.discard(batch_id)
            await asyncio.sleep(FIRST_POLL_S)

    async def _run_to_end(self, row: BatchRow, outcome: Outcome) -> list[TeacherError]:
        batch_id, pause_s = row.id, FIRST_POLL_S
        if row.state == "made":
            row = await self._upload(row)
        if row.state == "uploaded":
            path = _path_of(await asyncio.to_thread(open_calls, self._ledger, batch_id))
            batch = await self._api.create(row.remote_file, path, row.id, row.begun_at)
            row = await asyncio.to_thread(change_batch, self._ledger, batch_id, remote_batch=batch.id, state="running")
        remote = await self._api.retrieve(row.remote_batch)
        while not remote.has_ended:
            await asyncio.sleep(pause_s)
            pause_s = min(LONGEST_POLL_S, pause_s * 1.5)
            remote = await self._api.retrieve(row.remote_batch)
        lines = [*await self._api.lines(remote.output_file), *await self._api.lines(remote.error_file)]
        errors = await self._settle(batch_id, lines, outcome)
        why = "; ".join(remote.errors)[:500] or remote.status
        await self._release(batch_id, f"the batch ended without an answer to it: {why}")
        await asyncio.to_thread(change_batch, self._ledger, batch_id, state="ended", error=why, ended_at=time.time())
        if remote.status == "failed":
            outcome.refused = TeacherError(
                f"{self._sender.names.endpoint} refused a batch of {row.requests:,} calls: {why}.",
                "Set SEDI_TEACHER_BATCH=off to send calls one by one.",
            )
        elif remote.status != "completed":
            self._sender.note(
                f"{self._sender.names.endpoint}: a batch {remote.status}; calls without answer are resent."
            )
        return errors

    async def _upload(self, row: BatchRow) -> BatchRow:
        calls = await asyncio.to_thread(open_calls, self._ledger, row.id)
        path = _path_of(calls)
        lines = [
            json.dumps(
                {"custom_id": call.key, "method": "POST", "url": f"/v1{path}", "body": json.loads(call.request)},
                ensure_ascii=False,
            )
            for call in calls
        ]
        file_id = await self._api.upload(f"{row.id}.jsonl", "\n".join([*lines, ""]).encode())
        return await asyncio.to_thread(change_batch, self._ledger, row.id, remote_file=file_id, state="uploaded")

    async def _settle(self, batch_id: str, lines: Iterable[Mapping[str, Any]], outcome: Outcome) -> list[TeacherError]:
        """Write every result to the ledger. A line for a call that is already settled changes nothing."""
        calls = {call.key: call for call in await asyncio.to_thread(open_calls, self._ledger, batch_id)}
        known = [(calls[line["custom_id"]], line) for line in lines if line.get("custom_id") in calls]
        errors: list[TeacherError] = []
        for start in range(0, len(known), _CHUNK):
            settling = (self._settle_line(call, line) for call, line in known[start : start + _CHUNK])
            for settled in await asyncio.gather(*settling, return_exceptions=True):
                if isinstance(settled, TeacherAnswer):
                    outcome.answers[settled.request_key] = settled
                elif isinstance(settled, TeacherError):
                    errors.append(settled)
                elif settled is not None:
                    raise settled
        return errors

    async def _settle_line(self, call: BatchCall, line: Mapping[str, Any]) -> TeacherAnswer | None:
        """Write one result to the ledger; return None if the call has to be sent again."""
        request = TeacherRequest(call.purpose, call.round, call.category, 0, prompt="")
        rendered = rendered_again(call.key, call.request)
        response = line.get("response")
        if not isinstance(response, dict):
            error = line.get("error")
            why = str(error.get("message") or error.get("code")) if isinstance(error, dict) else "no response"
            await self._ledger.end(EndedCall(call.key, "failed", attempts=0, error=why[:300]))
            return None
        body = response.get("body")
        raw = (body if isinstance(body, str) else json.dumps(body, ensure_ascii=False)).encode("utf-8", "replace")
        status = response.get("status_code")
        read = self._sender.read(status if isinstance(status, int) else 200, raw, {}, rendered)
        if isinstance(read, ReadAnswer):
            return await self._sender.keep(request, rendered, raw, read, 0.0, self._factor)
        return await self._sender.fail(request, rendered, read)

    async def _release(self, batch_id: str, why: str) -> None:
        """Settle calls without a result: the endpoint did no work for them, so they are free of charge."""
        left = await asyncio.to_thread(open_calls, self._ledger, batch_id)
        for start in range(0, len(left), _CHUNK):
            ends = [EndedCall(c.key, "failed", attempts=0, error=why[:300]) for c in left[start : start + _CHUNK]]
            await asyncio.gather(*map(self._ledger.end, ends))


def _files(requested: Sequence[Call]) -> Iterable[Sequence[Call]]:
    """Yield the calls by file: each file has calls of one path and is within the limits of the API."""
    for path in sorted({rendered.path for _, rendered in requested}):
        file: list[Call] = []
        size = 0
        for call in requested:
            if call[1].path != path:
                continue
            length = len(call[1].body) + _LINE_BYTES
            if file and (len(file) >= MAX_REQUESTS or size + length > MAX_BYTES):
                yield file
                file, size = [], 0
            file.append(call)
            size += length
        if file:
            yield file


def _path_of(calls: Sequence[BatchCall]) -> str:
    return rendered_again("", calls[0].request).path if calls else "/chat/completions"
