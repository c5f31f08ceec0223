"""The channel between test runner and worker: framed JSON over two pipes, with calls in both directions.

The runner asks the worker to call a function; where the function was given one of the runner's own functions,
the worker asks back while the runner waits. Requests nest and never overlap, so neither side needs a thread.
"""

import builtins
import json
import os
import select
import struct
import time
from collections.abc import Callable
from typing import Any

from .values import Values

_MAX_FRAME_BYTES = 16_000_000
_MAX_MESSAGE_CHARS = 300


class ChannelClosed(RuntimeError):
    """The other side has ended, or sends what is no message."""


class ChannelTimeout(RuntimeError):
    """The other side has not answered in time."""


class RemoteError(Exception):
    """An exception of the other side which is none of Python's own."""


class Channel:
    """One end of the channel.

    Args:
        read_fd: where messages come in.
        write_fd: where messages go out.
        values: how values cross.
        serve: answers a request of the other side, from its operation and arguments.
    """

    def __init__(self, read_fd: int, write_fd: int, values: Values, serve: Callable[[str, list[Any]], Any]) -> None:
        self._read_fd, self._write_fd, self._values, self._serve = read_fd, write_fd, values, serve
        self.deadline: float | None = None
        """When waiting for a message ends, in `time.monotonic` seconds."""

    def request(self, operation: str, *arguments: Any) -> Any:
        """Asks the other side, and serves its requests until the answer is there.

        Lists, dicts and sets among the arguments follow the changes which the other side made to them.

        Raises:
            Exception: what was raised there: Python's own exceptions as such, others as `RemoteError`.
            ChannelClosed, ChannelTimeout: there is no answer.
        """
        self.send({"op": operation, "args": [self._values.encode(one) for one in arguments]})
        while "op" in (answer := self.receive()):
            self.answer(answer)
        for place, changed in answer.get("changed", []):
            _overwrite(arguments[place], self._values.decode(changed))
        if "error" in answer:
            raise _exception(*answer["error"])
        return self._values.decode(answer["value"])

    def answer(self, request: dict[str, Any]) -> None:
        """Serves one request. A failure travels back as the answer, since it is the caller's to handle."""
        arguments: list[Any] = []
        try:
            arguments = [self._values.decode(one) for one in request["args"]]
            reply = {"value": self._values.encode(self._serve(request["op"], arguments))}
        except BaseException as error:  # noqa: BLE001 - the code on trial may raise anything, SystemExit too
            reply = {"error": _description(error)}
        try:
            reply["changed"] = self._changes(request["args"], arguments)
            self.send(reply)
        except (ValueError, TypeError, RecursionError, MemoryError) as error:
            self.send({"error": _description(error)})

    def _changes(self, before: list[Any], arguments: list[Any]) -> list[Any]:
        now = [self._values.encode(one) if isinstance(one, (list, dict, set)) else None for one in arguments]
        return [[place, one] for place, one in enumerate(now) if one is not None and one != before[place]]

    def send(self, message: dict[str, Any]) -> None:
        """Writes one message.

        Raises:
            ValueError: the message is too long to be that of an answer.
            ChannelClosed: the other side has closed.
        """
        body = json.dumps(message).encode("ascii")
        if len(body) > _MAX_FRAME_BYTES:
            raise ValueError("the value is too large")
        frame = memoryview(struct.pack("!I", len(body)) + body)
        try:
            while frame:
                frame = frame[os.write(self._write_fd, frame) :]
        except OSError as error:
            raise ChannelClosed(str(error)) from None

    def receive(self) -> dict[str, Any]:
        """Reads one message.

        Raises:
            ChannelClosed, ChannelTimeout: there is none.
        """
        (length,) = struct.unpack("!I", self._read(4))
        if length > _MAX_FRAME_BYTES:
            raise ChannelClosed("a message is too long")
        try:
            message = json.loads(self._read(length))
        except (ValueError, RecursionError) as error:
            raise ChannelClosed(f"a message is not understood: {error}") from None
        if not isinstance(message, dict):
            raise ChannelClosed("a message is not understood")
        return message

    def _read(self, length: int) -> bytes:
        body = bytearray()
        while len(body) < length:
            if self.deadline is not None:
                wait = max(0.0, self.deadline - time.monotonic())
                if not select.select([self._read_fd], [], [], wait)[0]:
                    raise ChannelTimeout
            piece = os.read(self._read_fd, length - len(body))
            if not piece:
                raise ChannelClosed("the process has ended")
            body += piece
        return bytes(body)


def _overwrite(original: Any, now: Any) -> None:
    """Gives a list, dict or set new contents in place."""
    if isinstance(original, list) and isinstance(now, list):
        original[:] = now
    elif isinstance(original, (dict, set)) and type(original) is type(now):
        original.clear()
        original.update(now)


def _description(error: BaseException) -> list[Any]:
    """An exception as the names of its class and the classes above it, and its message."""
    try:
        message = str(error)[:_MAX_MESSAGE_CHARS]
    except BaseException as another:  # noqa: BLE001 - a `__str__` of the code on trial
        message = type(another).__name__
    return [[kind.__name__ for kind in type(error).__mro__], message]


def _exception(names: list[str], message: str) -> Exception:
    """The nearest of Python's own exceptions, so that a test can expect a ValueError."""
    for name in names:
        kind = getattr(builtins, str(name), None)
        if isinstance(kind, type) and issubclass(kind, Exception) and kind not in (Exception, StopAsyncIteration):
            try:
                return kind(message)
            except TypeError:
                break
    return RemoteError(f"{names[0]}: {message}")
