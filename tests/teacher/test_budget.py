"""Budgets hold: prices, caps, and random workloads whose true spending, read off the server, never passes a cap."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest
from budget_worker import PRICE, Workload, work
from teacher_bench import Bench, chat, chats

from benchmarks.testbed.faulty_teacher import FaultyTeacher
from benchmarks.testbed.server_behavior import ServerBehavior
from sedi_dagster.errors import BudgetExceeded, SettingsError
from sedi_dagster.settings import Price, Settings, TeacherSettings
from sedi_dagster.teacher.budget import Budget, cost_nanousd, known_price, nanousd
from sedi_dagster.teacher.ledger import Ledger


def test_cost_is_exact_and_rounded_up_and_unknown_without_a_price() -> None:
    assert cost_nanousd(PRICE, 1_000_000, 1_000_000) == 2_000_000_000
    assert cost_nanousd(Price(input=0.0001, output=0, as_of="2026"), 1, 0) == 1
    assert cost_nanousd(None, 1, 1) is None


def test_a_cap_in_money_without_a_price_refuses_and_says_what_to_add() -> None:
    settings = Settings(
        _env_file=None,
        teacher=TeacherSettings(base_url="http://x/v1", model="new"),
        budget={"max_usd": 1.0},  # type: ignore[arg-type]
    )
    with pytest.raises(SettingsError) as refused:
        known_price(settings)
    assert "SEDI_BUDGET_PRICES" in refused.value.fix and "new" in refused.value.problem
    free = Settings(_env_file=None, teacher=TeacherSettings(base_url="http://x/v1", model="new"))
    assert known_price(free) is None


def test_the_settings_as_they_are_now_hold_before_a_plan_s_round_limit() -> None:
    settings = Settings(_env_file=None, loop={"max_tokens_per_round": 500})  # type: ignore[arg-type]
    assert Budget.from_settings(settings, max_tokens_per_round=300).max_tokens_per_round == 500  # raised since
    assert Budget.from_settings(settings, max_tokens_per_round=900).max_tokens_per_round == 500  # lowered since
    assert Budget.from_settings(settings).max_tokens_per_round == 500
    assert Budget.from_settings(Settings(_env_file=None), max_tokens_per_round=300).max_tokens_per_round == 300  # type: ignore[call-arg]
    whole = Settings(_env_file=None, loop={"max_tokens": 9000})  # type: ignore[arg-type]
    assert Budget.from_settings(whole, max_tokens_per_round=300).max_tokens_per_round is None  # what was left then


def test_a_used_up_budget_stops_with_the_mend_and_a_raised_one_goes_on(bench: Bench) -> None:
    bench.budget = Budget(max_tokens_per_round=3000)
    with pytest.raises(BudgetExceeded) as stopped:
        bench.ask(chats(200))
    assert "SEDI_LOOP_MAX_TOKENS_PER_ROUND" in stopped.value.fix and "round-0001" in stopped.value.problem
    spent = bench.ledger.account("round:round-0001").spent_tokens
    assert 2000 < spent <= 3000 and bench.server.meter.tokens == spent
    assert not bench.ask([chat("another round", round="round-0002")])[0].error
    bench.budget = Budget()
    assert not any(a.error for a in bench.ask(chats(200)))
    assert max(bench.server.meter.billed.values()) == 1


def test_answers_in_the_ledger_are_free_even_with_an_empty_budget(bench: Bench) -> None:
    bench.ask(chats(5))
    bench.budget = Budget(max_tokens=1)
    assert all(a.cached for a in bench.ask(chats(5)))


def random_behavior(rng: random.Random) -> dict[str, Any]:
    faults = ("server_error", "rate_limited", "reset", "stall", "missing_usage", "malformed", "truncated")
    chosen: dict[str, Any] = {name: rng.choice((0.0, 0.0, 0.05, 0.15)) for name in faults}
    return chosen | {
        "bytes_per_token": rng.choice((1.0, 4.0)),
        "idempotent": False,
        "latency_s": rng.choice((0.0, 0.005)),
        "stall_s": 0.4,
        "seed": rng.randrange(10**6),
    }


def check_workload(rng: random.Random, folder: Path, run: Any) -> Counter[str]:
    """Random faults, caps and workers; then what the server billed is compared with the caps and the accounts.

    The server is a new one: to a call that was given up, one of a busy machine may answer in the next workload.

    Returns: what kind of workload it was, for a count.
    """
    behavior = ServerBehavior(content="short", **random_behavior(rng))
    url = f"sqlite:///{folder / f'{rng.randrange(10**9)}.sqlite'}"
    tokens, money = rng.choice((None, rng.randrange(300, 8000))), rng.choice((None, rng.randrange(200, 5000) / 1e6))
    budget = Budget(max_tokens=tokens, max_usd=money)
    with FaultyTeacher(behavior) as server:
        loads = [
            Workload(url, server.base_url, rng.choice((0, 10)), rng.randrange(5, 25), budget, rng.choice((2, 8)))
            for _ in range(rng.choice((1, 2, 3)))
        ]
        ends = run(loads)
        with Ledger(url) as ledger:
            account = ledger.account("loop")
        billed = cost_nanousd(PRICE, server.meter.prompt_tokens, server.meter.completion_tokens) or 0
        assert account.reserved_tokens == account.reserved_nanousd == 0
        assert server.meter.tokens <= account.spent_tokens <= (tokens or 10**12)
        assert billed <= account.spent_nanousd <= nanousd(money or 1000)
        counts = Counter(requests=server.meter.requests, faults=server.meter.faults.total(), workloads=1)
        counts |= {f"with {len(loads)} workers": 1, "capped": int(tokens is not None or money is not None)}
    return counts + Counter({"stopped by a cap": int("out of budget" in ends)})


def here(loads: list[Workload]) -> list[str]:
    async def all_at_once() -> list[str]:
        return await asyncio.gather(*(asyncio.to_thread(work, load) for load in loads))

    return asyncio.run(all_at_once())


def test_random_workloads_never_spend_above_a_cap(tmp_path: Path) -> None:
    rng = random.Random(11)
    counts = Counter[str]()
    for _ in range(8):
        counts += check_workload(rng, tmp_path, here)
    assert counts["stopped by a cap"] and counts["faults"], "the workloads try nothing"


@pytest.mark.slow
def test_a_thousand_random_workloads_in_processes_never_spend_above_a_cap(tmp_path: Path) -> None:
    rng = random.Random(12)
    with ProcessPoolExecutor(3, mp_context=get_context("spawn")) as pool:
        counts = Counter[str]()
        for _ in range(1000):
            counts += check_workload(rng, tmp_path, lambda loads: list(pool.map(work, loads)))
    assert counts["stopped by a cap"] > 100 and counts["faults"] > 1000, "the workloads try too little"
    print(dict(counts))
