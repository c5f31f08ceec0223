"""One call, from the reservation of its worst-case cost to its answer on disk.

A call is recorded and its cost reserved before it is sent, and its response is in the ledger before it is used. After a
crash, a cancellation or an error in between, the ledger shows its progress.
"""

import asyncio
import logging
import random
import time
from collections.abc import Mapping
from dataclasses import replace

from sedi_dagster.records import TeacherAnswer, TeacherRequest
from sedi_dagster.settings import Price, TeacherSettings
from sedi_dagster.teacher.answers import MALFORMED, ReadAnswer, Reading, Usage, json_or_text, read_answer, storable_text
from sedi_dagster.teacher.budget import Budget, budget_exceeded, cost_nanousd, today, usd
from sedi_dagster.teacher.consecutive_failures import ConsecutiveFailures
from sedi_dagster.teacher.endpoint import Endpoint
from sedi_dagster.teacher.failures import EndpointNames, Failure, from_error_in_success, from_status
from sedi_dagster.teacher.ledger import Ledger, StoredCall
from sedi_dagster.teacher.limiter import CallLimiter
from sedi_dagster.teacher.parameters import Parameters, optional_fields
from sedi_dagster.teacher.rendering import RenderedRequest
from sedi_dagster.teacher.structured import PURPOSE as PROBE
from sedi_dagster.teacher.transaction import Answered, Begun, EndedCall, NewCall, NoRoom, Reserved
from sedi_dagster.teacher.transport import LONGEST_ANSWER_BYTES, AnswerLost, NeverSent, Transport
from sedi_dagster.teacher.usage import TeacherUsage
from sedi_dagster.teacher.worker_pool import InFlight

_ROOM_POLL_S = 0.25
_BUSY_POLL_S = 0.1
_KEY_MASK = "***"
_TIMED_OUT = "timed out"
_BYTES_PER_TOKEN = 4
"""Approximate size of a token of English text. Used for rate limits only, never for the budget."""

_log = logging.getLogger("sedi_dagster.teacher")


class Sender:
    """Sends calls to one endpoint, in one event loop, and records the outcomes. Open it before use."""

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
        maximum = settings.max_concurrency
        self.limiter = CallLimiter(
            names, maximum, settings.requests_per_minute, settings.tokens_per_minute, settings.patience_s
        )
        self.parameters = Parameters(ledger, endpoint.identity, settings.model)
        self.reading = Reading(settings.cleaning_rules, settings.finish_reasons)
        self._budget = budget
        self._price = price
        # More calls are recorded than are sent at once, so that free slots need not wait for the disk.
        self._begun = asyncio.Semaphore(maximum + maximum // 2)
        self._transport = Transport(endpoint)
        self._settled = asyncio.Event()
        self._consecutive_failures = ConsecutiveFailures(names)

    async def open(self) -> None:
        """Prepare for sending. The endpoint must be running."""
        await asyncio.to_thread(self.parameters.recall)

    async def close(self) -> None:
        """Close the connections."""
        await self._transport.close()

    def note(self, text: str) -> None:
        """Log a note about the endpoint, once."""
        if text not in self.usage.notes:
            self.usage.notes.append(text)
            _log.warning(text)

    def recall(self, call: StoredCall) -> TeacherAnswer:
        """Return an answer from the ledger, cleaned according to the present settings."""
        read = read_answer(call.response or "", self.reading)
        self.usage.cached += 1
        self.usage.cleaned.update(read.cleaned)
        return TeacherAnswer(
            request_key=call.key,
            text=read.text,
            finish_reason=read.finish_reason or call.finish_reason,
            prompt_tokens=call.prompt_tokens,
            completion_tokens=call.completion_tokens,
            cached=True,
            latency_s=call.latency_s,
            cost_usd=usd(call.nanousd),
            error=call.error if call.state == "refused" else read.error,
            cleaned=read.cleaned,
        )

    async def send(self, request: TeacherRequest, rendered: RenderedRequest, in_flight: InFlight) -> TeacherAnswer:
        """Reserve the cost and send until there is an answer, or the call has used up its attempts.

        Raises:
            TeacherError: the endpoint cannot be used.
            BudgetExceeded: the call does not fit in the budget.
        """
        attempts = replies = 0
        reserved = False
        try:
            while True:
                omitted = self.parameters.refused
                async with self._begun:
                    if not reserved:
                        begun = await self.ledger.begin(self.new_call(request, rendered))
                        if isinstance(begun, Reserved):
                            reserved, replies = True, begun.replies
                    if reserved:
                        await self.limiter.acquire(self._pace_tokens(rendered))
                        outcome = await self._attempt(request, rendered, in_flight, replies)
                if not reserved:
                    recorded = await self._recorded_or_wait(begun)
                    if recorded is not None:
                        return recorded
                    continue
                if isinstance(outcome, TeacherAnswer):
                    reserved = False
                    return outcome
                failure, counts = outcome
                attempts += counts
                if failure.kind == "parameters":
                    await self._learn(failure)
                    if self.parameters.refused != omitted:  # learned now, or from another call in the meantime
                        continue
                if failure.is_charged:
                    reserved = False
                    await self._end_failed(rendered, failure)
                if failure.kind == "invalid":
                    self._consecutive_failures.failed(request.purpose, failure)
                is_final = failure.kind not in ("rate_limited", "passing", "invalid")
                if is_final or attempts >= self.settings.max_attempts or in_flight.is_over:
                    reserved = False
                    return await self._give_up(request, rendered, failure, attempts)
                await asyncio.sleep(self.limiter.pause_s(_backoff_s(attempts, failure), failure.retry_after_s))
        finally:
            if reserved:  # not sent after all, or rejected without work: free of charge
                await asyncio.shield(self._end(EndedCall(rendered.key, "failed", attempts=0, error="not sent")))

    async def _learn(self, failure: Failure) -> None:
        """Omit rejected parameters from now on, and note it once."""
        new = await asyncio.to_thread(self.parameters.learn, failure.parameters) if failure.parameters else None
        if new:
            self.note(
                f"{self.names.endpoint} does not support {', '.join(sorted(new))} for {self.settings.model}: "
                "it is omitted from now on."
            )

    async def _recorded_or_wait(self, begun: Begun) -> TeacherAnswer | None:
        """Return the answer in the ledger; or wait for what prevents the call from being sent, and return None."""
        if isinstance(begun, Answered):
            return self.recall((await self.ledger.lookup([begun.key]))[begun.key])
        if not isinstance(begun, NoRoom):
            await asyncio.sleep(_BUSY_POLL_S)
            return None
        if begun.for_good:
            raise budget_exceeded(begun.cap, begun.account)
        self._settled.clear()  # wait until a call in flight, here or in another process, releases its reservation
        try:
            await asyncio.wait_for(self._settled.wait(), _ROOM_POLL_S)
        except TimeoutError:
            await asyncio.to_thread(self.ledger.settle_dead)
        return None

    async def _attempt(
        self, request: TeacherRequest, rendered: RenderedRequest, in_flight: InFlight, replies: int
    ) -> TeacherAnswer | tuple[Failure, bool]:
        """Send once and release the limiter's slot. On return, an answer is on disk.

        Returns:
            The answer, or the failure and whether it counts as an attempt.
        """
        sent_at = time.monotonic()
        # After a response that was not an answer, the same idempotency key could return the same response again.
        key = f"{rendered.key}-{replies}" if replies else rendered.key
        with in_flight:
            try:
                async with asyncio.timeout(self.settings.timeout_s):
                    response = await self._transport.post(rendered.path, self.parameters.adapt(rendered.body), key)
            except asyncio.CancelledError:
                self.limiter.release()
                await asyncio.shield(self._end_failed(rendered, Failure("passing", "cancelled", lost=True)))
                raise
            except TimeoutError:
                failure = Failure("passing", _TIMED_OUT, lost=True)
            except (NeverSent, AnswerLost) as error:
                failure = Failure("passing", str(error), lost=isinstance(error, AnswerLost))
            else:
                self.limiter.mark_active()
                outcome = self.read(response.status, response.content, response.headers, rendered)
                if isinstance(outcome, ReadAnswer):
                    used = outcome.usage.total_tokens if outcome.usage is not None else 0
                    self.limiter.succeeded(self._pace_tokens(rendered) - used)
                    return await self.keep(request, rendered, response.content, outcome, time.monotonic() - sent_at)
                failure = outcome
        if failure.kind in ("rate_limited", "passing", "invalid"):
            if failure.kind == "rate_limited":
                self.usage.rate_limited += 1
            else:
                self.usage.retried += 1
            counts = self.limiter.failed(failure, sent_at, timed_out=failure.message == _TIMED_OUT)
            await self.endpoint.revive()
            return failure, counts or failure.kind == "invalid"
        self.limiter.release()
        return failure, True

    def read(
        self, status: int, content: bytes, headers: Mapping[str, str], rendered: RenderedRequest
    ) -> ReadAnswer | Failure:
        """Read the answer in a response, or classify the failure by its status, error or format."""
        raw = storable_text(content)
        if not 200 <= status < 300:
            failure = from_status(status, json_or_text(content), headers, self.names, optional_fields(rendered.body))
            return self._without_key(failure)
        read = read_answer(raw, self.reading)
        if read.is_answer:
            return read
        if len(content) >= LONGEST_ANSWER_BYTES:  # final, as another attempt would cost as much
            return replace(read, error=f"{MALFORMED}: longer than {LONGEST_ANSWER_BYTES:,} bytes", is_answer=True)
        if read.api_error is not None:
            failure = from_error_in_success(read.api_error, self.names, optional_fields(rendered.body))
        else:
            # The endpoint did the work for half a JSON object, but not for a page of HTML.
            lost = read.usage is None and raw.lstrip().startswith(("{", "data:"))
            failure = Failure("invalid", read.error, lost=lost, raw=raw)
        return self._without_key(replace(failure, raw=raw, usage=read.usage))

    async def keep(
        self,
        request: TeacherRequest,
        rendered: RenderedRequest,
        raw: bytes,
        read: ReadAnswer,
        latency_s: float,
        price_factor: float = 1.0,
    ) -> TeacherAnswer:
        """Write an answer, which is paid for, to the ledger. A call without usable text is sent again in a later run.

        Raises:
            TeacherError: several calls of this purpose in a row returned no usable text.
        """
        # Without usage, an answer is charged at its upper bound.
        bound = Usage(rendered.most_prompt_tokens, min(rendered.most_completion_tokens, len(raw)))
        usage = read.usage or bound
        cost = self._cost(usage, price_factor)
        ended = EndedCall(
            key=rendered.key,
            state="failed" if read.is_empty else "done",
            response=self.mask(storable_text(raw)),
            finish_reason=read.finish_reason,
            prompt_tokens=usage.prompt_tokens,
            completion_tokens=usage.completion_tokens,
            nanousd=cost,
            estimated=read.usage is None,
            latency_s=latency_s,
            error=read.error,
            cached_tokens=usage.cached_tokens,
            reasoning_tokens=usage.reasoning_tokens,
        )
        await self._end(ended)
        self.usage.paid(ended, read.cleaned)
        if read.is_empty:
            self.usage.unusable += 1
            self._consecutive_failures.failed(request.purpose, read)
        else:
            self._consecutive_failures.succeeded(request.purpose)
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
            cleaned=read.cleaned,
        )

    async def fail(self, request: TeacherRequest, rendered: RenderedRequest, failure: Failure) -> TeacherAnswer | None:
        """Record how a call of a batch failed; return None if it is worth another attempt.

        Raises:
            TeacherError: the failure concerns all calls.
        """
        if failure.kind in ("rate_limited", "passing", "invalid", "parameters"):
            await self._learn(failure)
            await self._end_failed(rendered, failure)
            return None
        return await self._give_up(request, rendered, failure, 1)

    async def _give_up(
        self, request: TeacherRequest, rendered: RenderedRequest, failure: Failure, attempts: int
    ) -> TeacherAnswer:
        """End a call without an answer; raise the error if it concerns all calls."""
        is_probe = request.purpose == PROBE
        if failure.kind == "refused" or (failure.kind in ("rejected", "parameters") and is_probe):
            await self._end(EndedCall(rendered.key, "refused", response="", error=failure.message))
        elif not failure.is_charged:
            await self._end_failed(rendered, failure)
        if failure.fatal is not None:
            raise failure.fatal
        if failure.kind != "invalid" and not is_probe:
            self._consecutive_failures.failed(request.purpose, failure)
        self.usage.failed += 1
        error = failure.message
        if failure.kind in ("passing", "invalid"):
            error = f"failed after {attempts} attempts: {error.removeprefix(f'{MALFORMED}: ')}"
        return TeacherAnswer(rendered.key, "", "", 0, 0, cached=False, cost_usd=usd(0), error=error)

    async def _end_failed(self, rendered: RenderedRequest, failure: Failure) -> None:
        usage = failure.usage or Usage(0, 0)
        ended = EndedCall(
            rendered.key,
            "failed",
            response=None if failure.raw is None else self.mask(failure.raw),
            error=failure.message,
            lost=failure.lost,
            prompt_tokens=usage.prompt_tokens,
            completion_tokens=usage.completion_tokens,
            nanousd=self._cost(usage, 1.0) if failure.usage else None,
        )
        await self._end(ended)
        self.usage.lost_tokens += usage.total_tokens + (rendered.most_tokens if failure.lost else 0)

    async def _end(self, call: EndedCall) -> None:
        await self.ledger.end(call)
        self._settled.set()

    def new_call(
        self, request: TeacherRequest, rendered: RenderedRequest, batch: str = "", price_factor: float = 1.0
    ) -> NewCall:
        """Return the call for the ledger, with its worst-case cost."""
        day = today()
        bound = Usage(rendered.most_prompt_tokens, rendered.most_completion_tokens)
        return NewCall(
            key=rendered.key,
            endpoint=self.endpoint.identity,
            model=self.settings.model,
            purpose=request.purpose,
            round=request.round,
            category=request.category,
            run=self._budget.run,
            day=day,
            request=self.mask(self.parameters.adapt(rendered.body).decode()),
            most_tokens=rendered.most_tokens,
            most_nanousd=self._cost(bound, price_factor) or 0,
            caps=self._budget.caps(request.round, day),
            batch=batch,
        )

    def _cost(self, usage: Usage, price_factor: float) -> int | None:
        return cost_nanousd(
            self._price, usage.prompt_tokens, usage.completion_tokens, usage.cached_tokens, price_factor
        )

    def _pace_tokens(self, rendered: RenderedRequest) -> int:
        return len(rendered.body) // _BYTES_PER_TOKEN + rendered.most_completion_tokens

    def mask(self, text: str) -> str:
        """Mask the endpoint's secrets in a text, as some gateways repeat the key."""
        for secret in self.endpoint.secrets:
            text = text.replace(secret, _KEY_MASK)
        return text

    def _without_key(self, failure: Failure) -> Failure:
        fatal = failure.fatal
        if fatal is not None:
            fatal = type(fatal)(self.mask(fatal.problem), fatal.fix)
        return replace(failure, message=self.mask(failure.message), fatal=fatal)


def _backoff_s(attempts: int, failure: Failure) -> float:
    """Return a pause that grows with the attempts, with jitter so that calls that failed together are spread out."""
    first_s = 0.5 if failure.kind == "rate_limited" else 0.125
    return min(8.0, first_s * 2.0**attempts) * random.uniform(0.5, 1.0)
