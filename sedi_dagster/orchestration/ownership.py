"""Which process drives the loop: `sedi run` or the daemon's sensors, and on which machine.

On one DAGSTER_HOME, a file lock decides; among machines that share a data folder, the lease in the ledger.
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
SECONDS_TO_GET_IT = 2.0  # a sensor that only looks holds it for a moment


@contextmanager
def only_driver(home: Path) -> Iterator[None]:
    """At most one `sedi run` on a DAGSTER_HOME. The lock goes with the process, also after kill -9.

    Raises:
        SediError: another `sedi run` is at work.
    """
    with (home / LOCK).open("a") as lock:
        end = time.monotonic() + SECONDS_TO_GET_IT
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > end:
                    raise SediError(
                        "Another `sedi run` is using this DAGSTER_HOME.", "Wait for it, or stop it first."
                    ) from None
                time.sleep(0.1)
        yield


def is_driven(home: Path) -> bool:
    """Whether a `sedi run` is at work on this DAGSTER_HOME now."""
    if not (home / LOCK).exists():
        return False
    with (home / LOCK).open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def claim_loop(settings: Settings, home: Path) -> str:
    """Take the loop for this DAGSTER_HOME, or keep it. Returns which other one has it, empty if none does.

    Raises:
        SediError: the ledger cannot be opened.
    """
    other = take_lease(settings.ledger_url, settings.data_root, _holder(home))
    return f"Another DAGSTER_HOME ({other})" if other else ""


def lease_held(settings: Settings, home: Path) -> AbstractContextManager[None]:
    """Within the block the loop stays with this DAGSTER_HOME, however long its work takes; after it, it is free."""
    return renewed_lease(settings.ledger_url, settings.data_root, _holder(home))


def _holder(home: Path) -> str:
    return f"{gethostname()}:{home.absolute()}"
