"""The kept examples closest in meaning to a text, now or as of a round."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from sedi_dagster.batching.example_table import TABLE
from sedi_dagster.errors import SediError
from sedi_dagster.storage.object_store import lance_database
from sedi_dagster.storage.store import Store

if TYPE_CHECKING:
    import numpy as np

Embed = Callable[[Sequence[str], str], "np.ndarray"]
"""`embed(texts, model_name)`: unit vectors, one row a text."""


def similar_examples(
    store: Store, text: str, embed: Embed, model: str, limit: int = 10, as_of: str = "", category: str = ""
) -> list[dict[str, Any]]:
    """Nearest first: example_id, round, category, instruction, input, output, `cosine`.

    Args:
        as_of: a round; the table is read as that round left it. Empty: as it is now.
        category: only examples of it; empty: all.

    Raises:
        SediError: there are no examples, no such round or category, or they have vectors of another model.
    """
    table = _opened(store, as_of)
    stored = table.search().select(["embedding_model"]).limit(1).to_list()
    if not stored:
        raise SediError("No example has been kept yet.", "Run `sedi run` first.")
    if stored[0]["embedding_model"] != model:
        raise SediError(
            f"The examples have embeddings of {stored[0]['embedding_model']}, not of {model}.",
            "Set SEDI_BATCHING_EMBEDDING_MODEL to that model.",
        )
    query = table.search(embed([text], model)[0]).distance_type("cosine").limit(limit)
    if category:
        quoted = category.replace("'", "''")
        if not table.count_rows(f"category = '{quoted}'"):
            raise SediError(f"No example has the category {category!r}.", "`sedi plan` lists the categories.")
        query = query.where(f"category = '{quoted}'", prefilter=True)
    names = ("example_id", "round", "category", "instruction", "input", "output")
    return [{n: row[n] for n in names} | {"cosine": 1 - row["_distance"]} for row in query.to_list()]


def _opened(store: Store, as_of: str) -> Any:
    """The table, at the state that a round left."""
    database = lance_database(str(store.path("lance")))
    if TABLE not in database.list_tables(limit=10_000).tables:
        raise SediError("No example has been kept yet.", "Run `sedi run` first.")
    table = database.open_table(TABLE)
    if as_of:
        rounds = sorted(table.tags.list())
        if as_of not in rounds:
            raise SediError(f"There is no state of the examples as of {as_of!r}.", f"Choose from {', '.join(rounds)}.")
        table.checkout(as_of)
    return table
