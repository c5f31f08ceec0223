"""The nodes and links of a trace."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass
class Node:
    """A thing in the lineage.

    Attributes:
        kind: seed, candidate, example (a kept candidate), call, batch, checkpoint, evaluation item.
        text: what it says, if it says something: an instruction, a prompt.
        facts: what is recorded about it, by name.
    """

    kind: str
    id: str
    text: str = ""
    facts: dict[str, Any] = field(default_factory=dict)
    came_from: list[Link] = field(default_factory=list)
    led_to: list[Link] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """Nested dictionaries; without the fields that are empty."""
        return asdict(self, dict_factory=lambda fields: {name: value for name, value in fields if value})

    def link_from(self, relation: str, nodes: list[Node], total: int | None = None) -> None:
        """Say what it came from; nothing if there are no nodes."""
        if nodes:
            self.came_from.append(Link(relation, total or len(nodes), nodes))

    def link_to(self, relation: str, nodes: list[Node], total: int | None = None) -> None:
        """Say what it led to; nothing if there are no nodes."""
        if nodes:
            self.led_to.append(Link(relation, total or len(nodes), nodes))


@dataclass
class Link:
    """Things that stand in the same relation to a node. `total`: how many do; `nodes` may be the first of them."""

    relation: str
    total: int
    nodes: list[Node]
