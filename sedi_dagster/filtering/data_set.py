"""Verdicts for any dataset, outside the loop: the rules that need no model."""

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

_GIVEN = ("candidate_id", "instruction_id", "category", "instruction", "input", "output")
_NOT_YET_JUDGED: dict[str, Any] = {
    "problem": pl.String,
    "rejection_rule": pl.String,
    "rejection_score": pl.Float64,
    "rejection_threshold": pl.Float64,
    "rejection_neighbour_id": pl.String,
    "rejection_neighbour": pl.String,
}


def data_set_frame(exchanges: Iterable[Exchange], name_of: Callable[[int], str]) -> pl.DataFrame:
    """The rows of a file as candidates. Those of one instruction are its instances: it is compared with others once.

    Args:
        name_of: the name of a row by its number ("line 3"), which becomes its id.
    """
    rows = [(name_of(e.number), e.instruction, e.category or None, e.instruction, e.input, e.output) for e in exchanges]
    frame = pl.DataFrame(rows, schema=dict.fromkeys(_GIVEN, pl.String), orient="row")
    return frame.with_columns(pl.lit(None, kind).alias(name) for name, kind in _NOT_YET_JUDGED.items())


def judge_data_set(
    rows: pl.DataFrame,
    pool: pl.DataFrame,
    items: Iterable[tuple[str, str]],
    settings: FilteringSettings,
    shared: SharedInstructions | None = None,
) -> pl.DataFrame:
    """A verdict for every row (`VERDICT_SCHEMA`, in order), with its `input` and `output`.

    Args:
        rows: as `data_set_frame` makes them.
        pool: `id`, `instruction` and `input` of tasks that the data set must differ from.
        items: (id, text) of what no row may be near.
        shared: the instructions whose tasks are compared by their input.
    """
    rules = Rules(
        decontaminator=Decontaminator(items, settings.decontamination_threshold, settings.decontamination_ngram),
        form=InstructionForm.of(settings),
        novelty_threshold=settings.threshold,
        answers=AnswerForm.of(settings),
        shared=shared or SharedInstructions(),
    )
    return judge_candidates(rows, pool, rules).with_columns(rows["input"], rows["output"])
