"""Evol-Instruct (arXiv 2304.12244, section 2.2): seeds and kept examples rewritten into harder or rarer tasks.

A sample of the sources is evolved for some rounds. In each round, every task gets one of six rewrites (five in depth,
one in breadth). A rewrite that is not eliminated is answered, and the next round starts from it; otherwise the next
round starts from the same task again.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import cycle, islice

from sedi_dagster.generation import elimination
from sedi_dagster.generation.answering import answer_all, answer_shapes
from sedi_dagster.generation.candidates import NOT_ASKED, Candidate, error_problem
from sedi_dagster.generation.demonstrations import weights
from sedi_dagster.generation.method import (
    GenerationContext,
    GenerationJob,
    Method,
    judgement_tokens,
    one_task_tokens,
    pieces_of,
)
from sedi_dagster.generation.parsing import parse_tasks
from sedi_dagster.generation.prompts import render, version
from sedi_dagster.records import CallShape, TeacherAnswer, TeacherRequest, derived_rng, task_prompt
from sedi_dagster.settings import GenerationSettings

OPERATIONS = ("constraints", "deepen", "concretize", "reasoning", "input", "breadth")
GAIN_TOKENS = 8


@dataclass
class _Line:
    """A task in its present form, with the id of the seed, example or candidate that it is."""

    parent_id: str
    instruction: str
    input: str
    is_classification: bool


class EvolInstruct(Method):
    """Seeds and kept examples rewritten in several rounds (Evol-Instruct, arXiv 2304.12244)."""

    name = "evol_instruct"

    def __init__(self, job: GenerationJob, context: GenerationContext) -> None:
        super().__init__(job, context)
        self._sources = self._source_order()
        self._prompt = job.prompt("evolve")
        self._gain_prompt = job.prompt("gain")
        self._calls = 0

    async def write(self, wanted: int) -> list[Candidate]:
        rounds = self.job.settings.evolution_rounds
        lines = list(islice(self._sources, math.ceil(wanted / rounds)))
        written: list[Candidate] = []
        for _ in range(rounds if lines else 0):
            lines = lines[: max(0, wanted - sum(c.problem is None for c in written))]
            written += await self._evolve(lines)
        return written

    async def _evolve(self, lines: Sequence[_Line]) -> list[Candidate]:
        """Run one round: rewrite every line, judge and answer the rewrites, and advance the lines to them."""
        operations = [self._operation(self._calls + i) for i in range(len(lines))]
        requests = [
            self._request(line, operation, self._calls + i)
            for i, (line, operation) in enumerate(zip(lines, operations, strict=True))
        ]
        self._calls += len(lines)
        written: list[Candidate] = []
        moves: list[tuple[_Line, Candidate]] = []
        for line, operation, answer in zip(lines, operations, await self.context.ask(requests), strict=True):
            if answer is None:
                continue
            rewritten = self._candidates(line, operation, answer)
            written += rewritten
            moves += [(line, candidate) for candidate in rewritten if candidate.problem is None]
        for line, candidate in moves:
            before, after = task_prompt(line.instruction, line.input), _text(candidate)
            candidate.rejection = elimination.leaked(before, after) or elimination.unchanged(before, after)
            self.context.apply_filter(candidate)
        await self._judge_gain(moves)
        await answer_all(self.context, [candidate for _, candidate in moves])
        for line, candidate in moves:
            if candidate.is_open and candidate.output is not None:
                candidate.rejection = elimination.useless_answer(candidate.output)
            if candidate.is_open:
                line.parent_id = candidate.candidate_id
                line.instruction, line.input = candidate.instruction, candidate.input
        return written

    async def _judge_gain(self, moves: Sequence[tuple[_Line, Candidate]]) -> None:
        """Ask the teacher for every open rewrite whether it is the same task as its original."""
        judged = [(line, candidate) for line, candidate in moves if candidate.is_open]
        requests = [
            self.job.request(
                "gain",
                render(
                    self._gain_prompt,
                    before=task_prompt(line.instruction, line.input),
                    after=_text(candidate),
                ),
                max_tokens=judgement_tokens(self.job.chat, GAIN_TOKENS),
                temperature=0.0,
                stop=() if self.job.chat else ("\n",),
            )
            for line, candidate in judged
        ]
        for (_, candidate), answer in zip(judged, await self.context.ask(requests), strict=True):
            candidate.prompt_version += f"+{version(self._gain_prompt)}"
            if answer is None or answer.error:
                candidate.problem = NOT_ASKED if answer is None else error_problem(answer.error)
            else:
                candidate.further_keys.append(answer.request_key)
                candidate.rejection = elimination.without_gain(answer.text)

    def _request(self, line: _Line, operation: str, number: int) -> TeacherRequest:
        text = render(
            self._prompt,
            category=self.job.category,
            aim=self.job.aim,
            operation=operation,
            instruction=line.instruction,
            input=line.input,
        )
        return self.job.request(
            "evolve",
            text,
            max_tokens=one_task_tokens(self.job.settings, self.job.chat),
            stop=() if self.job.chat else ("\nTask:", "\nChanged:"),
            seed=self.job.seed("evolve", number),
        )

    def _candidates(self, line: _Line, operation: str, answer: TeacherAnswer) -> list[Candidate]:
        """Return the rewrite, and everything else that the teacher wrote as malformed candidates."""
        found = False
        candidates = []
        for number, piece in enumerate(pieces_of(answer, parse_tasks, begins_inside=not self.job.chat)):
            problem = piece.problem or ("more than one rewrite" if found else "")
            found = found or not problem
            candidate = self.candidate(
                answer,
                number,
                piece,
                self._prompt,
                is_classification=line.is_classification,
                problem=problem or None,
                parent_id=line.parent_id,
            )
            candidate.prompt_version += f":{operation}"
            candidates.append(candidate)
        return candidates

    def _source_order(self) -> Iterator[_Line]:
        """Return seeds and kept examples, each once before any is repeated, in weighted random order.

        (Weighted sampling without replacement: Efraimidis and Spirakis 2006.)
        """
        rng = derived_rng(self.job.project_seed, self.job.round, self.job.category.id, "evolve sources")
        seeds, kept = self.job.seeds.sort("seed_id"), self.job.kept.sort("example_id")
        rows = [
            *zip(seeds["seed_id"], seeds.iter_rows(named=True), weights(seeds), strict=True),
            *((row["example_id"], row, 1.0) for row in kept.iter_rows(named=True)),
        ]
        rows.sort(key=lambda entry: rng.random() ** (1 / entry[2]), reverse=True)
        return (
            _Line(
                source_id,
                row["instruction"],
                row["input"],
                bool(row.get("is_classification") or self.job.category.is_classification),
            )
            for source_id, row, _ in cycle(rows)
        )

    def _operation(self, number: int) -> str:
        """Return the operation of a call: each occurs once in every six calls, in random order."""
        block, place = divmod(number, len(OPERATIONS))
        rng = derived_rng(self.job.project_seed, self.job.round, self.job.category.id, "evolve operations", block)
        return rng.sample(OPERATIONS, len(OPERATIONS))[place]

    @classmethod
    def call_shapes(cls, settings: GenerationSettings, chat: bool) -> Sequence[CallShape]:
        return (
            CallShape("evolve", 1.0, 300.0 if chat else 500.0, one_task_tokens(settings, chat)),
            CallShape("gain", 1.0, 200.0, judgement_tokens(chat, GAIN_TOKENS)),
            *answer_shapes(settings),
        )


def _text(candidate: Candidate) -> str:
    return task_prompt(candidate.instruction, candidate.input)
