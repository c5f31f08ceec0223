"""Generation with a teacher that is a plain function: what it asks for, and that every answer becomes a row."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import polars as pl
import pytest

from sedi_dagster.generation.self_instruct import (
    CALL_SCHEMA,
    CANDIDATE_SCHEMA,
    GenerationJob,
    Screened,
    generate,
)
from sedi_dagster.records import Category, Tables, TeacherAnswer, TeacherRequest, content_id

MATH = Category("math", "Math", "Problems with numbers.", "Use small numbers.", 1.0, 0.5, 64)
Reply = Callable[[TeacherRequest], tuple[str, str, str]]
"""Text, finish reason and error for a request."""


def seeds(human: int = 20, machine: int = 5) -> pl.DataFrame:
    rows = [
        {
            "seed_id": f"{origin}-{i:02d}",
            "instruction": f"{origin} task {i}",
            "input": f"{i}" * (i % 2),
            "origin": origin,
        }
        for origin, count in (("human", human), ("machine", machine))
        for i in range(count)
    ]
    return pl.DataFrame(rows, schema=dict.fromkeys(("seed_id", "instruction", "input", "origin"), pl.String))


JOB = GenerationJob(
    round="round-0001",
    category=MATH,
    wanted=10,
    seeds=seeds(),
    teacher="fake",
    prompt_style="completion",
    demonstrations=8,
    machine_demonstrations=2,
    max_instruction_tokens=200,
    max_answer_tokens=64,
    max_calls=20,
    temperature=0.7,
    top_p=0.95,
    project_seed=0,
)


class Teacher:
    """Answers in memory and keeps what it was asked."""

    def __init__(self, reply: Reply) -> None:
        self.reply = reply
        self.requests: list[TeacherRequest] = []
        self.waves: list[int] = []

    async def __call__(self, requests: Sequence[TeacherRequest]) -> list[TeacherAnswer]:
        self.requests += requests
        self.waves.append(len(requests))
        return [self._answer(request) for request in requests]

    def of(self, purpose: str) -> list[TeacherRequest]:
        return [request for request in self.requests if request.purpose == purpose]

    def _answer(self, request: TeacherRequest) -> TeacherAnswer:
        text, finish, error = self.reply(request)
        key = content_id("call", request.purpose, request.prompt, [m.content for m in request.messages], request.seed)
        return TeacherAnswer(key, text, finish, 100, 20, cached=False, error=error)


def two_tasks(request: TeacherRequest) -> tuple[str, str, str]:
    """Two tasks a call that no other call has, and a short answer to each."""
    if request.purpose == "answer":
        return f"The answer to {request.messages[0].content}", "stop", ""
    return f" Add {request.seed} and 1.\nInput: none\n\nTask 10: Double it.\nInput: {request.seed}\n", "stop", ""


def everything_passes(candidate_id: str, instruction: str) -> Screened | None:
    return None


def run(
    job: GenerationJob,
    reply: Reply = two_tasks,
    screen: Callable[[str, str], Screened | None] = everything_passes,
) -> tuple[Tables, Teacher]:
    teacher = Teacher(reply)
    return asyncio.run(generate(job, teacher, screen)), teacher


def test_the_same_job_asks_the_same_and_gives_the_same() -> None:
    first, teacher = run(JOB)
    second, other = run(JOB)
    assert teacher.requests == other.requests
    assert first["candidates"].equals(second["candidates"]) and first["calls"].equals(second["calls"])


@pytest.mark.parametrize("change", [{"project_seed": 1}, {"round": "round-0002"}])
def test_another_seed_or_round_asks_for_something_else(change: dict[str, Any]) -> None:
    asked = {(request.prompt, request.seed) for request in run(JOB)[1].of("instructions")}
    changed = {(request.prompt, request.seed) for request in run(replace(JOB, **change))[1].of("instructions")}
    assert not asked & changed


def test_no_two_instruction_calls_are_the_same_request() -> None:
    requests = run(JOB)[1].of("instructions")
    assert len({request.seed for request in requests}) == len(requests)


def test_as_many_calls_go_out_as_the_yield_asks_for() -> None:
    tables, teacher = run(JOB)
    assert tables["candidates"].height == 10
    assert teacher.waves == [5, 10], "five calls of two tasks, then the ten answers"
    assert tables["calls"].height == 15
    assert tables["candidates"]["problem"].null_count() == 10


def test_tables_have_their_schema_and_positions_in_order() -> None:
    tables, _ = run(JOB)
    assert tables["candidates"].schema == pl.Schema(CANDIDATE_SCHEMA)
    assert list(tables["calls"].columns) == list(CALL_SCHEMA)
    assert tables["candidates"]["position"].to_list() == list(range(10))
    assert tables["candidates"]["candidate_id"].n_unique() == 10


def test_a_teacher_that_writes_nothing_useful_is_given_up_at_the_limit_of_calls() -> None:
    tables, teacher = run(JOB, lambda request: ("", "stop", ""))
    assert len(teacher.of("instructions")) == JOB.max_calls and not teacher.of("answer")
    assert tables["candidates"]["problem"].unique().to_list() == ["empty answer"]
    assert tables["candidates"].height == JOB.max_calls


def test_malformed_candidates_are_rows_with_their_problem() -> None:
    def cut(request: TeacherRequest) -> tuple[str, str, str]:
        if request.purpose == "answer":
            return "42", "stop", ""
        return f" Add {request.seed} and 1.\nTask 10:\nInput: 3\nTask 11: Multiply the", "length", ""

    tables, teacher = run(replace(JOB, wanted=2), cut)
    by_problem = dict(tables["candidates"].group_by("problem").len().iter_rows())
    calls = len(teacher.of("instructions"))
    assert by_problem == {None: calls, "no instruction": calls, "cut by length": calls}
    assert len(teacher.of("answer")) == calls, "only whole tasks are worth an answer"


def test_screened_candidates_are_rows_with_their_verdict_and_cost_no_answer() -> None:
    def screen(candidate_id: str, instruction: str) -> Screened | None:
        return ("near_duplicate", 0.9, 0.85, "seed-1", "Double that.") if instruction.startswith("Double") else None

    tables, teacher = run(JOB, screen=screen)
    screened = tables["candidates"].filter(pl.col("screened_rule").is_not_null())
    assert screened.height == 5 and len(teacher.of("answer")) == 5
    assert screened.select(pl.selectors.starts_with("screened_")).row(0) == (
        "near_duplicate", 0.9, 0.85, "seed-1", "Double that.",
    )  # fmt: skip
    assert screened["output"].null_count() == screened["answer_key"].null_count() == 5


def test_the_screen_sees_instructions_in_candidate_order() -> None:
    seen: list[str] = []

    def screen(candidate_id: str, instruction: str) -> Screened | None:
        seen.append(candidate_id)
        return None

    tables, _ = run(JOB, screen=screen)
    assert seen == tables["candidates"]["candidate_id"].to_list()


def test_refused_calls_are_rows() -> None:
    def refuse(request: TeacherRequest) -> tuple[str, str, str]:
        if request.purpose == "answer":
            return "", "", "content policy"
        return two_tasks(request) if request.seed and request.seed % 2 else ("", "", "prompt too long")

    tables, teacher = run(JOB, refuse)
    problems = dict(tables["candidates"].group_by("problem").len().iter_rows())
    refused = sum(1 for request in teacher.of("instructions") if request.seed and request.seed % 2 == 0)
    assert refused > 0 and problems["teacher refused: prompt too long"] == refused
    assert problems["teacher refused: content policy"] == len(teacher.of("answer"))
    assert sum(problems.values()) == tables["candidates"].height


@pytest.mark.parametrize(
    ("text", "finish", "problem"), [("1 and", "length", "answer cut by length"), (" \n", "stop", "empty answer")]
)
def test_an_answer_that_is_not_whole_makes_the_candidate_malformed(text: str, finish: str, problem: str) -> None:
    tables, _ = run(JOB, lambda r: (text, finish, "") if r.purpose == "answer" else two_tasks(r))
    assert tables["candidates"]["problem"].unique().to_list() == [problem]


def shown(request: TeacherRequest) -> list[str]:
    return [line for line in (request.prompt or "").splitlines() if line.startswith("Task ") and " task " in line]


def test_a_prompt_shows_six_human_and_two_machine_seeds() -> None:
    tables, teacher = run(JOB)
    for ids in tables["candidates"]["demonstration_ids"].to_list():
        assert len(set(ids)) == 8
        assert sum(name.startswith("machine") for name in ids) == 2
    assert all(len(shown(request)) == 8 for request in teacher.of("instructions"))


@pytest.mark.parametrize(
    ("human", "machine", "expected"), [(20, 0, (8, 0)), (20, 1, (7, 1)), (3, 5, (3, 2)), (0, 0, (0, 0))]
)
def test_missing_machine_seeds_give_their_places_to_human_ones(
    human: int, machine: int, expected: tuple[int, int]
) -> None:
    tables, _ = run(replace(JOB, seeds=seeds(human, machine)))
    ids = tables["candidates"]["demonstration_ids"][0].to_list()
    origins = [name.split("-")[0] for name in ids]
    assert (origins.count("human"), origins.count("machine")) == expected


def test_one_demonstration_is_enough() -> None:
    tables, _ = run(replace(JOB, demonstrations=1))
    assert {len(ids) for ids in tables["candidates"]["demonstration_ids"].to_list()} == {1}


def test_a_completion_stops_before_it_runs_on() -> None:
    request = run(JOB)[1].of("instructions")[0]
    assert request.prompt is not None and request.prompt.endswith("Task 9:") and request.stop == ("Task 12:",)


def test_a_chat_model_is_asked_in_messages_and_its_talk_is_no_candidate() -> None:
    def chat(request: TeacherRequest) -> tuple[str, str, str]:
        if request.purpose == "answer":
            return "42", "stop", ""
        return f"Here you are:\n\n9. Add {request.seed} and 1.\nInput: <noinput>\n", "stop", ""

    tables, teacher = run(replace(JOB, prompt_style="chat"), chat)
    assert all(request.prompt is None and request.messages for request in teacher.requests)
    talk = tables["candidates"].filter(pl.col("raw").str.starts_with("Here"))
    assert talk["problem"].unique().to_list() == ["not a numbered task"]
    assert tables["candidates"]["problem"].null_count() == 10


def test_an_answer_is_asked_for_with_instruction_and_input_at_temperature_zero() -> None:
    tables, teacher = run(JOB)
    row = tables["candidates"].filter(pl.col("input") != "").row(0, named=True)
    asked = [request.messages[0].content for request in teacher.of("answer")]
    assert f"{row['instruction']}\n\n{row['input']}" in asked
    assert {request.temperature for request in teacher.of("answer")} == {0.0}
