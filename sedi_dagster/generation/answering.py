"""Answering tasks that are written: each is put to the teacher as a user would put it."""

from __future__ import annotations

from collections.abc import Sequence

from sedi_dagster.generation.candidates import Candidate, answer_problem
from sedi_dagster.generation.method import Desk
from sedi_dagster.records import task_prompt


async def answer_all(desk: Desk, candidates: Sequence[Candidate], purpose: str) -> None:
    """Give every open candidate its output, or the problem that its answer has."""
    unanswered = [candidate for candidate in candidates if candidate.is_open]
    requests = [
        desk.job.request(
            purpose,
            task_prompt(candidate.instruction, candidate.input),
            chat=True,
            max_tokens=desk.job.max_answer_tokens,
            temperature=0.0,
        )
        for candidate in unanswered
    ]
    for candidate, answer in zip(unanswered, await desk.ask(requests), strict=True):
        candidate.problem = answer_problem(answer)
        if answer is not None:
            candidate.output, candidate.answer_key = answer.text.strip(), answer.request_key
