"""The worker: the process which holds the code on trial and does with it what the runner asks.

It has never seen the tests: it is forked before the runner reads them, and learns the arguments of each call
alone.
"""

import operator
import sys
import types
from collections.abc import Callable, Collection
from typing import Any

from . import layers
from .channel import Channel
from .values import Remote, Values

_BINARY = ("eq", "ne", "lt", "le", "gt", "ge", "add", "sub", "mul")
_OPERATIONS: dict[str, Callable[..., Any]] = {
    "getattr": getattr,
    "setattr": setattr,
    "getitem": operator.getitem,
    "setitem": operator.setitem,
    "delitem": operator.delitem,
    "len": len,
    "iter": iter,
    "next": next,
    "str": str,
    "repr": repr,
    "bool": bool,
    "isinstance": lambda kind, thing: isinstance(thing, kind),
    "call": lambda target, keywords, *arguments: target(*arguments, **keywords),
    **{name: getattr(operator, name) for name in _BINARY},
}


class _TestFunction(Remote):
    """A function that a test has passed as an argument."""

    def __init__(self, channel: Channel, number: int) -> None:
        self._channel, self.number = channel, number

    def __call__(self, *arguments: Any, **keywords: Any) -> Any:
        return self._channel.request("call", self, keywords, *arguments)


def work(read_fd: int, write_fd: int, held: Collection[str], missing: Collection[str]) -> None:
    """Locks itself in, tells which layers hold, and serves the runner until it is gone."""
    module = types.ModuleType("answer")
    sys.modules["answer"] = module  # dataclasses look their module up

    def serve(operation: str, arguments: list[Any]) -> Any:
        if operation == "load":
            program = compile(arguments[0], "<answer>", "exec", dont_inherit=True)
            exec(program, module.__dict__)
            return [name for name in vars(module) if not name.startswith("__")]
        if operation == "get":
            return getattr(module, arguments[0])
        return _OPERATIONS[operation](*arguments)

    values = Values(lambda number: _TestFunction(channel, number))
    channel = Channel(read_fd, write_fd, values, serve)
    try:
        layers.die_with_parent()
        layers.forbid_processes()
        channel.send({"layers": layers.filter_system_calls(held, None, missing)})
    except layers.LayerError as error:
        channel.send({"unavailable": str(error)})
        return
    while True:
        channel.answer(channel.receive())
