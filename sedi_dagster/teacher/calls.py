"""Reading the ledger: lists, sums and what the caps leave for the next round. Read-only."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from sqlalchemy import BigInteger, ColumnElement, Float, case, cast, func, select

from sedi_dagster.teacher.answers import Reading, read_answer
from sedi_dagster.teacher.ledger import Ledger, StoredCall, stored_columns
from sedi_dagster.teacher.schema import calls

_AT_ONCE = 500

SumBy = Literal["round", "category", "purpose", "day", "model", "state"]
SUM_BY: tuple[SumBy, ...] = ("round", "category", "purpose", "day", "model", "state")
STATES = ("pending", "done", "refused", "failed", "pruned")
"""Of a call in the ledger."""


@dataclass(frozen=True)
class CallFilter:
    """Which calls; empty: all."""

    round: str = ""
    category: str = ""
    purpose: str = ""
    day: str = ""
    run: str = ""
    state: str = ""

    def conditions(self) -> list[ColumnElement[bool]]:
        """SQL conditions on the calls, one for each field that is set."""
        return [calls.c[name] == value for name, value in vars(self).items() if value]


@dataclass(frozen=True)
class CallSum:
    """Calls under one name. `nanousd` is None if a price is missing for any of them."""

    name: str
    calls: int
    answered: int
    prompt_tokens: int
    completion_tokens: int
    lost_tokens: int
    estimated: int
    nanousd: int | None
    latency_s: float


def sum_calls(ledger: Ledger, by: SumBy, chosen: CallFilter | None = None) -> list[CallSum]:
    """Sums of the chosen calls by a column, in its order."""
    answered = calls.c.state.in_(("done", "pruned"))
    unpriced = func.count().filter(answered & calls.c.nanousd.is_(None))
    query = (
        select(
            calls.c[by],
            func.count(),
            func.count().filter(answered),
            _total(calls.c.prompt_tokens),
            _total(calls.c.completion_tokens),
            _total(calls.c.lost_tokens),
            func.count().filter(calls.c.estimated),
            case((unpriced == 0, _total(func.coalesce(calls.c.nanousd, 0) + calls.c.lost_nanousd))),
            func.sum(calls.c.latency_s),
        )
        .where(*(chosen or CallFilter()).conditions())
        .group_by(calls.c[by])
        .order_by(calls.c[by])
    )
    return [CallSum(*row) for row in ledger.read(query)]


def _total(amount: ColumnElement[int]) -> ColumnElement[int]:
    return cast(func.sum(amount), BigInteger)  # not a decimal, which PostgreSQL makes of it


def list_calls(ledger: Ledger, chosen: CallFilter | None = None, limit: int = 50) -> list[StoredCall]:
    """The chosen calls, newest first, without their texts."""
    query = select(*stored_columns).where(*(chosen or CallFilter()).conditions())
    return [StoredCall(**row._mapping) for row in ledger.read(query.order_by(calls.c.begun_at.desc()).limit(limit))]


def useless_calls(ledger: Ledger, chosen: CallFilter, reading: Reading) -> list[str]:
    """Keys of the chosen calls that were refused for good, or whose answer as it is read now has no text."""
    ended = calls.c.state.in_(("done", "refused"))
    rows = ledger.read(select(calls.c.key, calls.c.state, calls.c.error).where(ended, *chosen.conditions()))
    keys = [row.key for row in rows if row.state == "refused" or row.error]
    rest = [row.key for row in rows if row.state == "done" and not row.error]
    for start in range(0, len(rest), _AT_ONCE):
        for key, call in ledger.read_answered(rest[start : start + _AT_ONCE]).items():
            if read_answer(call.response or "", reading).error:
                keys.append(key)
    return keys


@dataclass(frozen=True)
class Means:
    """What an answered call of a purpose took on average."""

    purpose: str
    calls: int
    prompt_tokens: float
    completion_tokens: float
    latency_s: float


def mean_calls(ledger: Ledger, endpoint: str, model: str) -> Sequence[Means]:
    """Averages by purpose of what the endpoint's model has answered so far."""
    query = (
        select(
            calls.c.purpose,
            func.count(),
            *(cast(func.avg(calls.c[name]), Float) for name in ("prompt_tokens", "completion_tokens", "latency_s")),
        )
        .where(calls.c.state.in_(("done", "pruned")), calls.c.endpoint == endpoint, calls.c.model == model)
        .group_by(calls.c.purpose)
        .order_by(calls.c.purpose)
    )
    return [Means(*row) for row in ledger.read(query)]
