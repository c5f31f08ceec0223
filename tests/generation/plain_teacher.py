"""A teacher that is a plain function, and a job for it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import polars as pl

from sedi_dagster.errors import BudgetExceeded
from sedi_dagster.filtering.rules import instance_problem
from sedi_dagster.generation.generate import generate
from sedi_dagster.generation.method import GenerationJob
from sedi_dagster.records import Category, Rejection, Tables, TeacherAnswer, TeacherRequest, content_id
from sedi_dagster.settings import GenerationSettings

MATH = Category("math", "Math", "Problems with numbers.", "Use small numbers.", 1.0, 0.5, 64, is_classification=False)
Reply = Callable[[TeacherRequest], tuple[str, str, str]]
"""Text, finish reason and error for a request."""
SEED_COLUMNS = ("seed_id", "instruction", "input", "output", "origin")


def seeds(human: int = 20, machine: int = 5) -> pl.DataFrame:
    rows = [
        {
            "seed_id": f"{origin}-{i:02d}",
            "instruction": f"{origin} task {i}",
            "input": f"{i}" * (i % 2),
            "output": f"answer {i}",
            "origin": origin,
        }
        for origin, count in (("human", human), ("machine", machine))
        for i in range(count)
    ]
    frame = pl.DataFrame(rows, schema=dict.fromkeys(SEED_COLUMNS, pl.String))
    return frame.with_columns(is_classification=pl.lit(False))


def job(generation: Mapping[str, Any] | None = None, **changes: Any) -> GenerationJob:
    given: dict[str, Any] = {
        "round": "round-0001",
        "category": MATH,
        "wanted": None,
        "candidates": 10,
        "seeds": seeds(),
        "kept": pl.DataFrame(schema=dict.fromkeys(("example_id", *SEED_COLUMNS[1:4]), pl.String)),
        "teacher": "fake",
        "chat": False,
        "settings": GenerationSettings(**{"instances": "answer", **(generation or {})}),
    }
    return GenerationJob(**given | changes)


class Teacher:
    """Answers in memory and keeps what it was asked; `affords`: calls before the budget is spent."""

    def __init__(self, reply: Reply, affords: int | None = None) -> None:
        self.reply = reply
        self.affords = affords
        self.requests: list[TeacherRequest] = []
        self.waves: list[int] = []

    async def __call__(self, requests: Sequence[TeacherRequest]) -> list[TeacherAnswer]:
        room = len(requests) if self.affords is None else self.affords - len(self.requests)
        allowed = list(requests[: max(0, room)])
        self.requests += allowed
        self.waves.append(len(allowed))
        answers = [self._answer(request) for request in allowed]
        if len(allowed) < len(requests):
            error = BudgetExceeded("The round's budget is spent.")
            error.answers = [*answers, *[None] * (len(requests) - len(allowed))]
            raise error
        return answers

    def of(self, purpose: str) -> list[TeacherRequest]:
        return [request for request in self.requests if request.purpose == purpose]

    def _answer(self, request: TeacherRequest) -> TeacherAnswer:
        text, finish, error = self.reply(request)
        asked = [request.prompt, *[m.content for m in request.messages], request.seed, request.sample_index]
        return TeacherAnswer(content_id("call", *asked), text, finish, 100, 20, cached=False, error=error)


class Rules:
    """A filter: `instruction` as given, instances by the rules of filtering."""

    def __init__(self, rejects: Callable[[str], Rejection | None] = lambda instruction: None) -> None:
        self.rejects = rejects
        self.seen: list[str] = []

    def task(self, candidate_id: str, instruction: str, text_input: str) -> Rejection | None:
        self.seen.append(candidate_id)
        return self.rejects(instruction)

    def instance(self, instruction: str, text_input: str, output: str) -> str | None:
        return instance_problem(text_input, output)


def text_of(request: TeacherRequest) -> str:
    return request.prompt if request.prompt is not None else request.messages[-1].content


def run(
    chosen: GenerationJob,
    reply: Reply,
    rules: Rules | None = None,
    mix: Mapping[str, float] | None = None,
    affords: int | None = None,
) -> tuple[Tables, Teacher]:
    teacher = Teacher(reply, affords)
    mix = mix or {"self_instruct": 1.0}
    return asyncio.run(generate(chosen, mix, teacher, rules or Rules())), teacher


def two_tasks(request: TeacherRequest) -> tuple[str, str, str]:
    """Two tasks a call that no other call has, and a short answer to each."""
    if request.purpose == "answer":
        return f"The answer to {request.messages[0].content}", "stop", ""
    return f" Add {request.seed} and 1.\nInput: none\n\nTask 10: Double it.\nInput: {request.seed}\n", "stop", ""
