"""Which process drives the loop: `sedi run` or the daemon's sensors, and on which machine.

Within one DAGSTER_HOME, a file lock decides; between machines that share a data folder, the lease in the ledger.
"""

import fcntl
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from socket import gethostname

from sedi_dagster.errors import SediError
from sedi_dagster.settings import Settings
from sedi_dagster.teacher.lease import renewed_lease, take_lease

LOCK = "sedi-run.lock"
LOCK_TIMEOUT_S = 2.0  # `driver_is_running` holds the lock for a moment


@contextmanager
def driver_lock(home: Path) -> Iterator[None]:
    """Allow at most one `sedi run` on a DAGSTER_HOME. The lock ends with the process, even after `kill -9`.

    Raises:
        SediError: another `sedi run` holds the lock.
    """
    with (home / LOCK).open("a") as lock:
        end = time.monotonic() + LOCK_TIMEOUT_S
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > end:
                    raise SediError(
                        "Another `sedi run` is using this DAGSTER_HOME.", "Wait until it ends, or stop it first."
                    ) from None
                time.sleep(0.1)
        yield


def driver_is_running(home: Path) -> bool:
    """Return whether a `sedi run` is using this DAGSTER_HOME."""
    if not (home / LOCK).exists():
        return False
    with (home / LOCK).open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def claim_loop(settings: Settings, home: Path) -> str:
    """Take or renew the lease of the loop for this DAGSTER_HOME.

    Returns:
        The other DAGSTER_HOME that holds the lease; empty if it was taken.

    Raises:
        SediError: the ledger cannot be opened.
    """
    other = take_lease(settings.ledger_url, settings.data_root, _holder(home))
    return f"Another DAGSTER_HOME ({other})" if other else ""


def hold_lease(settings: Settings, home: Path) -> AbstractContextManager[None]:
    """Keep renewing the lease of the loop within the block, and release it at the end."""
    return renewed_lease(settings.ledger_url, settings.data_root, _holder(home))


def _holder(home: Path) -> str:
    return f"{gethostname()}:{home.absolute()}"
