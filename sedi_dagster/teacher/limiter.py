"""Rate limiting: requests and tokens per minute if known, and adaptive concurrency.

Concurrency grows with successes and shrinks with every 429 and timeout while those are more than a tenth of all
answers. After several refusals or failures in a row the limiter pauses; then it lets one call through at a time, after
Retry-After or a growing pause, until a success resumes normal sending. Refusals are tolerated for as long as the
settings say, an endpoint that fails every call for half a minute.
"""

import asyncio
import random
import time
from collections import deque
from dataclasses import dataclass

from aiolimiter import AsyncLimiter

from sedi_dagster.errors import TeacherError
from sedi_dagster.teacher.failures import EndpointNames, Failure, rate_limit_error, unavailable_error

_START, _GROWTH = 8, 0.1
_TOLERATED, _MEMORY = 0.1, 1 / 128
"""Share of refusals and timeouts tolerated without slowing down, and the weight of the newest answer in it."""
_REFUSALS_IN_A_ROW, _FAILURES_IN_A_ROW = 3, 5
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.5, 5.0
BREAKER_S = 30.0
"""Time after which to give up on an endpoint that fails every call."""


class Concurrency:
    """Adaptive concurrency: one more call with every success until too many were refused, then slower growth."""

    def __init__(self, most: int) -> None:
        self.most = most
        self._limit, self._threshold, self._refused = float(min(most, _START)), float(most), 0.0

    @property
    def limit(self) -> int:
        """Calls that may be under way at once."""
        return int(self._limit)

    def grow(self) -> None:
        """Count a success; the limit grows unless too many calls were refused lately."""
        self._refused -= self._refused * _MEMORY
        if self._refused <= _TOLERATED:
            self._limit = min(self.most, self._limit + (1.0 if self._limit < self._threshold else _GROWTH))

    def shrink(self) -> None:
        """Count a refused call; the limit falls if too many were refused lately."""
        self._refused += (1.0 - self._refused) * _MEMORY
        if self._refused > _TOLERATED:
            self._limit = self._threshold = max(1.0, self._limit - 1.0)

    def recover(self, before: int) -> None:
        """After a pause: return quickly to the previous limit."""
        self._limit, self._threshold, self._refused = 1.0, float(before), 0.0


class Rate:
    """A limit per minute without bursts: at most one second's worth at once. None: no limit."""

    def __init__(self, per_minute: int | None) -> None:
        self._second = max(1.0, (per_minute or 0) / 60.0)
        self._limiter = AsyncLimiter(self._second, 60.0 * self._second / per_minute) if per_minute else None
        self._unused = 0.0

    async def take(self, amount: float) -> None:
        """Wait for an amount. A large one is taken bit by bit, and the next ones wait for it."""
        spared = min(amount, self._unused)
        self._unused -= spared
        amount -= spared
        while self._limiter is not None and amount > 0:
            await self._limiter.acquire(min(amount, self._second))
            amount -= self._second

    def give_back(self, amount: float) -> None:
        """What was taken and not used; it is spared the next ones."""
        self._unused = max(0.0, self._unused + amount)


@dataclass
class _FailureStreak:
    """Failures without a success in between. `is_open`: so many that the circuit breaker opens, and one call at a time
    probes the endpoint, from `probe_at` on."""

    since: float
    limit_before: int
    refusals: int = 0
    failures: int = 0
    pause_s: float = _FIRST_PAUSE_S
    probe_at: float = 0.0
    message: str = ""

    @property
    def is_open(self) -> bool:
        some = self.limit_before // 4  # of many at once a few come back early, and the bad ones do so first
        return self.refusals >= max(_REFUSALS_IN_A_ROW, some) or self.failures >= max(_FAILURES_IN_A_ROW, some)


class CallLimiter:
    """Grants slots to calls, first come, first served: `await acquire(...)`, then exactly one of `succeeded`, `failed`
    and `release`."""

    def __init__(
        self,
        names: EndpointNames,
        max_concurrency: int,
        requests_per_minute: int | None = None,
        tokens_per_minute: int | None = None,
        patience_s: float = 900.0,
    ) -> None:
        self.concurrency = Concurrency(max_concurrency)
        self.in_flight = 0
        self._names, self._patience_s = names, patience_s
        self._requests, self._tokens = Rate(requests_per_minute), Rate(tokens_per_minute)
        self._queue: deque[asyncio.Future[None]] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._streak: _FailureStreak | None = None
        self._succeeded_at = self._active_at = 0.0

    async def acquire(self, tokens: int) -> None:
        """Wait for a slot.

        Raises:
            TeacherError: the endpoint failed or refused every call for too long. All that wait get it; later calls
                try anew.
        """
        await self._requests.take(1)
        await self._tokens.take(tokens)
        place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queue.append(place)
        self._admit()
        try:
            await place
        except asyncio.CancelledError:
            if place.done() and not place.cancelled() and place.exception() is None:
                self.release()
            raise

    def succeeded(self, tokens_over: int = 0) -> None:
        """An answer came. `tokens_over`: tokens estimated on acquiring but not used."""
        if self._streak is not None and self._streak.is_open:
            self.concurrency.recover(self._streak.limit_before)
        self._streak = None
        self._succeeded_at = time.monotonic()
        self.concurrency.grow()
        self._tokens.give_back(tokens_over)
        self.release()

    def failed(self, failure: Failure, sent_at: float, timed_out: bool = False) -> bool:
        """A 429, a 5xx, a reset or a timeout came of a call sent at the time (monotonic).

        Returns: whether it counts as an attempt of the call itself. A 429 never does, nor does a failure while
        every call fails: then the endpoint is to blame.
        """
        now, refused = time.monotonic(), failure.kind == "rate_limited"
        before = self.concurrency.limit
        if refused or timed_out:
            self.concurrency.shrink()
        counts = not refused
        if sent_at >= self._succeeded_at:  # else the endpoint has worked since: this says nothing about it now
            streak = self._streak = self._streak or _FailureStreak(now, before)
            streak.message = failure.message
            streak.refusals += refused
            streak.failures += not refused
            if streak.is_open:
                counts = False
                if now >= streak.probe_at:
                    pause_s = streak.pause_s * random.uniform(0.75, 1.0)
                    streak.probe_at = now + (self.pause_s(pause_s) if streak.refusals else pause_s)
                    streak.pause_s = min(_LONGEST_PAUSE_S, streak.pause_s * 2)
                streak.probe_at = max(streak.probe_at, now + (failure.retry_after_s or 0.0))
        self.release()
        return counts

    def pause_s(self, wanted_s: float, retry_after_s: float | None = None) -> float:
        """A pause before a call comes again: what the endpoint asks for, but never past the end of patience."""
        since = self._streak.since if self._streak is not None else time.monotonic()
        left_s = max(0.0, since + self._patience_s - time.monotonic())
        asked_s = retry_after_s or 0.0
        return min(left_s, max(wanted_s, asked_s if asked_s <= left_s else 0.0))

    def mark_active(self) -> None:
        """The endpoint gave a sign of life: an answer of any kind."""
        self._active_at = time.monotonic()

    def silent_s(self) -> float:
        """Time that calls have been under way without any sign of life; 0 if none is under way."""
        return time.monotonic() - self._active_at if self.in_flight else 0.0

    def release(self) -> None:
        """Release the slot without recording an outcome."""
        self.in_flight -= 1
        self._admit()

    def _error(self) -> TeacherError | None:
        """Why nothing more is to be sent: patience is at its end, or would be before the endpoint takes calls again."""
        streak, now = self._streak, time.monotonic()
        if streak is None:
            return None
        waited_s = now - streak.since
        if not streak.refusals:
            is_dead = streak.is_open and waited_s > BREAKER_S
            return unavailable_error(streak.message, self._names) if is_dead else None
        probes_late = streak.is_open and streak.probe_at > streak.since + self._patience_s
        if not probes_late and waited_s < self._patience_s:
            return None
        return rate_limit_error(waited_s, self._names, streak.message, streak.probe_at - now if probes_late else None)

    def _admit(self) -> None:
        """Grant free slots, all at once; if a pause is all that prevents it, try again when it ends."""
        error = self._error() if self._queue else None
        if error is not None:
            self._streak = None
            for place in self._queue:
                if not place.done():
                    place.set_exception(error)
            self._queue.clear()
        streak = self._streak if self._streak is not None and self._streak.is_open else None
        while self._queue:
            if self._queue[0].done():  # cancelled
                self._queue.popleft()
                continue
            if self.in_flight >= (self.concurrency.limit if streak is None else 1):
                return
            if streak is not None and (wait_s := streak.probe_at - time.monotonic()) > 0.0:
                if self._timer is None:
                    self._timer = asyncio.get_running_loop().call_later(wait_s + 0.001, self._admit_later)
                return
            self._queue.popleft().set_result(None)
            if not self.in_flight:
                self.mark_active()  # silence begins with the first call
            self.in_flight += 1

    def _admit_later(self) -> None:
        self._timer = None
        self._admit()
