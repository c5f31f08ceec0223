"""Which processes have the ledger open, and whether they are alive.

A call in flight belongs to an open ledger. If its process died, whoever needs the call next takes it over. On the same
machine the process table decides, elsewhere a heartbeat.
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
"""An owner without a heartbeat for so long is dead. Clocks of machines that share a ledger may differ by less."""
_CLOCK_STEP_S = 5
"""The start of a process is given in wall-clock time, which may be adjusted meanwhile."""


def _host() -> str:
    """Machine and process namespace: process ids mean something only inside it."""
    namespace = Path("/proc/self/ns/pid")
    return f"{socket.gethostname()}/{namespace.readlink()}" if namespace.is_symlink() else socket.gethostname()


@dataclass(frozen=True)
class Owner:
    """This process as the owner of calls; every open ledger is one."""

    id: str = field(default_factory=lambda: uuid.uuid4().hex)
    host: str = field(default_factory=_host)
    pid: int = field(default_factory=os.getpid)

    def row(self) -> dict[str, Any]:
        """This owner as a row of the ledger, with a fresh heartbeat."""
        started = int(psutil.Process(self.pid).create_time())
        return {"id": self.id, "host": self.host, "pid": self.pid, "pid_started": started, "heartbeat": time.time()}

    def sees_alive(self, row: Any) -> bool:
        """Whether the owner of the row is alive, as far as this process can know."""
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
