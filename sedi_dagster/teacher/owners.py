"""Who has the ledger open, and whether that process is still alive.

A call under way belongs to an open ledger. If its process died, the call may be taken over by whoever needs it
next. On the same machine the process table tells; elsewhere a heartbeat that has stopped.
"""

from __future__ import annotations

import os
import socket
import time
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

HEARTBEAT_S = 5.0
STALE_S = 120.0
"""An owner without a heartbeat for so long is dead. Clocks of machines that share a ledger may differ by less."""


def _host() -> str:
    """Machine and process namespace: process ids mean something only inside it."""
    namespace = Path("/proc/self/ns/pid")
    try:
        return f"{socket.gethostname()}/{namespace.readlink()}"
    except OSError:
        return socket.gethostname()


def _started(pid: int) -> int:
    """When the process started, in the kernel's ticks; 0 where there is no /proc. Tells a reused process id."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return 0
    return int(text.rpartition(")")[2].split()[19])


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


@dataclass(frozen=True)
class Owner:
    """This process as the owner of calls; every open ledger is one."""

    id: str = field(default_factory=lambda: uuid.uuid4().hex)
    host: str = field(default_factory=_host)
    pid: int = field(default_factory=os.getpid)

    def row(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "host": self.host,
            "pid": self.pid,
            "pid_started": _started(self.pid),
            "heartbeat": time.time(),
        }

    def sees_alive(self, row: Any) -> bool:
        """Whether the owner of the row lives, as far as can be told from here."""
        if row.id == self.id:
            return True
        if time.time() - row.heartbeat > STALE_S:
            return False
        if row.host != self.host:
            return True
        return _runs(row.pid) and _started(row.pid) == row.pid_started
