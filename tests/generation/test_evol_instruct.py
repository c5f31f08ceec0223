"""Evol-Instruct: what is evolved from what, in which way, and what is eliminated by which rule."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from dataclasses import replace

import polars as pl
import pytest
from plain_jobs import EverythingPasses, PlainTeacher, Reply, job, text_of, write

from sedi_dagster.errors import BudgetExceeded
from sedi_dagster.generation import elimination
from sedi_dagster.generation.candidates import CANDIDATE_SCHEMA, NOT_ASKED, Candidate, candidate_frame
from sedi_dagster.generation.evol_instruct import OPERATIONS, EvolInstruct
from sedi_dagster.generation.method import GenerationContext
from sedi_dagster.generation.prompts import render
from sedi_dagster.records import TeacherRequest

GIVEN = re.compile(r"Task(?: 1)?: (.*)\nInput: (.*)\n(?:\n|Changed:\Z)")


def given(request: TeacherRequest) -> tuple[str, str]:
    """Instruction and input that the request asks to be evolved."""
    return GIVEN.findall(text_of(request))[-1]


def good(request: TeacherRequest) -> str:
    """A rewrite that adds a condition, judged different, and an answer."""
    match request.purpose:
        case "evolve":
            instruction, text_input = given(request)
            head = "Task 2:" if request.messages else ""
            return f"{head} {instruction} Add why, step {request.seed}.\nInput: {text_input}\n"
        case "gain":
            return "different"
        case _:
            return "Forty-two, since the list says so."


def but(purpose: str, text: str | tuple[str, str, str]) -> Reply:
    """A good teacher except for one purpose."""
    return lambda request: text if request.purpose == purpose else good(request)


def operations(candidates: list[Candidate]) -> list[str]:
    return [re.search(r":(\w+)", c.prompt_version)[1] for c in candidates]  # type: ignore[index]


@pytest.mark.parametrize("chat", [True, False])
def test_an_evolved_task_is_answered_and_names_the_seed_or_example_that_it_came_from(chat: bool) -> None:
    candidates, teacher = write(EvolInstruct, job(seeds=2, kept=2, chat=chat, evolution_rounds=1), good, 4)
    assert {c.parent_id for c in candidates} == {"seed-00", "seed-01", "example-00", "example-01"}
    assert all(c.is_open and c.output == "Forty-two, since the list says so." for c in candidates)
    assert {c.method for c in candidates} == {"evol_instruct"}
    assert len(teacher.of("evolve")) == len(teacher.of("gain")) == len(teacher.of("answer")) == 4
    assert {request.max_tokens for request in teacher.of("evolve")} == {1500 if chat else 400}
    assert candidate_frame(candidates, round="r", category="c", teacher="t").columns == list(CANDIDATE_SCHEMA)


def test_a_rewrite_keeps_the_input_with_its_lines() -> None:
    one = job(seeds=2, evolution_rounds=1)
    one = replace(one, seeds=one.seeds.with_columns(input=one.seeds["input"] + "\n| a | b |\n| 1 | 2 |"))
    shown: list[str] = []

    def reply(request: TeacherRequest) -> str:
        if request.purpose == "evolve":
            shown.append(text_of(request))
            return "Task 2: Name the pears, and say why.\nInput:\n| a |\n| 1 |\n"
        return good(request)

    candidates, _ = write(EvolInstruct, one, reply, 2)
    assert all("\n| a | b |\n| 1 | 2 |\n" in text for text in shown)
    assert {c.input for c in candidates} == {"| a |\n| 1 |"}


def test_each_round_starts_from_what_the_last_one_made() -> None:
    candidates, teacher = write(EvolInstruct, job(seeds=1, evolution_rounds=3), good, 3)
    assert [c.parent_id for c in candidates] == ["seed-00", candidates[0].candidate_id, candidates[1].candidate_id]
    asked = [given(request)[0] for request in teacher.of("evolve")]
    assert asked[1:] == [c.instruction for c in candidates[:2]]
    assert candidates[2].instruction.count("Add why") == 3


@pytest.mark.parametrize("trouble", [but("gain", "Same."), but("evolve", ("Task 2: Half a", "length", ""))])
def test_after_an_eliminated_or_malformed_rewrite_the_same_task_is_evolved_again(trouble: Reply) -> None:
    candidates, teacher = write(EvolInstruct, job(seeds=1, evolution_rounds=3), trouble, 3)
    assert [c.parent_id for c in candidates] == ["seed-00"] * 3
    assert len({given(request) for request in teacher.of("evolve")}) == 1
    assert len({(text_of(r), r.seed) for r in teacher.of("evolve")}) == 3, "asked anew, not the same call again"
    assert not teacher.of("answer")


def test_the_six_rewrites_are_asked_for_equally_often() -> None:
    candidates, teacher = write(EvolInstruct, job(seeds=6, evolution_rounds=2), good, 36)
    assert Counter(operations(candidates)) == dict.fromkeys(OPERATIONS, 6)
    texts = [text_of(request) for request in teacher.of("evolve")]
    assert sum("entirely new task" in text for text in texts) == 6
    assert sum("exactly one more condition" in text for text in texts) == 6


def test_every_source_is_evolved_before_any_comes_again() -> None:
    candidates, _ = write(EvolInstruct, job(seeds=4, kept=3, evolution_rounds=1), good, 2, times=7)
    parents = [c.parent_id for c in candidates]
    assert len(set(parents[:7])) == 7 and parents[:7] == parents[7:]


def test_sources_that_training_valued_tend_to_come_first() -> None:
    one = job(seeds=40, evolution_rounds=1)
    valued = [4.0 if i < 20 else 0.25 for i in range(40)]
    candidates, _ = write(EvolInstruct, replace(one, seeds=one.seeds.with_columns(weight=pl.Series(valued))), good, 20)
    assert sum(int((c.parent_id or "")[-2:]) < 20 for c in candidates) >= 16


def test_the_same_job_asks_the_same_and_another_seed_or_round_something_else() -> None:
    first, teacher = write(EvolInstruct, job(), good, 6)
    again, other = write(EvolInstruct, job(), good, 6)
    assert teacher.requests == other.requests and first == again
    for change in ({"project_seed": 1}, {"round": "round-0002"}):
        _, changed = write(EvolInstruct, replace(job(), **change), good, 6)
        assert not {r.seed for r in teacher.of("evolve")} & {r.seed for r in changed.of("evolve")}


def test_without_a_seed_or_example_nothing_is_asked() -> None:
    candidates, teacher = write(EvolInstruct, job(seeds=0), good, 4)
    assert not candidates and not teacher.requests


@pytest.mark.parametrize(
    ("reply", "rule", "score", "calls"),
    [
        (but("gain", "Same"), "evolved_without_gain", 1.0, ("evolve", "gain")),
        (but("evolve", "Task 2: Rhyme the given prompt.\nInput: none"), "evolved_copies_prompt", 1.0, ("evolve",)),
        (but("answer", "Sorry, I can't."), "evolved_short_refusal", 3.0, ("evolve", "gain", "answer")),
        (but("answer", "... and, or the!"), "evolved_answer_only_stop_words", 0.0, ("evolve", "gain", "answer")),
    ],
)
def test_each_elimination_is_a_rule_with_its_score_and_spends_nothing_more(
    reply: Reply, rule: str, score: float, calls: tuple[str, ...]
) -> None:
    candidates, teacher = write(EvolInstruct, job(seeds=1, evolution_rounds=1), reply, 1)
    (candidate,) = candidates
    assert candidate.rejection is not None
    assert (candidate.rejection.rule, candidate.rejection.score) == (rule, score)
    assert candidate.problem is None and candidate.parent_id == "seed-00"
    assert tuple(request.purpose for request in teacher.requests) == calls


def test_a_rewrite_in_the_words_of_the_original_is_eliminated_without_a_call() -> None:
    def parrot(request: TeacherRequest) -> str:
        instruction, text_input = given(request)
        return f"Task 2: {instruction.upper()}\nInput: {text_input}"

    candidates, teacher = write(EvolInstruct, job(evolution_rounds=1), parrot, 3)
    assert {c.rejection.rule for c in candidates if c.rejection} == {"evolved_without_gain"}
    assert {request.purpose for request in teacher.requests} == {"evolve"}


def test_what_the_teacher_wrote_beside_the_rewrite_is_a_malformed_candidate() -> None:
    text = "Sure!\n\nTask 2: Name a river and a lake.\nInput: none\nTask 3: Name a sea.\nInput: none"
    candidates, _ = write(EvolInstruct, job(seeds=1, evolution_rounds=1), but("evolve", text), 1)
    assert [c.problem for c in candidates] == ["not a numbered task", None, "more than one rewrite"]
    assert "".join(c.raw for c in candidates) == text


def test_a_refused_or_empty_rewrite_is_a_row() -> None:
    refused, _ = write(EvolInstruct, job(seeds=1, evolution_rounds=1), but("evolve", ("", "", "content policy")), 1)
    empty, _ = write(EvolInstruct, job(seeds=1, evolution_rounds=1), but("evolve", " \n"), 1)
    assert [c.problem for c in refused + empty] == ["teacher refused: content policy", "empty answer"]


def test_when_the_budget_is_spent_open_rewrites_say_that_they_were_not_answered() -> None:
    one = job(seeds=1, evolution_rounds=1)
    teacher = PlainTeacher(good)

    async def poor(requests):  # type: ignore[no-untyped-def]
        if requests[0].purpose == "gain":
            raise BudgetExceeded("The budget is spent.", "Raise it.")
        return await teacher(requests)

    (candidate,) = asyncio.run(EvolInstruct(one, GenerationContext(one, poor, EverythingPasses())).write(1))
    assert candidate.problem == NOT_ASKED


@pytest.mark.parametrize("judgement", ["same", "Same.", "They are equal", "**Same**", " identical\n"])
def test_a_judgement_that_both_are_the_same_eliminates(judgement: str) -> None:
    assert elimination.without_gain(judgement) is not None


@pytest.mark.parametrize("judgement", ["different", "not the same", "Not equal", "They differ", "", "I think so", "42"])
def test_any_other_judgement_does_not(judgement: str) -> None:
    assert elimination.without_gain(judgement) is None


@pytest.mark.parametrize("words", ["given prompt", "#Rewritten Prompt#", "Rewritten task", "GIVEN PROMPT"])
def test_words_of_the_prompt_are_leaks_unless_the_original_has_them(words: str) -> None:
    assert elimination.leaked("Sort the words.", f"Sort the words of the {words} twice.") is not None
    assert elimination.leaked(f"Explain what a {words} is.", f"Explain what a {words} is to a child.") is None


@pytest.mark.parametrize("style", ["chat", "completion"])
@pytest.mark.parametrize("operation", OPERATIONS)
def test_the_words_that_count_as_leaked_are_not_put_into_the_teachers_mouth(operation: str, style: str) -> None:
    values = {"category": job().category, "aim": "", "operation": operation, "instruction": "Add.", "input": ""}
    shown = render(f"evolve.{style}", **values)
    assert elimination.leaked("", re.sub(r"Task [12]:|the task above", "", shown)) is None


@pytest.mark.parametrize("answer", ["no", "A", "B.", "42", "是", "😀", ">", "Before", "None", "the end", "Yes."])
def test_a_short_answer_that_says_something_stays(answer: str) -> None:
    assert elimination.useless_answer(answer) is None


@pytest.mark.parametrize("answer", ["...", "?!", "the", "And of the.", "- - -", '""'])
def test_an_answer_of_punctuation_and_stop_words_is_eliminated(answer: str) -> None:
    found = elimination.useless_answer(answer)
    assert found is not None and found.rule == "evolved_answer_only_stop_words"


def test_a_long_answer_may_say_sorry() -> None:
    assert elimination.useless_answer("Sorry " + "and here is why " * 19) is not None, "77 words"
    assert elimination.useless_answer("Sorry " + "and here is why " * 20) is None, "81 words"
