"""One call, from the reservation of what it may cost to its answer on disk.

A call is written down and paid for before it is sent, and what came back is in the ledger before anyone sees it.
Whatever happens in between (a crash, a cancellation, an error), the ledger says how far it came.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from dataclasses import replace

from sedi_dagster.records import TeacherAnswer, TeacherRequest
from sedi_dagster.settings import Price, TeacherSettings
from sedi_dagster.teacher.answers import ReadAnswer, Usage, json_or_text, read_answer, storable_text
from sedi_dagster.teacher.budget import Budget, budget_exceeded, cost_nanousd, today, usd
from sedi_dagster.teacher.endpoint import Endpoint
from sedi_dagster.teacher.failures import EndpointNames, Failure, from_status, rejected_error
from sedi_dagster.teacher.ledger import Ledger, StoredCall
from sedi_dagster.teacher.limiter import Gate
from sedi_dagster.teacher.rendering import RenderedRequest
from sedi_dagster.teacher.structured import PURPOSE as PROBE
from sedi_dagster.teacher.transaction import Answered, Begun, EndedCall, NewCall, NoRoom, Reserved
from sedi_dagster.teacher.transport import AnswerLost, NeverSent, RawResponse, Transport
from sedi_dagster.teacher.usage import TeacherUsage

Sending = Callable[[bool], None]
"""`sending(now)`: told when a call goes out and when it is back."""

_REJECTIONS_IN_A_ROW = 5
_ROOM_POLL_S = 0.25
_BUSY_POLL_S = 0.1
_KEY_MASK = "***"
_TIMED_OUT = "timed out"
_BYTES_PER_TOKEN = 4
"""For pace only, never for money: about what a token of English text takes."""


class Sender:
    """Sends calls to one endpoint, in one event loop, and keeps what comes back. Open it before use."""

    def __init__(
        self,
        settings: TeacherSettings,
        ledger: Ledger,
        endpoint: Endpoint,
        names: EndpointNames,
        budget: Budget,
        price: Price | None,
    ) -> None:
        self.settings = settings
        self.ledger = ledger
        self.endpoint = endpoint
        self.names = names
        self.usage = TeacherUsage(price_known=price is not None)
        self.gate = Gate(
            names,
            settings.max_concurrency,
            settings.requests_per_minute,
            settings.tokens_per_minute,
            settings.patience_s,
        )
        self._budget = budget
        self._price = price
        self._hands = asyncio.Semaphore(_hands(settings.max_concurrency))
        self._transport: Transport | None = None
        self._settled = asyncio.Event()
        self._rejections = 0

    def open(self) -> None:
        """Make it ready, in the event loop that it will be used in. The endpoint is up."""
        self._transport = Transport(self.endpoint)

    async def close(self) -> None:
        """Drop the connections."""
        if self._transport is not None:
            await self._transport.close()
            self._transport = None

    def recall(self, call: StoredCall) -> TeacherAnswer:
        """An answer from the ledger."""
        read = read_answer(call.response or "")
        self.usage.recalled()
        return TeacherAnswer(
            request_key=call.key,
            text=read.text,
            finish_reason=call.finish_reason,
            prompt_tokens=call.prompt_tokens,
            completion_tokens=call.completion_tokens,
            cached=True,
            latency_s=call.latency_s,
            cost_usd=usd(call.nanousd),
            error=call.error,
        )

    async def send(self, request: TeacherRequest, rendered: RenderedRequest, sending: Sending) -> TeacherAnswer:
        """Reserve and send until there is an answer, or the call has used up its attempts.

        Raises:
            TeacherError: the endpoint cannot be used. BudgetExceeded: the call does not fit in.
        """
        attempts = 0
        reserved = False
        try:
            while True:
                async with self._hands:
                    if not reserved:
                        begun = await self.ledger.begin(self._new_call(request, rendered))
                        reserved = isinstance(begun, Reserved)
                    if reserved:
                        await self.gate.enter(self._pace_tokens(rendered), again=attempts > 0)
                        outcome = await self._attempt(request, rendered, sending)
                if not reserved:
                    known = await self._known_or_wait(begun)
                    if known is not None:
                        return known
                    continue
                if isinstance(outcome, TeacherAnswer):
                    reserved = False
                    return outcome
                failure, counts = outcome
                attempts += counts
                if failure.lost:
                    reserved = False
                    await self._end_failed(rendered, failure)
                if failure.kind in ("refused", "rejected", "fatal") or attempts >= self.settings.max_attempts:
                    reserved = False
                    return await self._give_up(request, rendered, failure, attempts)
                await asyncio.sleep(_backoff_s(attempts, failure))
        finally:
            if reserved:
                await self._give_back(rendered)

    async def _known_or_wait(self, begun: Begun) -> TeacherAnswer | None:
        """The answer that is in the ledger; else None after waiting for what stands in the way of sending."""
        if isinstance(begun, Answered):
            return self.recall((await self.ledger.lookup([begun.key]))[begun.key])
        if isinstance(begun, NoRoom):
            await self._wait_for_room(begun)
        else:
            await asyncio.sleep(_BUSY_POLL_S)
        return None

    async def _wait_for_room(self, refusal: NoRoom) -> None:
        """Until a call under way, here or in another process, gives back what it did not use."""
        if refusal.for_good:
            raise budget_exceeded(refusal.cap, refusal.account)
        self._settled.clear()
        try:
            await asyncio.wait_for(self._settled.wait(), _ROOM_POLL_S)
        except TimeoutError:
            await asyncio.to_thread(self.ledger.settle_dead)

    async def _attempt(
        self, request: TeacherRequest, rendered: RenderedRequest, sending: Sending
    ) -> TeacherAnswer | tuple[Failure, bool]:
        """Send once, from inside the gate, and leave it; the answer is on disk on return."""
        sent_at = time.monotonic()
        sending(True)
        try:
            async with asyncio.timeout(self.settings.timeout_s):
                response = await self._post(rendered)
        except asyncio.CancelledError:
            self.gate.left()
            await asyncio.shield(self._end_failed(rendered, Failure("passing", "cancelled", lost=True)))
            raise
        except TimeoutError:
            failure = Failure("passing", _TIMED_OUT, lost=True)
        except (NeverSent, AnswerLost) as error:
            failure = Failure("passing", str(error), lost=isinstance(error, AnswerLost))
        else:
            self.gate.heard()
            read = read_answer(storable_text(response.content))
            failed = self._failure_in(response, read)
            if failed is None:
                self.gate.succeeded(self._pace_tokens(rendered) - _used(read.usage))
                return await self._keep(request, rendered, response.content, read, time.monotonic() - sent_at)
            failure = failed
        finally:
            sending(False)
        if failure.kind in ("rate_limited", "passing"):
            self.usage.troubled(failure.kind)
            counts = self.gate.failed(failure, sent_at, timed_out=failure.message == _TIMED_OUT)
            await self.endpoint.revive()
            return failure, counts
        self.gate.left()
        return failure, True

    async def _post(self, rendered: RenderedRequest) -> RawResponse:
        if self._transport is None:
            raise RuntimeError("Use the teacher as a context manager: `async with Teacher(...) as teacher`.")
        return await self._transport.post(rendered.path, rendered.body, rendered.key)

    def _failure_in(self, response: RawResponse, read: ReadAnswer) -> Failure | None:
        """What the status tells, or an error that came with the status of a success, as some gateways send it."""
        if 200 <= response.status < 300:
            if read.api_error is None:
                return None
            code = read.api_error.get("code")
            status = code if isinstance(code, int) and 400 <= code < 600 else 400
            return self._without_key(from_status(status, read.api_error, {}, self.names))
        body = json_or_text(response.content)
        return self._without_key(from_status(response.status, body, response.headers, self.names))

    async def _keep(
        self,
        request: TeacherRequest,
        rendered: RenderedRequest,
        raw: bytes,
        read: ReadAnswer,
        latency_s: float,
    ) -> TeacherAnswer:
        """Write the answer to the ledger, whatever it looks like: it is paid for."""
        usage = read.usage or _bound(rendered, raw)
        cost = cost_nanousd(self._price, usage.prompt_tokens, usage.completion_tokens)
        ended = EndedCall(
            key=rendered.key,
            state="done",
            response=self.mask(storable_text(raw)),
            finish_reason=read.finish_reason,
            prompt_tokens=usage.prompt_tokens,
            completion_tokens=usage.completion_tokens,
            nanousd=cost,
            estimated=read.usage is None,
            latency_s=latency_s,
            error=read.error,
        )
        self._rejections = 0
        await self.ledger.end(ended)
        self._settled.set()
        self.usage.paid(ended)
        return TeacherAnswer(
            request_key=rendered.key,
            text=self.mask(read.text),
            finish_reason=read.finish_reason,
            prompt_tokens=usage.prompt_tokens,
            completion_tokens=usage.completion_tokens,
            cached=False,
            latency_s=latency_s,
            cost_usd=usd(cost),
            error=read.error,
        )

    async def _give_up(
        self, request: TeacherRequest, rendered: RenderedRequest, failure: Failure, attempts: int
    ) -> TeacherAnswer:
        """End a call without an answer: for itself alone, or (raised) for all."""
        is_probe = request.purpose == PROBE
        if failure.kind == "refused" or (failure.kind == "rejected" and is_probe):
            await self.ledger.end(EndedCall(rendered.key, "refused", response="", error=failure.message))
        elif not failure.lost:
            await self._end_failed(rendered, failure)
        self._settled.set()
        if failure.fatal is not None:
            raise failure.fatal
        if failure.kind == "rejected" and not is_probe:
            self._rejections += 1
            if self._rejections >= _REJECTIONS_IN_A_ROW:
                raise rejected_error(failure.message, self.names)
        self.usage.gave_up()
        error = failure.message if failure.kind != "passing" else f"failed after {attempts} attempts: {failure.message}"
        return TeacherAnswer(rendered.key, "", "", 0, 0, cached=False, cost_usd=usd(0), error=error)

    async def _end_failed(self, rendered: RenderedRequest, failure: Failure) -> None:
        await self.ledger.end(EndedCall(rendered.key, "failed", error=failure.message, lost=failure.lost))
        if failure.lost:
            self.usage.lost(rendered.most_tokens)
        self._settled.set()

    async def _give_back(self, rendered: RenderedRequest) -> None:
        """Not sent after all, or refused by the endpoint without work: free of charge."""
        await asyncio.shield(self.ledger.end(EndedCall(rendered.key, "failed", attempts=0, error="not sent")))
        self._settled.set()

    def _new_call(self, request: TeacherRequest, rendered: RenderedRequest) -> NewCall:
        day = today()
        return NewCall(
            key=rendered.key,
            endpoint=self.endpoint.identity,
            model=self.settings.model,
            purpose=request.purpose,
            round=request.round,
            category=request.category,
            run=self._budget.run,
            day=day,
            request=self.mask(rendered.body.decode()),
            most_tokens=rendered.most_tokens,
            most_nanousd=cost_nanousd(self._price, rendered.most_prompt_tokens, rendered.most_completion_tokens) or 0,
            caps=self._budget.caps(request.round, day),
        )

    def _pace_tokens(self, rendered: RenderedRequest) -> int:
        return len(rendered.body) // _BYTES_PER_TOKEN + rendered.most_completion_tokens

    def mask(self, text: str) -> str:
        """The text without the key of the endpoint, which some gateways repeat."""
        key = self.endpoint.api_key
        return text.replace(key, _KEY_MASK) if len(key) >= 8 else text

    def _without_key(self, failure: Failure) -> Failure:
        fatal = failure.fatal
        if fatal is not None:
            fatal = type(fatal)(self.mask(fatal.problem), fatal.mend)
        return replace(failure, message=self.mask(failure.message), fatal=fatal)


def _hands(max_concurrency: int) -> int:
    """Calls that may be written down at once: a few more than are sent at once, so that none waits for the disk."""
    return max_concurrency + max_concurrency // 2


def _used(usage: Usage | None) -> int:
    return usage.prompt_tokens + usage.completion_tokens if usage is not None else 0


def _bound(rendered: RenderedRequest, raw: bytes) -> Usage:
    """An answer without usage is charged the most that it can have used."""
    return Usage(rendered.most_prompt_tokens, min(rendered.most_completion_tokens, len(raw)))


def _backoff_s(attempts: int, failure: Failure) -> float:
    """Growing with the attempts, with jitter so that calls that failed together do not come back together."""
    first_s = 0.5 if failure.kind == "rate_limited" else 0.125
    pause = min(8.0, first_s * 2.0**attempts) * random.uniform(0.5, 1.0)
    return max(pause, failure.retry_after_s or 0.0)
