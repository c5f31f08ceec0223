"""The client of the teacher: requests in, answers out, with the ledger between them and the endpoint.

A request is looked up by its key first. Only if it was never answered is it written down, paid for and sent, and
what came back is on disk before anyone sees it. Cancelling, a crash or an error in the middle loses nothing that
came, and asking again sends only what is missing.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from types import TracebackType
from typing import Self

from sedi_dagster.errors import BudgetExceeded, TeacherError
from sedi_dagster.records import TeacherAnswer, TeacherRequest
from sedi_dagster.settings import Price, TeacherSettings
from sedi_dagster.teacher import preflight, structured
from sedi_dagster.teacher.answers import ReadAnswer, Usage, json_or_text, read_answer, storable_text
from sedi_dagster.teacher.budget import Budget, budget_exceeded, cost_nanousd, today, usd
from sedi_dagster.teacher.crew import Crew, Work
from sedi_dagster.teacher.endpoint import Endpoint
from sedi_dagster.teacher.failures import EndpointNames, Failure, from_status, rejected_error
from sedi_dagster.teacher.ledger import Ledger, StoredCall
from sedi_dagster.teacher.limiter import Gate
from sedi_dagster.teacher.rendering import RenderedRequest, StructuredOutput, render
from sedi_dagster.teacher.transaction import Answered, Begun, EndedCall, NewCall, NoRoom, Reserved
from sedi_dagster.teacher.transport import AnswerLost, NeverSent, RawResponse, Transport
from sedi_dagster.teacher.usage import TeacherUsage

OnAnswer = Callable[[int, TeacherAnswer], None]
"""`on_answer(index, answer)`: called as answers come, with the index of the request."""

_REJECTIONS_IN_A_ROW = 5
_ROOM_POLL_S = 0.25
_BUSY_POLL_S = 0.1
_KEY_MASK = "***"
_BYTES_PER_TOKEN = 4
"""For pace only, never for money: about what a token of English text takes."""


class Teacher:
    """Asks a teacher. An async context manager; `ask` satisfies `AskTeacher`.

    Use it in one event loop. Several teachers, in several processes, may share a ledger and its budget.
    """

    def __init__(
        self,
        settings: TeacherSettings,
        ledger: Ledger,
        *,
        endpoint: Endpoint,
        budget: Budget | None = None,
        price: Price | None = None,
    ) -> None:
        self.settings = settings
        self.ledger = ledger
        self.endpoint = endpoint
        self.budget = budget or Budget()
        self.usage = TeacherUsage(price_known=price is not None)
        self.names = EndpointNames(endpoint.shown, settings.model)
        self._price = price
        self._gate = Gate(
            self.names,
            settings.max_concurrency,
            settings.requests_per_minute,
            settings.tokens_per_minute,
            settings.patience_s,
        )
        self._hands = asyncio.Semaphore(_hands(settings.max_concurrency))
        self._transport: Transport | None = None
        self._in_flight: dict[str, asyncio.Future[TeacherAnswer | None]] = {}
        self._settled = asyncio.Event()
        self._rejections = 0
        self._structured: StructuredOutput | None = None
        self._probing = asyncio.Lock()

    async def __aenter__(self) -> Self:
        await self.endpoint.start()
        self._transport = Transport(self.endpoint)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._transport is not None:
            await self._transport.close()
            self._transport = None
        await self.endpoint.stop()

    async def check(self) -> None:
        """Make sure, before anything is spent, that the endpoint is there, takes the key and has the model.

        Raises:
            TeacherError: what is wrong, and how to mend it.
        """
        try:
            await preflight.check(self.endpoint, self.names)
        except TeacherError as error:
            raise TeacherError(self._mask(error.problem), self._mask(error.mend)) from None

    async def ask(self, requests: Sequence[TeacherRequest], on_answer: OnAnswer | None = None) -> list[TeacherAnswer]:
        """Answers in the order of the requests. Equal requests are asked once.

        On an error or a cancellation nothing more is sent; what came is in the ledger. On an error, calls that
        are under way are waited for first, as they are paid for.

        Raises:
            TeacherError: the endpoint cannot be used; BudgetExceeded: the next call does not fit in (it has the
                answers that came).
        """
        answers: list[TeacherAnswer | None] = [None] * len(requests)

        def tell(work: Work, answer: TeacherAnswer) -> None:
            for place, index in enumerate(work.indexes):
                answers[index] = answer if place == 0 else replace(answer, cached=True)
                if on_answer is not None:
                    on_answer(index, answers[index] or answer)

        try:
            await Crew(self, requests, tell).run()
        except BudgetExceeded as error:
            error.answers = answers
            raise
        return [answer for answer in answers if answer is not None]

    async def structured_output(self) -> StructuredOutput:
        """How this endpoint is told the form of an answer: by the settings, or tried out once and remembered."""
        if self.settings.structured_output != "auto":
            return self.settings.structured_output
        async with self._probing:
            if self._structured is None:
                self._structured = await structured.probe(self)
        return self._structured

    async def render_all(self, requests: Sequence[TeacherRequest]) -> list[RenderedRequest]:
        """The requests as they are sent, with their keys."""
        form: StructuredOutput = "prompt"
        if any(r.json_schema is not None for r in requests):
            form = await self.structured_output()
        return [self.render(r, form) for r in requests]

    def render(self, request: TeacherRequest, form: StructuredOutput) -> RenderedRequest:
        return render(request, self.settings, self.endpoint.identity, form)

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

    async def answer(
        self,
        request: TeacherRequest,
        rendered: RenderedRequest,
        sending: Callable[[bool], None] = lambda now: None,
    ) -> TeacherAnswer:
        """One answer, from the ledger or the endpoint; a call that is under way in this process is shared."""
        while (other := self._in_flight.get(rendered.key)) is not None:
            shared = await asyncio.shield(other)
            if shared is not None:
                self.usage.recalled()
                return replace(shared, cached=True)
        mine = asyncio.get_running_loop().create_future()
        self._in_flight[rendered.key] = mine
        answer = None
        try:
            answer = await self._obtain(request, rendered, sending)
            return answer
        finally:
            del self._in_flight[rendered.key]
            mine.set_result(answer)

    async def _obtain(
        self, request: TeacherRequest, rendered: RenderedRequest, sending: Callable[[bool], None]
    ) -> TeacherAnswer:
        """Reserve and send until there is an answer, or the call has used up its attempts."""
        attempts = 0
        reserved = False
        try:
            while True:
                async with self._hands:
                    if not reserved:
                        begun = await self.ledger.begin(self._new_call(request, rendered))
                        reserved = isinstance(begun, Reserved)
                    if reserved:
                        await self._gate.enter(self._pace_tokens(rendered), again=attempts > 0)
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
        self, request: TeacherRequest, rendered: RenderedRequest, sending: Callable[[bool], None]
    ) -> TeacherAnswer | tuple[Failure, bool]:
        """Send once, from inside the gate, and leave it; the answer is on disk on return."""
        sent_at = time.monotonic()
        sending(True)
        try:
            async with asyncio.timeout(self.settings.timeout_s):
                response = await self._post(rendered)
        except asyncio.CancelledError:
            self._gate.left()
            await asyncio.shield(self._end_failed(rendered, Failure("passing", "cancelled", lost=True)))
            raise
        except TimeoutError:
            failure = Failure("passing", _TIMED_OUT, lost=True)
        except (NeverSent, AnswerLost) as error:
            failure = Failure("passing", str(error), lost=isinstance(error, AnswerLost))
        else:
            read = read_answer(storable_text(response.content))
            failed = self._failure_in(response, read)
            if failed is None:
                self._gate.succeeded(self._pace_tokens(rendered) - _used(read.usage))
                return await self._keep(request, rendered, response.content, read, time.monotonic() - sent_at)
            failure = failed
        finally:
            sending(False)
        if failure.kind in ("rate_limited", "passing"):
            self.usage.troubled(failure.kind)
            counts = self._gate.failed(failure, sent_at, timed_out=failure.message == _TIMED_OUT)
            await self.endpoint.revive()
            return failure, counts
        self._gate.left()
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
            return self._masked(from_status(status, read.api_error, {}, self.names))
        body = json_or_text(response.content)
        return self._masked(from_status(response.status, body, response.headers, self.names))

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
            response=self._mask(storable_text(raw)),
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
            text=self._mask(read.text),
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
        is_probe = request.purpose == structured.PURPOSE
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
            run=self.budget.run,
            day=day,
            request=self._mask(rendered.body.decode()),
            most_tokens=rendered.most_tokens,
            most_nanousd=cost_nanousd(self._price, rendered.most_prompt_tokens, rendered.most_completion_tokens) or 0,
            caps=self.budget.caps(request.round, day),
        )

    def _pace_tokens(self, rendered: RenderedRequest) -> int:
        return len(rendered.body) // _BYTES_PER_TOKEN + rendered.most_completion_tokens

    def _mask(self, text: str) -> str:
        key = self.endpoint.api_key
        return text.replace(key, _KEY_MASK) if len(key) >= 8 else text

    def _masked(self, failure: Failure) -> Failure:
        fatal = failure.fatal
        if fatal is not None:
            fatal = TeacherError(self._mask(fatal.problem), fatal.mend)
        return replace(failure, message=self._mask(failure.message), fatal=fatal)


_TIMED_OUT = "timed out"


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
