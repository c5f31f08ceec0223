"""What a verification finds."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

What = Literal["changed", "missing", "no origin"]
"""changed: not as it was written; missing: written, and gone; no origin: nothing says where it comes from."""


@dataclass(frozen=True)
class Finding:
    """Something that is not as it was recorded. `where`: a path under the data folder, a call, an example."""

    what: What
    where: str
    why: str

    def __str__(self) -> str:
        return f"{self.what}: {self.where}: {self.why}"


@dataclass
class Verification:
    """All that a verification found out.

    Attributes:
        notes: what differs from the records for a known reason (a pruned checkpoint, a manifest that was superseded).
        head: SHA-256 of the newest manifest. Kept elsewhere, it proves later that the whole chain is the same.
    """

    rounds: int = 0
    files: int = 0
    bytes: int = 0
    calls: int = 0
    examples: int = 0
    head: str | None = None
    findings: list[Finding] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def passed(self) -> bool:
        return not self.findings

    def changed(self, where: str, why: str) -> None:
        """Note a file or row that is not as recorded."""
        self.findings.append(Finding("changed", where, why))

    def missing(self, where: str, why: str) -> None:
        """Note a file or row that is recorded but not there."""
        self.findings.append(Finding("missing", where, why))

    def no_origin(self, where: str, why: str) -> None:
        """Note a file or row that no record explains."""
        self.findings.append(Finding("no origin", where, why))

    def names(self) -> Sequence[str]:
        """Everything that was found, by what it is called."""
        return [finding.where for finding in self.findings]
