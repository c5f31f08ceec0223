"""Finding an object by id, prefix, hash of a weights file, or part of a text; and all that is derived from it."""

import re
from collections.abc import Iterator, Mapping

from sedi_dagster.errors import SediError
from sedi_dagster.lineage.index import MOST_FOUND
from sedi_dagster.lineage.trace.archive import Archive, Node, brief, brief_candidate
from sedi_dagster.lineage.trace.nodes import call_node, candidate_node, item_node, seed_node
from sedi_dagster.lineage.trace.training import batch_node, checkpoint_node
from sedi_dagster.storage.rounds import SEED_TASKS

_CHECKPOINT = re.compile(rf"(?:checkpoints/)?(round-\d{{4,}}|{SEED_TASKS})/?")
_BATCH = re.compile(r"(round-\d{4,})/(?:batch|step)-0*(\d+)")
_LISTED = 8


def trace(archive: Archive, wanted: str) -> Node:
    """The trace of what is meant.

    Raises:
        SediError: nothing has that id or text, or several things have; the error lists them.
    """
    wanted = wanted.strip()
    if batch := _BATCH.fullmatch(wanted):
        node = batch_node(archive, batch[1], int(batch[2]))
    elif checkpoint := _CHECKPOINT.fullmatch(wanted):
        node = checkpoint_node(archive, checkpoint[1])
    else:
        node = _by_id(archive, _only(archive, wanted))
    if node is None:
        raise SediError(f"Nothing is known of {wanted!r}.", _FIX)
    return node


_FIX = (
    "Take an id (or its beginning) from the dataset (example_id), a report, `sedi rejected` or `sedi calls list`, "
    "a round such as round-0001, a batch such as round-0001/batch-0003, or a piece of an instruction."
)


def _only(archive: Archive, wanted: str) -> str:
    """The one id that is meant."""
    if not wanted:
        raise SediError("The ID is empty.", _FIX)
    found = archive.index.with_prefix(wanted)
    if wanted in found:
        return wanted
    found = found or archive.index.with_text(wanted)
    if not found:
        raise SediError(f"No id begins with {wanted!r}, and no text contains it.", _FIX)
    if len(found) > 1:
        many = f"{MOST_FOUND} or more" if len(found) >= MOST_FOUND else str(len(found))
        raise SediError(f"{many} begin with {wanted!r} or have it in their text:\n{_list(archive, found)}",
                        "Give a longer id or text.")  # fmt: skip
    return next(iter(found))


def _list(archive: Archive, found: Mapping[str, str]) -> str:
    lines = [f"  {id_}  {(text or brief(archive, id_).text)[:80]}" for id_, text in list(found.items())[:_LISTED]]
    return "\n".join(lines + ["  ..."] * (len(found) > _LISTED))


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
    """For takedown requests: candidates whose prompt showed it or that were evolved from it, then theirs, each once."""
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
