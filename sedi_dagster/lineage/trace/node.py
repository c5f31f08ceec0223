"""The nodes and links of a trace."""

from __future__ import annotations

from dataclasses import dataclass, field
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
        shown: dict[str, Any] = {"kind": self.kind, "id": self.id}
        shown |= {"text": self.text} if self.text else {}
        shown |= {"facts": self.facts} if self.facts else {}
        for name in ("came_from", "led_to"):
            links: list[Link] = getattr(self, name)
            if links:
                shown[name] = [link.to_json() for link in links]
        return shown

    def link_from(self, label: str, nodes: list[Node], total: int | None = None) -> None:
        """Say what it came from; nothing if there are no nodes."""
        _append(self.came_from, label, nodes, total)

    def link_to(self, label: str, nodes: list[Node], total: int | None = None) -> None:
        """Say what it led to; nothing if there are no nodes."""
        _append(self.led_to, label, nodes, total)


@dataclass
class Link:
    """Things that stand in the same relation to a node. `total`: how many do; `nodes` may be the first of them."""

    label: str
    nodes: list[Node]
    total: int

    def to_json(self) -> dict[str, Any]:
        return {"relation": self.label, "total": self.total, "nodes": [node.to_json() for node in self.nodes]}


def _append(links: list[Link], label: str, nodes: list[Node], total: int | None) -> None:
    if nodes:
        links.append(Link(label, nodes, len(nodes) if total is None else total))
