"""The client against a simulated server: what is paid, what is kept, what is sent again, and when it stops."""

from __future__ import annotations

import asyncio
import time

import pytest
from teacher_bench import Bench, chat, chats

from sedi_dagster.errors import TeacherError
from sedi_dagster.records import TeacherAnswer, TeacherRequest
from sedi_dagster.teacher import limiter
from sedi_dagster.teacher.client import Teacher


def test_answers_come_in_the_order_of_the_requests_and_usage_is_counted(bench: Bench) -> None:
    answers = bench.ask(chats(30))
    again = bench.ask(list(reversed(chats(30))))
    assert [a.text for a in again] == [a.text for a in reversed(answers)]
    assert all(a.text.startswith("simulated") and not a.error for a in answers)
    assert bench.server.meter.tokens == sum(a.total_tokens for a in answers)


def test_a_paid_answer_is_never_paid_again(bench: Bench) -> None:
    first = bench.ask(chats(20))
    second = bench.ask(chats(20))
    assert bench.server.meter.requests == 20
    assert [a.text for a in first] == [a.text for a in second]
    assert all(a.cached for a in second) and not any(a.cached for a in first)
    assert bench.teacher is not None and bench.teacher.usage.cached == 20


def test_equal_requests_in_flight_are_sent_once(bench: Bench) -> None:
    async def two_at_once(teacher: Teacher) -> list[list[TeacherAnswer]]:
        return await asyncio.gather(teacher.ask(chats(10) + chats(10)), teacher.ask(chats(10)))

    bench.server.configure(latency_s=0.05)
    both = bench.run(two_at_once)
    assert bench.server.meter.requests == 10
    assert [a.text for a in both[0][:10]] == [a.text for a in both[0][10:]] == [a.text for a in both[1]]


def test_a_changed_sample_index_is_another_call_and_other_accounts_are_not(bench: Bench) -> None:
    bench.ask([chat("same"), chat("same", sample_index=1), chat("same", round="round-0002", category="coding")])
    assert bench.server.meter.requests == 2


def test_the_callback_hears_every_answer_once(bench: Bench) -> None:
    heard: list[int] = []
    bench.ask(chats(12) + chats(2), on_answer=lambda index, answer: heard.append(index))
    assert sorted(heard) == list(range(14))


def test_everything_that_came_is_in_the_ledger_in_full(bench: Bench) -> None:
    (answer,) = bench.ask([chat("what is in the ledger?", purpose="answer")])
    call = bench.ledger.read_call(answer.request_key)
    assert call is not None
    assert call.state == "done" and call.purpose == "answer" and call.attempts == 1
    assert "what is in the ledger?" in (call.request or "") and answer.text in (call.response or "")
    assert (call.prompt_tokens, call.completion_tokens) == (answer.prompt_tokens, answer.completion_tokens)
    assert call.finish_reason == "stop" and call.latency_s > 0


def test_passing_trouble_is_tried_again(bench: Bench) -> None:
    bench.server.configure(server_error=0.15, rate_limited=0.1, reset_before=0.05)
    bench.settings = {"max_attempts": 10}
    answers = bench.ask(chats(60))
    assert not any(a.error for a in answers)
    assert sum(bench.server.meter.faults.values()) > 5


def test_a_call_that_fails_every_time_is_given_up_with_a_reason_and_sent_again_when_asked_again(
    bench: Bench,
) -> None:
    bench.server.configure(server_error=0.6)
    bench.settings = {"max_attempts": 1, "max_concurrency": 2}
    failed = [a for a in bench.ask(chats(12)) if a.error]
    assert failed and "attempts" in failed[0].error
    bench.server.configure(server_error=0.0)
    bench.settings = {}
    assert not any(a.error for a in bench.ask(chats(12)))


def test_an_answer_in_bad_utf8_is_kept_and_paid_once(bench: Bench) -> None:
    bench.server.configure(non_utf8=1.0)
    (answer,), (again,) = bench.ask([chat("x")]), bench.ask([chat("x")])
    assert again.cached and again.text == answer.text and not answer.error
    assert bench.server.meter.requests == 1


def test_an_answer_that_is_too_long_is_paid_once_in_a_run_and_not_final(bench: Bench) -> None:
    bench.server.configure(giant=1.0, giant_bytes=5_000_000)
    (answer,) = bench.ask([chat("x")])
    assert answer.error.startswith("malformed: longer than") and bench.server.meter.requests == 1
    call = bench.ledger.read_call(answer.request_key)
    assert call is not None and call.state == "failed" and 0 < len(call.response or "") <= 1024 * 1024
    bench.server.configure(giant=0.0, idempotent=False)
    assert not bench.ask([chat("x")])[0].error


def test_half_an_answer_is_charged_as_lost_and_asked_for_again_under_another_key(bench: Bench) -> None:
    bench.server.configure(malformed=0.1)
    answers = bench.ask(chats(120))
    assert not any(a.error for a in answers)
    assert bench.server.meter.requests > 120 and bench.teacher is not None
    account = bench.ledger.account("loop")
    assert account.reserved_tokens == 0 and account.spent_tokens >= bench.server.meter.tokens


def test_what_is_never_an_answer_ends_in_one_error_that_quotes_it(bench: Bench) -> None:
    bench.server.configure(malformed=1.0)
    with pytest.raises(TeacherError, match=r"does not respond like the API.*simulated-teacher"):
        bench.ask(chats(200))
    assert bench.server.meter.requests <= 50  # of 200: those in flight when it was known
    bench.server.configure(malformed=0.0)
    assert not any(a.error for a in bench.ask(chats(200)))


def test_an_answer_without_usage_is_charged_its_bound_and_marked(bench: Bench) -> None:
    bench.server.configure(missing_usage=1.0)
    (answer,) = bench.ask([chat("how much?")])
    call = bench.ledger.read_call(answer.request_key)
    assert call is not None and call.estimated
    assert answer.total_tokens >= bench.server.meter.tokens > 0


def test_a_refused_call_is_refused_for_itself_alone_and_not_sent_again(bench: Bench) -> None:
    bench.server.configure(refused=1.0)
    answers = bench.ask(chats(8))
    assert all(a.error.startswith("content_policy") for a in answers)
    bench.server.configure(refused=0.0)
    assert all(a.cached and a.error for a in bench.ask(chats(8)))
    assert bench.server.meter.requests == 8


@pytest.mark.parametrize("shape", ["openai", "vllm"])
@pytest.mark.parametrize(
    ("outage", "message", "fix"),
    [
        ("no_quota", "quota", "credit"),
        ("bad_key", "key", "SEDI_TEACHER_API_KEY"),
        ("no_model", "model", "SEDI_TEACHER_MODEL"),
        ("bad_request", "rejects every request", "SEDI_TEACHER_"),
    ],
)
def test_what_concerns_all_calls_stops_at_once_and_says_the_mend(
    bench: Bench, shape: str, outage: str, message: str, fix: str
) -> None:
    bench.server.configure(outage=outage, error_shape=shape)
    with pytest.raises(TeacherError) as stopped:
        bench.ask(chats(100))
    assert message in stopped.value.problem and fix in stopped.value.fix
    assert bench.server.meter.requests <= 50  # of 100: those in flight when it was known
    bench.server.configure(outage="")
    assert not any(a.error for a in bench.ask(chats(100)))


def test_what_came_before_a_fatal_error_is_kept(bench: Bench) -> None:
    came: list[int] = []

    def run_out(index: int, answer: TeacherAnswer) -> None:
        came.append(index)
        if len(came) == 21:
            bench.server.configure(outage="no_quota")

    with pytest.raises(TeacherError):
        bench.ask(chats(60), on_answer=run_out)
    paid = bench.server.meter.billed.copy()
    bench.server.configure(outage="")
    bench.ask(chats(60))
    assert len(paid) > 20
    assert max(bench.server.meter.billed.values()) == 1


def test_cancelling_stops_sending_and_keeps_what_came(bench: Bench) -> None:
    bench.server.configure(latency_s=0.05)
    came: list[int] = []

    async def cancel_midway(teacher: Teacher) -> None:
        def hear(index: int, answer: TeacherAnswer) -> None:
            came.append(index)
            if len(came) == 20:
                task.cancel()

        task = asyncio.create_task(teacher.ask(chats(400), hear))
        with pytest.raises(asyncio.CancelledError):
            await task

    bench.run(cancel_midway)
    sent = bench.server.meter.requests
    assert sent < 100
    account = bench.ledger.account("loop")
    assert account.reserved_tokens == 0 and account.spent_tokens >= bench.server.meter.tokens
    answers = bench.ask(chats(400))
    assert sum(a.cached for a in answers) >= 20
    assert max(bench.server.meter.billed.values()) == 1


def test_a_dead_endpoint_fails_in_time_with_everything_saved_and_a_retry_goes_on(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limiter, "BREAKER_S", 1.5)

    came: list[int] = []

    def die(index: int, answer: TeacherAnswer) -> None:
        came.append(index)
        if len(came) == 11:
            bench.server.configure(outage="server_error")

    with pytest.raises(TeacherError, match="fails every call"):  # in time: test_limiter.py
        bench.ask(chats(50), on_answer=die)
    bench.server.configure(outage="")
    answers = bench.ask(chats(50))
    assert not any(a.error for a in answers) and sum(a.cached for a in answers) > 10


def test_an_endpoint_that_takes_calls_and_never_answers_is_found_dead_long_before_the_time_out(bench: Bench) -> None:
    assert not any(a.error for a in bench.ask(chats(10)))
    bench.settings = {"timeout_s": 300.0, "silence_s": 0.6}
    bench.server.configure(outage="silent")
    began = time.monotonic()
    with pytest.raises(TeacherError, match="has not responded for") as dead:
        bench.ask(chats(60))
    assert 1.5 <= time.monotonic() - began < 60.0 and "SEDI_TEACHER_SILENCE_S" in dead.value.fix
    account = bench.ledger.account("loop")
    assert account.reserved_tokens == 0 and len(bench.ledger.read_answered(keys(bench, chats(60)))) == 10
    bench.server.configure(outage="")
    bench.settings = {}
    assert not any(a.error for a in bench.ask(chats(60)))


def test_a_slow_endpoint_that_is_alive_is_waited_for(bench: Bench) -> None:
    bench.settings = {"silence_s": 1.5}  # without a sign of life it would be given up after 1.5 and three times 0.75 s
    bench.server.configure(latency_s=4.0)
    assert not any(a.error for a in bench.ask(chats(4)))


def keys(bench: Bench, requests: list[TeacherRequest]) -> list[str]:
    return [one.key for one in bench.run(lambda teacher: teacher.render_all(requests))]


def test_a_server_that_restarts_is_survived(bench: Bench) -> None:
    bench.server.configure(latency_s=0.02)

    def restart(index: int, answer: TeacherAnswer) -> None:
        if index == 30:
            bench.server.restart(after_s=0.7)

    answers = bench.ask(chats(100), on_answer=restart)
    assert not any(a.error for a in answers)


def test_a_stalled_call_times_out_and_is_charged_as_lost(bench: Bench) -> None:
    bench.server.configure(stall=1.0, stall_s=3.0)
    bench.settings = {"timeout_s": 0.3, "max_attempts": 2}
    (answer,) = bench.ask([chat("anyone there?")])
    assert "timed out" in answer.error
    assert bench.ledger.account("loop").spent_tokens >= bench.server.meter.tokens
    call = bench.ledger.read_call(answer.request_key)
    assert call is not None and call.state == "failed" and call.lost_tokens > 0 and call.attempts == 2


def test_retry_after_is_obeyed_when_all_calls_are_refused(bench: Bench) -> None:
    """By the server's clock alone: a slow machine makes a pause longer, never shorter. The pause that the client takes
    of its own accord is half a second at first."""
    bench.server.configure(outage="rate_limited", retry_after_s=1.0)
    bench.settings = {"max_concurrency": 1}  # one after another: three are refused, then each one that is let through

    async def lift(teacher: Teacher) -> list[TeacherAnswer]:
        task = asyncio.create_task(teacher.ask(chats(20)))
        while bench.server.meter.requests < 5:
            await asyncio.sleep(0.01)
        bench.server.configure(outage="")
        return await task

    assert not any(a.error for a in bench.run(lift))
    third, fourth, fifth = bench.server.meter.arrivals[2:5]
    assert fourth - third >= 1.0 and fifth - fourth >= 1.0


def test_check_finds_what_is_wrong_before_anything_is_spent(bench: Bench) -> None:
    bench.run(lambda teacher: teacher.check())
    bench.settings = {"model": "unknown-model"}
    bench.server.configure(strict_model=True)
    with pytest.raises(TeacherError, match="does not know the model 'unknown-model'") as unknown:
        bench.run(lambda teacher: teacher.check())
    assert "it has: simulated-teacher" in unknown.value.fix
    bench.settings = {}
    bench.server.configure(api_key="another")
    with pytest.raises(TeacherError, match="key"):
        bench.run(lambda teacher: teacher.check())
    bench.settings = {"base_url": "http://127.0.0.1:9/v1"}
    with pytest.raises(TeacherError, match="cannot be reached"):
        bench.run(lambda teacher: teacher.check())
    assert bench.server.meter.billed.total() == 0


@pytest.mark.parametrize(
    ("behavior", "form"),
    [
        ({}, "json_schema"),
        ({"json_schema": False}, "json_object"),
        ({"json_schema": False, "json_object": False}, "prompt"),
    ],
)
def test_the_form_of_structured_output_is_tried_out_once_and_remembered(
    bench: Bench, behavior: dict[str, bool], form: str
) -> None:
    bench.server.configure(**behavior)
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    bench.ask(chats(3, json_schema=schema))
    sent = bench.server.meter.requests
    assert bench.run(lambda teacher: teacher.structured_output()) == form
    assert bench.server.meter.requests == sent <= 5


def test_a_token_limit_that_is_not_taken_goes_under_its_other_name(bench: Bench) -> None:
    bench.server.configure(token_parameter="max_completion_tokens")
    assert not bench.ask(chats(1))[0].error
    assert bench.teacher is not None and "max_tokens" in bench.teacher.usage.notes[0]


def test_a_prompt_that_is_too_long_is_refused_for_itself_alone(bench: Bench) -> None:
    bench.server.configure(context_tokens=200)
    long, short = bench.ask([chat("long " * 400), chat("short")])
    assert long.error.startswith("too_long") and not short.error
