"""One worker of a random workload, in a module of its own so that another process can run it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from teacher_bench import chat

from sedi_dagster.errors import BudgetExceeded
from sedi_dagster.settings import Price, TeacherSettings
from sedi_dagster.teacher.budget import Budget
from sedi_dagster.teacher.client import Teacher
from sedi_dagster.teacher.endpoint import RemoteEndpoint
from sedi_dagster.teacher.ledger import Ledger
from sedi_dagster.testing.simulated_teacher import MODEL

PRICE = Price(input=0.4, output=1.6, as_of="2026-11-01")


@dataclass(frozen=True)
class Workload:
    """One worker's part: what it asks, with which caps, of which server, into which ledger."""

    url: str
    base_url: str
    first: int
    count: int
    budget: Budget
    concurrency: int


def work(load: Workload) -> str:
    """Ask until done or out of budget; runs in a process of its own or here."""

    async def inside(ledger: Ledger) -> str:
        settings = TeacherSettings(
            base_url=load.base_url, model=MODEL, max_concurrency=load.concurrency, timeout_s=0.25, max_attempts=2
        )
        endpoint = RemoteEndpoint(load.base_url, "key")
        async with Teacher(settings, ledger, endpoint=endpoint, budget=load.budget, price=PRICE) as teacher:
            try:
                await teacher.ask([chat(f"question {load.first + n}", max_tokens=30) for n in range(load.count)])
            except BudgetExceeded:
                return "out of budget"
        return "done"

    with Ledger(load.url) as ledger:
        return asyncio.run(inside(ledger))
