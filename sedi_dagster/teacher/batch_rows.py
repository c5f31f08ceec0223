"""The ledger's rows of batches: their state, and which process handles them."""

import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.engine import Connection

from sedi_dagster.teacher.ledger import Ledger
from sedi_dagster.teacher.schema import batches, calls, owners, texts
from sedi_dagster.teacher.transaction import BATCH_PREFIX


@dataclass(frozen=True, slots=True)
class BatchRow:
    """A batch in the ledger.

    `state`: made (its calls are recorded), uploaded, running (at the endpoint), ended.
    """

    id: str
    state: str
    remote_file: str
    remote_batch: str
    begun_at: float
    requests: int


@dataclass(frozen=True, slots=True)
class BatchCall:
    """An unsettled call of a batch."""

    key: str
    purpose: str
    round: str
    category: str
    request: str


_columns = [batches.c[field.name] for field in fields(BatchRow)]


def add_batch(ledger: Ledger, endpoint: str, model: str) -> str:
    """Record a new batch, before its calls, and return its id."""
    batch_id = f"{BATCH_PREFIX}{uuid.uuid4().hex}"
    begun = {"endpoint": endpoint, "model": model, "carrier": ledger.owner.id, "begun_at": time.time(), "requests": 0}
    insert = batches.insert().values(id=batch_id, state="made", **begun)
    ledger.write(lambda connection: connection.execute(insert))
    return batch_id


def read_batch(ledger: Ledger, batch_id: str) -> BatchRow | None:
    """Return a batch; None if there is none with this id."""
    rows = ledger.read(select(*_columns).where(batches.c.id == batch_id))
    return BatchRow(**rows[0]._mapping) if rows else None


def change_batch(ledger: Ledger, batch_id: str, **values: Any) -> BatchRow:
    """Change columns of a batch and return its row."""
    ledger.write(lambda connection: connection.execute(update(batches).where(batches.c.id == batch_id).values(values)))
    row = read_batch(ledger, batch_id)
    assert row is not None
    return row


def claim_batch(ledger: Ledger, batch_id: str) -> bool:
    """Make this process the one that handles the batch, unless another live process does; return whether it is."""

    def claim(connection: Connection) -> bool:
        carrier = connection.scalar(select(batches.c.carrier).where(batches.c.id == batch_id))
        row = connection.execute(select(owners).where(owners.c.id == carrier)).one_or_none()
        if carrier != ledger.owner.id and row is not None and ledger.owner.sees_alive(row):
            return False
        connection.execute(update(batches).where(batches.c.id == batch_id).values(carrier=ledger.owner.id))
        return True

    return bool(ledger.write(claim))


def open_calls(ledger: Ledger, batch_id: str) -> Sequence[BatchCall]:
    """Return the unsettled calls of a batch, ordered by key."""
    query = (
        select(calls.c.key, calls.c.purpose, calls.c.round, calls.c.category, texts.c.body.label("request"))
        .join(texts, (texts.c.key == calls.c.key) & (texts.c.kind == "request"))
        .where(calls.c.owner == batch_id, calls.c.state == "pending")
        .order_by(calls.c.key)
    )
    return [BatchCall(**row._mapping) for row in ledger.read(query)]
