"""What the tests of the teacher share: requests, and a client for the simulated server."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from benchmarks.testbed.faulty_teacher import FaultyTeacher
from sedi_dagster.records import Message, TeacherAnswer, TeacherRequest
from sedi_dagster.settings import Price, TeacherSettings
from sedi_dagster.teacher.budget import Budget
from sedi_dagster.teacher.client import OnAnswer, Teacher
from sedi_dagster.teacher.endpoint import RemoteEndpoint
from sedi_dagster.teacher.ledger import Ledger
from sedi_dagster.testing.simulated_teacher import MODEL


def chat(text: str, **fields: Any) -> TeacherRequest:
    return TeacherRequest(
        **{"purpose": "test", "round": "round-0001", "category": "math", "max_tokens": 16}
        | {"messages": (Message("user", text),)}
        | fields
    )


def chats(count: int, **fields: Any) -> list[TeacherRequest]:
    return [chat(f"question {number}", **fields) for number in range(count)]


class Bench:
    """A client for the simulated server; each `ask` is an event loop of its own, as each run is."""

    def __init__(self, server: FaultyTeacher, ledger: Ledger) -> None:
        self.server = server
        self.ledger = ledger
        self.api_key = "planted-key"
        self.budget = Budget()
        self.price: Price | None = None
        self.teacher: Teacher | None = None
        self.settings: dict[str, Any] = {}

    def make(self) -> Teacher:
        settings = TeacherSettings(
            **{"base_url": self.server.base_url, "model": MODEL, "prompt_style": "chat", "timeout_s": 60.0}
            | self.settings
        )
        self.teacher = Teacher(
            settings,
            self.ledger,
            endpoint=RemoteEndpoint(settings.base_url or "", self.api_key),
            budget=self.budget,
            price=self.price,
        )
        return self.teacher

    def run(self, work: Callable[[Teacher], Any]) -> Any:
        async def inside() -> Any:
            async with self.make() as teacher:
                return await work(teacher)

        return asyncio.run(inside())

    def ask(self, requests: Sequence[TeacherRequest], on_answer: OnAnswer | None = None) -> list[TeacherAnswer]:
        return self.run(lambda teacher: teacher.ask(requests, on_answer))
