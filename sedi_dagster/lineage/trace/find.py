"""Finding an object by id, prefix, hash of a weights file or part of a text, and everything derived from it."""

import re
from collections.abc import Iterator, Mapping

from sedi_dagster.errors import SediError
from sedi_dagster.lineage.index import MAX_MATCHES
from sedi_dagster.lineage.trace.archive import Archive, Node, brief, brief_candidate
from sedi_dagster.lineage.trace.nodes import call_node, candidate_node, item_node, seed_node
from sedi_dagster.lineage.trace.training import batch_node, checkpoint_node
from sedi_dagster.storage.rounds import SEED_TASKS

_CHECKPOINT = re.compile(rf"(?:checkpoints/)?(round-\d{{4,}}|{SEED_TASKS})/?")
_BATCH = re.compile(r"(round-\d{4,})/(?:batch|step)-0*(\d+)")
_MAX_LISTED = 8
_FIX = (
    "Give an id (or a prefix) from the dataset (example_id), a report, `sedi rejected` or `sedi calls list`, "
    "a round such as round-0001, a batch such as round-0001/batch-0003, or part of an instruction."
)


def trace(archive: Archive, query: str) -> Node:
    """Return the trace of the object that an id, prefix or text refers to.

    Raises:
        SediError: nothing matches, or several objects do; the error lists them.
    """
    query = query.strip()
    if batch := _BATCH.fullmatch(query):
        node = batch_node(archive, batch[1], int(batch[2]))
    elif checkpoint := _CHECKPOINT.fullmatch(query):
        node = checkpoint_node(archive, checkpoint[1])
    else:
        node = _by_id(archive, _resolve(archive, query))
    if node is None:
        raise SediError(f"There is no record of {query!r}.", _FIX)
    return node


def _resolve(archive: Archive, query: str) -> str:
    """The only id that matches an id, prefix or text."""
    if not query:
        raise SediError("The ID is empty.", _FIX)
    matches = archive.index.with_prefix(query)
    if query in matches:
        return query
    matches = matches or archive.index.with_text(query)
    if not matches:
        raise SediError(f"No id begins with {query!r}, and no text contains it.", _FIX)
    if len(matches) > 1:
        number = f"{MAX_MATCHES} or more" if len(matches) >= MAX_MATCHES else str(len(matches))
        raise SediError(f"{number} ids begin with {query!r} or have it in their text:\n{_list(archive, matches)}",
                        "Give a longer id or text.")  # fmt: skip
    return next(iter(matches))


def _list(archive: Archive, matches: Mapping[str, str]) -> str:
    first = list(matches.items())[:_MAX_LISTED]
    lines = [f"  {id_}  {(text or brief(archive, id_).text)[:80]}" for id_, text in first]
    return "\n".join(lines + ["  ..."] * (len(matches) > _MAX_LISTED))


def _by_id(archive: Archive, id_: str) -> Node | None:
    roles = {mention.role for mention in archive.mentions(id_)}
    if "candidate" in roles:
        return candidate_node(archive, id_)
    if roles & {"seed", "seed set"}:
        return seed_node(archive, id_)
    if "call" in roles:
        return call_node(archive, id_)
    if "item" in roles:
        return item_node(archive, id_)
    for mention in archive.mentions(id_, "file"):
        return checkpoint_node(archive, mention.round or SEED_TASKS)
    return None


def descendants(archive: Archive, id_: str) -> Iterator[Node]:
    """Yield every candidate derived from a seed or candidate, directly or indirectly, once each (takedown requests).

    A candidate is derived from those that its prompt showed and from the one that it was evolved from.
    """
    seen, queue = {id_}, [id_]
    while queue:
        parent = queue.pop(0)
        for role, column in (("demonstration", "demonstration_ids"), ("parent", "parent_id")):
            for mention in archive.mentions(parent, role):
                for row in archive.rows(mention.partition, "candidates", column, parent):
                    if row["candidate_id"] not in seen:
                        seen.add(row["candidate_id"])
                        queue.append(row["candidate_id"])
                        yield brief_candidate(archive, row["candidate_id"])
