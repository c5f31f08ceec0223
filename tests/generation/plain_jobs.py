"""A teacher that is a plain function, and jobs for it: what a method asks for can be looked at."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import polars as pl

from sedi_dagster.generation.candidates import Candidate
from sedi_dagster.generation.method import GenerationContext, GenerationJob, Method
from sedi_dagster.records import Category, Rejection, TeacherAnswer, TeacherRequest, content_id
from sedi_dagster.settings import GenerationSettings

Reply = Callable[[TeacherRequest], str | tuple[str, str, str]]
"""The text for a request, or its text, finish reason and error."""

RIDDLES = Category("reasoning", "Reasoning", "Riddles.", "Keep them short.", 1.0, 0.5, 64, ("match",), False)
TEXTS = dict.fromkeys(("instruction", "input", "output"), pl.String)


def rows(id_column: str, count: int, what: str) -> pl.DataFrame:
    """So many tasks, every second one with an input."""
    data = [
        {
            id_column: f"{what}-{i:02d}",
            "instruction": f"Name the {what} number {i} of the list.",
            "input": f"{i} pears" * (i % 2),
            "output": str(i),
            "origin": "human",
            "is_classification": False,
        }
        for i in range(count)
    ]
    schema = {id_column: pl.String, **TEXTS, "origin": pl.String, "is_classification": pl.Boolean}
    return pl.DataFrame(data, schema=schema)


def job(
    seeds: int = 6, kept: int = 0, chat: bool = True, category: Category = RIDDLES, **settings: Any
) -> GenerationJob:
    return GenerationJob(
        round="round-0001",
        category=category,
        wanted=None,
        candidates=100,
        seeds=rows("seed_id", seeds, "seed"),
        kept=rows("example_id", kept, "example"),
        teacher="plain",
        chat=chat,
        settings=GenerationSettings(**settings),
    )


class PlainTeacher:
    """Answers in memory and keeps what it was asked."""

    def __init__(self, reply: Reply) -> None:
        self.reply = reply
        self.requests: list[TeacherRequest] = []

    async def __call__(self, requests: Sequence[TeacherRequest]) -> list[TeacherAnswer]:
        self.requests += requests
        return [self._answer(request) for request in requests]

    def of(self, purpose: str) -> list[TeacherRequest]:
        return [request for request in self.requests if request.purpose == purpose]

    def _answer(self, request: TeacherRequest) -> TeacherAnswer:
        reply = self.reply(request)
        text, finish, error = (reply, "stop", "") if isinstance(reply, str) else reply
        key = content_id("call", text_of(request), request.seed, request.temperature, request.sample_index)
        return TeacherAnswer(key, text, finish, 100, 20, cached=False, error=error)


class EverythingPasses:
    """A filter without rules."""

    def task(self, candidate_id: str, instruction: str, text_input: str) -> Rejection | None:
        return None

    def instance(self, instruction: str, text_input: str, output: str) -> str | None:
        return None


def text_of(request: TeacherRequest) -> str:
    return request.prompt or "\n".join(message.content for message in request.messages)


def write(
    method: type[Method], given: GenerationJob, reply: Reply, wanted: int, times: int = 1
) -> tuple[list[Candidate], PlainTeacher]:
    """What a method writes in so many waves, and the teacher that it asked."""
    teacher = PlainTeacher(reply)
    made = method(given, GenerationContext(given, teacher, EverythingPasses()))

    async def waves() -> list[Candidate]:
        return [candidate for _ in range(times) for candidate in await made.write(wanted)]

    return asyncio.run(waves()), teacher
