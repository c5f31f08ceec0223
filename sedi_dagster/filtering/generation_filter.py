"""The rules that generation applies to a candidate before it pays for its answer.

The verdict may differ: a candidate that passes here may turn out to be malformed, for example.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from sedi_dagster.filtering.answer_rules import AnswerForm
from sedi_dagster.filtering.decontamination import Decontaminator
from sedi_dagster.filtering.novelty import NoveltyIndex
from sedi_dagster.filtering.rules import InstructionForm, instance_problem, instruction_problem
from sedi_dagster.filtering.shared_instructions import SharedInstructions
from sedi_dagster.records import Rejection
from sedi_dagster.texts.words import tokens


class GenerationFilter:
    """A `generation.candidates.CandidateFilter`.

    Tasks are judged by the form of their instruction, nearness to evaluation items, exact duplicates and novelty, in
    the order of the verdicts.
    """

    def __init__(
        self,
        pool: Iterable[tuple[str, str, str]],
        decontaminator: Decontaminator,
        novelty_threshold: float,
        form: InstructionForm,
        answers: AnswerForm | None = None,
        shared: SharedInstructions | None = None,
    ) -> None:
        """Compare tasks with `pool`: (id, instruction, input) of the seeds and of all examples kept before."""
        self._decontaminator = decontaminator
        self._threshold, self._form, self._answers = novelty_threshold, form, answers or AnswerForm()
        self._shared = shared or SharedInstructions()
        self._index: defaultdict[str, NoveltyIndex] = defaultdict(NoveltyIndex)
        self._exact: dict[tuple[str, ...], tuple[str, str]] = {}
        for task_id, instruction, text_input in pool:
            self._add(task_id, *self._shared.compared(instruction, text_input))

    def task(self, candidate_id: str, instruction: str, text_input: str) -> Rejection | None:
        """Return why a task is rejected before it is answered, or None; a task that passes joins the pool."""
        shared, text = self._shared.compared(instruction, text_input)
        rejection = self._rejection(instruction, shared, text)
        if rejection is None:
            self._add(candidate_id, shared, text)
        return rejection

    def instance(self, instruction: str, text_input: str, output: str) -> str | None:
        """Return the rule that a finished example breaks, or None."""
        task = f"{instruction}\n{text_input}"
        return instance_problem(text_input, output, instruction) or self._answers.problem(output, task)

    def _add(self, task_id: str, shared: str, text: str) -> None:
        self._exact.setdefault((shared, *tokens(text)), (task_id, text))
        self._index[shared].add(task_id, text)

    def _rejection(self, instruction: str, shared: str, text: str) -> Rejection | None:
        form = instruction_problem(instruction, self._form)
        if form:
            return Rejection(*form)
        contaminated = self._decontaminator.contamination(instruction)
        if contaminated:
            return Rejection(*contaminated)
        same = self._exact.get((shared, *tokens(text)))
        if same:
            return Rejection("exact_duplicate", 1.0, 1.0, *same)
        near = self._index[shared].nearest(text, self._threshold)
        return Rejection("near_duplicate", near[2], self._threshold, near[0], near[1]) if near else None
