"""The simulated teacher itself: right answers to its own tasks, the same for the same seed, and marked as simulated."""

from __future__ import annotations

import asyncio
import json
import random
import re
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from teacher_bench import Bench, chat, chats

from sedi_dagster.records import TeacherAnswer
from sedi_dagster.settings import load_settings
from sedi_dagster.teacher.open import open_teacher
from sedi_dagster.testing.simulated_teacher import SimulatedTeacher
from sedi_dagster.testing.simulated_writing import CATEGORIES, write
from sedi_dagster.testing.skills import SKILLS, Skill


def test_it_answers_every_task_that_it_writes() -> None:
    for seed in range(50):
        rng = random.Random(seed)
        for skill in SKILLS:
            instruction, text = skill.task(rng)
            answer = write(instruction + (f"\n\n{text}" if text else ""), rng)
            assert answer and "simulated" not in answer


@pytest.mark.parametrize("skill", SKILLS, ids=lambda skill: skill.category)
def test_a_task_that_a_method_changed_beyond_its_skill_gets_an_answer_all_the_same(skill: Skill) -> None:
    for wording in skill.wordings:
        text = re.sub(r"\{\w+\}", "a pinch of salt", wording)
        assert skill.answer_to(text) or write(text, random.Random(1))


@pytest.mark.parametrize("category", CATEGORIES)
def test_it_continues_a_numbered_series_of_each_category(category: str) -> None:
    prompt = f"Here is a numbered series of different {category} tasks.\n\nTask 1: x\nInput: <noinput>\n\nTask 2:"
    text = write(prompt, random.Random(1))
    assert "Task 3:" in text and "Task 4:" in text and text.count("Input:") == 3


def test_it_is_known_to_be_simulated_and_its_faults_follow_the_seed(bench: Bench) -> None:
    (answer,) = bench.ask([chat("who are you?")])
    call = bench.ledger.read_call(answer.request_key)
    assert call is not None and "simulated" in (call.response or "")
    bench.server.configure(truncated=0.3)
    first = [a.is_cut for a in bench.ask(chats(40))]
    assert 2 < sum(map(bool, first)) < 30


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/chat/completions", b'{"messages": []}', 400),
        ("/chat/completions", b'{"messages": [{"role": "user"}]}', 400),
        ("/completions", b"not JSON", 400),
        ("/embeddings", b"{}", 404),
    ],
)
def test_what_it_cannot_read_is_an_error_of_the_client_and_bills_nothing(path: str, body: bytes, status: int) -> None:
    with SimulatedTeacher() as server:
        with pytest.raises(urllib.error.HTTPError) as error:
            urllib.request.urlopen(server.base_url + path, body)
        assert error.value.code == status and error.value.headers["Server"] == "simulated"
        assert json.load(error.value)["error"]["message"] and not server.meter.billed


def test_the_rehearsal_profile_has_it_and_says_so(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    reported: list[int] = []

    async def run() -> list[TeacherAnswer]:
        settings = load_settings({"profile": "rehearsal", "data": str(tmp_path)})
        async with open_teacher(settings, run="run-1") as teacher:
            await teacher.check()
            return await teacher.ask(chats(20), lambda index, answer: reported.append(index))

    first = asyncio.run(run())
    assert not any(a.error or a.cached for a in first) and all(a.cost_usd == 0 for a in first)
    assert all(a.cached for a in asyncio.run(run()))
    assert "SIMULATED" in caplog.text and sorted(reported) == sorted([*range(20), *range(20)])
