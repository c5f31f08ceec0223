"""The protocol between client and fork server over a Unix socket.

The client sends its file descriptors 0 to 2 together with the length of a JSON object (`Job`), then the object, and
later a line with the number of each signal to forward. The server replies with the line `started PID`, and finally with
`exited CODE` or `killed SIGNAL`.
"""

import json
import os
import socket
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass

STARTED, EXITED, KILLED = "started", "exited", "killed"
_DESCRIPTORS = 3
_LENGTH_BYTES = 4


@dataclass(frozen=True)
class Job:
    """A module to run as with `python -m`, and the environment to run it in."""

    module: str
    arguments: Sequence[str]
    cwd: str
    environment: dict[str, str]
    ignored_signals: Sequence[int]


def send_job(connection: socket.socket, job: Job) -> None:
    """Send a job with the standard streams of this process."""
    for descriptor in range(_DESCRIPTORS):
        try:
            os.fstat(descriptor)
        except OSError:  # this process was started with the stream closed
            null = os.open(os.devnull, os.O_RDWR)
            if null != descriptor:
                os.dup2(null, descriptor)
                os.close(null)
    request = json.dumps(asdict(job)).encode()
    head = len(request).to_bytes(_LENGTH_BYTES, "big")
    socket.send_fds(connection, [head], range(_DESCRIPTORS))
    connection.sendall(request)


def receive_job(connection: socket.socket) -> tuple[Job, list[int]]:
    """Receive a job and the file descriptors of its standard streams, which the caller must close.

    Raises:
        OSError: the connection was closed before a whole job was received.
    """
    head, descriptors, _, _ = socket.recv_fds(connection, _LENGTH_BYTES, _DESCRIPTORS)
    try:
        if len(head) < _LENGTH_BYTES or len(descriptors) < _DESCRIPTORS:
            raise ConnectionError("no job was received")
        missing = int.from_bytes(head, "big")
        parts: list[bytes] = []
        while missing:
            parts.append(connection.recv(min(missing, 1 << 16)))
            if not parts[-1]:
                raise ConnectionError("the job is incomplete")
            missing -= len(parts[-1])
        return Job(**json.loads(b"".join(parts))), descriptors
    except BaseException:
        for descriptor in descriptors:
            os.close(descriptor)
        raise


def lines(connection: socket.socket) -> Iterator[str]:
    """Yield the received lines until the connection is closed."""
    unread = b""
    while received := connection.recv(1024):
        *complete, unread = (unread + received).split(b"\n")
        yield from (line.decode() for line in complete)
