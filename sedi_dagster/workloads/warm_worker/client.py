"""Runs a workload in a fork of a warm server, and behaves like the workload: same output, signals and exit status.

    python -m sedi_dagster.workloads.warm_worker.client MODULE --job FILE

If no server can be used (it cannot be started, its folder is not private, or it refused to run), this process executes
`python -m MODULE --job FILE` instead. It imports none of the libraries that workloads need.
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
_IMPORT_TIMEOUT_S = 120.0
"""Longest time to wait for a server that is still importing."""


def run(module: str, arguments: Sequence[str], socket_path: Path | None = None) -> NoReturn:
    """Run the module, and end this process in the same way as the module ends.

    Args:
        arguments: of the module; the job file must be the last one.
        socket_path: the server to use; None: the compatible one, which is started if necessary.
    """
    pending: list[int] = []  # signals received before the job has started
    ignored = [number for number in FORWARDED if signal.getsignal(number) == signal.SIG_IGN]
    handled = [number for number in FORWARDED if number not in ignored]
    for number in handled:
        signal.signal(number, lambda number, _: pending.append(number))
    try:
        if socket_path is None:
            offline = json.loads(Path(arguments[-1]).read_text(encoding="utf-8")).get("offline", True)
            connection = connect(address(offline, Path.cwd()), offline, Path.cwd())
        else:
            connection = socket.socket(socket.AF_UNIX)
            connection.connect(str(socket_path))
        connection.settimeout(_IMPORT_TIMEOUT_S)
        send_job(connection, Job(module, arguments, str(Path.cwd()), dict(os.environ), ignored))
        messages = lines(connection)
        next(messages)  # "started"
    except (OSError, SediError, StopIteration):
        for number in handled:
            signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
        for received in pending:
            os.kill(os.getpid(), received)
        os.execv(sys.executable, [sys.executable, "-m", module, *arguments])
    connection.settimeout(None)
    for number in handled:
        signal.signal(number, lambda number, _: _forward(connection, number))
    for received in pending:
        _forward(connection, received)
    try:
        result = next(messages, "")
    except OSError:
        result = ""
    _end_like_job(result)


def _forward(connection: socket.socket, number: int) -> None:
    with suppress(OSError):  # the job has just ended
        connection.sendall(f"{number}\n".encode())


def _end_like_job(message: str) -> NoReturn:
    """End as the job did according to the server's message; "": the server died, and the job was killed with it."""
    kind, _, number = message.partition(" ")
    if kind == EXITED:
        sys.exit(int(number))
    signal_number = int(number) if kind == KILLED else signal.SIGKILL
    if signal_number != signal.SIGKILL:
        signal.signal(signal_number, signal.SIG_DFL)
    os.kill(os.getpid(), signal_number)
    sys.exit(128 + signal_number)  # the signal does not terminate a process


if __name__ == "__main__":
    run(sys.argv[1], sys.argv[2:])
