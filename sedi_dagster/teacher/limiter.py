"""Rate limiting: requests and tokens per minute if known, and adaptive concurrency.

Concurrency grows with successes and shrinks with every 429 and timeout while those are more than a tenth of all
responses. After several refusals or failures in a row the limiter pauses; then it lets one call through at a time,
after Retry-After or a growing pause, until a success resumes normal sending. Refusals are tolerated for as long as the
settings say, an endpoint that fails every call for half a minute.
"""

import asyncio
import contextlib
import random
import time
from dataclasses import dataclass

from aiolimiter import AsyncLimiter

from sedi_dagster.errors import TeacherError
from sedi_dagster.teacher.failures import EndpointNames, Failure, rate_limit_error, unavailable_error

_START, _GROWTH = 8, 0.1
_TOLERATED, _SMOOTHING = 0.1, 1 / 128
"""Share of refusals and timeouts tolerated without slowing down, and the weight of the newest response in it."""
_REFUSALS_IN_A_ROW, _FAILURES_IN_A_ROW = 3, 5
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.5, 5.0
BREAKER_S = 30.0
"""Time after which to give up on an endpoint that fails every call."""


class Concurrency:
    """Adaptive concurrency: one more call with every success until too many were refused, then slower growth."""

    def __init__(self, maximum: int) -> None:
        self._maximum = maximum
        self._limit, self._threshold, self._refused_share = float(min(maximum, _START)), float(maximum), 0.0

    @property
    def limit(self) -> int:
        """The number of calls that may be in flight at once."""
        return int(self._limit)

    def grow(self) -> None:
        """Count a success; the limit grows unless too many calls were refused lately."""
        self._refused_share -= self._refused_share * _SMOOTHING
        if self._refused_share <= _TOLERATED:
            self._limit = min(self._maximum, self._limit + (1.0 if self._limit < self._threshold else _GROWTH))

    def shrink(self) -> None:
        """Count a refused call; the limit falls if too many were refused lately."""
        self._refused_share += (1.0 - self._refused_share) * _SMOOTHING
        if self._refused_share > _TOLERATED:
            self._limit = self._threshold = max(1.0, self._limit - 1.0)

    def recover(self, previous: int) -> None:
        """Start again after a pause: from 1, and quickly back to the previous limit."""
        self._limit, self._threshold, self._refused_share = 1.0, float(previous), 0.0


class Rate:
    """A limit per minute without bursts: at most one second's worth at once. None: no limit."""

    def __init__(self, per_minute: int | None) -> None:
        self._burst = max(1.0, (per_minute or 0) / 60.0)
        self._limiter = AsyncLimiter(self._burst, 60.0 * self._burst / per_minute) if per_minute else None
        self._refunded = 0.0

    async def take(self, amount: float) -> None:
        """Wait until the amount is available. A large one is taken bit by bit, and later callers wait for it."""
        refunded = min(amount, self._refunded)
        self._refunded -= refunded
        amount -= refunded
        while self._limiter is not None and amount > 0:
            await self._limiter.acquire(min(amount, self._burst))
            amount -= self._burst

    def refund(self, amount: float) -> None:
        """Return an amount that was taken but not used, for later callers."""
        self._refunded = max(0.0, self._refunded + amount)


@dataclass
class _FailureStreak:
    """Failures without a success in between.

    `is_open`: there were so many that the circuit breaker is open. Then one call at a time probes the endpoint, from
    `probe_at` on.
    """

    since: float
    limit_before: int
    refusals: int = 0
    failures: int = 0
    pause_s: float = _FIRST_PAUSE_S
    probe_at: float = 0.0
    message: str = ""

    @property
    def is_open(self) -> bool:
        # Of many calls in flight, failures tend to come back first, so a few in a row mean nothing.
        tolerated = self.limit_before // 4
        return self.refusals >= max(_REFUSALS_IN_A_ROW, tolerated) or self.failures >= max(
            _FAILURES_IN_A_ROW, tolerated
        )


class CallLimiter:
    """Grants slots to calls, first come, first served.

    Every `await acquire(...)` is followed by exactly one of `succeeded`, `failed` and `release`.
    """

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
        self._head_of_queue = asyncio.Lock()
        self._released = asyncio.Event()
        self._streak: _FailureStreak | None = None
        self._error: TeacherError | None = None
        self._succeeded_at = self._active_at = 0.0

    async def acquire(self, tokens: int) -> None:
        """Wait for a slot.

        Raises:
            TeacherError: the endpoint has failed or refused every call for too long. It is raised in all waiting
                callers; later calls try again.
        """
        await self._requests.take(1)
        await self._tokens.take(tokens)
        earlier_error = self._error
        async with self._head_of_queue:
            while (wait_s := self._wait_s(earlier_error)) != 0.0:
                self._released.clear()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(wait_s):
                        await self._released.wait()
            if not self.in_flight:
                self.mark_active()  # silence begins with the first call
            self.in_flight += 1

    def succeeded(self, unused_tokens: int = 0) -> None:
        """Release the slot of a call that was answered, with the tokens that `acquire` counted but it did not use."""
        if self._streak is not None and self._streak.is_open:
            self.concurrency.recover(self._streak.limit_before)
        self._streak = None
        self._succeeded_at = time.monotonic()
        self.concurrency.grow()
        self._tokens.refund(unused_tokens)
        self.release()

    def failed(self, failure: Failure, sent_at: float, timed_out: bool = False) -> bool:
        """Release the slot of a call that failed with a 429, a 5xx, a reset or a timeout.

        Args:
            sent_at: when it was sent (monotonic clock).

        Returns:
            Whether this counts as an attempt of the call. A 429 does not, nor does a failure while every call fails:
            then the endpoint is to blame.
        """
        now, refused = time.monotonic(), failure.kind == "rate_limited"
        limit_before = self.concurrency.limit
        if refused or timed_out:
            self.concurrency.shrink()
        counts = not refused
        if sent_at >= self._succeeded_at:  # else a call succeeded since, and this says nothing about the endpoint now
            streak = self._streak = self._streak or _FailureStreak(now, limit_before)
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

    def release(self) -> None:
        """Release the slot without recording an outcome."""
        self.in_flight -= 1
        self._released.set()

    def pause_s(self, backoff_s: float, retry_after_s: float | None = None) -> float:
        """Return how long to pause before a retry, in seconds.

        This is the backoff, or what the endpoint asks for if that is longer, but it never exceeds the patience left.
        """
        since = self._streak.since if self._streak is not None else time.monotonic()
        left_s = max(0.0, since + self._patience_s - time.monotonic())
        requested_s = retry_after_s or 0.0
        return min(left_s, max(backoff_s, requested_s if requested_s <= left_s else 0.0))

    def mark_active(self) -> None:
        """Record a sign of life: a response of any kind."""
        self._active_at = time.monotonic()

    def silent_s(self) -> float:
        """Return for how long calls have been in flight without any sign of life; 0 if there are none."""
        return time.monotonic() - self._active_at if self.in_flight else 0.0

    def _wait_s(self, earlier_error: TeacherError | None) -> float | None:
        """Return how long the first in the queue has to wait: 0 for not at all, None for until a slot is released.

        Raises:
            TeacherError: nothing more is to be sent, now or since the caller saw `earlier_error`.
        """
        error = self._final_error()
        if error is not None:
            self._streak, self._error = None, error
        if self._error is not None and self._error is not earlier_error:
            raise self._error
        if self._streak is None or not self._streak.is_open:
            return 0.0 if self.in_flight < self.concurrency.limit else None
        return None if self.in_flight else max(0.0, self._streak.probe_at - time.monotonic())

    def _final_error(self) -> TeacherError | None:
        """Return the error if patience has run out, or would before the endpoint takes calls again."""
        streak, now = self._streak, time.monotonic()
        if streak is None:
            return None
        waited_s = now - streak.since
        if not streak.refusals:
            is_dead = streak.is_open and waited_s > BREAKER_S
            return unavailable_error(streak.message, self._names) if is_dead else None
        is_too_late = streak.is_open and streak.probe_at > streak.since + self._patience_s
        if not is_too_late and waited_s < self._patience_s:
            return None
        return rate_limit_error(waited_s, self._names, streak.message, streak.probe_at - now if is_too_late else None)
