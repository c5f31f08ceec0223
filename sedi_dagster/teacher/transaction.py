"""One writing transaction of the ledger: starting and finishing calls, and updating the accounts.

All in one transaction, so that at every moment, seen from every process, an account equals what its calls spent plus
what is reserved for those in flight. Many operations share one transaction, which makes durability cheap.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import bindparam, delete, select, update
from sqlalchemy.engine import Connection

from sedi_dagster.teacher.budget import LOOP_ACCOUNT, Account, Cap
from sedi_dagster.teacher.owners import Owner
from sedi_dagster.teacher.schema import accounts, batches, calls, insert_missing, owners, texts, upsert

State = Literal["pending", "done", "refused", "failed", "pruned"]
"""pending: under way. done: paid and kept. refused: the endpoint refuses this one call, for good.
failed: ended without an answer of any use; it is sent again when it is asked for again. pruned: done, without its
texts."""

BATCH_PREFIX = "batch-"
ENDED_BY_DEATH = "lost: the process ended before the answer came"


@dataclass(frozen=True, slots=True)
class NewCall:
    """A call that wants to be sent: what it is, the most that it can cost, and who is charged."""

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
    """The batch that it is sent in; empty: by itself."""


@dataclass(frozen=True, slots=True)
class EndedCall:
    """How a call ended. `lost`: the endpoint may have worked for it, so what was set aside counts as spent."""

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
    """The call is written down and its worst case set aside: it may be sent.

    `replies`: what came for it before and was no answer.
    """

    key: str
    replies: int = 0


@dataclass(frozen=True, slots=True)
class Answered:
    """The call was paid for (or refused for good) before: read it, do not send it."""

    key: str


@dataclass(frozen=True, slots=True)
class Busy:
    """Another process is waiting for the answer to this very call, or a batch has it."""

    key: str
    owner: str


@dataclass(frozen=True, slots=True)
class NoRoom:
    """The call's worst case does not fit. `for_good`: not even once all calls under way are settled."""

    key: str
    cap: Cap
    account: Account
    for_good: bool


Begun = Reserved | Answered | Busy | NoRoom

_known_columns = (
    calls.c.key,
    calls.c.state,
    calls.c.owner,
    calls.c.round,
    calls.c.day,
    calls.c.run,
    calls.c.attempts,
    calls.c.reserved_tokens,
    calls.c.reserved_nanousd,
    calls.c.prompt_tokens,
    calls.c.completion_tokens,
    calls.c.nanousd,
    calls.c.lost_tokens,
    calls.c.lost_nanousd,
    calls.c.replies,
)
_changing = [c.name for c in calls.c if c.name != "key"]
_update_call = update(calls).where(calls.c.key == bindparam("b_key")).values({n: bindparam(n) for n in _changing})
_ending = [
    "state",
    "ended_at",
    "attempts",
    "reserved_tokens",
    "reserved_nanousd",
    "prompt_tokens",
    "completion_tokens",
    "nanousd",
    "estimated",
    "lost_tokens",
    "lost_nanousd",
    "latency_s",
    "finish_reason",
    "error",
    "cached_tokens",
    "reasoning_tokens",
    "replies",
]
_end_call = update(calls).where(calls.c.key == bindparam("b_key")).values({n: bindparam(n) for n in _ending})
_update_account = (
    update(accounts)
    .where(accounts.c.name == bindparam("b_name"))
    .values({c.name: bindparam(c.name) for c in accounts.c if c.name != "name"})
)


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
        self._new: dict[str, dict[str, Any]] = {}
        self._begun_again: dict[str, dict[str, Any]] = {}
        self._ended: dict[str, dict[str, Any]] = {}
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
                return Reserved(call.key, row["replies"])  # it was written, and the word of it was lost on the way
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
        """Settle a call. One that was taken over meanwhile was settled then; its answer is kept all the same."""
        row = self._rows.get(call.key)
        if row is None or row["state"] in ("done", "refused"):
            return
        mine = row["state"] == "pending" and (row["owner"] == self._owner.id or is_batch(row["owner"]))
        if not mine and call.state != "done":
            return
        if row["state"] == "pending":
            if call.lost or not mine:
                self._lose(row)
            else:
                self._release(row)
        spent_nanousd = call.nanousd or 0
        for name in account_names(row):
            self._accounts[name].spent_tokens += call.prompt_tokens + call.completion_tokens
            self._accounts[name].spent_nanousd += spent_nanousd
        self._write_end(row, call)

    def lose_dead(self) -> int:
        """Settle the calls of owners that died: the endpoint may have worked for them, so they count as spent."""
        dead = [row for row in self._rows.values() if row["state"] == "pending" and not self._is_alive(row["owner"])]
        for row in dead:
            self._lose(row)
            self._write_end(row, EndedCall(row["key"], "failed", error=ENDED_BY_DEATH, attempts=0))
        return len(dead)

    def save(self) -> None:
        """Write what changed, each kind in one statement."""
        if self._stale_texts:
            self._connection.execute(delete(texts).where(texts.c.key.in_(self._stale_texts)))
        if self._new:
            self._connection.execute(calls.insert(), list(self._new.values()))
        if self._begun_again:
            self._connection.execute(_update_call, list(self._begun_again.values()))
        if self._ended:
            self._connection.execute(_end_call, list(self._ended.values()))
        upsert(
            self._connection,
            texts,
            [{"key": key, "kind": kind, "body": body} for (key, kind), body in self._texts.items()],
        )
        changed = [{"b_name": a.name, **_amounts(a)} for a in self._accounts.values()]
        if changed:
            self._connection.execute(_update_account, changed)

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
        tokens, money = row["reserved_tokens"], row["reserved_nanousd"]
        self._release(row)
        for name in account_names(row):
            self._accounts[name].spent_tokens += tokens
            self._accounts[name].spent_nanousd += money
        row["lost_tokens"] += tokens
        row["lost_nanousd"] += money

    def _write_begin(self, call: NewCall, known: dict[str, Any] | None) -> None:
        lost_tokens, lost_nanousd = _paid_before(known)
        row = {
            "key": call.key,
            "state": "pending",
            "endpoint": call.endpoint,
            "model": call.model,
            "purpose": call.purpose,
            "round": call.round,
            "category": call.category,
            "run": call.run,
            "day": call.day,
            "owner": call.batch or self._owner.id,
            "begun_at": time.time(),
            "ended_at": None,
            "attempts": known["attempts"] if known else 0,
            "reserved_tokens": call.most_tokens,
            "reserved_nanousd": call.most_nanousd,
            "prompt_tokens": 0,
            "completion_tokens": 0,
            "nanousd": None,
            "estimated": False,
            "lost_tokens": lost_tokens,
            "lost_nanousd": lost_nanousd,
            "latency_s": 0.0,
            "finish_reason": "",
            "error": "",
            "cached_tokens": 0,
            "reasoning_tokens": 0,
            "replies": known["replies"] if known else 0,
        }
        self._rows[call.key] = row
        self._acknowledged.add(call.key)
        if known is None:
            self._new[call.key] = row
            self._texts[call.key, "request"] = call.request
        elif call.key not in self._new:
            self._ended.pop(call.key, None)
            self._begun_again[call.key] = {"b_key": call.key, **{n: row[n] for n in _changing}}
            self._stale_texts.add(call.key)
            self._texts.pop((call.key, "response"), None)
            self._texts[call.key, "request"] = call.request

    def _write_end(self, row: dict[str, Any], call: EndedCall) -> None:
        row |= {
            "state": call.state,
            "ended_at": time.time(),
            "attempts": row["attempts"] + call.attempts,
            "prompt_tokens": call.prompt_tokens,
            "completion_tokens": call.completion_tokens,
            "nanousd": call.nanousd,
            "estimated": call.estimated,
            "latency_s": call.latency_s,
            "finish_reason": call.finish_reason,
            "error": call.error,
            "cached_tokens": call.cached_tokens,
            "reasoning_tokens": call.reasoning_tokens,
            "replies": row["replies"] + (call.state == "failed" and call.response is not None),
        }
        if call.key not in self._new:
            self._ended[call.key] = {"b_key": call.key, **{n: row[n] for n in _ending}}
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
        found = self._connection.execute(select(*_known_columns).where(calls.c.key.in_(list(keys))))
        return {row.key: dict(row._mapping) for row in found}

    def _load_accounts(self, names: set[str]) -> dict[str, Account]:
        chosen = select(accounts).where(accounts.c.name.in_(sorted(names)))
        found = {row.name: Account(**row._mapping) for row in self._connection.execute(chosen)}
        missing = [Account(name) for name in sorted(names - found.keys())]
        insert_missing(self._connection, accounts, [{"name": a.name, **_amounts(a)} for a in missing])
        return found | {a.name: a for a in missing}


def _paid_before(row: dict[str, Any] | None) -> tuple[int, int]:
    """What was charged for a key that is sent again: lost answers, and one whose text was pruned."""
    if row is None:
        return 0, 0
    tokens = row["lost_tokens"] + row["prompt_tokens"] + row["completion_tokens"]
    return tokens, row["lost_nanousd"] + (row["nanousd"] or 0)


def _amounts(account: Account) -> dict[str, int]:
    return {
        "spent_tokens": account.spent_tokens,
        "reserved_tokens": account.reserved_tokens,
        "spent_nanousd": account.spent_nanousd,
        "reserved_nanousd": account.reserved_nanousd,
    }
