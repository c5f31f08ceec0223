"""The protocol between client and fork server over a Unix socket.

The client sends its descriptors 0 to 2 with the length of a JSON object (`Job`), then the object; later a line for each
signal to pass on (its number). The server answers in lines: `started PID`, then `exited CODE` or `killed SIGNAL`.
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
    """A module to run as `python -m` does."""

    module: str
    arguments: Sequence[str]
    cwd: str
    environment: dict[str, str]
    ignored_signals: Sequence[int]


def send_job(connection: socket.socket, job: Job) -> None:
    """Hand over a job and this process's standard streams."""
    for descriptor in range(_DESCRIPTORS):
        try:
            os.fstat(descriptor)
        except OSError:  # closed where this process was started
            opened = os.open(os.devnull, os.O_RDWR)
            if opened != descriptor:
                os.dup2(opened, descriptor)
                os.close(opened)
    request = json.dumps(asdict(job)).encode()
    head = len(request).to_bytes(_LENGTH_BYTES, "big")
    socket.send_fds(connection, [head], range(_DESCRIPTORS))
    connection.sendall(request)


def receive_job(connection: socket.socket) -> tuple[Job, list[int]]:
    """The job and the descriptors to run it with, which are the caller's to close.

    Raises:
        OSError: the client has gone, or is not one.
    """
    head, descriptors, _, _ = socket.recv_fds(connection, _LENGTH_BYTES, _DESCRIPTORS)
    try:
        if len(head) < _LENGTH_BYTES or len(descriptors) < _DESCRIPTORS:
            raise ConnectionError("no job was sent")
        missing = int.from_bytes(head, "big")
        parts: list[bytes] = []
        while missing:
            parts.append(connection.recv(min(missing, 1 << 16)))
            if not parts[-1]:
                raise ConnectionError("the job is not whole")
            missing -= len(parts[-1])
        return Job(**json.loads(b"".join(parts))), descriptors
    except BaseException:
        for descriptor in descriptors:
            os.close(descriptor)
        raise


def lines(connection: socket.socket) -> Iterator[str]:
    """What the other side says, line by line, until the connection ends."""
    unread = b""
    while received := connection.recv(1024):
        *whole, unread = (unread + received).split(b"\n")
        yield from (line.decode() for line in whole)
