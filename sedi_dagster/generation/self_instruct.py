"""Self-Instruct (arXiv 2212.10560, section 2.2 and its released code): new instructions from demonstrations, then
instances of each.

The setting `generation.instances` says how an instruction that passed the filter becomes examples. `few_shot` is
the paper's way: the teacher tells whether the task is classification, where the category leaves it open, and writes
up to five instances by a few-shot prompt, input first, for classification label first. `answer` is for teachers that
were tuned to answer: inputs are written along with the instructions, and each task is put to the teacher once.
"""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from sedi_dagster.generation.answering import answer_all, answer_shapes
from sedi_dagster.generation.candidates import Candidate
from sedi_dagster.generation.instances import CLASSIFY_TOKENS, classify_task, instances_of
from sedi_dagster.generation.method import (
    GenerationContext,
    GenerationJob,
    Method,
    judgement_tokens,
    one_task_tokens,
    pieces_of,
)
from sedi_dagster.generation.parsing import ParsedTask, parse_tasks
from sedi_dagster.generation.prompts import render
from sedi_dagster.records import CallShape, TeacherAnswer, TeacherRequest
from sedi_dagster.settings import GenerationSettings

CONTINUED = 3  # tasks that a small model writes on before it loses the thread; the last is often cut
MOST_IN_CHAT = 8
TOKENS_WITH_INPUT, TOKENS_BARE = 60, 30  # a chat model is asked for no more tasks than its token limit has room for

Demonstrations = Sequence[dict[str, Any]]


class SelfInstruct(Method):
    """Instructions continued from few-shot demonstrations, then answered (arXiv 2212.10560)."""

    name = "self_instruct"

    def __init__(self, job: GenerationJob, context: GenerationContext) -> None:
        super().__init__(job, context)
        self._few_shot = job.settings.instances == "few_shot"
        self._prompt = job.prompt("bare_instructions" if self._few_shot else "instructions")
        self._calls = 0
        self._found = 0

    async def write(self, wanted: int) -> list[Candidate]:
        tasks = await self._instructions(wanted)
        for task in tasks:
            self.context.apply_filter(task)
        if self._few_shot:
            await classify_task(self.context, tasks)
            candidates = await instances_of(self.context, tasks)
        else:
            candidates = tasks
        await answer_all(self.context, candidates)
        self._found += sum(c.problem is None for c in candidates)
        return candidates

    async def _instructions(self, wanted: int) -> list[Candidate]:
        """Return unfiltered instructions and malformed pieces; the number of calls follows from the yield so far."""
        first = _asked_for(self.job.settings) if self.job.chat else CONTINUED - 1
        expected = self._found / self._calls if self._found else first
        count = math.ceil(wanted / expected)
        shown = [self.context.demonstrations() for _ in range(count)]
        requests = [self._request(demos, self._calls + i) for i, demos in enumerate(shown)]
        self._calls += count
        return [
            self.candidate(answer, number, task, self._prompt, demonstration_ids=[demo["seed_id"] for demo in demos])
            for demos, answer in zip(shown, await self.context.ask(requests), strict=True)
            if answer is not None
            for number, task in enumerate(self._parsed(answer))
        ]

    def _request(self, demos: Demonstrations, number: int) -> TeacherRequest:
        settings = self.job.settings
        text = render(
            self._prompt,
            category=self.job.category,
            aim=self.job.aim,
            demonstrations=demos,
            wanted=_asked_for(settings),
        )
        return self.job.request(
            "instructions",
            text,
            max_tokens=settings.max_instruction_tokens,
            stop=() if self.job.chat else (f"Task {len(demos) + 1 + CONTINUED}:",),
            seed=self.job.seed("instructions", number),
        )

    def _parsed(self, answer: TeacherAnswer) -> list[ParsedTask]:
        tasks = pieces_of(answer, parse_tasks, begins_inside=not self.job.chat)
        # With few shots the input is written with the output, in a call of its own.
        return [replace(task, input="") for task in tasks] if self._few_shot else tasks

    @classmethod
    def call_shapes(cls, settings: GenerationSettings, chat: bool) -> Sequence[CallShape]:
        yielded = _asked_for(settings) if chat else CONTINUED - 1
        instructions = CallShape("instructions", 1 / yielded, 700.0, settings.max_instruction_tokens)
        if settings.instances == "answer":
            return instructions, *answer_shapes(settings)
        return (
            instructions,
            CallShape("classify", 0.5, 800.0, judgement_tokens(chat, CLASSIFY_TOKENS)),
            CallShape("instances", 1.0, 700.0, one_task_tokens(settings, chat)),
            *answer_shapes(settings, written=True),
        )


def _asked_for(settings: GenerationSettings) -> int:
    """Return the number of tasks to request from a chat model in a call, within the token limit."""
    tokens = TOKENS_BARE if settings.instances == "few_shot" else TOKENS_WITH_INPUT
    return max(1, min(MOST_IN_CHAT, settings.max_instruction_tokens // tokens))
