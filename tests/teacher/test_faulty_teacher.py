"""The faulty teacher does what it is told: each fault is what the client's tests take it for."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from benchmarks.testbed.faulty_teacher import FaultyTeacher
from benchmarks.testbed.server_behavior import ServerBehavior
from sedi_dagster.testing.simulated_teacher import SimulatedTeacher


def ask(server: SimulatedTeacher, key: str = "", text: str = "who are you?", timeout_s: float = 10.0) -> bytes:
    body = json.dumps({"messages": [{"role": "user", "content": text}], "max_tokens": 16}).encode()
    headers = {"Idempotency-Key": key} if key else {}
    request = urllib.request.Request(f"{server.base_url}/chat/completions", body, headers)
    with urllib.request.urlopen(request, timeout=timeout_s) as response:
        answer: bytes = response.read()
        return answer


def status(server: SimulatedTeacher, **fields: Any) -> int:
    try:
        ask(server, **fields)
    except urllib.error.HTTPError as error:
        return error.code
    return 200


def test_without_faults_it_answers_as_the_simulated_teacher_does(server: FaultyTeacher) -> None:
    server.configure(content="tasks")
    with SimulatedTeacher() as plain:
        assert ask(server, "a") == ask(plain, "a") and ask(server) == ask(plain)
        assert server.meter.tokens == plain.meter.tokens > 0


def test_garbled_answers_are_garbled_in_their_own_way(server: FaultyTeacher) -> None:
    whole = json.loads(ask(server))
    found = {}
    for fault in ("truncated", "malformed", "wrong_schema", "missing_usage", "giant", "non_utf8"):
        server.configure(**{fault: 1.0, "giant_bytes": 10_000})
        found[fault] = ask(server)
        server.configure(**{fault: 0.0})
    truncated = json.loads(found["truncated"])["choices"][0]
    assert whole["choices"][0]["message"]["content"].startswith(truncated["message"]["content"])
    assert truncated["finish_reason"] == "length" and whole["choices"][0]["finish_reason"] == "stop"
    assert json.loads(json.loads(found["wrong_schema"])["choices"][0]["message"]["content"]) == {"unexpected": True}
    assert json.loads(found["missing_usage"]) == {name: of for name, of in whole.items() if name != "usage"}
    assert len(json.loads(found["giant"])["padding"]) == 10_000
    with pytest.raises(json.JSONDecodeError):
        json.loads(found["malformed"])
    with pytest.raises(UnicodeDecodeError):
        found["non_utf8"].decode()
    assert server.meter.faults.total() == len(found) == server.meter.requests - 1


def test_a_garbled_answer_stays_so_under_its_key_and_is_billed_once(server: FaultyTeacher) -> None:
    server.configure(malformed=1.0)
    garbled = ask(server, "a")
    server.configure(malformed=0.0)
    assert ask(server, "a") == garbled and ask(server, "b") != garbled
    assert server.meter.billed == {"a": 1, "b": 1} and server.meter.replayed == 1


@pytest.mark.parametrize(("fault", "billed"), [("reset", 1), ("reset_before", 0)])
def test_a_reset_cuts_the_connection_after_the_answer_is_billed_or_before(
    server: FaultyTeacher, fault: str, billed: int
) -> None:
    server.configure(**{fault: 1.0})
    with pytest.raises(ConnectionError):
        ask(server, "a")
    assert server.meter.billed.total() == billed and server.meter.faults == {fault: 1}


def test_a_client_that_leaves_early_is_not_billed_and_one_that_leaves_a_stalled_answer_is(
    server: FaultyTeacher,
) -> None:
    server.configure(latency_s=2.0)
    with pytest.raises(TimeoutError):
        ask(server, "left", timeout_s=0.2)
    ask(server, "stayed")  # its answer would come after the other's
    server.configure(latency_s=0.0, stall=1.0, stall_s=60.0)
    with pytest.raises(TimeoutError):
        ask(server, "stalled", timeout_s=0.2)
    while "stalled" not in server.meter.billed:  # a busy machine may get to it only now
        time.sleep(0.01)
    assert server.meter.billed == {"stayed": 1, "stalled": 1}


def test_errors_come_with_their_status_by_chance_and_in_an_outage(server: FaultyTeacher) -> None:
    for behavior, expected in (
        ({"rate_limited": 1.0}, {429}),
        ({"server_error": 1.0}, {500, 502, 503}),
        ({"refused": 1.0}, {400}),
        ({"outage": "no_quota"}, {429}),
        ({"outage": "no_model"}, {404}),
        ({"api_key": "another"}, {401}),
    ):
        server.configure(**behavior)
        assert status(server) in expected, behavior
        server.behavior = ServerBehavior(content="short")
    assert status(server) == 200 and server.meter.billed.total() == 1


def test_a_share_of_requests_meets_a_fault_the_same_one_for_the_same_seed(server: FaultyTeacher) -> None:
    def hit() -> list[bool]:
        server.forget()
        return [status(server, text=f"question {n}") == 429 for n in range(100)]

    server.configure(rate_limited=0.3)
    first, again = hit(), hit()
    server.configure(seed=1)
    assert first == again != hit() and 15 < sum(first) < 45


def test_a_restart_cuts_what_is_under_way_and_listens_at_the_same_port(server: FaultyTeacher) -> None:
    server.configure(stall=1.0, stall_s=60.0)
    port = server.port
    with ThreadPoolExecutor(1) as pool:
        stalled = pool.submit(ask, server, "a", timeout_s=60.0)
        while not server.meter.billed:
            time.sleep(0.01)
        server.restart()
        with pytest.raises(ConnectionError):
            stalled.result()
    server.configure(stall=0.0)
    assert ask(server, "a") and server.port == port and server.meter.replayed == 1


def test_an_outage_that_is_silent_answers_nothing_until_it_is_over(server: FaultyTeacher) -> None:
    server.configure(outage="silent")
    with pytest.raises(TimeoutError):
        ask(server, timeout_s=0.2)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(ask, server)
        server.configure(outage="")
        assert waiting.result()
