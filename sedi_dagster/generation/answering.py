"""Answering of written tasks: each is put to the teacher as a user would put it, once or several times.

With `answer_samples` above 1, an answer counts only if more than half of the samples agree with it (self-consistency,
arXiv 2203.11171). Where agreement says little about quality, as in creative writing, it is not worth its cost.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from sedi_dagster.generation.agreement import most_agreed
from sedi_dagster.generation.candidates import NOT_ASKED, Candidate, answer_problem
from sedi_dagster.generation.method import GenerationContext
from sedi_dagster.generation.parsing import parse_answer
from sedi_dagster.records import CallShape, Rejection, TeacherAnswer, TeacherRequest, task_prompt
from sedi_dagster.settings import GenerationSettings

ANSWER, SAMPLE = "answer", "answer_sample"
"""Purposes of the calls for the first answer and for further ones, so that their costs can be distinguished."""
SAMPLING_TEMPERATURE = 0.7
SHORT = "Give the shortest right answer, without explanation."
MAJORITY = 0.5


async def answer_all(context: GenerationContext, candidates: Sequence[Candidate]) -> None:
    """Set the output of every open candidate, or its problem, or the rejection `answers_disagree`.

    The output that a candidate already has is its first sample, so with one sample no call is made for it.
    """
    asked = [
        (candidate, _request(context, candidate, number))
        for candidate in candidates
        if candidate.is_open
        for number in range(0 if candidate.output is None else 1, context.job.settings.answer_samples)
    ]
    answers = await context.ask([request for _, request in asked])
    answered = [(candidate, _sample(candidate, answer)) for (candidate, _), answer in zip(asked, answers, strict=True)]
    for _, group in groupby(answered, key=lambda pair: pair[0].candidate_id):
        pairs = list(group)
        _settle(context, pairs[0][0], [sample for _, sample in pairs])


def answer_shapes(settings: GenerationSettings, written: bool = False) -> tuple[CallShape, ...]:
    """Return the calls that `answer_all` makes for a candidate; `written`: it already has an output."""
    first = () if written else (CallShape(ANSWER, 1.0, 120.0, settings.max_answer_tokens),)
    further = settings.answer_samples - 1
    return (*first, CallShape(SAMPLE, float(further), 120.0, settings.max_answer_tokens)) if further else first


def _request(context: GenerationContext, candidate: Candidate, number: int) -> TeacherRequest:
    """Return the request for an answer: greedy decoding for a single one, sampling for several."""
    several = context.job.settings.answer_samples > 1
    task = task_prompt(candidate.instruction, candidate.input)
    return context.job.request(
        SAMPLE if number else ANSWER,
        f"{task}\n\n{SHORT}" if context.job.settings.answers == "short" else task,
        chat=True,
        max_tokens=context.job.max_answer_tokens,
        temperature=SAMPLING_TEMPERATURE if several else 0.0,
        seed=context.job.seed("answer", candidate.instruction, candidate.input, number) if several else None,
        sample_index=number,
    )


@dataclass(frozen=True)
class _Sample:
    """An answer and its problem, if any. `key` is None if it was not requested."""

    text: str
    key: str | None
    problem: str | None = None


def _sample(candidate: Candidate, answer: TeacherAnswer | None) -> _Sample:
    problem = answer_problem(answer)
    if answer is None:
        return _Sample("", None, problem)
    text = parse_answer(answer.text, candidate.instruction, candidate.input)
    return _Sample(text, answer.request_key, problem)


def _settle(context: GenerationContext, candidate: Candidate, samples: list[_Sample]) -> None:
    """Choose the answer that most samples agree with. A missing or cut one agrees with none."""
    if candidate.output is not None:
        samples = [_Sample(candidate.output, candidate.answer_key), *samples]
    whole = [sample for sample in samples if sample.problem is None]
    chosen = samples[0]
    if whole:
        numeric = context.job.category.verifiers[:1] == ("numeric",)
        index, agreeing = most_agreed([sample.text for sample in whole], numeric)
        chosen = whole[index]
        if agreeing <= MAJORITY * len(samples) and len(samples) > 1:
            if any(sample.problem == NOT_ASKED for sample in samples):
                candidate.problem = NOT_ASKED
            else:
                candidate.rejection = Rejection("answers_disagree", agreeing / len(samples), MAJORITY)
    else:
        candidate.problem = chosen.problem
    if chosen.key is not None:
        candidate.output, candidate.answer_key = chosen.text, chosen.key
    candidate.further_keys += [sample.key for sample in samples if sample is not chosen and sample.key is not None]
