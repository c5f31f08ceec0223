"""Self-Instruct generation (arXiv 2212.10560), two steps: new instructions from demonstrations, then an answer to each.

A round asks for candidates of one category at a time. Calls go out in waves: what the last wave yielded says
how many calls the next one needs. Every choice derives from (project seed, round, category, call number), so
the same plan with the same answers gives the same candidates.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import polars as pl

from sedi_dagster.generation.parsing import ParsedTask, parse_tasks
from sedi_dagster.generation.prompts import render, version
from sedi_dagster.records import (
    AskTeacher,
    Category,
    Message,
    Tables,
    TeacherAnswer,
    TeacherRequest,
    content_id,
    derived_rng,
    derived_seed,
    task_prompt,
)

METHOD = "self_instruct"
FIRST_YIELD = 2.0  # tasks expected of a call before anything is known
TASKS_PER_CALL = 3  # in completion style, where a small model loses the thread after a few
CHAT_TASKS_PER_CALL = 8
TOKENS_PER_TASK = 60  # a chat model is asked for no more tasks than its token limit has room for

CANDIDATE_SCHEMA: dict[str, Any] = {
    "candidate_id": pl.String,
    "round": pl.String,
    "category": pl.String,
    "position": pl.Int64,
    "instruction_id": pl.String,  # the same for all instances of one instruction
    "instruction": pl.String,
    "input": pl.String,
    "output": pl.String,
    "is_classification": pl.Boolean,
    "problem": pl.String,
    "screened_rule": pl.String,
    "screened_score": pl.Float64,
    "screened_threshold": pl.Float64,
    "screened_neighbour_id": pl.String,
    "screened_neighbour": pl.String,
    "method": pl.String,
    "teacher": pl.String,
    "prompt_version": pl.String,
    "demonstration_ids": pl.List(pl.String),
    "instruction_key": pl.String,
    "answer_key": pl.String,
    "raw": pl.String,
}
CALL_SCHEMA: dict[str, Any] = {
    "request_key": pl.String,
    "purpose": pl.String,
    "category": pl.String,
    "finish_reason": pl.String,
    "prompt_tokens": pl.Int64,
    "completion_tokens": pl.Int64,
    "cost_usd": pl.Float64,
    "latency_s": pl.Float64,
}

Screened = tuple[str, float | None, float | None, str | None, str | None]
"""Rule, score, threshold, neighbour's id and text: why an instruction is not worth an answer."""
Screen = Callable[[str, str], Screened | None]
"""`screen(candidate id, instruction)`: called in candidate order, before an answer is paid for."""


@dataclass(frozen=True)
class GenerationJob:
    """What to generate. `seeds` has `seed_id`, `instruction`, `input`, `origin` (human or machine)."""

    round: str
    category: Category
    wanted: int
    seeds: pl.DataFrame
    teacher: str
    prompt_style: Literal["completion", "chat"]
    demonstrations: int
    machine_demonstrations: int
    max_instruction_tokens: int
    max_answer_tokens: int
    max_calls: int
    temperature: float
    top_p: float
    project_seed: int


async def generate(job: GenerationJob, ask: AskTeacher, screen: Screen) -> Tables:
    """Candidates (well-formed, screened out, or malformed: nothing is dropped) and the calls that made them.

    Returns:
        `candidates` (`CANDIDATE_SCHEMA`) and `calls` (`CALL_SCHEMA`), one row a distinct request.
    """
    pieces: list[dict[str, Any]] = []
    calls: dict[str, dict[str, Any]] = {}
    asked = found = 0
    while found < job.wanted and asked < job.max_calls:
        expected = found / asked if asked and found else FIRST_YIELD
        wave = min(math.ceil((job.wanted - found) / expected), job.max_calls - asked)
        shown = [_demonstrations(job, number) for number in range(asked, asked + wave)]
        requests = [_instruction_request(job, demos, asked + i) for i, demos in enumerate(shown)]
        for demos, answer in zip(shown, await ask(requests), strict=True):
            _note_call(calls, answer, "instructions", job.category.id)
            parsed = _parsed(job, answer)
            found += sum(not task.problem for task in parsed)
            pieces += [_piece(job, answer, number, task, demos) for number, task in enumerate(parsed)]
        asked += wave
    unanswered = []
    for position, piece in enumerate(pieces):
        piece["position"] = position
        if piece["problem"] is None:
            screened = screen(piece["candidate_id"], piece["instruction"])
            if screened is None:
                unanswered.append(piece)
            else:
                piece.update(
                    zip(
                        (name for name in CANDIDATE_SCHEMA if name.startswith("screened_")),
                        screened,
                        strict=True,
                    )
                )
    answers = await ask([_answer_request(job, piece) for piece in unanswered])
    for piece, answer in zip(unanswered, answers, strict=True):
        _note_call(calls, answer, "answer", job.category.id)
        piece.update(output=answer.text.strip(), answer_key=answer.request_key, problem=_answer_problem(answer))
    return {
        "candidates": pl.DataFrame(pieces, schema=CANDIDATE_SCHEMA),
        "calls": pl.DataFrame(list(calls.values()), schema=CALL_SCHEMA),
    }


def _demonstrations(job: GenerationJob, number: int) -> list[dict[str, Any]]:
    """Seeds to show in call `number`: mostly human, a few machine-made, shuffled (Self-Instruct: 6 and 2)."""
    rng = derived_rng(job.project_seed, job.round, job.category.id, "demonstrations", number)
    human = job.seeds.filter(pl.col("origin") == "human").to_dicts()
    machine = job.seeds.filter(pl.col("origin") != "human").to_dicts()
    chosen = rng.sample(machine, min(job.machine_demonstrations, job.demonstrations, len(machine)))
    chosen += rng.sample(human, min(job.demonstrations - len(chosen), len(human)))
    rng.shuffle(chosen)
    return chosen


def _instruction_request(job: GenerationJob, demos: Sequence[dict[str, Any]], number: int) -> TeacherRequest:
    chat = job.prompt_style == "chat"
    wanted = max(1, min(CHAT_TASKS_PER_CALL, job.max_instruction_tokens // TOKENS_PER_TASK))
    values = {"category": job.category, "demonstrations": demos}
    return TeacherRequest(
        purpose="instructions",
        round=job.round,
        category=job.category.id,
        prompt=None if chat else render("instructions.completion", **values),
        messages=(Message("user", render("instructions.chat", **values, wanted=wanted)),) if chat else (),
        max_tokens=job.max_instruction_tokens,
        temperature=job.temperature,
        top_p=job.top_p,
        stop=() if chat else (f"Task {len(demos) + 1 + TASKS_PER_CALL}:",),
        seed=derived_seed(job.project_seed, job.round, job.category.id, "instructions", number),
    )


def _answer_request(job: GenerationJob, piece: dict[str, Any]) -> TeacherRequest:
    prompt = task_prompt(piece["instruction"], piece["input"])
    return TeacherRequest(
        purpose="answer",
        round=job.round,
        category=job.category.id,
        messages=(Message("user", prompt),),
        max_tokens=job.max_answer_tokens,
        temperature=0.0,
    )


def _parsed(job: GenerationJob, answer: TeacherAnswer) -> list[ParsedTask]:
    if answer.error:
        return [ParsedTask("", "", f"teacher refused: {answer.error}", answer.text)]
    tasks = parse_tasks(
        answer.text,
        cut_off=answer.finish_reason == "length",
        begins_inside=job.prompt_style == "completion",
    )
    return tasks or [ParsedTask("", "", "empty answer", answer.text)]


def _piece(
    job: GenerationJob, answer: TeacherAnswer, number: int, task: ParsedTask, demos: Sequence[dict[str, Any]]
) -> dict[str, Any]:
    return {
        "candidate_id": content_id("cand", answer.request_key, number, task.raw),
        "round": job.round,
        "category": job.category.id,
        "instruction_id": content_id("instr", answer.request_key, task.instruction),
        "instruction": task.instruction,
        "input": task.input,
        "output": None,
        "is_classification": job.category.id == "classification",
        "problem": task.problem or None,
        "method": METHOD,
        "teacher": job.teacher,
        "prompt_version": version(f"instructions.{job.prompt_style}"),
        "demonstration_ids": [demo["seed_id"] for demo in demos],
        "instruction_key": answer.request_key,
        "answer_key": None,
        "raw": task.raw,
    }


def _answer_problem(answer: TeacherAnswer) -> str | None:
    if answer.error:
        return f"teacher refused: {answer.error}"
    if answer.finish_reason == "length":
        return "answer cut by length"
    return None if answer.text.strip() else "empty answer"


def _note_call(calls: dict[str, dict[str, Any]], answer: TeacherAnswer, purpose: str, category: str) -> None:
    calls[answer.request_key] = {
        "request_key": answer.request_key,
        "purpose": purpose,
        "category": category,
        "finish_reason": answer.finish_reason,
        "prompt_tokens": answer.prompt_tokens,
        "completion_tokens": answer.completion_tokens,
        "cost_usd": answer.cost_usd,
        "latency_s": answer.latency_s,
    }
