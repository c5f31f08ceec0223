"""The rules that generation applies to a candidate before it pays for more.

The final verdict may be another: a candidate that passes may turn out malformed later.
"""

from __future__ import annotations

from collections.abc import Iterable

from sedi_dagster.filtering.answer_rules import AnswerForm
from sedi_dagster.filtering.decontamination import Decontaminator
from sedi_dagster.filtering.novelty import NoveltyIndex
from sedi_dagster.filtering.rules import InstructionForm, instance_problem, instruction_problem
from sedi_dagster.records import Rejection
from sedi_dagster.texts.words import tokens


class GenerationFilter:
    """A `generation.candidates.CandidateFilter`.

    Instructions are judged by their form, nearness to evaluation items, exact duplicates and novelty, in the order in
    which verdicts are given.
    """

    def __init__(
        self,
        pool: Iterable[tuple[str, str]],
        decontaminator: Decontaminator,
        novelty_threshold: float,
        form: InstructionForm,
        answers: AnswerForm | None = None,
    ) -> None:
        """Compare with `pool`, (id, instruction) of the seeds and of all examples kept before."""
        self._decontaminator = decontaminator
        self._threshold, self._form, self._answers = novelty_threshold, form, answers or AnswerForm()
        self._index = NoveltyIndex()
        self._exact: dict[tuple[str, ...], tuple[str, str]] = {}
        for text_id, text in pool:
            self._add(text_id, text)

    def instruction(self, candidate_id: str, instruction: str) -> Rejection | None:
        """Why the instruction is not worth an answer; one that passes joins the pool."""
        rejection = self._rejection(instruction)
        if rejection is None:
            self._add(candidate_id, instruction)
        return rejection

    def instance(self, instruction: str, text_input: str, output: str) -> str | None:
        """The rule that a finished example breaks, if any."""
        task = f"{instruction}\n{text_input}"
        return instance_problem(text_input, output, instruction) or self._answers.problem(output, task)

    def _add(self, text_id: str, instruction: str) -> None:
        self._exact.setdefault(tuple(tokens(instruction)), (text_id, instruction))
        self._index.add(text_id, instruction)

    def _rejection(self, instruction: str) -> Rejection | None:
        form = instruction_problem(instruction, self._form)
        if form:
            return Rejection(*form)
        contaminated = self._decontaminator.contamination(instruction)
        if contaminated:
            return Rejection(*contaminated)
        same = self._exact.get(tuple(tokens(instruction)))
        if same:
            return Rejection("exact_duplicate", 1.0, 1.0, *same)
        near = self._index.nearest(instruction, self._threshold)
        return Rejection("near_duplicate", near[2], self._threshold, near[0], near[1]) if near else None
