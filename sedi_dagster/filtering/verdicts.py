"""The verdict on every candidate, cheapest rule first; a candidate is judged by the first rule that rejects it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal

import polars as pl

from sedi_dagster.filtering.decontamination import Decontaminator
from sedi_dagster.filtering.novelty import NoveltyIndex, tokens
from sedi_dagster.filtering.rules import instance_problem, instruction_problem
from sedi_dagster.records import task_prompt

VERDICT_SCHEMA: dict[str, Any] = {
    "candidate_id": pl.String,
    "category": pl.String,
    "state": pl.String,  # kept, rejected, malformed
    "rule": pl.String,
    "score": pl.Float64,
    "threshold": pl.Float64,
    "neighbour_id": pl.String,
    "neighbour": pl.String,
    "instruction": pl.String,
}


@dataclass(frozen=True)
class Verdict:
    """Why a candidate was not kept (`rule`), with what the rule measured; for near duplicates, its neighbour."""

    rule: str
    score: float | None = None
    threshold: float | None = None
    neighbour_id: str | None = None
    neighbour: str | None = None
    state: Literal["rejected", "malformed"] = "rejected"


class InstructionScreen:
    """The rules that need the instruction alone: form, exact duplicates, novelty, nearness to evaluation items.

    `pool` starts with the seeds and all examples kept before; `judge` adds what it lets through, so candidates
    are compared with those kept before them, in order (the greedy procedure of Self-Instruct).
    """

    def __init__(
        self,
        pool: Iterable[tuple[str, str]],
        decontaminator: Decontaminator,
        novelty_threshold: float,
        min_words: int,
        max_words: int,
    ) -> None:
        self._decontaminator = decontaminator
        self._threshold, self._min_words, self._max_words = novelty_threshold, min_words, max_words
        self._index = NoveltyIndex()
        self._exact: dict[tuple[str, ...], tuple[str, str]] = {}
        for text_id, text in pool:
            self.add(text_id, text)

    def add(self, text_id: str, instruction: str) -> None:
        self._exact.setdefault(tuple(tokens(instruction)), (text_id, instruction))
        self._index.add(text_id, instruction)

    def judge(self, instruction: str) -> Verdict | None:
        """Why the instruction is rejected, or None."""
        form = instruction_problem(instruction, self._min_words, self._max_words)
        if form:
            return Verdict(*form)
        same = self._exact.get(tuple(tokens(instruction)))
        if same:
            return Verdict("exact_duplicate", 1.0, 1.0, *same)
        near = self._index.nearest(instruction, self._threshold)
        if near:
            return Verdict("near_duplicate", near[2], self._threshold, near[0], near[1])
        contaminated = self._decontaminator.contamination(instruction)
        return Verdict(*contaminated) if contaminated else None


def judge_candidates(
    candidates: pl.DataFrame,
    screen: InstructionScreen,
    decontaminator: Decontaminator,
    too_long: Callable[[str, str, str], tuple[int, int] | None],
) -> pl.DataFrame:
    """A verdict for every candidate, in candidate order (`VERDICT_SCHEMA`, one row each).

    Args:
        candidates: as generation made them; one screened out before it was answered keeps that verdict.
        screen: holds seeds and earlier examples; grows with what is kept here.
        too_long: (tokens, limit) if instruction, input and output do not fit the student's length, else None.
    """
    outputs: dict[tuple[str, str], set[str]] = {}
    well_formed = pl.col("output").is_not_null() & pl.col("problem").is_null()  # a cut answer contradicts nothing
    for row in candidates.filter(well_formed).iter_rows(named=True):
        outputs.setdefault((row["instruction"], row["input"]), set()).add(row["output"])
    rows = []
    for row in candidates.iter_rows(named=True):
        verdict = _judge(row, screen, decontaminator, too_long, outputs)
        if verdict is None:
            screen.add(row["candidate_id"], row["instruction"])
        rows.append(
            {
                "candidate_id": row["candidate_id"],
                "category": row["category"],
                "instruction": row["instruction"],
                **(vars(verdict) if verdict else {"state": "kept"}),
            }
        )
    return pl.DataFrame(rows, schema=VERDICT_SCHEMA)


def _judge(
    row: dict[str, Any],
    screen: InstructionScreen,
    decontaminator: Decontaminator,
    too_long: Callable[[str, str, str], tuple[int, int] | None],
    outputs: dict[tuple[str, str], set[str]],
) -> Verdict | None:
    if row["screened_rule"] is not None:
        return Verdict(
            *(row[f"screened_{part}"] for part in ("rule", "score", "threshold", "neighbour_id", "neighbour"))
        )
    if row["problem"] is not None:
        return Verdict(row["problem"], state="malformed")
    instance = instance_problem(row["input"], row["output"])
    if instance:
        return Verdict(instance)
    if len(outputs[row["instruction"], row["input"]]) > 1:
        return Verdict("same_input_different_outputs", float(len(outputs[row["instruction"], row["input"]])), 1.0)
    rejected = screen.judge(row["instruction"])
    if rejected:
        return rejected
    # The instruction alone was judged above; an item may also be spread over instruction and input, or be recited.
    for text in {task_prompt(row["instruction"], row["input"]): 0, row["input"]: 0, row["output"]: 0}:
        contaminated = text and decontaminator.contamination(text)
        if contaminated:
            return Verdict(*contaminated)
    length = too_long(row["instruction"], row["input"], row["output"])
    return Verdict("too_long_for_student", float(length[0]), float(length[1])) if length else None
