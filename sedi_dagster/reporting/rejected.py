"""Rejected candidates of all rounds, with the rule and the nearest neighbour."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import polars as pl

from sedi_dagster.errors import SediError
from sedi_dagster.filtering.verdicts import VERDICT_SCHEMA
from sedi_dagster.records import round_named
from sedi_dagster.storage.rounds import LoopHistory
from sedi_dagster.storage.store import Store

DROPPED_SCHEMA: dict[str, Any] = {
    "round": pl.String,
    **VERDICT_SCHEMA,
    "neighbour_rule": pl.String,  # set if the neighbour was dropped later, by this rule
    "input": pl.String,
    "output": pl.String,
    "raw": pl.String,
}


def judged_rounds(store: Store, history: LoopHistory, wanted: str) -> list[str]:
    """Keys of the rounds that were filtered: the wanted one (`3` or `round-0003`), or all.

    Raises:
        SediError: there is none.
    """
    judged = [plan.round for plan in history.plans if store.tables_marker("filtered_batches", plan.round)]
    if not judged:
        raise SediError(
            "No round has been filtered yet.", "`sedi run` makes one; SEDI_DATA says which data to look at."
        )
    if not wanted:
        return judged
    key = round_named(wanted)
    if key not in judged:
        raise SediError(f"{key} has not been filtered.", f"Choose from {', '.join(judged)}.")
    return [key]


def read_verdicts(store: Store, rounds: Sequence[str]) -> pl.DataFrame:
    """The verdicts of these rounds, with `round` and `reason`: the rule without what follows a colon."""
    frames = [store.read_table("verdicts", "filtered_batches", key).with_columns(round=pl.lit(key)) for key in rounds]
    return pl.concat(frames).with_columns(reason=pl.col("rule").str.split(":").list.first())


def choose(verdicts: pl.DataFrame, category: str, rule: str) -> pl.DataFrame:
    """The verdicts of a category and a rule (its name, or what stands before a colon); empty: of all.

    Raises:
        SediError: no candidate has that category, or none was dropped by that rule.
    """
    for name, column, wanted in (("category", "category", category), ("rule", "reason", rule)):
        if wanted:
            known = verdicts[column].drop_nulls().unique().sort().to_list()
            if wanted not in known:
                raise SediError(f"No candidate has the {name} {wanted!r} there.", f"There are: {', '.join(known)}.")
            verdicts = verdicts.filter(pl.col(column) == wanted)
    return verdicts


def dropped_candidates(store: Store, verdicts: pl.DataFrame, chosen: pl.DataFrame, limit: int) -> pl.DataFrame:
    """The first `limit` of the chosen that were not kept (`DROPPED_SCHEMA`).

    Args:
        verdicts: all of the rounds, to tell what became of a neighbour.
    """
    fates = verdicts.select(neighbour_id="candidate_id", neighbour_rule="rule").drop_nulls()
    shown = chosen.filter(pl.col("state") != "kept").head(limit)
    shown = shown.join(fates.unique("neighbour_id"), on="neighbour_id", how="left", maintain_order="left")
    texts = [
        store.read_table("candidates", "generated_batches", key, category).select(
            "candidate_id", "input", "output", "raw"
        )
        for key, category in shown.select("round", "category").unique(maintain_order=True).iter_rows()
    ]
    if texts:
        shown = shown.join(pl.concat(texts), on="candidate_id", how="left", maintain_order="left")
    missing = [pl.lit(None, pl.String).alias(name) for name in ("input", "output", "raw") if name not in shown.columns]
    return shown.with_columns(missing).select(*DROPPED_SCHEMA)


def count_by_rule(verdicts: pl.DataFrame) -> pl.DataFrame:
    """`round`, `category`, `state`, `rule`, `candidates`: how many ended so; kept ones have no rule."""
    return (
        verdicts.group_by("round", "category", "state", rule="reason", maintain_order=True)
        .agg(candidates=pl.len())
        .sort("round", "candidates", descending=[False, True], maintain_order=True)
    )
