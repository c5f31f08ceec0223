"""Request fields that an endpoint does not support: learned from its errors, and omitted from then on.

The key of a call is a hash of the intended request, so an answer is found regardless of omitted fields. Rejected fields
are stored in the ledger and reported once.
"""

import hashlib
import json
from collections.abc import Iterable

from sedi_dagster.teacher.ledger import Ledger

_NEEDED = frozenset(("model", "messages", "prompt", "response_format"))
_TOKEN_LIMITS = ("max_tokens", "max_completion_tokens")


class Parameters:
    """The request fields that one model at one endpoint rejects."""

    def __init__(self, ledger: Ledger, endpoint: str, model: str) -> None:
        digest = hashlib.blake2b(f"{endpoint} {model}".encode(), digest_size=8).hexdigest()
        self._ledger = ledger
        self._name = f"refused-{digest}"
        self.refused: frozenset[str] = frozenset()

    def recall(self) -> None:
        """Read the fields that were rejected in earlier runs."""
        self.refused = frozenset(json.loads(self._ledger.note(self._name) or "[]"))

    def learn(self, names: Iterable[str]) -> frozenset[str]:
        """Remember rejected fields, and return those that are new.

        One of the two token limits is always sent, as nothing else bounds the cost of a call.
        """
        new = frozenset(names) - self.refused
        if new | self.refused >= set(_TOKEN_LIMITS):
            new -= set(_TOKEN_LIMITS)
        if new:
            self.refused |= new
            self._ledger.write_note(self._name, json.dumps(sorted(self.refused)))
        return new

    def forget(self) -> None:
        """Send all fields again from now on."""
        self.refused = frozenset()
        self._ledger.write_note(self._name, "[]")

    def adapt(self, body: bytes) -> bytes:
        """Return the body without the rejected fields. A rejected token limit is sent under its other name."""
        if not self.refused:
            return body
        fields = json.loads(body)
        for name in self.refused & fields.keys():
            value = fields.pop(name)
            other = next((n for n in _TOKEN_LIMITS if n != name and name in _TOKEN_LIMITS), None)
            if other is not None and other not in self.refused:
                fields[other] = value
        return json.dumps(fields, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()


def optional_fields(body: bytes) -> list[str]:
    """Return the fields of a request that could be omitted."""
    return [name for name in json.loads(body) if name not in _NEEDED]
