"""Instances of instructions as Self-Instruct writes them (arXiv 2212.10560, section 2.2).

A few-shot prompt tells whether a task is classification. Classification tasks get their labels first and then an
input for each, since input first gives inputs of one label only; other tasks get an input and then the output.
"""

import re
from collections.abc import Sequence
from dataclasses import replace

from sedi_dagster.generation.candidates import NOT_ASKED, Candidate, candidate_id, error_problem
from sedi_dagster.generation.method import GenerationContext, judgement_tokens, one_task_tokens
from sedi_dagster.generation.parsing import ParsedTask, parse_instances, parse_labelled_instances
from sedi_dagster.generation.prompts import render, version
from sedi_dagster.records import Rejection, TeacherAnswer, TeacherRequest

MOST_INSTANCES = 5  # an instruction; the released code stops at as many
CLASSIFY_TOKENS = 4
_YES = re.compile(r"\W*yes\b", re.IGNORECASE)


async def classify_task(context: GenerationContext, tasks: Sequence[Candidate]) -> None:
    """Set `is_classification` of every open task whose category does not decide it."""
    job = context.job
    if job.category.is_classification is not None:
        return
    undecided = [task for task in tasks if task.is_open]
    prompt = job.prompt("classify")
    requests = [
        job.request(
            "classify",
            render(prompt, instruction=task.instruction),
            max_tokens=judgement_tokens(job.chat, CLASSIFY_TOKENS),
            temperature=0.0,
            stop=() if job.chat else ("\n",),
        )
        for task in undecided
    ]
    for task, answer in zip(undecided, await context.ask(requests), strict=True):
        task.prompt_version += f"+{version(prompt)}"
        if answer is None or answer.error:
            task.problem = NOT_ASKED if answer is None else error_problem(answer.error)
        else:
            task.is_classification = _YES.match(answer.text) is not None
            task.further_keys.append(answer.request_key)


async def instances_of(context: GenerationContext, tasks: Sequence[Candidate]) -> list[Candidate]:
    """Return one candidate per instance that the teacher wrote for the open tasks, and the other tasks unchanged."""
    asked = [task for task in tasks if task.is_open]
    answers = iter(await context.ask([_request(context, task) for task in asked]))
    return [
        candidate
        for task in tasks
        for candidate in (_instances(context, task, next(answers)) if task.is_open else [task])
    ]


def _prompt(context: GenerationContext, task: Candidate) -> str:
    return context.job.prompt("labelled" if task.is_classification else "instances")


def _request(context: GenerationContext, task: Candidate) -> TeacherRequest:
    job = context.job
    further = "Class label:" if task.is_classification else f"Example {MOST_INSTANCES + 1}"
    return job.request(
        "instances",
        render(_prompt(context, task), instruction=task.instruction, most=MOST_INSTANCES, languages=job.languages),
        max_tokens=one_task_tokens(job.settings, job.chat),
        temperature=0.0,
        stop=() if job.chat else ("Task:", *(() if task.is_classification else (further,))),
    )


def _instances(context: GenerationContext, task: Candidate, answer: TeacherAnswer | None) -> list[Candidate]:
    if answer is None or answer.error:
        task.problem = NOT_ASKED if answer is None else error_problem(answer.error)
        return [task]
    parse = parse_labelled_instances if task.is_classification else parse_instances
    pieces = parse(answer.text, answer.is_cut, begins_inside=not context.job.chat)
    found: list[Candidate] = []
    for number, piece in enumerate(pieces or [ParsedTask("", "", "empty answer", answer.text)]):
        further_id = candidate_id(answer.request_key, number, task.candidate_id)
        found.append(
            replace(
                task,
                candidate_id=further_id if number else task.candidate_id,  # by which the filter knows the instruction
                input=piece.input,
                output=piece.output or None,
                problem=piece.problem or None,
                prompt_version=f"{task.prompt_version}+{version(_prompt(context, task))}",
                answer_key=answer.request_key,
                further_keys=list(task.further_keys),
                raw=f"{task.raw}\n{piece.raw}",
            )
        )
    for instance in [candidate for candidate in found if candidate.is_open][MOST_INSTANCES:]:
        instance.rejection = Rejection("too_many_instances", len(found), MOST_INSTANCES)
    return found
