"""Screening for generation: the filter rules applied before more is paid for."""

from __future__ import annotations

from sedi_dagster.filtering.answer_rules import AnswerForm
from sedi_dagster.filtering.rules import instance_problem
from sedi_dagster.filtering.screen import InstructionScreen
from sedi_dagster.generation.candidates import Screened


class GenerationScreen:
    """A `generation.candidates.Screen` on an `InstructionScreen`."""

    def __init__(self, screen: InstructionScreen, answers: AnswerForm | None = None) -> None:
        self._screen = screen
        self._answers = answers or AnswerForm()

    def instruction(self, candidate_id: str, instruction: str) -> Screened | None:
        verdict = self._screen.judge(instruction)
        if verdict is None:
            self._screen.add(candidate_id, instruction)
            return None
        return Screened(verdict.rule, verdict.score, verdict.threshold, verdict.neighbour_id, verdict.neighbour)

    def instance(self, instruction: str, text_input: str, output: str) -> str | None:
        return instance_problem(text_input, output) or self._answers.problem(output, f"{instruction}\n{text_input}")
