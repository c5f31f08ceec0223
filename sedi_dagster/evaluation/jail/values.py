"""Values as JSON, for the channel: plain ones by value, all others as references to their owner.

A subclass crosses as the plain type which it extends, so no method of the code on trial (`__eq__`,
`__hash__`, `__bool__`) ever runs where the verdict is made.
"""

from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any

_JSON_INT = 1 << 62


class Remote:
    """An object of the other side; `number` is its place among the objects which that side has lent."""

    number: int


class Values:
    """Turns values into JSON and back, and keeps the objects lent to the other side.

    Args:
        remote: makes what stands here for an object of the other side, from its number.
    """

    def __init__(self, remote: Callable[[int], Remote]) -> None:
        self._remote = remote
        self._lent: list[Any] = []

    def encode(self, value: Any) -> Any:
        """A value as JSON.

        Raises:
            RecursionError: the value contains itself or is nested too deep.
        """
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, Remote):
            return {"yours": value.number}
        if isinstance(value, int):
            number = int(value)
            return number if -_JSON_INT < number < _JSON_INT else {"int": hex(number)}
        for kind in (float, str):
            if isinstance(value, kind):
                return kind(value)
        if isinstance(value, list):
            return [self.encode(one) for one in value]
        return self._encode_tagged(value)

    def _encode_tagged(self, value: Any) -> dict[str, Any]:
        if isinstance(value, dict):
            return {"dict": [[self.encode(key), self.encode(one)] for key, one in value.items()]}
        if isinstance(value, range):
            return {"range": [self.encode(value.start), self.encode(value.stop), self.encode(value.step)]}
        for kind, as_json in _FORMS:
            if isinstance(value, kind):
                inside = as_json(value)
                return {kind.__name__: [self.encode(one) for one in inside] if isinstance(inside, list) else inside}
        self._lent.append(value)
        return {"mine": len(self._lent) - 1}

    def decode(self, encoded: Any) -> Any:
        """The value of a piece of JSON.

        Raises:
            ValueError, TypeError, KeyError, IndexError, RecursionError: the other side sent nonsense.
        """
        if isinstance(encoded, list):
            return [self.decode(one) for one in encoded]
        if not isinstance(encoded, dict):
            return encoded
        ((tag, inside),) = encoded.items()
        if tag == "mine":
            return self._remote(int(inside))
        if tag == "yours":
            return self._lent[int(inside)]
        if tag == "dict":
            return {self.decode(key): self.decode(one) for key, one in inside}
        return _MAKERS[tag](self.decode(inside))


_FORMS: list[tuple[type, Callable[[Any], Any]]] = [
    (tuple, list),
    (set, list),
    (frozenset, list),
    (bytes, bytes.hex),
    (bytearray, bytearray.hex),
    (complex, lambda number: [number.real, number.imag]),
    (Decimal, str),
    (Fraction, str),
    (datetime, datetime.isoformat),  # before date, which it extends
    (date, date.isoformat),
]
_MAKERS: dict[str, Callable[[Any], Any]] = {
    "int": lambda digits: int(digits, 16),
    "tuple": tuple,
    "set": set,
    "frozenset": frozenset,
    "bytes": bytes.fromhex,
    "bytearray": bytearray.fromhex,
    "range": lambda bounds: range(*bounds),
    "complex": lambda parts: complex(*parts),
    "Decimal": Decimal,
    "Fraction": Fraction,
    "date": date.fromisoformat,
    "datetime": datetime.fromisoformat,
}
