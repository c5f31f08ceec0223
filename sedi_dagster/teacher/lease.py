"""A lease: among several machines that share a ledger, one holds it while it is alive."""

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

RENEWED_S = 20.0
"""Well within `owners.STALE_S`, after which a holder without a heartbeat is considered gone."""


def take_lease(url: str, name: str, holder: str) -> str:
    """Take a lease or renew it. Returns who has it if that is another holder, else nothing.

    Args:
        url: of the ledger.
        holder: who asks; its processes share the lease.

    Raises:
        SettingsError, StorageError: the ledger cannot be opened.
    """

    def take(connection: Connection) -> str:
        asking = Owner(holder)
        row = connection.execute(select(leases).where(leases.c.name == name)).one_or_none()
        if row is not None and row.id != holder and asking.sees_alive(row):
            return str(row.id)
        upsert(connection, leases, [{"name": name, **asking.row()}])
        return ""

    return _written(url, take)


@contextmanager
def renewed_lease(url: str, name: str, holder: str) -> Iterator[None]:
    """Within the block a lease is renewed while its holder is busy with other things; after it, it is given back."""
    done = threading.Event()

    def renew() -> None:
        while not done.wait(RENEWED_S):
            with suppress(SediError):  # the next caller of the lease gets the same error
                take_lease(url, name, holder)

    def leave(connection: Connection) -> str:
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
            _written(url, leave)


def _written(url: str, work: Callable[[Connection], str]) -> str:
    """Do the work in a transaction that has the ledger for itself."""
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
