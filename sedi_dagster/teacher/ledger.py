"""The ledger: every call is recorded before it is sent, and completed before its answer is used.

A writer thread combines all pending operations into one transaction (group commit), so 64 concurrent calls need about
as many commits as one. Callers await their operation; when it returns, it is on disk. Several processes can open the
same ledger.
"""

import asyncio
import contextlib
import queue
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Any, Self

from sqlalchemy import delete, select, update
from sqlalchemy.engine import Connection
from sqlalchemy.exc import SQLAlchemyError

from sedi_dagster.errors import SediError, StorageError, StorageFull
from sedi_dagster.teacher.budget import Account
from sedi_dagster.teacher.disk_reserve import DiskReserve
from sedi_dagster.teacher.owners import HEARTBEAT_S, Owner
from sedi_dagster.teacher.schema import (
    about,
    accounts,
    calls,
    full_error,
    is_unavailable,
    open_engines,
    owners,
    safe_url,
    storage_error,
    texts,
    upsert,
)
from sedi_dagster.teacher.transaction import Begun, EndedCall, LedgerTransaction, NewCall, Reserved, lock

_BATCH = 512
_ATTEMPTS = 4
_UNAVAILABLE_S = 60.0
"""How long to wait for a database that is unavailable (it restarts, the network is down)."""


@dataclass(frozen=True, slots=True)
class StoredCall:
    """A call in the ledger. `request` and `response` are None if they were not read or are pruned."""

    key: str
    state: str
    endpoint: str
    model: str
    purpose: str
    round: str
    category: str
    run: str
    day: str
    begun_at: float
    ended_at: float | None
    attempts: int
    prompt_tokens: int
    completion_tokens: int
    nanousd: int | None
    estimated: bool
    lost_tokens: int
    lost_nanousd: int
    latency_s: float
    finish_reason: str
    error: str
    cached_tokens: int = 0
    reasoning_tokens: int = 0
    request: str | None = None
    response: str | None = None


stored_columns = [calls.c[f.name] for f in fields(StoredCall) if f.name not in ("request", "response")]


@dataclass(slots=True)
class _Operation:
    call: NewCall | EndedCall
    loop: asyncio.AbstractEventLoop | None = None
    future: asyncio.Future[Any] | None = None


class Ledger:
    """An open ledger; a context manager. `url` is a SQLAlchemy URL of SQLite or PostgreSQL.

    Raises:
        SettingsError: the URL cannot be used.
        StorageError: the database cannot be opened.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.owner = Owner()
        self._writer, self._reader = open_engines(url)
        self._reserve = DiskReserve(url)
        self._full: StorageError | None = None
        """Why no call is begun any more: the disk is full."""
        self._queue: queue.SimpleQueue[_Operation | None] = queue.SimpleQueue()
        self._pending: set[str] = set()
        self.followed_batches: set[str] = set()
        """Batches that this process is handling."""
        self._heartbeat = 0.0
        self._closed = self._unregistered = False
        self.write(self._register)
        self._thread = threading.Thread(target=self._run, name="teacher-ledger", daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *details: object) -> None:
        self.close()

    async def begin(self, call: NewCall) -> Begun:
        """Record the call and reserve its worst-case cost, or return why it must not be sent. Durable on return."""
        begun: Begun = await self._submit(call)
        return begun

    async def end(self, call: EndedCall) -> None:
        """Record how a call ended and settle its accounts. Durable on return, and also if the caller is cancelled."""
        await self._submit(call)

    async def lookup(self, keys: Iterable[str]) -> dict[str, StoredCall]:
        """Return the calls with these keys that need not be sent: answered and not pruned, or refused for good."""
        keys = list(keys)
        return await asyncio.to_thread(self.read_answered, keys) if keys else {}

    def read_answered(self, keys: Sequence[str]) -> dict[str, StoredCall]:
        """Like `lookup`, for callers without an event loop."""
        query = (
            select(*stored_columns, texts.c.body.label("response"))
            .join(texts, (texts.c.key == calls.c.key) & (texts.c.kind == "response"), isouter=True)
            .where(calls.c.key.in_(keys), calls.c.state.in_(("done", "refused")))
        )
        return {row.key: StoredCall(**row._mapping) for row in self.read(query)}

    def read_call(self, key: str) -> StoredCall | None:
        """Return one call with its texts by its key or a prefix of it; None unless there is exactly one."""
        rows = self.read(select(*stored_columns).where(calls.c.key.startswith(key, autoescape=True)).limit(2))
        if len(rows) != 1:
            return None
        bodies = {t.kind: t.body for t in self.read(select(texts).where(texts.c.key == rows[0].key))}
        return StoredCall(**rows[0]._mapping, request=bodies.get("request"), response=bodies.get("response"))

    def note(self, name: str) -> str:
        """Return the note of this name; empty if there is none."""
        rows = self.read(select(about.c.value).where(about.c.name == name))
        return str(rows[0].value) if rows else ""

    def write_note(self, name: str, value: str) -> None:
        """Store a note for later runs (`name`: up to 32 characters)."""
        self.write(lambda connection: upsert(connection, about, [{"name": name, "value": value}]))

    def settle_dead(self) -> None:
        """Settle the calls of owners that have died: other calls may be waiting for what they reserved."""
        self.write(self._settle_dead)

    def account(self, name: str) -> Account:
        """Return an account; an empty one if nothing was ever charged to it."""
        rows = self.read(select(accounts).where(accounts.c.name == name))
        return Account(**rows[0]._mapping) if rows else Account(name)

    def forget(self, keys: Sequence[str]) -> None:
        """Mark calls so that they are sent again when next needed. What they cost stays in the accounts."""

        def reopen(connection: Connection) -> None:
            for start in range(0, len(keys), _BATCH):
                chosen = calls.c.key.in_(keys[start : start + _BATCH]) & calls.c.state.in_(("done", "refused"))
                changed = {"state": "failed", "replies": calls.c.replies + 1}
                connection.execute(update(calls).where(chosen).values(changed))

        self.write(reopen)

    def prune(self, before: float) -> int:
        """Delete requests and responses of calls that ended before a time, and return the number of answered ones.

        The accounts stay. If a pruned call is needed again, it is sent and paid for again.

        Args:
            before: seconds since 1970.
        """

        def delete_texts(connection: Connection) -> int:
            old = (calls.c.ended_at < before) & calls.c.state.in_(("done", "refused", "failed"))
            connection.execute(delete(texts).where(texts.c.key.in_(select(calls.c.key).where(old))))
            done = old & calls.c.state.in_(("done", "refused"))
            return connection.execute(update(calls).where(done).values(state="pruned")).rowcount

        pruned: int = self.write(delete_texts)
        return pruned

    def close(self) -> None:
        """Write what is queued, settle calls in flight (they count as spent) and remove this owner."""
        if not self._unregistered:
            self._closed = self._unregistered = True
            self._queue.put(None)
            self._thread.join()
            self._reserve.release()
            self.write(self._unregister)
            self._writer.dispose()
            self._reader.dispose()

    async def _submit(self, call: NewCall | EndedCall) -> Any:
        if self._closed:
            raise StorageError("The ledger is closed.")
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Any] = loop.create_future()
        self._queue.put(_Operation(call, loop, future))
        if not self._thread.is_alive():  # it may have ended before it saw this operation
            raise StorageError("The ledger is closed.")
        try:
            return await asyncio.shield(future)
        except asyncio.CancelledError:
            if isinstance(call, NewCall):
                await self._release(future)
            raise

    async def _release(self, begun: asyncio.Future[Any]) -> None:
        """Release the reservation that is being made for the call of a cancelled caller."""
        with contextlib.suppress(SediError):
            result = await begun
            if isinstance(result, Reserved):
                await self._submit(_cancelled(result))

    def _run(self) -> None:
        """Run the writer thread. However it ends, no caller is left waiting."""
        batch: list[_Operation | None] = []
        try:
            while None not in batch:  # None: close
                try:
                    batch = [self._queue.get(timeout=HEARTBEAT_S), *self._queued(_BATCH - 1)]
                except queue.Empty:
                    self._beat_while_idle()
                else:
                    self._commit([operation for operation in batch if operation is not None])
        finally:
            self._closed = True
            left = [operation for operation in (*batch, *self._queued(sys.maxsize)) if operation is not None]
            error = StorageError("The ledger's writer has ended.", "See the log above and run again. Nothing is lost.")
            self._deliver(left, [error] * len(left))  # those that already have a result keep it

    def _queued(self, maximum: int) -> Iterator[_Operation | None]:
        """Take the waiting operations out of the queue, up to a number."""
        with contextlib.suppress(queue.Empty):
            for _ in range(maximum):
                yield self._queue.get_nowait()

    def _commit(self, batch: list[_Operation]) -> None:
        begun = [operation for operation in batch if isinstance(operation.call, NewCall)]
        if begun and self._full is None:
            try:
                self._reserve.ensure()
            except OSError as error:
                self._full = full_error(self.url, str(error.strerror))
        if begun and self._full is not None:
            self._deliver(begun, [self._full] * len(begun))
            batch = [operation for operation in batch if isinstance(operation.call, EndedCall)]
        try:
            results: list[Any] = self.write(lambda connection: self._apply(connection, batch))
        except SediError as error:
            if isinstance(error, StorageFull) and self._full is None:  # no call is sent from here on
                self._full = error
                self._reserve.release()
                self._commit(batch)  # of the calls that have been sent, the answers
            else:
                self._deliver(batch, [error] * len(batch))
            return
        for operation, result in zip(batch, results, strict=True):
            if isinstance(operation.call, EndedCall):
                self._pending.discard(operation.call.key)
            elif isinstance(result, Reserved):
                self._pending.add(result.key)
        self._deliver(batch, results)

    def _apply(self, connection: Connection, batch: list[_Operation]) -> list[Begun | None]:
        batch_calls = [operation.call for operation in batch]
        names = {cap.account for call in batch_calls if isinstance(call, NewCall) for cap in call.caps}
        keys = {call.key for call in batch_calls}
        transaction = LedgerTransaction(connection, self.owner, keys, names, self._pending)
        results: list[Begun | None] = []
        for call in batch_calls:
            if isinstance(call, NewCall):
                results.append(transaction.begin(call))
            else:
                transaction.end(call)
                results.append(None)
        transaction.save()
        self._beat(connection)
        return results

    def _deliver(self, batch: list[_Operation], results: Sequence[Any]) -> None:
        """Hand the results to the waiting callers, with one wake-up per event loop."""
        by_loop: dict[asyncio.AbstractEventLoop, list[tuple[asyncio.Future[Any], Any]]] = {}
        for operation, result in zip(batch, results, strict=True):
            loop, future = operation.loop, operation.future
            if loop is None or future is None or future.cancelled() or loop.is_closed():
                self._drop(result)
            else:
                by_loop.setdefault(loop, []).append((future, result))
        for loop, of_loop in by_loop.items():
            try:
                loop.call_soon_threadsafe(self._resolve, of_loop)
            except RuntimeError:  # the loop was closed in the meantime, so its callers are gone
                for _, result in of_loop:
                    self._drop(result)

    def _resolve(self, results: list[tuple[asyncio.Future[Any], Any]]) -> None:
        for future, result in results:
            if future.done():
                self._drop(result)
            elif isinstance(result, SediError):
                future.set_exception(result)
            else:
                future.set_result(result)

    def _drop(self, result: Any) -> None:
        """Release the reservation of a call that will not be sent."""
        if isinstance(result, Reserved):
            self._queue.put(_Operation(_cancelled(result)))

    def write(self, work: Callable[[Connection], Any]) -> Any:
        """Do the work in one transaction; retry while the database is busy or unavailable for a moment."""

        def in_one_transaction() -> Any:
            with self._writer.begin() as connection:
                lock(connection)
                return work(connection)

        return self._with_retries(in_one_transaction, _ATTEMPTS)

    def read(self, query: Any) -> Sequence[Any]:
        """Return the rows of a query of the ledger's tables (`schema`)."""

        def rows() -> Sequence[Any]:
            with self._reader.connect() as connection:
                return connection.execute(query).all()

        found: Sequence[Any] = self._with_retries(rows, 1)
        return found

    def _with_retries(self, operation: Callable[[], Any], attempts: int) -> Any:
        """Run an operation of the database, up to `attempts` times, or for a while if the database is unavailable."""
        began, attempt = time.monotonic(), 1
        while True:
            try:
                return operation()
            except SQLAlchemyError as error:
                may_return = is_unavailable(error) and time.monotonic() - began < _UNAVAILABLE_S
                if attempt >= attempts and not may_return:
                    raise storage_error(self.url, error) from None
                time.sleep(min(2.0, 0.2 * attempt))
                attempt += 1

    def _register(self, connection: Connection) -> None:
        """Add this owner, and settle the calls of owners that have died."""
        for row in connection.execute(select(owners)).all():
            if not self.owner.sees_alive(row):
                connection.execute(delete(owners).where(owners.c.id == row.id))
        upsert(connection, owners, [self.owner.row()])
        self._settle_dead(connection)

    def _settle_dead(self, connection: Connection) -> None:
        pending = connection.scalars(select(calls.c.key).where(calls.c.state == "pending")).all()
        _lose_dead(connection, self.owner, pending)

    def _unregister(self, connection: Connection) -> None:
        query = select(calls.c.key).where(calls.c.state == "pending", calls.c.owner == self.owner.id)
        pending = connection.scalars(query).all()
        connection.execute(delete(owners).where(owners.c.id == self.owner.id))
        _lose_dead(connection, Owner(), pending)

    def _beat(self, connection: Connection) -> None:
        now = time.time()
        if now - self._heartbeat > HEARTBEAT_S:
            self._heartbeat = now
            connection.execute(update(owners).where(owners.c.id == self.owner.id).values(heartbeat=now))

    def _beat_while_idle(self) -> None:
        if self._pending:
            with contextlib.suppress(StorageError):  # the next operation raises the same error in its caller
                self.write(self._beat)

    def __repr__(self) -> str:
        return f"Ledger({safe_url(self.url)!r})"


def _cancelled(reserved: Reserved) -> EndedCall:
    """Return the end of a call that was not sent and costs nothing."""
    return EndedCall(reserved.key, "failed", attempts=0, error="cancelled")


def _lose_dead(connection: Connection, observer: Owner, keys: Sequence[str]) -> None:
    """Settle those of the pending calls whose owner is dead as far as the observer can know."""
    for start in range(0, len(keys), _BATCH):
        transaction = LedgerTransaction(connection, observer, keys[start : start + _BATCH], ())
        transaction.lose_dead()
        transaction.save()
