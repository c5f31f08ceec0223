"""The teacher's client: it answers requests from the ledger or the endpoint.

Requests are looked up by key first; only unanswered ones are sent (`sending`). No answer that arrived is lost by
cancellation, a crash or an error, and after a repeated `ask` only the missing calls are sent.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Self

from sedi_dagster.errors import BudgetExceeded, TeacherError
from sedi_dagster.records import Message, TeacherAnswer, TeacherRequest
from sedi_dagster.settings import Price, TeacherSettings
from sedi_dagster.teacher import preflight, structured
from sedi_dagster.teacher.batch import Batches
from sedi_dagster.teacher.batch_api import BatchApi
from sedi_dagster.teacher.budget import Budget
from sedi_dagster.teacher.endpoint import Endpoint
from sedi_dagster.teacher.failures import EndpointNames
from sedi_dagster.teacher.ledger import Ledger
from sedi_dagster.teacher.rendering import RenderedRequest, StructuredOutput, render
from sedi_dagster.teacher.sending import Sender
from sedi_dagster.teacher.usage import TeacherUsage
from sedi_dagster.teacher.worker_pool import InFlight, run_workers, watch_endpoint

OnAnswer = Callable[[int, TeacherAnswer], None]
"""`on_answer(index, answer)`: called for each answer as it arrives, with the index of its request."""

_CHUNK = 256
_MIN_BATCH = 20
"""Fewer calls are not worth a batch, unless the settings ask for batches."""


@dataclass(slots=True)
class PendingRequest:
    """A distinct request of an `ask`, and the indexes at which it occurs."""

    request: TeacherRequest
    rendered: RenderedRequest
    indexes: list[int] = field(default_factory=list)


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
        recorded_only: bool = False,
        nightly: bool = False,
    ) -> None:
        """Create a client.

        Args:
            recorded_only: answer from the ledger alone; the endpoint is not even started.
            nightly: nobody waits for the answers, so batches may be used if the settings leave it open.
        """
        self.settings = settings
        self.ledger = ledger
        self.endpoint = endpoint
        self._names = EndpointNames(endpoint.shown, settings.model)
        self._batch_api = BatchApi(endpoint, self._names, settings.patience_s)
        self._batch_price = price.batch if price is not None else 1.0
        self._nightly = nightly
        self._in_batches: bool | None = None
        self._sender = Sender(settings, ledger, endpoint, self._names, budget or Budget(), price)
        self._in_flight: dict[str, asyncio.Future[TeacherAnswer | None]] = {}
        self._structured: StructuredOutput | None = None
        self._probing = asyncio.Lock()
        self._recorded_only = recorded_only

    async def __aenter__(self) -> Self:
        if not self._recorded_only:
            await self.endpoint.start()
        await self._sender.open()
        return self

    async def __aexit__(self, *details: object) -> None:
        await self._sender.close()
        if not self._recorded_only:
            await self.endpoint.stop()

    @property
    def usage(self) -> TeacherUsage:
        """Calls and costs since the client was opened."""
        return self._sender.usage

    async def check(self) -> None:
        """Check, before anything is spent, that the endpoint is available, accepts the key and has the model.

        A model that the endpoint does not list (a deployment, an alias, a variant, a wildcard) is tried with one small
        call, which the ledger keeps so that it is made only once.

        Raises:
            TeacherError: a check failed.
        """
        try:
            doubt = await preflight.check(self.endpoint, self._names)
        except TeacherError as error:
            raise type(error)(self._sender.mask(error.problem), self._sender.mask(error.fix)) from None
        if doubt is not None:
            await self._try_model(doubt)

    async def _try_model(self, doubt: preflight.Doubt) -> None:
        chat, purpose = self.settings.asks_in_chat, structured.PURPOSE
        prompt = {"messages": (Message("user", "Say yes."),)} if chat else {"prompt": "One, two,"}
        try:
            request = TeacherRequest(purpose, purpose, purpose, 16, temperature=0.0, **prompt)
            answer = await self._try_form(request, "prompt")
        except BudgetExceeded:
            answer = None
        except TeacherError as error:
            fix = error.fix
            if doubt.models and "SEDI_TEACHER_MODEL" in fix:
                fix = f"Set SEDI_TEACHER_MODEL; it has: {preflight.shown(doubt.models)}."
            raise type(error)(error.problem, fix) from None
        why = self._sender.mask(doubt.why)
        if answer is None or (answer.error and not answer.total_tokens):
            outcome = answer.error if answer else "no budget for a trial"
            self._sender.note(f"{why}; whether it has the model is not known yet ({outcome}).")
        else:
            self._sender.note(f"{why}, but it answers calls to it.")

    async def ask(self, requests: Sequence[TeacherRequest], on_answer: OnAnswer | None = None) -> list[TeacherAnswer]:
        """Return the answers in the order of the requests. Equal requests are sent once.

        After an error or a cancellation nothing more is sent; answers that arrived are in the ledger. After an error,
        calls in flight are awaited first, as they are paid for, unless the endpoint has stopped responding.

        Raises:
            TeacherError: the endpoint cannot be used.
            BudgetExceeded: the next call does not fit in the budget. The error contains the answers so far.
        """
        answers: list[TeacherAnswer | None] = [None] * len(requests)

        def deliver(pending: PendingRequest, answer: TeacherAnswer) -> None:
            for place, index in enumerate(pending.indexes):
                answers[index] = answer if place == 0 else replace(answer, cached=True)
                if on_answer is not None:
                    on_answer(index, answers[index] or answer)

        async def unanswered() -> AsyncIterator[PendingRequest]:
            """Yield requests that are not in the ledger; recorded answers are delivered in bulk."""
            for start in range(0, len(requests), _CHUNK):
                chunk = requests[start : start + _CHUNK]
                by_key: dict[str, PendingRequest] = {}
                for index, (request, one) in enumerate(zip(chunk, await self.render_all(chunk), strict=True), start):
                    by_key.setdefault(one.key, PendingRequest(request, one)).indexes.append(index)
                for key, call in (await self.ledger.lookup(by_key)).items():
                    deliver(by_key.pop(key), self._sender.recall(call))
                for pending in by_key.values():
                    yield pending

        async def answer(pending: PendingRequest, in_flight: InFlight) -> None:
            deliver(pending, await self._answer(pending.request, pending.rendered, in_flight))

        remaining = unanswered()
        exceeded: BudgetExceeded | None = None
        if await self._uses_batches():
            remaining, exceeded = await self._send_in_batches([pending async for pending in remaining], deliver)
        health_check = watch_endpoint(self._sender.limiter, self.endpoint, self._names, self.settings.silence_s)
        try:
            max_workers = max(1, min(len(requests), 4 * self.settings.max_concurrency))
            await run_workers(remaining, answer, max_workers, health_check)
        except BudgetExceeded as error:
            error.answers = answers
            raise
        if exceeded is not None:
            exceeded.answers = answers
            raise exceeded
        return [answer for answer in answers if answer is not None]

    async def _uses_batches(self) -> bool:
        """Return whether calls go through the batch API: as set, or in a nightly round if the endpoint has one.

        Raises:
            TeacherError: the settings require it, and the endpoint has none.
        """
        if self._in_batches is None:
            in_batches = self.settings.batch == "on"
            if self.settings.batch == "auto":
                in_batches = self._nightly and self.endpoint.is_remote
            in_batches = in_batches and not self._recorded_only
            if in_batches:
                async with self._batch_api as api:
                    in_batches = await api.exists()
                if not in_batches and self.settings.batch == "on":
                    raise TeacherError(
                        f"{self._names.endpoint} has no batch API for this key.",
                        "Set SEDI_TEACHER_BATCH=auto (use batches if available) or off.",
                    )
            self._in_batches = in_batches
        return self._in_batches

    async def _send_in_batches(
        self, pending: Sequence[PendingRequest], deliver: Callable[[PendingRequest, TeacherAnswer], None]
    ) -> tuple[AsyncIterator[PendingRequest], BudgetExceeded | None]:
        """Send in batches as long as they bring answers; return what is left to be sent one by one."""
        left = {one.rendered.key: one for one in pending}
        exceeded: BudgetExceeded | None = None
        while len(left) >= (1 if self.settings.batch == "on" else _MIN_BATCH) and exceeded is None:
            async with self._batch_api as api:
                batches = Batches(self._sender, api, self._batch_price)
                outcome = await batches.send([(one.request, one.rendered) for one in left.values()])
            for key, answer in outcome.answers.items():
                if key in left:
                    deliver(left.pop(key), answer)
            if outcome.refused is not None and self.settings.batch == "on":
                raise outcome.refused
            if outcome.refused is not None or not outcome.answers:
                break
            exceeded = outcome.exceeded

        async def rest() -> AsyncIterator[PendingRequest]:
            for one in left.values() if exceeded is None else ():
                yield one

        return rest(), exceeded

    async def structured_output(self) -> StructuredOutput:
        """Return how JSON is requested from this endpoint: as set, or by trying once and remembering."""
        if self.settings.structured_output != "auto":
            return self.settings.structured_output
        async with self._probing:
            if self._structured is None:
                self._structured = await structured.probe(self._try_form, self.settings.asks_in_chat, self._names)
        return self._structured

    async def render_all(self, requests: Sequence[TeacherRequest]) -> list[RenderedRequest]:
        """Return the requests as they are sent, with their keys."""
        form: StructuredOutput = "prompt"
        if any(r.json_schema is not None for r in requests):
            form = await self.structured_output()
        return [render(r, self.settings, self.endpoint.identity, form) for r in requests]

    async def _try_form(self, request: TeacherRequest, form: StructuredOutput) -> TeacherAnswer:
        return await self._answer(request, render(request, self.settings, self.endpoint.identity, form), InFlight())

    async def _answer(self, request: TeacherRequest, rendered: RenderedRequest, in_flight: InFlight) -> TeacherAnswer:
        """Return one answer, from the ledger or the endpoint; concurrent calls with the same key share one."""
        if self._recorded_only:
            return await self._recorded(rendered.key)
        while (other := self._in_flight.get(rendered.key)) is not None:
            shared = await asyncio.shield(other)
            if shared is not None:
                self.usage.cached += 1
                return replace(shared, cached=True)
        future = asyncio.get_running_loop().create_future()
        self._in_flight[rendered.key] = future
        answer = None
        try:
            answer = await self._sender.send(request, rendered, in_flight)
            return answer
        finally:
            del self._in_flight[rendered.key]
            future.set_result(answer)

    async def _recorded(self, key: str) -> TeacherAnswer:
        call = (await self.ledger.lookup([key])).get(key)
        if call is None:  # an answer without text is not final, but it was used
            call = await asyncio.to_thread(self.ledger.read_call, key)
        if call is None or (call.state != "refused" and call.response is None):
            raise TeacherError(
                f"Call {key} has no answer in the ledger, and calls are disabled.",
                "It was made with other prompts or settings, was pruned, or did not finish.",
            )
        return self._sender.recall(call)
