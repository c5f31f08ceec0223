"""Verdicts on any dataset, outside the loop, by the rules that need no model."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import polars as pl

from sedi_dagster.datafiles.shapes import Exchange
from sedi_dagster.filtering.answer_rules import AnswerForm
from sedi_dagster.filtering.decontamination import Decontaminator
from sedi_dagster.filtering.rules import InstructionForm
from sedi_dagster.filtering.shared_instructions import SharedInstructions
from sedi_dagster.filtering.verdicts import Rules, judge_candidates
from sedi_dagster.settings import FilteringSettings

_COLUMNS = ("candidate_id", "instruction_id", "category", "instruction", "input", "output")
# What generation would have noted on a candidate.
_EMPTY_COLUMNS: dict[str, Any] = {
    "problem": pl.String,
    "rejection_rule": pl.String,
    "rejection_score": pl.Float64,
    "rejection_threshold": pl.Float64,
    "rejection_neighbour_id": pl.String,
    "rejection_neighbour": pl.String,
}


def data_set_frame(exchanges: Iterable[Exchange], name_of: Callable[[int], str]) -> pl.DataFrame:
    """Return the rows of a file as candidates.

    Rows with the same instruction are its instances: the instruction is compared with others once.

    Args:
        name_of: returns the id of a row from its number, such as "line 3".
    """
    rows = [(name_of(e.number), e.instruction, e.category or None, e.instruction, e.input, e.output) for e in exchanges]
    frame = pl.DataFrame(rows, schema=dict.fromkeys(_COLUMNS, pl.String), orient="row")
    return frame.with_columns(pl.lit(None, kind).alias(name) for name, kind in _EMPTY_COLUMNS.items())


def judge_data_set(
    rows: pl.DataFrame,
    pool: pl.DataFrame,
    items: Iterable[tuple[str, str]],
    settings: FilteringSettings,
    shared: SharedInstructions | None = None,
) -> pl.DataFrame:
    """Return a verdict for every row (`VERDICT_SCHEMA`, in order), with its `input` and `output`.

    Args:
        rows: as `data_set_frame` returns them.
        pool: `id`, `instruction` and `input` of the tasks that rows may not duplicate.
        items: (id, text) of each protected text, which no row may be near.
        shared: instructions whose tasks are compared by their input.
    """
    rules = Rules(
        decontaminator=Decontaminator(items, settings.decontamination_threshold, settings.decontamination_ngram),
        form=InstructionForm.of(settings),
        novelty_threshold=settings.threshold,
        answers=AnswerForm.of(settings),
        shared=shared or SharedInstructions(),
    )
    return judge_candidates(rows, pool, rules).with_columns(rows["input"], rows["output"])
