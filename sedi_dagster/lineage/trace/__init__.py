"""The trace of an object with an id: where it came from and what it led to.

`trace(archive, "cand-3f2a")` finds an example, candidate, seed, call, batch, checkpoint or evaluation item by its id,
a prefix of the id, or part of its text.
"""

from sedi_dagster.lineage.trace.archive import Archive, Link, Node
from sedi_dagster.lineage.trace.find import descendants, trace

__all__ = ["Archive", "Link", "Node", "descendants", "trace"]
