"""The servers of both teachers, asked over HTTP as the product asks them."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks.teachers.author import Author
from benchmarks.teachers.ground import load_ground
from benchmarks.teachers.grounds import seed_tasks
from benchmarks.teachers.serving import Completing
from benchmarks.teachers.tokens import Tokens
from sedi_dagster.records import task_prompt
from sedi_dagster.teacher.structured import _QUESTION, _SCHEMA
from sedi_dagster.testing.simulated_teacher import MODEL, SimulatedTeacher


@pytest.fixture(scope="module")
def tokens(tiny_student: Path) -> Tokens:
    return Tokens(tiny_student / "tokenizer.json")


@pytest.fixture(scope="module")
def server(tokens: Tokens) -> Iterator[SimulatedTeacher]:
    with SimulatedTeacher(complete=Completing(Author(load_ground("development")).write, tokens)) as running:
        yield running


def asked(server: SimulatedTeacher, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
    data = None if body is None else json.dumps({"model": MODEL, **body}).encode()
    with urllib.request.urlopen(urllib.request.Request(server.base_url + path, data)) as response:
        found: dict[str, Any] = json.load(response)
        return found


def messages(text: str) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": text}]}


TASK = "First 12 lamps came, then 30. What is the total?"


def test_it_answers_chat_and_completion_requests_by_what_they_say(server: SimulatedTeacher) -> None:
    assert asked(server, "/models")["data"][0]["id"] == MODEL
    chat = asked(server, "/chat/completions", {**messages(TASK), "max_tokens": 40})["choices"][0]
    text = asked(server, "/completions", {"prompt": TASK, "max_tokens": 40})["choices"][0]
    assert "42" in chat["message"]["content"] and "42" in text["text"]
    assert chat["finish_reason"] == text["finish_reason"] == "stop"


def test_the_seed_decides_and_not_the_order(server: SimulatedTeacher) -> None:
    said = [
        asked(server, "/completions", {"prompt": TASK, "max_tokens": 40, "seed": seed})["choices"][0]["text"]
        for seed in (1, 2, 3, 4, 5, 1)
    ]
    assert said[0] == said[-1] and len(set(said)) > 1


def test_tokens_are_those_of_the_students_tokenizer_with_the_chat_form(
    server: SimulatedTeacher, tokens: Tokens
) -> None:
    found = asked(server, "/chat/completions", {**messages(TASK), "max_tokens": 40})
    said = found["choices"][0]["message"]["content"]
    assert found["usage"]["prompt_tokens"] == tokens.count(TASK) + 7
    assert found["usage"]["completion_tokens"] == tokens.count(said) + 1


def test_a_text_is_cut_at_its_limit_and_at_a_stop(server: SimulatedTeacher, tokens: Tokens) -> None:
    wish = f"{TASK} Answer in a full sentence."
    cut = asked(server, "/completions", {"prompt": wish, "max_tokens": 4})
    assert cut["choices"][0]["finish_reason"] == "length" and cut["usage"]["completion_tokens"] == 4
    whole = asked(server, "/completions", {"prompt": wish, "max_tokens": 40})["choices"][0]["text"]
    assert whole.startswith(cut["choices"][0]["text"]) and len(whole) > len(cut["choices"][0]["text"])
    word = whole.split()[2]
    stopped = asked(server, "/completions", {"prompt": wish, "max_tokens": 40, "stop": [word]})["choices"][0]["text"]
    assert stopped == whole.partition(word)[0]


def test_it_can_do_structured_output_as_the_product_tries_it(server: SimulatedTeacher) -> None:
    form = {"type": "json_schema", "json_schema": {"name": "answer", "schema": _SCHEMA, "strict": True}}
    found = asked(server, "/chat/completions", {**messages(_QUESTION), "max_tokens": 64, "response_format": form})
    assert json.loads(found["choices"][0]["message"]["content"])["is_even"] is True


def test_the_command_prints_its_address_and_serves(tiny_student: Path) -> None:
    command = [sys.executable, "-m", "benchmarks.teachers.simulated", "--ground", "final"]
    command += ["--tokenizer", str(tiny_student / "tokenizer.json")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stdin is not None
        output = json.loads(process.stdout.readline())
        assert output["teacher"] == "SIMULATED" and output["ground"] == "final"
        row = seed_tasks(load_ground("final"))[0]
        body = {"model": MODEL, "prompt": task_prompt(row["instruction"], row["input"]), "max_tokens": 40}
        request = urllib.request.Request(f"{output['base_url']}/completions", json.dumps(body).encode())
        with urllib.request.urlopen(request) as response:
            assert "bin" in json.load(response)["choices"][0]["text"]
        process.stdin.close()
        assert process.wait(timeout=120) == 0
