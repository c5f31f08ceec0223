"""A student behind an endpoint: asked as it was trained, and answers of any shape."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from sedi_dagster.errors import ModelError
from sedi_dagster.evaluation.results import read_results
from sedi_dagster.evaluation.served import check_served, evaluate_served
from sedi_dagster.student.chat import TEMPLATE_SWITCHES
from tests.student.test_families import items

ANSWER = {"choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "nine"}}]}


class Endpoint(ThreadingHTTPServer):
    """Keeps the bodies of requests; `refuses` names fields that it calls unknown, `lacks` a model."""

    answer: Any = ANSWER
    refuses: tuple[str, ...] = ()
    lacks = "no-such-checkpoint"

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.bodies: list[dict[str, Any]] = []
        self.url = f"http://127.0.0.1:{self.server_port}/v1"


class _Handler(BaseHTTPRequestHandler):
    server: Endpoint

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.bodies.append(body)
        unknown = [name for name in self.server.refuses if name in body]
        reply = {"error": {"message": f"Unknown: {unknown}"}} if unknown else self.server.answer
        if isinstance(reply, dict):
            reply = json.dumps({"id": "1", "object": "chat.completion", "created": 1, "model": "m", **reply})
        content = reply.encode("latin-1")
        status = 404 if body["model"] == self.server.lacks else 400 if unknown else 200
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        return None


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    server = Endpoint()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def evaluated(endpoint: Endpoint, file: Path) -> dict[str, dict[str, Any]]:
    asyncio.run(evaluate_served(endpoint.url, "m", "", items(), file, 1, 10.0, lambda *_: None))
    return read_results(file)


def test_thoughts_are_switched_off_as_in_training(endpoint: Endpoint, tmp_path: Path) -> None:
    rows = evaluated(endpoint, tmp_path / "r.jsonl")
    assert {row["answer"] for row in rows.values()} == {"nine"} and len(rows) == 6
    assert [body["chat_template_kwargs"] for body in endpoint.bodies] == [TEMPLATE_SWITCHES] * 6


def test_a_server_that_does_not_know_the_switches_is_asked_without_them(endpoint: Endpoint, tmp_path: Path) -> None:
    endpoint.refuses = ("chat_template_kwargs",)
    asyncio.run(check_served(endpoint.url, "{checkpoint}", "", 10.0))
    endpoint.bodies.clear()
    assert len(evaluated(endpoint, tmp_path / "r.jsonl")) == 6
    assert ["chat_template_kwargs" in body for body in endpoint.bodies] == [True, *[False] * 6]


def test_a_refusal_for_another_reason_is_told(endpoint: Endpoint, tmp_path: Path) -> None:
    endpoint.refuses = ("temperature",)
    with pytest.raises(ModelError, match=r"(?s)The request to the student .* failed.*temperature"):
        evaluated(endpoint, tmp_path / "r.jsonl")


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ({}, "no choices"),
        ({"choices": None}, "no choices"),
        ({"choices": []}, "no choices"),
        ({"choices": 5}, "no choices"),
        ({"choices": [{"text": "nine"}]}, "no choices"),
        ({"choices": [{"message": "nine"}]}, "no choices"),
        ({"error": {"message": "busy"}}, "busy"),
        ("[]", "no choices"),
        ("", "not JSON"),
        ("<html>Sign in</html>", "not JSON.*Sign in"),
        ('{"choices": "caf\u00e9"}', "not JSON"),  # not in UTF-8
        ({"choices": [{"finish_reason": "error", "message": {"content": ""}}]}, "did not finish"),
    ],
)
def test_an_answer_that_is_none_is_told(endpoint: Endpoint, tmp_path: Path, answer: Any, message: str) -> None:
    endpoint.answer = answer
    for ask in (
        lambda: evaluated(endpoint, tmp_path / "r.jsonl"),
        lambda: asyncio.run(check_served(endpoint.url, "{checkpoint}", "", 10.0)),
    ):
        with pytest.raises(
            ModelError, match=f"(?s)The request to the student .* failed.*{message}.*SEDI_EVALUATION_BASE_URL"
        ):
            ask()


def test_a_server_that_answers_to_any_name_is_told(endpoint: Endpoint) -> None:
    asyncio.run(check_served(endpoint.url, "{checkpoint}", "", 10.0))
    endpoint.lacks = ""
    with pytest.raises(ModelError, match=r"(?s)for 'no-such-checkpoint'.*the same weights.*SEDI_EVALUATION_BASE_URL"):
        asyncio.run(check_served(endpoint.url, "{checkpoint}", "", 10.0))


@pytest.mark.parametrize(
    "choice",
    [
        {"finish_reason": "stop", "message": {"content": [{"type": "text", "text": "nine"}]}},
        {"finish_reason": 5, "message": {"content": 9}},
        {"message": {"content": "nine"}},
    ],
    ids=["parts", "numbers", "no reason"],
)
def test_an_answer_of_another_shape_is_read(endpoint: Endpoint, tmp_path: Path, choice: dict[str, Any]) -> None:
    endpoint.answer = {"choices": [choice], "usage": {"completion_tokens": "3"}}
    rows = evaluated(endpoint, tmp_path / "r.jsonl").values()
    assert {(row["answer"], row["truncated"], row["answer_tokens"]) for row in rows} <= {
        ("nine", False, None),
        ("9", False, None),
    }


def test_an_answer_without_a_text_is_an_empty_one(endpoint: Endpoint, tmp_path: Path) -> None:
    endpoint.answer = {"choices": [{"index": 0, "finish_reason": "length", "message": {"role": "assistant"}}]}
    rows = evaluated(endpoint, tmp_path / "r.jsonl").values()
    assert all(row["answer"] == "" and row["truncated"] for row in rows)
