"""Runs a workload in a fork of a warm server, and behaves like the workload: same output, signals, exit status.

    python -m sedi_dagster.workloads.warm_worker.client MODULE --job FILE

If a server cannot be used (none can be started, its folder is not private, it declines), this process becomes
`python -m MODULE --job FILE`. Light: it imports no library that a workload needs.
"""

import json
import os
import signal
import socket
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

from sedi_dagster.errors import SediError
from sedi_dagster.workloads.warm_worker.address import address, connect
from sedi_dagster.workloads.warm_worker.protocol import EXITED, KILLED, Job, lines, send_job

FORWARDED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
IMPORTING_S = 120.0
"""Longest time to wait for a server that is still importing."""


def run(module: str, arguments: Sequence[str], socket_path: Path | None = None) -> NoReturn:
    """Run the module; ends this process as the module ends.

    Args:
        arguments: of the module; the job file is the last.
        socket_path: server to use; None: the one that fits, started if need be.
    """
    waiting: list[int] = []  # signals that came before there was a job
    ignored = [number for number in FORWARDED if signal.getsignal(number) == signal.SIG_IGN]
    handled = [number for number in FORWARDED if number not in ignored]
    for number in handled:
        signal.signal(number, lambda number, _: waiting.append(number))
    try:
        if socket_path is None:
            offline = json.loads(Path(arguments[-1]).read_text(encoding="utf-8")).get("offline", True)
            connection = connect(address(offline, Path.cwd()), offline, Path.cwd())
        else:
            connection = socket.socket(socket.AF_UNIX)
            connection.connect(str(socket_path))
        connection.settimeout(IMPORTING_S)
        send_job(connection, Job(module, arguments, str(Path.cwd()), dict(os.environ), ignored))
        messages = lines(connection)
        next(messages)  # it has started
    except (OSError, SediError, StopIteration):
        for number in handled:
            signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
        for early in waiting:
            os.kill(os.getpid(), early)
        os.execv(sys.executable, [sys.executable, "-m", module, *arguments])
    connection.settimeout(None)
    for number in handled:
        signal.signal(number, lambda number, _: _pass_on(connection, number))
    for early in waiting:
        _pass_on(connection, early)
    try:
        ended = next(messages, "")
    except OSError:
        ended = ""
    _end_as(ended)


def _pass_on(connection: socket.socket, number: int) -> None:
    with suppress(OSError):  # the job has just ended
        connection.sendall(f"{number}\n".encode())


def _end_as(message: str) -> NoReturn:
    """End as the job did; one that the server did not live to tell of was killed with it."""
    how, _, number = message.partition(" ")
    if how == EXITED:
        sys.exit(int(number))
    signal_number = int(number) if how == KILLED else signal.SIGKILL
    if signal_number != signal.SIGKILL:
        signal.signal(signal_number, signal.SIG_DFL)
    os.kill(os.getpid(), signal_number)
    sys.exit(128 + signal_number)  # a signal that does not end a process


if __name__ == "__main__":
    run(sys.argv[1], sys.argv[2:])
