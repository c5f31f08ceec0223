"""One writing transaction of the ledger: starting and finishing calls, and updating the accounts.

All in one transaction, so that at every moment, seen from every process, an account equals what its calls spent plus
what is reserved for those in flight. Many operations share one transaction, which makes durability cheap.
"""

import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

from sqlalchemy import delete, select
from sqlalchemy.engine import Connection

from sedi_dagster.teacher.budget import LOOP_ACCOUNT, Account, Cap
from sedi_dagster.teacher.owners import Owner
from sedi_dagster.teacher.schema import accounts, batches, calls, owners, texts, upsert

State = Literal["pending", "done", "refused", "failed", "pruned"]
"""pending: in flight. done: answered and stored. refused: the endpoint refuses this call for good. failed: ended
without a usable answer; it is sent again when next needed. pruned: done, but its texts were deleted."""

BATCH_PREFIX = "batch-"
ENDED_BY_DEATH = "lost: the process ended before the answer came"


@dataclass(frozen=True, slots=True)
class NewCall:
    """A call to be sent, with its worst-case cost and the accounts to charge.

    `batch`: id of the batch that it is part of; empty: sent by itself.
    """

    key: str
    endpoint: str
    model: str
    purpose: str
    round: str
    category: str
    run: str
    day: str
    request: str
    most_tokens: int
    most_nanousd: int
    caps: Sequence[Cap]
    batch: str = ""


@dataclass(frozen=True, slots=True)
class EndedCall:
    """How a call ended.

    `lost`: the endpoint may have done the work, so what was reserved counts as spent.
    """

    key: str
    state: State
    response: str | None = None
    finish_reason: str = ""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    nanousd: int | None = None
    estimated: bool = False
    latency_s: float = 0.0
    attempts: int = 1
    error: str = ""
    lost: bool = False
    cached_tokens: int = 0
    reasoning_tokens: int = 0


@dataclass(frozen=True, slots=True)
class Reserved:
    """The call is recorded and its worst-case cost is reserved: it may be sent.

    `replies`: number of earlier responses to it that were not answers.
    """

    key: str
    replies: int = 0


@dataclass(frozen=True, slots=True)
class Answered:
    """The call has been answered or refused for good: read it instead of sending it."""

    key: str


@dataclass(frozen=True, slots=True)
class Busy:
    """The same call is in flight in another process or part of a batch."""

    key: str
    owner: str


@dataclass(frozen=True, slots=True)
class NoRoom:
    """The call's worst-case cost does not fit. `for_good`: not even once all calls in flight are settled."""

    key: str
    cap: Cap
    account: Account
    for_good: bool


Begun = Reserved | Answered | Busy | NoRoom

_BEGIN_COLUMNS = [f.name for f in fields(NewCall) if f.name in calls.c]
_END_COLUMNS = [f.name for f in fields(EndedCall) if f.name in calls.c and f.name not in ("key", "attempts")]
"""The columns of a call that are known when it begins, and those that are set when it ends."""


def lock(connection: Connection) -> None:
    """Have the ledger for this transaction alone (SQLite has it since BEGIN IMMEDIATE)."""
    connection.execute(select(accounts.c.name).where(accounts.c.name == LOOP_ACCOUNT).with_for_update())


def is_batch(owner: str) -> bool:
    """Whether the owner of a call is a batch, which lives on when the process that made it is gone."""
    return owner.startswith(BATCH_PREFIX)


def account_names(row: Any) -> list[str]:
    """The accounts that a stored call is charged to."""
    names = [LOOP_ACCOUNT, f"round:{row['round']}", f"day:{row['day']}"]
    return [*names, f"run:{row['run']}"] if row["run"] else names


class LedgerTransaction:
    """The operations of one batch, in order, on an open transaction that holds the lock."""

    def __init__(
        self,
        connection: Connection,
        owner: Owner,
        keys: Iterable[str],
        names: Iterable[str],
        acknowledged: Iterable[str] = (),
    ) -> None:
        """`acknowledged`: calls of this owner whose caller knows that they were started."""
        self._connection = connection
        self._owner = owner
        self._acknowledged = set(acknowledged)
        self._rows = self._load_rows(keys)
        self._accounts = self._load_accounts({*names, *(n for r in self._rows.values() for n in account_names(r))})
        self._alive: dict[str, bool] = {owner.id: True}
        self._changed: set[str] = set()
        self._texts: dict[tuple[str, str], str] = {}
        self._stale_texts: set[str] = set()

    def begin(self, call: NewCall) -> Begun:
        """Set the worst case of a call aside and write it down, or say why it is not to be sent."""
        row = self._rows.get(call.key)
        if row is not None and row["state"] in ("done", "refused"):
            return Answered(call.key)
        if row is not None and row["state"] == "pending":
            if row["owner"] == (call.batch or self._owner.id) and call.key not in self._acknowledged:
                self._acknowledged.add(call.key)
                return Reserved(call.key, row["replies"])  # it was recorded, but the result did not reach the caller
            if self._is_alive(row["owner"]):
                return Busy(call.key, row["owner"])
            self._lose(row)
        refused = self._reserve(call)
        if refused is not None:
            if row is not None and row["state"] == "pending":
                self._write_end(row, EndedCall(call.key, "failed", error=ENDED_BY_DEATH, attempts=0))
            return refused
        self._write_begin(call, row)
        return Reserved(call.key, row["replies"] if row is not None else 0)

    def end(self, call: EndedCall) -> None:
        """Settle a call. If it was taken over and thus settled before, its answer is stored nevertheless."""
        row = self._rows.get(call.key)
        if row is None or row["state"] in ("done", "refused"):
            return
        is_owned = row["state"] == "pending" and (row["owner"] == self._owner.id or is_batch(row["owner"]))
        if not is_owned and call.state != "done":
            return
        if row["state"] == "pending":
            if call.lost or not is_owned:
                self._lose(row)
            else:
                self._release(row)
        self._spend(row, call.prompt_tokens + call.completion_tokens, call.nanousd or 0)
        self._write_end(row, call)

    def lose_dead(self) -> None:
        """Settle the calls of dead owners: the endpoint may have done the work, so they count as spent."""
        for row in self._rows.values():
            if row["state"] == "pending" and not self._is_alive(row["owner"]):
                self._lose(row)
                self._write_end(row, EndedCall(row["key"], "failed", error=ENDED_BY_DEATH, attempts=0))

    def save(self) -> None:
        """Write all changes, with one statement per table."""
        if self._stale_texts:
            self._connection.execute(delete(texts).where(texts.c.key.in_(self._stale_texts)))
        upsert(self._connection, calls, [self._rows[key] for key in self._changed])
        bodies = [{"key": key, "kind": kind, "body": body} for (key, kind), body in self._texts.items()]
        upsert(self._connection, texts, bodies)
        upsert(self._connection, accounts, [asdict(account) for account in self._accounts.values()])

    def _reserve(self, call: NewCall) -> NoRoom | None:
        for cap in call.caps:
            account = self._accounts[cap.account]
            overrun = account.overrun(cap, call.most_tokens, call.most_nanousd)
            if overrun is not None:
                return NoRoom(call.key, cap, account, overrun == "full")
        for cap in call.caps:
            self._accounts[cap.account].reserved_tokens += call.most_tokens
            self._accounts[cap.account].reserved_nanousd += call.most_nanousd
        return None

    def _release(self, row: dict[str, Any]) -> None:
        for name in account_names(row):
            self._accounts[name].reserved_tokens -= row["reserved_tokens"]
            self._accounts[name].reserved_nanousd -= row["reserved_nanousd"]
        row["reserved_tokens"] = row["reserved_nanousd"] = 0

    def _lose(self, row: dict[str, Any]) -> None:
        """Charge the reservation of a call: it is unknown whether the endpoint did the work."""
        tokens, nanousd = row["reserved_tokens"], row["reserved_nanousd"]
        self._release(row)
        self._spend(row, tokens, nanousd)
        row["lost_tokens"] += tokens
        row["lost_nanousd"] += nanousd

    def _spend(self, row: dict[str, Any], tokens: int, nanousd: int) -> None:
        for name in account_names(row):
            self._accounts[name].spent_tokens += tokens
            self._accounts[name].spent_nanousd += nanousd

    def _write_begin(self, call: NewCall, known: dict[str, Any] | None) -> None:
        row = {name: getattr(call, name) for name in _BEGIN_COLUMNS} | _outcome(EndedCall(call.key, "pending"))
        row |= {
            "owner": call.batch or self._owner.id,
            "begun_at": time.time(),
            "ended_at": None,
            "attempts": 0,
            "reserved_tokens": call.most_tokens,
            "reserved_nanousd": call.most_nanousd,
            "lost_tokens": 0,
            "lost_nanousd": 0,
            "replies": 0,
        }
        if known is not None:
            row |= {"attempts": known["attempts"], "replies": known["replies"]}
            # What was charged for this key before: lost answers, and one that was pruned.
            row["lost_tokens"] = known["lost_tokens"] + known["prompt_tokens"] + known["completion_tokens"]
            row["lost_nanousd"] = known["lost_nanousd"] + (known["nanousd"] or 0)
            self._stale_texts.add(call.key)
            self._texts.pop((call.key, "response"), None)
        self._rows[call.key] = row
        self._changed.add(call.key)
        self._acknowledged.add(call.key)
        self._texts[call.key, "request"] = call.request

    def _write_end(self, row: dict[str, Any], call: EndedCall) -> None:
        row |= _outcome(call) | {"ended_at": time.time(), "attempts": row["attempts"] + call.attempts}
        row["replies"] += call.state == "failed" and call.response is not None
        self._changed.add(call.key)
        if call.response is not None:
            self._texts[call.key, "response"] = call.response

    def _is_alive(self, owner: str) -> bool:
        if owner not in self._alive and is_batch(owner):
            state = self._connection.scalar(select(batches.c.state).where(batches.c.id == owner))
            self._alive[owner] = state is not None and state != "ended"
        elif owner not in self._alive:
            row = self._connection.execute(select(owners).where(owners.c.id == owner)).one_or_none()
            self._alive[owner] = row is not None and self._owner.sees_alive(row)
        return self._alive[owner]

    def _load_rows(self, keys: Iterable[str]) -> dict[str, dict[str, Any]]:
        found = self._connection.execute(select(calls).where(calls.c.key.in_(list(keys))))
        return {row.key: dict(row._mapping) for row in found}

    def _load_accounts(self, names: set[str]) -> dict[str, Account]:
        found = self._connection.execute(select(accounts).where(accounts.c.name.in_(sorted(names))))
        return {name: Account(name) for name in sorted(names)} | {row.name: Account(**row._mapping) for row in found}


def _outcome(call: EndedCall) -> dict[str, Any]:
    return {name: getattr(call, name) for name in _END_COLUMNS}
