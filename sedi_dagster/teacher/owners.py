"""Which processes have the ledger open, and whether they are alive.

A call in flight belongs to an open ledger. If its process has died, the next one that needs the call takes it over. On
the same machine the process table tells whether an owner is alive, on others its heartbeat.
"""

import os
import socket
import time
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

HEARTBEAT_S = 5.0
STALE_S = 120.0
"""Time without a heartbeat after which an owner counts as dead; clocks of machines must differ by less."""
_CLOCK_STEP_S = 5
"""Tolerance in comparing start times of processes, as the wall clock may be adjusted."""


def _host() -> str:
    """Return the machine and its process namespace, outside of which process ids have no meaning."""
    namespace = Path("/proc/self/ns/pid")
    return f"{socket.gethostname()}/{namespace.readlink()}" if namespace.is_symlink() else socket.gethostname()


@dataclass(frozen=True)
class Owner:
    """An open ledger of this process, as the owner of calls."""

    id: str = field(default_factory=lambda: uuid.uuid4().hex)
    host: str = field(default_factory=_host)
    pid: int = field(default_factory=os.getpid)

    def row(self) -> dict[str, Any]:
        """Return this owner as a row of the ledger, with the present time as heartbeat."""
        started = int(psutil.Process(self.pid).create_time())
        return {"id": self.id, "host": self.host, "pid": self.pid, "pid_started": started, "heartbeat": time.time()}

    def sees_alive(self, row: Any) -> bool:
        """Return whether the owner in a row is alive, as far as this process can know."""
        if row.id == self.id:
            return True
        if time.time() - row.heartbeat > STALE_S:
            return False
        if row.host != self.host:
            return True
        try:
            process = psutil.Process(row.pid)
            is_same = abs(process.create_time() - row.pid_started) <= _CLOCK_STEP_S
            return bool(is_same and process.status() != psutil.STATUS_ZOMBIE)
        except psutil.NoSuchProcess:
            return False
