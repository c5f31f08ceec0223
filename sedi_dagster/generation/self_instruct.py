"""Self-Instruct generation (arXiv 2212.10560): new instructions from demonstrations, then an answer to each."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from sedi_dagster.generation.answering import answer_all
from sedi_dagster.generation.candidates import Candidate, candidate_id, instruction_id
from sedi_dagster.generation.method import Desk, GenerationJob, Method
from sedi_dagster.generation.parsing import ParsedTask, parse_tasks
from sedi_dagster.generation.prompts import render, version
from sedi_dagster.records import CallShape, TeacherAnswer, TeacherRequest
from sedi_dagster.settings import GenerationSettings

FIRST_YIELD = 2.0  # tasks expected of a call before anything is known
TASKS_PER_CALL = 3  # in completion style, where a small model loses the thread after a few
CHAT_TASKS_PER_CALL = 8
TOKENS_PER_TASK = 60  # a chat model is asked for no more tasks than its token limit has room for

Demonstrations = Sequence[dict[str, Any]]


class SelfInstruct(Method):
    name = "self_instruct"

    def __init__(self, job: GenerationJob, desk: Desk) -> None:
        super().__init__(job, desk)
        self._calls = 0
        self._found = 0

    async def write(self, wanted: int) -> list[Candidate]:
        candidates = await self._instructions(wanted)
        for candidate in candidates:
            self.desk.screen(candidate)
        await answer_all(self.desk, candidates, "answer")
        return candidates

    async def _instructions(self, wanted: int) -> list[Candidate]:
        expected = self._found / self._calls if self._found else FIRST_YIELD
        count = math.ceil(wanted / expected)
        shown = [self.desk.demonstrations() for _ in range(count)]
        requests = [self._request(demos, self._calls + i) for i, demos in enumerate(shown)]
        self._calls += count
        candidates = [
            self._candidate(answer, number, task, demos)
            for demos, answer in zip(shown, await self.desk.ask(requests), strict=True)
            if answer is not None
            for number, task in enumerate(self._parsed(answer))
        ]
        self._found += sum(c.is_open for c in candidates)
        return candidates

    def _request(self, demos: Demonstrations, number: int) -> TeacherRequest:
        wanted = max(1, min(CHAT_TASKS_PER_CALL, self.job.settings.max_instruction_tokens // TOKENS_PER_TASK))
        text = render(
            self.job.prompt("instructions"),
            category=self.job.category,
            demonstrations=demos,
            **({"wanted": wanted} if self.job.chat else {}),
        )
        return self.job.request(
            "instructions",
            text,
            max_tokens=self.job.settings.max_instruction_tokens,
            stop=() if self.job.chat else (f"Task {len(demos) + 1 + TASKS_PER_CALL}:",),
            seed=self.job.seed("instructions", number),
        )

    def _parsed(self, answer: TeacherAnswer) -> list[ParsedTask]:
        if answer.error:
            return [ParsedTask("", "", f"teacher refused: {answer.error}", answer.text)]
        tasks = parse_tasks(answer.text, cut_off=answer.finish_reason == "length", begins_inside=not self.job.chat)
        return tasks or [ParsedTask("", "", "empty answer", answer.text)]

    def _candidate(self, answer: TeacherAnswer, number: int, task: ParsedTask, demos: Demonstrations) -> Candidate:
        return Candidate(
            candidate_id=candidate_id(answer.request_key, number, task.raw),
            instruction_id=instruction_id(answer.request_key, task.instruction),
            instruction=task.instruction,
            input=task.input,
            is_classification=self.job.category.id == "classification",
            problem=task.problem or None,
            method=self.name,
            prompt_version=version(self.job.prompt("instructions")),
            demonstration_ids=[demo["seed_id"] for demo in demos],
            instruction_key=answer.request_key,
            raw=task.raw,
        )

    @classmethod
    def call_shapes(cls, settings: GenerationSettings, chat: bool) -> Sequence[CallShape]:
        return (
            CallShape("instructions", 1 / FIRST_YIELD, 900.0, settings.max_instruction_tokens),
            CallShape("answer", 1.0, 120.0, settings.max_answer_tokens),
        )
