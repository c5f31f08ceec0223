"""Read-only queries of the ledger: lists, sums and averages of calls."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from sqlalchemy import BigInteger, ColumnElement, Float, case, cast, func, select

from sedi_dagster.teacher.answers import Reading, read_answer
from sedi_dagster.teacher.ledger import Ledger, StoredCall, stored_columns
from sedi_dagster.teacher.schema import calls

_CHUNK = 500

SumBy = Literal["round", "category", "purpose", "day", "model", "state"]
SUM_BY: tuple[SumBy, ...] = ("round", "category", "purpose", "day", "model", "state")
STATES = ("pending", "done", "refused", "failed", "pruned")
"""The states of a call in the ledger."""


@dataclass(frozen=True)
class CallFilter:
    """A selection of calls; an empty field selects all."""

    round: str = ""
    category: str = ""
    purpose: str = ""
    day: str = ""
    run: str = ""
    state: str = ""

    def conditions(self) -> list[ColumnElement[bool]]:
        """Return SQL conditions on the calls, one for each non-empty field."""
        return [calls.c[name] == value for name, value in vars(self).items() if value]


@dataclass(frozen=True)
class CallSum:
    """Sums of calls with one value of a column. `nanousd` is None if the price of any of them is unknown."""

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
    """Return sums of the chosen calls for each value of a column, in order."""
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
    return cast(func.sum(amount), BigInteger)  # PostgreSQL would return a decimal


def list_calls(ledger: Ledger, chosen: CallFilter | None = None, limit: int = 50) -> list[StoredCall]:
    """Return the chosen calls, newest first, without their texts."""
    query = select(*stored_columns).where(*(chosen or CallFilter()).conditions())
    return [StoredCall(**row._mapping) for row in ledger.read(query.order_by(calls.c.begun_at.desc()).limit(limit))]


def useless_calls(ledger: Ledger, chosen: CallFilter, reading: Reading) -> list[str]:
    """Return the keys of the chosen calls that were refused for good, or whose answer has no usable text."""
    ended = calls.c.state.in_(("done", "refused"))
    rows = ledger.read(select(calls.c.key, calls.c.state, calls.c.error).where(ended, *chosen.conditions()))
    keys = [row.key for row in rows if row.state == "refused" or row.error]
    rest = [row.key for row in rows if row.state == "done" and not row.error]
    for start in range(0, len(rest), _CHUNK):
        for key, call in ledger.read_answered(rest[start : start + _CHUNK]).items():
            if read_answer(call.response or "", reading).error:
                keys.append(key)
    return keys


@dataclass(frozen=True)
class Means:
    """Averages over the answered calls of a purpose."""

    purpose: str
    calls: int
    prompt_tokens: float
    completion_tokens: float
    latency_s: float


def mean_calls(ledger: Ledger, endpoint: str, model: str) -> Sequence[Means]:
    """Return averages by purpose over the calls that the endpoint's model has answered so far."""
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
