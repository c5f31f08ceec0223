"""Everything derived from a seed or an example, for takedown requests."""

from __future__ import annotations

from collections.abc import Iterator

from sedi_dagster.lineage.trace.archive import Archive
from sedi_dagster.lineage.trace.node import Node
from sedi_dagster.lineage.trace.texts import brief_candidate


def descendants(archive: Archive, id_: str) -> Iterator[Node]:
    """The candidates whose prompt showed it or that were evolved from it, then theirs, each once, nearest first."""
    seen, waiting = {id_}, [id_]
    while waiting:
        parent = waiting.pop(0)
        for role, column in (("demonstration", "demonstration_ids"), ("parent", "parent_id")):
            for mention in archive.mentions(parent, role):
                for row in archive.rows(mention.partition, "candidates", column, parent):
                    if row["candidate_id"] not in seen:
                        seen.add(row["candidate_id"])
                        waiting.append(row["candidate_id"])
                        yield brief_candidate(archive, row["candidate_id"])
