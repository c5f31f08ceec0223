"""Leases: of several machines that share a ledger, the one that holds a lease keeps it while it is alive."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from sqlalchemy import delete, select
from sqlalchemy.engine import Connection
from sqlalchemy.exc import SQLAlchemyError

from sedi_dagster.errors import SediError
from sedi_dagster.teacher.owners import Owner
from sedi_dagster.teacher.schema import leases, open_engines, storage_error, upsert
from sedi_dagster.teacher.transaction import lock

RENEWAL_S = 20.0
"""Time between renewals, well below `owners.STALE_S`, after which a holder without a heartbeat counts as dead."""


def take_lease(url: str, name: str, holder: str) -> str:
    """Take a lease or renew it. Return "" on success, or else the id of its present holder.

    Args:
        url: of the ledger.
        holder: id of the caller; all processes with this id share the lease.

    Raises:
        SettingsError, StorageError: the ledger cannot be opened.
    """

    def take(connection: Connection) -> str:
        caller = Owner(holder)
        row = connection.execute(select(leases).where(leases.c.name == name)).one_or_none()
        if row is not None and row.id != holder and caller.sees_alive(row):
            return str(row.id)
        upsert(connection, leases, [{"name": name, **caller.row()}])
        return ""

    return _in_transaction(url, take)


@contextmanager
def renewed_lease(url: str, name: str, holder: str) -> Iterator[None]:
    """Renew a lease in a thread while the block runs, and release it afterwards."""
    done = threading.Event()

    def renew() -> None:
        while not done.wait(RENEWAL_S):
            with suppress(SediError):  # the next caller of `take_lease` gets the same error
                take_lease(url, name, holder)

    def release(connection: Connection) -> str:
        connection.execute(delete(leases).where(leases.c.name == name, leases.c.id == holder))
        return ""

    renewing = threading.Thread(target=renew, name="lease", daemon=True)
    renewing.start()
    try:
        yield
    finally:
        done.set()
        renewing.join()
        with suppress(SediError):
            _in_transaction(url, release)


def _in_transaction(url: str, work: Callable[[Connection], str]) -> str:
    """Do the work in a transaction that locks the ledger."""
    engines = open_engines(url)
    try:
        with engines[0].begin() as connection:
            lock(connection)
            return work(connection)
    except SQLAlchemyError as error:
        raise storage_error(url, error) from None
    finally:
        for engine in engines:
            engine.dispose()
