"""Screening: the rules that need only an instruction, applied before an answer is paid for."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from sedi_dagster.filtering.decontamination import Decontaminator
from sedi_dagster.filtering.novelty import NoveltyIndex
from sedi_dagster.filtering.rules import InstructionForm, instruction_problem
from sedi_dagster.texts.words import tokens


@dataclass(frozen=True)
class Verdict:
    """Why an instruction is not worth an answer: the rule, what it measured, and the neighbour if there is one."""

    rule: str
    score: float | None = None
    threshold: float | None = None
    neighbour_id: str | None = None
    neighbour: str | None = None


class InstructionScreen:
    """Form, nearness to evaluation items, exact duplicates, novelty: in the order in which verdicts are given.

    `pool` starts with the seeds and all examples kept before; `add` what the screen lets through, so that candidates
    are compared with those before them. The final verdict may be another: a candidate may turn out malformed later.
    """

    def __init__(
        self,
        pool: Iterable[tuple[str, str]],
        decontaminator: Decontaminator,
        novelty_threshold: float,
        form: InstructionForm,
    ) -> None:
        self._decontaminator = decontaminator
        self._threshold, self._form = novelty_threshold, form
        self._index = NoveltyIndex()
        self._exact: dict[tuple[str, ...], tuple[str, str]] = {}
        for text_id, text in pool:
            self.add(text_id, text)

    def add(self, text_id: str, instruction: str) -> None:
        self._exact.setdefault(tuple(tokens(instruction)), (text_id, instruction))
        self._index.add(text_id, instruction)

    def judge(self, instruction: str) -> Verdict | None:
        """Why the instruction is rejected, or None."""
        form = instruction_problem(instruction, self._form)
        if form:
            return Verdict(*form)
        contaminated = self._decontaminator.contamination(instruction)
        if contaminated:
            return Verdict(*contaminated)
        same = self._exact.get(tuple(tokens(instruction)))
        if same:
            return Verdict("exact_duplicate", 1.0, 1.0, *same)
        near = self._index.nearest(instruction, self._threshold)
        return Verdict("near_duplicate", near[2], self._threshold, near[0], near[1]) if near else None
