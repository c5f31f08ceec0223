"""Disk space set aside while calls are in flight, so that their answers can be stored if the disk fills up."""

import os
from pathlib import Path

from sqlalchemy.engine import make_url

BYTES = 4 * 1024 * 1024
"""Space for the answers of several hundred calls, with what SQLite's log adds to them."""
SUFFIX = "-reserve"
"""Of its name, after the ledger's."""


class DiskReserve:
    """A file beside a ledger in SQLite, shared by all processes that use the ledger. Does nothing for a server's."""

    def __init__(self, url: str) -> None:
        parsed = make_url(url)
        is_file = parsed.get_backend_name() == "sqlite" and parsed.database
        self._file = Path(f"{parsed.database}{SUFFIX}") if is_file else None

    def ensure(self) -> None:
        """Set the space aside unless it is.

        Raises:
            OSError: there is no space.
        """
        if self._file is None or self._file.exists():
            return
        try:
            self._file.write_bytes(os.urandom(BYTES))  # zeros take no space on a file system that compresses
        except OSError:
            self.release()
            raise

    def release(self) -> None:
        """Give the space back."""
        if self._file is not None:
            self._file.unlink(missing_ok=True)
