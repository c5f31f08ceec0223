"""Rendering and keys, reading answers, and what failures mean: the parts without effects."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from teacher_bench import chat

from sedi_dagster.records import CallShape, TeacherRequest
from sedi_dagster.settings import Price, TeacherSettings
from sedi_dagster.teacher.answers import read_answer, storable_text
from sedi_dagster.teacher.budget import Account, Cap, is_raised
from sedi_dagster.teacher.calls import Means
from sedi_dagster.teacher.estimate import Allowance, allowance, estimate_calls
from sedi_dagster.teacher.failures import EndpointNames, Failure, from_status
from sedi_dagster.teacher.rendering import RenderedRequest, render

SETTINGS = TeacherSettings(base_url="http://endpoint/v1", model="model")
NAMES = EndpointNames("http://endpoint/v1", "model")


def rendered(request: TeacherRequest, settings: TeacherSettings = SETTINGS, **more: Any) -> RenderedRequest:
    return render(request, settings, "http://endpoint/v1", **more)


def test_the_key_changes_with_what_is_sent_and_with_nothing_else() -> None:
    base = chat("one")
    same = [replace(base, purpose="x"), replace(base, round="round-0009"), replace(base, category="coding")]
    others = [
        chat("two"),
        replace(base, max_tokens=17),
        replace(base, temperature=0.1),
        replace(base, top_p=0.5),
        replace(base, stop=("x",)),
        replace(base, seed=1),
        replace(base, sample_index=1),
        replace(base, messages=(), prompt="one"),
    ]
    assert {rendered(r).key for r in same} == {rendered(base).key}
    assert len({rendered(r).key for r in [base, *others]}) == len(others) + 1
    assert rendered(base, SETTINGS.model_copy(update={"model": "other"})).key != rendered(base).key
    assert render(base, SETTINGS, "http://other/v1").key != rendered(base).key
    assert rendered(base, SETTINGS.model_copy(update={"max_concurrency": 3})).key == rendered(base).key


def test_the_key_is_the_same_in_every_version() -> None:
    assert rendered(chat("pinned")).key == "8d09f16a3cf7bd214a2710a66f21e895"


def test_differences_between_servers_are_settings() -> None:
    settings = SETTINGS.model_copy(update={"token_parameter": "max_completion_tokens", "extra_body": {"top_k": 5}})
    body = json.loads(rendered(chat("x"), settings).body)
    assert body["max_completion_tokens"] == 16 and "max_tokens" not in body and body["top_k"] == 5
    schema = {"type": "object"}
    strict = json.loads(rendered(chat("x", json_schema=schema), structured="json_schema").body)
    assert strict["response_format"]["json_schema"]["schema"] == schema
    loose = json.loads(rendered(chat("x", json_schema=schema), structured="json_object").body)
    assert loose["response_format"] == {"type": "json_object"} and "JSON" in loose["messages"][-1]["content"]
    reply = json.loads(rendered(chat("x", json_schema=schema), structured="prompt").body)
    assert "response_format" not in reply and '"object"' in reply["messages"][-1]["content"]


def test_a_request_has_a_prompt_or_messages() -> None:
    with pytest.raises(ValueError, match="either"):
        rendered(replace(chat("x"), prompt="y"))


@given(st.text(), st.integers(1, 4096), st.integers(1, 4))
def test_the_bound_is_never_below_what_a_byte_level_vocabulary_can_need(text: str, limit: int, answers: int) -> None:
    one = rendered(chat(text, max_tokens=limit), SETTINGS.model_copy(update={"extra_body": {"n": answers}}))
    assert one.most_prompt_tokens >= len(text.encode("utf-8", "replace"))
    assert one.most_completion_tokens == limit * answers


@given(st.binary())
def test_any_bytes_are_read_without_an_error_being_raised_and_can_be_stored(content: bytes) -> None:
    text = storable_text(content)
    text.encode("utf-8")
    assert "\x00" not in text
    read_answer(text)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["choices", "message", "content", "text", "usage", "error", "finish_reason"]), inner
            )
        ),
    )
)
def test_any_json_is_read_without_an_error_being_raised(data: Any) -> None:
    read = read_answer(json.dumps(data))
    assert isinstance(read.text, str) and isinstance(read.finish_reason, str)


@pytest.mark.parametrize("finish", ["stop", "content_filter"])
def test_a_lone_surrogate_is_replaced_in_every_text_that_is_read(finish: str) -> None:
    choice = {"message": {"content": "so \ud800 far"}, "finish_reason": finish}
    assert read_answer(json.dumps({"choices": [choice]})).text == "so ? far"


def test_usage_that_makes_no_sense_is_no_usage() -> None:
    answer = {"choices": [{"text": "x", "finish_reason": "stop"}]}
    for usage in (
        {"prompt_tokens": -1, "completion_tokens": 2},
        {"prompt_tokens": "1", "completion_tokens": 2},
        [],
        None,
    ):
        assert read_answer(json.dumps(answer | {"usage": usage})).usage is None


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (429, {"error": {"message": "Rate limit reached", "code": "rate_limit_exceeded"}}, "rate_limited"),
        (429, {"error": {"message": "quota", "code": "insufficient_quota"}}, "fatal"),
        (402, {"error": {"message": "Insufficient credits"}}, "fatal"),
        (401, {"error": {"message": "bad key", "code": "invalid_api_key"}}, "fatal"),
        (403, "<html>Forbidden</html>", "fatal"),
        (
            404,
            {"object": "error", "message": "The model `m` does not exist.", "type": "NotFoundError", "code": 404},
            "fatal",
        ),
        (404, "Not Found", "fatal"),
        (302, "", "fatal"),
        (500, "", "passing"),
        (503, {"error": {"code": 503, "message": "Loading model", "type": "unavailable_error"}}, "rate_limited"),
        (529, {"error": {"message": "overloaded"}}, "rate_limited"),
        (400, {"error": {"message": "x", "code": "content_policy_violation"}}, "refused"),
        (400, {"error": {"message": "x", "code": "context_length_exceeded"}}, "too_long"),
        (400, {"error": {"code": 400, "message": "too big", "type": "exceed_context_size_error"}}, "too_long"),
        (400, {"message": "This model's maximum context length is 4096 tokens", "code": 400}, "too_long"),
        (400, {"error": {"message": "bad value", "code": "invalid_value"}}, "rejected"),
        (422, {"detail": [{"msg": "field required"}]}, "rejected"),
    ],
)
def test_each_error_of_each_server_has_one_meaning(status: int, body: Any, kind: str) -> None:
    failure = from_status(status, body, {}, NAMES)
    assert failure.kind == kind
    assert (failure.fatal is not None and bool(failure.fatal.fix)) == (kind == "fatal")


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [({"retry-after": "7"}, 7.0), ({"retry-after-ms": "250"}, 0.25), ({}, None), ({"retry-after": "soon"}, None)],
)
def test_retry_after_is_read(headers: dict[str, str], seconds: float | None) -> None:
    failure: Failure = from_status(429, {}, headers, NAMES)
    assert failure.retry_after_s == seconds


def test_an_estimate_follows_earlier_calls_and_else_the_limits() -> None:
    shapes = [CallShape("instructions", 0.5, 700.0, 200), CallShape("answer", 1.0, 120.0, 128)]
    unseen = estimate_calls(120, shapes, None, 8)
    assert (unseen.calls, unseen.tokens) == (180, 60 * 900 + 120 * 248)
    assert unseen.most_tokens == unseen.tokens and not unseen.measured and unseen.usd is None
    means = [Means("instructions", 50, 800.0, 150.0, 2.0), Means("answer", 100, 100.0, 60.0, 1.0)]
    seen = estimate_calls(120, shapes, Price(input=1.0, output=2.0, as_of="2026-11-01"), 8, means)
    assert seen.measured and seen.tokens == 60 * 950 + 120 * 160
    assert seen.most_tokens == 60 * 1000 + 120 * 228 and seen.seconds == (60 * 2 + 120) / 8
    assert seen.usd == pytest.approx((60 * 800 + 120 * 100 + 2 * (60 * 150 + 120 * 60)) / 1e6)


@pytest.mark.parametrize(
    ("then", "now", "raised"),
    [
        (Cap("loop", 100), Cap("loop", 100), False),
        (Cap("loop", 100), Cap("loop", 200), True),
        (Cap("loop", 100), Cap("loop", 50), False),
        (Cap("loop", 100), Cap("loop"), True),
        (Cap("loop", 100), Cap("loop", 200, 5), False),
        (Cap("loop", None, 100), Cap("loop", None, 200), True),
        (Cap("day:2026-11-25", 100), Cap("day:2026-11-26", 100), True),
        (Cap("run:a", 100), Cap("run:b", 900), False),
    ],
)
def test_a_limit_leaves_more_room_once_it_is_raised_or_the_day_is_over(then: Cap, now: Cap, raised: bool) -> None:
    assert is_raised(then.text, [now]) is raised


def test_the_bound_of_an_estimate_is_what_the_tightest_cap_leaves() -> None:
    accounts = {"loop": Account("loop", spent_tokens=700), "day": Account("day", spent_nanousd=40)}
    left = allowance([Cap("loop", 1000, None, "A"), Cap("day", 900, 100, "B")], accounts.__getitem__)
    assert left == Allowance(300, 60 / 1e9, ("A", "B"))
    assert allowance([Cap("loop")], accounts.__getitem__) == Allowance(None, None, ())
