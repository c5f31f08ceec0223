"""Answers asked several times: when they agree, which one is taken, and what it costs."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from plain_jobs import RIDDLES, EverythingPasses, PlainTeacher, Reply, job

from sedi_dagster.errors import BudgetExceeded
from sedi_dagster.generation.agreement import agree, most_agreed
from sedi_dagster.generation.answering import SAMPLE, answer_all, answer_shapes
from sedi_dagster.generation.candidates import NOT_ASKED, Candidate
from sedi_dagster.generation.method import GenerationContext, GenerationJob
from sedi_dagster.records import TeacherRequest
from sedi_dagster.settings import GenerationSettings

LONG = "The moon pulls the water on the near side more than the earth itself, and so two bulges of water arise"
OTHER = "Bread dough rises since yeast turns sugar into gas that the dough then holds in small bubbles"


def task(number: int = 0, output: str | None = None) -> Candidate:
    written = {"output": output, "answer_key": "written"} if output is not None else {}
    question = f"Who came last in race {number}?"
    return Candidate(f"cand-{number}", f"instr-{number}", question, "", False, "m", "v", "k", "raw", **written)


def answered(reply: Reply, *candidates: Candidate, given: GenerationJob | None = None, **settings: int) -> PlainTeacher:
    given = given or job(**settings)
    teacher = PlainTeacher(reply)
    asyncio.run(answer_all(GenerationContext(given, teacher, EverythingPasses()), candidates))
    return teacher


def by_sample(*texts: str | tuple[str, str, str]) -> Reply:
    return lambda request: texts[request.sample_index]


def test_one_answer_is_asked_once_at_temperature_zero() -> None:
    one = task()
    (request,) = answered(by_sample(" Bea\n"), one).requests
    assert (one.output, one.problem, one.further_keys) == ("Bea", None, [])
    assert (request.purpose, request.temperature, request.sample_index, request.seed) == ("answer", 0.0, 0, None)


def test_several_are_drawn_with_their_own_index_and_seed_and_all_their_calls_are_named() -> None:
    one = task()
    teacher = answered(by_sample("Bea", "bea.", "Kofi"), one, answer_samples=3)
    assert [request.sample_index for request in teacher.requests] == [0, 1, 2]
    assert len({request.seed for request in teacher.requests}) == 3
    assert all(request.temperature > 0 for request in teacher.requests)
    assert [request.purpose for request in teacher.requests] == ["answer", SAMPLE, SAMPLE]
    assert one.is_open and one.output == "Bea"
    assert len({one.answer_key, *one.further_keys}) == 3


def test_the_answer_of_the_majority_is_taken() -> None:
    one = task()
    answered(by_sample("Kofi", "Bea", "**Bea**"), one, answer_samples=3)
    assert (one.output, one.rejection) == ("Bea", None)


@pytest.mark.parametrize("texts", [("Kofi", "Bea", "Lin"), ("Bea", "Bea", "Lin", "Kofi")])
def test_without_a_majority_the_candidate_is_rejected_by_a_named_rule(texts: tuple[str, ...]) -> None:
    one = task()
    answered(by_sample(*texts), one, answer_samples=len(texts))
    assert one.rejection is not None and one.problem is None and one.output in texts
    share = max(map(texts.count, texts)) / len(texts)
    assert one.rejection[:3] == ("answers_disagree", share, 0.5)


def test_an_answer_that_was_cut_agrees_with_none() -> None:
    one, two = task(1), task(2)
    answered(by_sample("Bea", ("Be", "length", ""), "Bea"), one, answer_samples=3)
    answered(by_sample("Bea", ("Bea", "length", ""), ("", "stop", "")), two, answer_samples=3)
    assert one.is_open and two.rejection is not None and two.rejection.rule == "answers_disagree"


def test_a_task_of_which_no_answer_is_whole_is_malformed() -> None:
    one = task()
    answered(by_sample(("Be", "length", ""), ("", "stop", "")), one, answer_samples=2)
    assert (one.problem, one.rejection) == ("answer cut by length", None)


def test_an_output_that_came_with_the_task_is_the_first_sample() -> None:
    one, two = task(1, "Bea"), task(2, "Kofi")
    teacher = answered(by_sample("", "Bea", "Bea"), one, two, answer_samples=3)
    assert len(teacher.requests) == 4
    assert (one.output, one.answer_key, one.rejection) == ("Bea", "written", None)
    assert (
        (two.output, two.rejection) == ("Bea", None) and two.answer_key != "written" and "written" in two.further_keys
    )


def test_with_one_sample_nothing_is_asked_for_an_output_that_is_there() -> None:
    one = task(1, "Bea")
    assert not answered(by_sample("Kofi"), one).requests
    assert one.output == "Bea"


def test_closed_candidates_are_not_answered() -> None:
    malformed = replace(task(), problem="cut by length")
    assert not answered(by_sample("Bea"), malformed).requests


def test_a_budget_that_ends_between_the_samples_is_no_disagreement() -> None:
    given = job(answer_samples=3)
    one = task()
    teacher = PlainTeacher(by_sample("Bea", "Bea", "Bea"))

    async def poor(requests):  # type: ignore[no-untyped-def]
        error = BudgetExceeded("The budget is spent.", "Raise it.")
        error.answers = (*await teacher(requests[:1]), None, None)
        raise error

    asyncio.run(answer_all(GenerationContext(given, poor, EverythingPasses()), [one]))
    assert (one.problem, one.rejection) == (NOT_ASKED, None)


def test_the_same_task_gets_the_same_requests_again() -> None:
    first = answered(by_sample("Bea", "Bea"), task(), answer_samples=2).requests
    assert first == answered(by_sample("Kofi", "Bea"), task(), answer_samples=2).requests


def test_in_a_category_of_numbers_the_last_one_decides() -> None:
    sums = replace(RIDDLES, id="sums", verifiers=("numeric", "match"))
    one = task()
    texts = "3 + 4 = 7. The sum is 7.", "It is 7.0", "3 + 4 is 8"
    answered(by_sample(*texts), one, given=job(category=sums, answer_samples=3))
    assert one.rejection is None and one.output == texts[0]


@pytest.mark.parametrize(
    ("one", "other", "numeric", "same"),
    [
        ("Yes.", "yes", False, True),
        ("'Paris'", "**Paris**", False, True),
        ("1,000", "1000", False, True),
        ("Paris", "Paris, France", False, False),
        (LONG, LONG.replace("the near side", "its near side") + ".", False, True),
        (LONG, OTHER, False, False),
        ("是的", "是的。", False, True),
        ("x = 5", "The result is 5.0.", True, True),
        ("5", "-5", True, False),
        ("five", "no number", True, False),
        ("", "", False, True),
    ],
)  # fmt: skip
def test_answers_agree_in_what_they_say(one: str, other: str, numeric: bool, same: bool) -> None:
    assert agree(one, other, numeric) is agree(other, one, numeric) is same


def test_of_answers_that_are_agreed_with_equally_the_first_is_taken() -> None:
    assert most_agreed(["a", "b", "b", "a"], numeric=False) == (0, 2)


def test_the_estimate_knows_what_further_samples_cost() -> None:
    def calls(written: bool, samples: int) -> dict[str, float]:
        shapes = answer_shapes(GenerationSettings(answer_samples=samples), written)
        return {shape.purpose: shape.per_candidate for shape in shapes}

    assert calls(False, 1) == {"answer": 1.0} and calls(True, 1) == {}
    assert calls(False, 5) == {"answer": 1.0, SAMPLE: 4.0} and calls(True, 5) == {SAMPLE: 4.0}


def test_the_prompt_is_the_task_as_a_user_would_put_it() -> None:
    one = replace(task(), input="Bea, Kofi")
    (request,) = answered(by_sample("Bea"), one).requests
    assert isinstance(request, TeacherRequest)
    assert request.messages[0].content == "Who came last in race 0?\n\nBea, Kofi"


@pytest.mark.parametrize(
    ("text", "output"),
    [
        ("Who came last in race 0?\nBea.", "Bea."),
        ("**Who came last in race 0?**\n\nBea.\nKofi won.", "Bea.\nKofi won."),
        ("> who came last in race 0?\n\nBea.", "Bea."),
        ("Who came last in race 0?", "Who came last in race 0?"),  # rejected by a rule, not emptied
        ("Who came last in race 0? Bea.", "Who came last in race 0? Bea."),
        ("Who came last in race 1?\nBea.", "Who came last in race 1?\nBea."),
    ],
)
def test_a_task_that_is_written_again_before_its_answer_comes_off(text: str, output: str) -> None:
    one = task()
    answered(by_sample(text), one)
    assert one.output == output
