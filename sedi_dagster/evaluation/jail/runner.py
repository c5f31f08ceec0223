"""The test runner: reads code and tests, has the worker run the code, and compares the results itself.

Tests run here, in a process that never runs a line of the code on trial, so the code can say nothing about
its verdict but by what its functions return. Started by the sandbox as `python -I -S -c ... RESULT_FD
OPTIONS`.
"""

import builtins
import importlib
import json
import os
import signal
import sys
import time
import types
from typing import Any

from . import layers
from .channel import Channel, ChannelClosed, ChannelTimeout
from .values import Remote, Values
from .worker import work

_TEST_MODULES = """
    cmath collections copy datetime decimal fractions functools heapq itertools json math operator random re
    statistics string types""".split()
_MAX_DETAIL_CHARS = 300


class WorkerObject(Remote):
    """An object of the worker that is no plain value: a function, a class, an instance, a generator.

    It compares and computes only with its own kind: compared with a plain value it is never equal, and
    arithmetic with one is refused, so that an object whose `__eq__` or `__sub__` lies meets no expected
    value.
    """

    __slots__ = ("_channel", "number")

    def __init__(self, channel: Channel, number: int) -> None:
        object.__setattr__(self, "_channel", channel)
        object.__setattr__(self, "number", number)

    def __call__(self, *arguments: Any, **keywords: Any) -> Any:
        return self._channel.request("call", self, keywords, *arguments)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return self._channel.request("getattr", self, name)

    def __setattr__(self, name: str, value: Any) -> None:
        self._channel.request("setattr", self, name, value)

    def __len__(self) -> int:
        return int(self._channel.request("len", self))

    def __str__(self) -> str:
        return str(self._channel.request("str", self))

    def __repr__(self) -> str:
        return str(self._channel.request("repr", self))

    def __bool__(self) -> bool:
        return self._channel.request("bool", self) is True

    def __instancecheck__(self, thing: Any) -> bool:
        return isinstance(thing, WorkerObject) and self._channel.request("isinstance", self, thing) is True

    def __hash__(self) -> int:
        return self.number


def _forwarded(name: str) -> Any:
    return lambda self, *arguments: self._channel.request(name, self, *arguments)


def _among_its_own_kind(name: str) -> Any:
    def operation(self: WorkerObject, other: Any) -> Any:
        return self._channel.request(name, self, other) if isinstance(other, WorkerObject) else NotImplemented

    return operation


for _name in ("getitem", "setitem", "delitem", "iter", "next"):  # what `iter` brings is itself such an object
    setattr(WorkerObject, f"__{_name}__", _forwarded(_name))
for _name in ("eq", "ne", "lt", "le", "gt", "ge", "add", "sub", "mul"):
    setattr(WorkerObject, f"__{_name}__", _among_its_own_kind(_name))


class Runner:
    """One trial: its channel to the worker, and the pipe on which it reports events as lines of JSON."""

    def __init__(self, channel: Channel, result_fd: int) -> None:
        self._channel, self._result_fd = channel, result_fd
        self._names: set[str] = set()

    def report(self, **event: Any) -> None:
        """Writes one event for the caller."""
        os.write(self._result_fd, json.dumps(event).encode("ascii") + b"\n")

    def load(self, code: str, function: str) -> bool:
        """Has the worker run the code; False when it cannot be run or does not define the function."""
        try:
            self._names = {str(name) for name in self._channel.request("load", code)}
        except BaseException as error:  # noqa: BLE001 - whatever the code raises, it is the code that failed
            self.report(loaded=False, **_why(error))
            return False
        if function not in self._names:
            self.report(loaded=False, reason="failed", detail=f"the code defines no {function}"[:_MAX_DETAIL_CHARS])
            return False
        return True

    def test(self, source: str, function: str) -> dict[str, str]:
        """Runs one test; what was wrong, or nothing when it passes."""
        try:
            program = compile(source, "<test>", "exec", dont_inherit=True)
            exec(program, self._names_for(program, function))
        except AssertionError as error:
            return {
                "reason": "failed",
                "detail": f"assertion failed: {str(error) or source}"[:_MAX_DETAIL_CHARS],
            }
        except BaseException as error:  # noqa: BLE001 - a test fails by whatever exception ends it
            return _why(error)
        return {}

    def _names_for(self, program: types.CodeType, function: str) -> dict[str, Any]:
        """What a test can name: the function, common modules of ours, and what else the code defines.

        Python's own names stay Python's own, so that code which redefines `all` or `math` gains nothing.
        """
        names: dict[str, Any] = {"__name__": "test", function: self._channel.request("get", function)}
        for name in _names_in(program) - names.keys():
            if name in _TEST_MODULES:
                names[name] = importlib.import_module(name)
            elif name in self._names and not hasattr(builtins, name):
                names[name] = self._channel.request("get", name)
        return names


def _names_in(program: types.CodeType) -> set[str]:
    inner = [one for one in program.co_consts if isinstance(one, types.CodeType)]
    return set(program.co_names).union(*map(_names_in, inner))


def _why(error: BaseException) -> dict[str, str]:
    detail = f"{type(error).__name__}: {error}"[:_MAX_DETAIL_CHARS]
    if isinstance(error, ChannelTimeout):
        return {"reason": "timeout", "detail": "the time is over"}
    if isinstance(error, ChannelClosed):
        return {"reason": "ended", "detail": str(error)[:_MAX_DETAIL_CHARS]}
    if isinstance(error, MemoryError):
        return {"reason": "memory", "detail": detail}
    return {"reason": "syntax error" if isinstance(error, SyntaxError) else "failed", "detail": detail}


def _serve_worker(operation: str, arguments: list[Any]) -> Any:
    """The one thing that the worker may ask: to call a function which a test has passed to it."""
    if operation != "call":
        raise PermissionError(f"the runner does not serve {operation}")
    target, keywords, *positional = arguments
    return target(*positional, **keywords)


def main(result_fd: int, options: dict[str, Any]) -> None:
    """Forks the worker, tries the code read from standard input, and reports.

    Args:
        result_fd: where the events go.
        options: `timeout_s`, `memory_bytes`, and `missing` layers (for tests of the fall-backs).
    """
    deadline = time.monotonic() + options["timeout_s"]
    missing = options["missing"]
    nothing = os.open(os.devnull, os.O_RDWR)
    try:
        held = layers.confine(options["memory_bytes"], int(options["timeout_s"]) + 2, missing)
        pid, channel = _fork_worker(result_fd, nothing, held, missing)
        channel.deadline = deadline
        answer = channel.receive()
        if "layers" not in answer:
            raise layers.LayerError(answer.get("unavailable", "the worker did not lock itself in"))
        layers.filter_system_calls(held, pid, missing)
    except (layers.LayerError, ChannelClosed, ChannelTimeout, OSError) as error:
        os.write(result_fd, json.dumps({"unavailable": f"{error}"}).encode("ascii") + b"\n")
        return
    runner = Runner(channel, result_fd)
    runner.report(layers=answer["layers"])
    try:
        job = json.load(sys.stdin)
        if runner.load(job["code"], job["function"]):
            for number, source in enumerate(job["tests"]):
                runner.report(test=number, **runner.test(source, job["function"]))
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def _fork_worker(result_fd: int, nothing: int, held: list[str], missing: list[str]) -> tuple[int, Channel]:
    worker_in, runner_out = os.pipe()
    runner_in, worker_out = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.dup2(nothing, 0)
            _close_all_but((worker_in, worker_out), up_to=max(result_fd, 1024))
            work(worker_in, worker_out, held, missing)
        finally:
            os._exit(1)
    os.close(worker_in)
    os.close(worker_out)
    channel = Channel(runner_in, runner_out, Values(lambda number: WorkerObject(channel, number)), _serve_worker)
    return pid, channel


def _close_all_but(kept: tuple[int, ...], up_to: int) -> None:
    """Closes the job, the result channel and all else but the standard streams and `kept`."""
    start = 3
    for descriptor in (*sorted(kept), up_to + 1):
        os.closerange(start, descriptor)
        start = descriptor + 1
