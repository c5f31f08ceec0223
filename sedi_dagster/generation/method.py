"""The interface of generation methods, and the context they work in.

A new method is a subclass of `Method` in its own file, and a line in `methods.py`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, ClassVar

import polars as pl

from sedi_dagster.errors import BudgetExceeded
from sedi_dagster.generation.candidates import (
    Candidate,
    CandidateFilter,
    call_row,
    candidate_id,
    error_problem,
    instruction_id,
)
from sedi_dagster.generation.demonstrations import DemonstrationPicker
from sedi_dagster.generation.parsing import ParsedTask
from sedi_dagster.generation.prompts import render, version
from sedi_dagster.records import AskTeacher, CallShape, Category, Message, TeacherAnswer, TeacherRequest, derived_seed
from sedi_dagster.settings import GenerationSettings
from sedi_dagster.texts.language import languages_to_ask_for

CONTINUED_TOKENS = 400  # Self-Instruct's code has 300 or 350 for the instances of a task
JUDGEMENT_TOKENS = 64


@dataclass(frozen=True)
class GenerationJob:
    """What to generate for a category in a round, and the limits.

    Attributes:
        wanted: number of examples to keep; None: as many candidates as allowed.
        candidates: maximum number of well-formed candidates (the last calls may exceed it a little).
        difficulty: the band of difficulty to aim at; empty: any.
        errors: kinds of errors that the tasks should address, most frequent first.
        seeds: `seed_id`, `instruction`, `input`, `output`, `is_classification`, `origin` (human or machine) and,
            after training, `signal` or `weight`.
        kept: examples kept in earlier rounds: `example_id`, `instruction`, `input`, `output`.
        chat: whether prompts are chat messages; otherwise the teacher continues a text.
    """

    round: str
    category: Category
    wanted: int | None
    candidates: int
    seeds: pl.DataFrame
    kept: pl.DataFrame
    teacher: str
    chat: bool
    settings: GenerationSettings
    temperature: float = 0.7
    top_p: float = 0.95
    project_seed: int = 0
    difficulty: str = ""
    errors: tuple[str, ...] = ()

    @property
    def max_answer_tokens(self) -> int:
        """Token limit of an answer, bounded by what the category needs."""
        return min(self.settings.max_answer_tokens, 2 * self.category.max_answer_tokens)

    @property
    def aim(self) -> str:
        """The plan's requirements for the tasks, as text for a prompt; empty if there are none."""
        return render("aim", difficulty=self.difficulty, errors=self.errors, languages=self.languages)

    @cached_property
    def languages(self) -> list[str]:
        """The languages that the prompt requests; empty for English seeds, which do not need it."""
        return languages_to_ask_for(self.settings.language, self.seeds["instruction"].to_list())

    @property
    def aim_prompts(self) -> tuple[str, ...]:
        """The names of the prompts used by `aim`, for the prompt version."""
        return ("aim",) if self.aim else ()

    def prompt(self, name: str) -> str:
        """Return the name of a prompt in the teacher's style: for `evolve`, `evolve.chat` or `evolve.completion`."""
        return f"{name}.{'chat' if self.chat else 'completion'}"

    def seed(self, purpose: str, *parts: object) -> int:
        """Return a sampling seed for a call, derived from the job, its purpose and the parts."""
        return derived_seed(self.project_seed, self.round, self.category.id, purpose, *parts)

    def request(
        self,
        purpose: str,
        text: str,
        *,
        max_tokens: int,
        chat: bool | None = None,
        temperature: float | None = None,
        stop: Sequence[str] = (),
        seed: int | None = None,
        sample_index: int = 0,
        json_schema: dict[str, Any] | None = None,
    ) -> TeacherRequest:
        """Return a request with this text.

        Args:
            chat: send it as a message or as a text to continue; None: the job's style.
            temperature: None: the job's temperature, for calls that need variety.
        """
        in_chat = self.chat if chat is None else chat
        return TeacherRequest(
            purpose=purpose,
            round=self.round,
            category=self.category.id,
            prompt=None if in_chat else text,
            messages=(Message("user", text),) if in_chat else (),
            max_tokens=max_tokens,
            temperature=self.temperature if temperature is None else temperature,
            top_p=self.top_p if temperature is None else 1.0,
            stop=tuple(stop),
            seed=seed,
            sample_index=sample_index,
            json_schema=json_schema,
        )


class GenerationContext:
    """What the methods of a job share: teacher calls and their records, the filter, demonstrations.

    Attributes:
        calls: rows of `CALL_SCHEMA` by request key.
        without_text: the errors of calls without text, by request key.
        spent: set once the budget did not allow a call; no more calls are made after that.
    """

    def __init__(self, job: GenerationJob, ask: AskTeacher, candidate_filter: CandidateFilter) -> None:
        self.job = job
        self.calls: dict[str, dict[str, Any]] = {}
        self.without_text: dict[str, str] = {}
        self.spent: BudgetExceeded | None = None
        self._ask = ask
        self._filter = candidate_filter
        self._picker = DemonstrationPicker(job.seeds, (job.project_seed, job.round, job.category.id))

    async def ask(self, requests: Sequence[TeacherRequest]) -> list[TeacherAnswer | None]:
        """Return the answers in the order of the requests; None for those that the budget did not allow."""
        answers: list[TeacherAnswer | None] = [None] * len(requests)
        if requests and self.spent is None:
            try:
                answers = list(await self._ask(requests))
            except BudgetExceeded as error:
                self.spent = error
                answers = [*error.answers] or answers
        for request, answer in zip(requests, answers, strict=True):
            if answer is not None:
                self.calls[answer.request_key] = call_row(answer, request.purpose, request.category)
                if answer.error:
                    self.without_text[answer.request_key] = answer.error
        return answers

    def apply_filter(self, candidate: Candidate) -> None:
        """Set the `rejection` of an open candidate that should not be answered.

        Call it in candidate order, and once per instruction: its other instances share the verdict.
        """
        if candidate.is_open:
            candidate.rejection = self._filter.task(candidate.candidate_id, candidate.instruction, candidate.input)

    def demonstrations(self, count: int | None = None) -> list[dict[str, Any]]:
        """Return the seeds for the next prompt, as rows of `job.seeds`.

        `count`: how many, with the same share of machine-made ones; None: as in the settings.
        """
        settings = self.job.settings
        count = count or settings.demonstrations
        return self._picker.next(count, round(count * settings.machine_demonstrations / settings.demonstrations))


def pieces_of(answer: TeacherAnswer, parse: Callable[..., list[ParsedTask]], begins_inside: bool) -> list[ParsedTask]:
    """Split an answer with `parse`; return one piece with a problem if there is no text."""
    if answer.error:
        return [ParsedTask("", "", error_problem(answer.error), answer.text)]
    pieces = parse(answer.text, answer.is_cut, begins_inside=begins_inside)
    return pieces or [ParsedTask("", "", "empty answer", answer.text)]


def one_task_tokens(settings: GenerationSettings, chat: bool) -> int:
    """Return the token limit of a call for one task or its instances.

    It is lower for a model that continues a text, as it may not stop and repeat itself up to the limit, and higher for
    a chat model, which may reason first.
    """
    return settings.max_example_tokens if chat else min(settings.max_example_tokens, CONTINUED_TOKENS)


def judgement_tokens(chat: bool, words: int) -> int:
    """Return the token limit of a call that needs a word or two; a chat model may answer in a sentence."""
    return max(words, JUDGEMENT_TOKENS) if chat else words


class Method(ABC):
    """A generation method. One instance is created per job, so it may keep state between waves."""

    name: ClassVar[str]

    def __init__(self, job: GenerationJob, context: GenerationContext) -> None:
        self.job = job
        self.context = context

    def candidate(self, answer: TeacherAnswer, number: int, piece: ParsedTask, prompt: str, **more: Any) -> Candidate:
        """Create the candidate from the `number`-th piece of an answer. `more`: fields to add or override."""
        made = Candidate(
            candidate_id=candidate_id(answer.request_key, number, piece.raw),
            instruction_id=instruction_id(answer.request_key, piece.instruction),
            instruction=piece.instruction,
            input=piece.input,
            is_classification=bool(self.job.category.is_classification),
            problem=piece.problem or None,
            method=self.name,
            prompt_version=version(prompt, *self.job.aim_prompts),
            instruction_key=answer.request_key,
            raw=piece.raw,
        )
        return replace(made, **more)

    @abstractmethod
    async def write(self, wanted: int) -> list[Candidate]:
        """Generate about `wanted` well-formed candidates, and return them with the rejected and malformed ones.

        Each has an output, a problem or a rejection. An empty list means that the method has nothing more to ask for.
        """

    @classmethod
    @abstractmethod
    def call_shapes(cls, settings: GenerationSettings, chat: bool) -> Sequence[CallShape]:
        """Return the calls needed for a well-formed candidate, for cost estimates."""
