"""The result of a verification."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

Kind = Literal["changed", "missing", "no origin"]
"""changed: not as it was written; missing: recorded but not there; no origin: there but not recorded."""


@dataclass(frozen=True)
class Finding:
    """A difference between the data folder and its records.

    Attributes:
        where: a path under the data folder, a call or an example.
        why: the record that it contradicts.
    """

    what: Kind
    where: str
    why: str

    def __str__(self) -> str:
        return f"{self.what}: {self.where}: {self.why}"


@dataclass
class Verification:
    """The result of a verification: what was checked and what was found.

    Attributes:
        notes: differences with a known reason (a pruned checkpoint, a superseded manifest).
        head: SHA-256 of the newest manifest. Kept elsewhere, it can later prove that the chain is unchanged.
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
        """Add a finding: a file or row is not as recorded."""
        self.findings.append(Finding("changed", where, why))

    def missing(self, where: str, why: str) -> None:
        """Add a finding: a file or row is recorded but not there."""
        self.findings.append(Finding("missing", where, why))

    def no_origin(self, where: str, why: str) -> None:
        """Add a finding: no record explains a file or row."""
        self.findings.append(Finding("no origin", where, why))

    def names(self) -> Sequence[str]:
        """Return `where` of each finding."""
        return [finding.where for finding in self.findings]
