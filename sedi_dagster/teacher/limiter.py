"""How fast calls may go: requests and tokens per minute where known, else as many at once as the endpoint bears.

The number of calls at once grows with successes and shrinks with every 429 and time-out while those are more than
a tenth of all answers; so it settles there, or at the limit of the settings, and single faults cost nothing. After
a row of refusals with no success between them (three, or more where many calls are under way) the gate closes; it
opens for one call at a time after Retry-After or a growing pause, and the first success lets the rest follow
quickly. The same holds for failures, but those end in an error within a minute: an endpoint that refuses is alive,
one that fails every call is not.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from sedi_dagster.errors import TeacherError
from sedi_dagster.teacher.failures import EndpointNames, Failure, dead_error, impatient_error

_START = 8
_GROWTH = 0.1
_BORNE = 0.1
"""Share of refusals and time-outs that is borne without going slower."""
_MEMORY = 1 / 128
"""Weight of the newest answer in that share."""
_REFUSALS_IN_A_ROW = 3
_FAILURES_IN_A_ROW = 5
_FIRST_PAUSE_S = 0.5
_LONGEST_PAUSE_S = 5.0
BREAKER_S = 30.0
"""Time to bear with an endpoint that fails every call, before giving up."""


class Concurrency:
    """The adaptive number of calls at once: one more with every success until too many were refused, then slowly."""

    def __init__(self, most: int) -> None:
        self.most = most
        self._limit = float(min(most, _START))
        self._threshold = float(most)
        self._refused = 0.0

    @property
    def limit(self) -> int:
        return int(self._limit)

    def grow(self) -> None:
        self._refused -= self._refused * _MEMORY
        if self._refused <= _BORNE:
            self._limit = min(self.most, self._limit + (1.0 if self._limit < self._threshold else _GROWTH))

    def shrink(self) -> None:
        self._refused += (1.0 - self._refused) * _MEMORY
        if self._refused > _BORNE:
            self._limit = self._threshold = max(1.0, self._limit - 1.0)

    def recover(self, before: int) -> None:
        """After a closed gate: quickly back to what was borne before."""
        self._limit, self._threshold, self._refused = 1.0, float(before), 0.0


class Bucket:
    """A limit per minute, without saving up: at most a second's worth at once. None: no limit."""

    def __init__(self, per_minute: int | None, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate = None if per_minute is None else per_minute / 60.0
        self._most = max(1.0, self._rate or 0.0)
        self._level = self._most
        self._clock = clock
        self._at = clock()

    def wait_s(self) -> float:
        """Time until something may be taken. A large call may take more than there is; the next ones wait for it."""
        if self._rate is None:
            return 0.0
        now = self._clock()
        self._level = min(self._most, self._level + (now - self._at) * self._rate)
        self._at = now
        return max(0.0, (min(1.0, self._most) - self._level) / self._rate)

    def take(self, amount: float) -> None:
        """Take an amount, or give back what was taken too much (negative)."""
        if self._rate is not None:
            self._level -= amount


@dataclass
class _Trouble:
    """A row of answers without a success."""

    since: float
    limit_before: int
    refusals: int = 0
    failures: int = 0
    pause_s: float = _FIRST_PAUSE_S
    message: str = ""


class Gate:
    """Lets calls through. `await enter(...)`, then exactly one of `succeeded`, `failed` and `left`."""

    def __init__(
        self,
        names: EndpointNames,
        max_concurrency: int,
        requests_per_minute: int | None = None,
        tokens_per_minute: int | None = None,
        patience_s: float = 900.0,
    ) -> None:
        self.concurrency = Concurrency(max_concurrency)
        self.under_way = 0
        self._names = names
        self._requests = Bucket(requests_per_minute)
        self._tokens = Bucket(tokens_per_minute)
        self._patience_s = patience_s
        self._waiting: deque[tuple[asyncio.Future[None], int]] = deque()
        self._trouble: _Trouble | None = None
        self._closed_until = 0.0
        self._succeeded_at = 0.0
        self._heard_at = 0.0
        self._timer: asyncio.TimerHandle | None = None

    async def enter(self, tokens: int, again: bool = False) -> None:
        """Wait for a place. A call that is sent `again` goes before those that were never sent.

        Raises:
            TeacherError: the endpoint failed or refused every call for too long.
        """
        if not self._waiting and self._open_in_s() == 0.0:
            self._admit(tokens)
            return
        place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        (self._waiting.appendleft if again else self._waiting.append)((place, tokens))
        self._let_in()
        try:
            await place
        except asyncio.CancelledError:
            if place.done() and not place.cancelled() and place.exception() is None:
                self.left()
            raise

    def succeeded(self, tokens_over: int = 0) -> None:
        """An answer came. `tokens_over`: tokens estimated on entering but not used."""
        if self._trouble is not None and self._is_closed():
            self.concurrency.recover(self._trouble.limit_before)
        self._trouble = None
        self._closed_until = 0.0
        self._succeeded_at = time.monotonic()
        self.concurrency.grow()
        self._tokens.take(-tokens_over)
        self.left()

    def failed(self, failure: Failure, sent_at: float, timed_out: bool = False) -> bool:
        """A 429, a 5xx, a reset or a time-out came of a call sent at the time (monotonic).

        Returns: whether it counts as an attempt of the call itself. A 429 never does, nor does a failure while
        every call fails: then the endpoint is to blame.
        """
        now = time.monotonic()
        before = self.concurrency.limit
        if failure.kind == "rate_limited" or timed_out:
            self.concurrency.shrink()
        if sent_at < self._succeeded_at:  # the endpoint has worked since: this says nothing about it now
            self.left()
            return failure.kind != "rate_limited"
        trouble = self._trouble or _Trouble(now, before)
        self._trouble = trouble
        trouble.message = failure.message
        if failure.kind == "rate_limited":
            trouble.refusals += 1
        else:
            trouble.failures += 1
        if self._is_closed() and now >= self._closed_until:
            pause = trouble.pause_s * random.uniform(0.75, 1.0)
            self._closed_until = now + max(failure.retry_after_s or 0.0, pause)
            trouble.pause_s = min(_LONGEST_PAUSE_S, trouble.pause_s * 2)
        elif self._is_closed() and failure.retry_after_s is not None:
            self._closed_until = max(self._closed_until, now + failure.retry_after_s)
        counts = failure.kind != "rate_limited" and not self._is_closed()
        self.left()
        return counts

    def heard(self) -> None:
        """The endpoint gave a sign of life: an answer of any kind."""
        self._heard_at = time.monotonic()

    def quiet_s(self) -> float:
        """Time that calls have been under way without any sign of life; 0 if none is under way."""
        return time.monotonic() - self._heard_at if self.under_way else 0.0

    def left(self) -> None:
        """The call is out; nothing is learnt from how it went."""
        self.under_way -= 1
        self._let_in()

    def _is_closed(self) -> bool:
        trouble = self._trouble
        if trouble is None:
            return False
        some = trouble.limit_before // 4  # of many at once a few come back early, and the bad ones do so first
        return trouble.refusals >= max(_REFUSALS_IN_A_ROW, some) or trouble.failures >= max(_FAILURES_IN_A_ROW, some)

    def _error(self) -> TeacherError | None:
        trouble = self._trouble
        if trouble is None or not self._is_closed():
            return None
        lasted = time.monotonic() - trouble.since
        if trouble.refusals == 0 and lasted > BREAKER_S:
            return dead_error(trouble.message, self._names)
        return impatient_error(lasted, self._names) if lasted > self._patience_s else None

    def _open_in_s(self) -> float:
        """0 if a call may go now, else the time until it is worth asking again (infinite: until another leaves)."""
        limit = 1 if self._is_closed() else max(1, self.concurrency.limit)
        if self.under_way >= limit:
            return float("inf")
        closed_s = self._closed_until - time.monotonic() if self._is_closed() else 0.0
        return max(0.0, closed_s, self._requests.wait_s(), self._tokens.wait_s())

    def _admit(self, tokens: int) -> None:
        if not self.under_way:
            self.heard()  # silence begins with the first call
        self.under_way += 1
        self._requests.take(1)
        self._tokens.take(tokens)

    def _let_in(self) -> None:
        error = self._error()
        if error is not None:
            self._refuse_all(error)
        while self._waiting:
            place, tokens = self._waiting[0]
            if place.done():
                self._waiting.popleft()
                continue
            wait_s = self._open_in_s()
            if wait_s > 0.0:
                self._come_back(wait_s)
                return
            self._waiting.popleft()
            self._admit(tokens)
            place.set_result(None)

    def _refuse_all(self, error: TeacherError) -> None:
        """Nobody waits for a dead endpoint; who comes later tries anew."""
        self._trouble = None
        self._closed_until = 0.0
        while self._waiting:
            place, _ = self._waiting.popleft()
            if not place.done():
                place.set_exception(error)

    def _come_back(self, wait_s: float) -> None:
        if wait_s == float("inf") or (self._timer is not None and not self._timer.cancelled()):
            return
        self._timer = asyncio.get_running_loop().call_later(wait_s + 0.001, self._timer_rang)

    def _timer_rang(self) -> None:
        self._timer = None
        self._let_in()
