"""One of several people: opens every round that is next, and asks for all its calls.
`contention_worker.py DATA LEDGER_URL BASE_URL NAME ROUNDS MAX_TOKENS`"""

from __future__ import annotations

import asyncio
import sys

from teacher_bench import chat

from sedi_dagster.errors import BudgetExceeded
from sedi_dagster.records import CategoryPlan, RoundPlan, round_key
from sedi_dagster.settings import TeacherSettings
from sedi_dagster.storage.rounds import load_history, load_plan, save_plan
from sedi_dagster.storage.store import Store
from sedi_dagster.teacher.budget import Budget
from sedi_dagster.teacher.client import Teacher
from sedi_dagster.teacher.endpoint import RemoteEndpoint
from sedi_dagster.teacher.ledger import Ledger
from sedi_dagster.testing.simulated_teacher import MODEL

CALLS = 12


async def pay(ledger: Ledger, base_url: str, plan: RoundPlan, budget: Budget) -> str:
    settings = TeacherSettings(base_url=base_url, model=MODEL, max_concurrency=8, timeout_s=20)
    async with Teacher(settings, ledger, endpoint=RemoteEndpoint(base_url, "key"), budget=budget) as teacher:
        try:
            await teacher.ask([chat(f"{plan.trigger} {n}", round=plan.round, max_tokens=30) for n in range(CALLS)])
        except BudgetExceeded:
            return "out of budget"
    return "paid"


def main() -> None:
    data, url, base_url, name, rounds, most = sys.argv[1:]
    store, budget = Store(data), Budget(max_tokens=int(most))
    for number in range(1, int(rounds) + 1):
        mine = RoundPlan(round_key(number), None, name, (CategoryPlan("math", CALLS, "test"),), int(rounds))
        first = save_plan(store, mine)
        plan = load_plan(store, mine.round)
        assert plan is not None and plan in load_history(store).plans
        with Ledger(url) as ledger:
            text = asyncio.run(pay(ledger, base_url, plan, budget))
        print(plan.round, plan.trigger, "opened" if first else "found", text, flush=True)


if __name__ == "__main__":
    main()
