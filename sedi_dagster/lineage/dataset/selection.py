"""Selection of exported examples: by round, category and training measurements."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from sedi_dagster.errors import SediError
from sedi_dagster.records import round_named
from sedi_dagster.storage.rounds import load_history
from sedi_dagster.storage.store import Store

MEASURED = {"loss_before": pl.Float64, "loss_after": pl.Float64, "ifd": pl.Float64}
"""Of an example in the round that kept it: its loss before and after training, instruction-following difficulty."""


@dataclass(frozen=True)
class Selection:
    """Empty: all. `where`: a condition in SQL over the columns of `finished_examples`, such as `ifd < 0.9`."""

    rounds: Sequence[str] = ()
    categories: Sequence[str] = ()
    where: str = ""

    def __str__(self) -> str:
        parts = [f"rounds {', '.join(self.rounds)}"] if self.rounds else []
        parts += [f"categories {', '.join(self.categories)}"] if self.categories else []
        return "; ".join([*parts, *([f"where {self.where}"] if self.where else [])]) or "all"


def finished_examples(store: Store) -> pl.DataFrame:
    """The kept examples of all finished rounds, with what was measured of them; null where it was not."""
    frames = []
    for outcome in load_history(store).finished:
        examples = store.read_table("examples", "filtered_batches", outcome.round)
        frames.append(
            examples.join(_measured(store, outcome.round), on="example_id", how="left", maintain_order="left")
        )
    if not frames:
        raise SediError("No round is finished yet, so there is nothing to export.", "Run `sedi run` first.")
    return pl.concat(frames)


def select(examples: pl.DataFrame, selection: Selection) -> pl.DataFrame:
    """The chosen examples, in order.

    Raises:
        SediError: a round or category has none, the condition cannot be read, or nothing is left.
    """
    keys = [round_named(name) for name in selection.rounds]
    for column, wanted in (("round", keys), ("category", selection.categories)):
        known = examples[column].unique().sort().to_list()
        unknown = [name for name in wanted if name not in known]
        if unknown:
            raise SediError(f"No example has the {column} {unknown[0]!r}.", f"There are: {', '.join(known)}.")
        examples = examples.filter(pl.col(column).is_in(wanted)) if wanted else examples
    if selection.where:
        examples = _where(examples, selection.where)
    if examples.is_empty():
        raise SediError(f"The selection matches no example: {selection}.", "Relax the selection.")
    return examples


def _where(examples: pl.DataFrame, condition: str) -> pl.DataFrame:
    try:
        return examples.filter(pl.sql_expr(condition))
    except (pl.exceptions.PolarsError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise SediError(
            f"--where {condition!r} cannot be used: {reason}.",
            f'Write a condition in SQL over {", ".join(examples.columns)}, such as "loss_before > 1 AND ifd < 0.9".',
        ) from None


def _measured(store: Store, key: str) -> pl.DataFrame:
    """`example_id` and `MEASURED` of a round's examples."""
    tables = store.read_tables("sft_checkpoint", key) if store.tables_marker("sft_checkpoint", key) else {}
    trained = tables.get("examples", pl.DataFrame(schema={"example_id": pl.String}))
    names = {"loss_before": "loss_before", "loss_after": "loss_after", "ifd_loss_ratio": "ifd"}
    there = {old: new for old, new in names.items() if old in trained.columns}
    measured = trained.select("example_id", *there).rename(there).unique("example_id")
    missing = [pl.lit(None, dtype).alias(name) for name, dtype in MEASURED.items() if name not in measured.columns]
    return measured.with_columns(missing).select("example_id", *MEASURED)
