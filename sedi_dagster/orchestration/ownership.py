"""Who drives the loop: `sedi run`, or the daemon's sensors. Never both on one DAGSTER_HOME."""

from __future__ import annotations

import fcntl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sedi_dagster.errors import SediError

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
                        "Another `sedi run` is at work on this DAGSTER_HOME.", "Wait for it, or stop it first."
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
