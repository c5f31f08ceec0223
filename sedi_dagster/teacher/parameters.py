"""Request fields that an endpoint does not support: learned from its errors, and omitted from then on.

The key of a call is of the intended request, so an answer is found regardless of omitted fields. Rejected fields are
stored next to the ledger and reported once.
"""

import hashlib
import json
from collections.abc import Iterable

from sedi_dagster.teacher.ledger import Ledger

_NEEDED = frozenset(("model", "messages", "prompt", "response_format"))
_TOKEN_LIMITS = ("max_tokens", "max_completion_tokens")


class Parameters:
    """What one model at one endpoint refuses."""

    def __init__(self, ledger: Ledger, endpoint: str, model: str) -> None:
        digest = hashlib.blake2b(f"{endpoint} {model}".encode(), digest_size=8).hexdigest()
        self._ledger = ledger
        self._name = f"refused-{digest}"
        self.refused: frozenset[str] = frozenset()

    def recall(self) -> None:
        """Read what was found out in earlier runs."""
        self.refused = frozenset(json.loads(self._ledger.note(self._name) or "[]"))

    def learn(self, names: Iterable[str]) -> frozenset[str]:
        """Take note of refused names; returns those that are new.

        One limit of tokens is never left out, as nothing would bound a cost.
        """
        new = frozenset(names) - self.refused
        if new | self.refused >= set(_TOKEN_LIMITS):
            new -= set(_TOKEN_LIMITS)
        if new:
            self.refused |= new
            self._ledger.write_note(self._name, json.dumps(sorted(self.refused)))
        return new

    def forget(self) -> None:
        """Try them again from now on."""
        self.refused = frozenset()
        self._ledger.write_note(self._name, "[]")

    def adapt(self, body: bytes) -> bytes:
        """The body without the refused fields. A token limit goes under its other name."""
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
    """The fields that a request could go without."""
    return [name for name in json.loads(body) if name not in _NEEDED]
