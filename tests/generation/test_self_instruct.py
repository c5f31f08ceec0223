"""Self-Instruct with a teacher that is a plain function: what it asks for, and that every answer becomes a row."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import polars as pl
import pytest
from plain_teacher import MATH, Rules, job, run, seeds, text_of, two_tasks

from sedi_dagster.generation.self_instruct import SelfInstruct
from sedi_dagster.records import Rejection, TeacherRequest

OPEN = replace(MATH, is_classification=None)
Replied = tuple[str, str, str]


def test_a_prompt_shows_six_human_and_two_machine_seeds() -> None:
    tables, teacher = run(job(), two_tasks)
    for ids in tables["candidates"]["demonstration_ids"].to_list():
        assert len(set(ids)) == 8
        assert sum(name.startswith("machine") for name in ids) == 2
    for request in teacher.of("instructions"):
        assert sum(line.startswith("Task ") and " task " in line for line in text_of(request).splitlines()) == 8


def test_a_completion_stops_before_it_runs_on() -> None:
    request = run(job(), two_tasks)[1].of("instructions")[0]
    assert request.prompt is not None and request.prompt.endswith("Task 9:") and request.stop == ("Task 12:",)


def test_no_two_instruction_calls_are_the_same_request() -> None:
    requests = run(job(), two_tasks)[1].of("instructions")
    assert len({request.seed for request in requests}) == len(requests)


def test_malformed_candidates_are_rows_with_their_problem() -> None:
    def cut(request: TeacherRequest) -> Replied:
        if request.purpose == "answer":
            return "42", "stop", ""
        return f" Add {request.seed} and 1.\nTask 10:\nInput: 3\nTask 11: Multiply the", "length", ""

    tables, teacher = run(job(candidates=2), cut)
    by_problem = dict(tables["candidates"].group_by("problem").len().iter_rows())
    calls = len(teacher.of("instructions"))
    assert by_problem == {None: calls, "no instruction": calls, "cut by length": calls}
    assert len(teacher.of("answer")) == calls, "only whole tasks are worth an answer"


def test_rejected_candidates_are_rows_with_their_verdict_and_cost_no_answer() -> None:
    verdict = Rejection("near_duplicate", 0.9, 0.85, "seed-1", "Double that.")
    rules = Rules(lambda instruction: verdict if instruction.startswith("Double") else None)
    tables, teacher = run(job(), two_tasks, rules)
    rejected = tables["candidates"].filter(pl.col("rejection_rule").is_not_null())
    assert rejected.height == 5 and len(teacher.of("answer")) == 5
    assert rejected.select(pl.selectors.starts_with("rejection_")).row(0) == tuple(verdict)
    assert rejected["output"].null_count() == rejected["answer_key"].null_count() == 5


def test_the_filter_sees_instructions_in_candidate_order() -> None:
    rules = Rules()
    tables, _ = run(job(), two_tasks, rules)
    assert rules.seen == tables["candidates"]["candidate_id"].to_list()


def test_refused_calls_are_rows() -> None:
    def refuse(request: TeacherRequest) -> Replied:
        if request.purpose == "answer":
            return "", "", "content policy"
        return two_tasks(request) if request.seed and request.seed % 2 else ("", "", "prompt too long")

    tables, teacher = run(job(), refuse)
    problems = dict(tables["candidates"].group_by("problem").len().iter_rows())
    refused = sum(1 for request in teacher.of("instructions") if request.seed and request.seed % 2 == 0)
    assert refused > 0 and problems["teacher refused: prompt too long"] == refused
    assert problems["teacher refused: content policy"] == len(teacher.of("answer"))
    assert sum(problems.values()) == tables["candidates"].height


@pytest.mark.parametrize(
    ("text", "finish", "problem"), [("1 and", "length", "answer cut by length"), (" \n", "stop", "empty answer")]
)
def test_an_answer_that_is_not_whole_makes_the_candidate_malformed(text: str, finish: str, problem: str) -> None:
    tables, _ = run(job(), lambda r: (text, finish, "") if r.purpose == "answer" else two_tasks(r))
    assert tables["candidates"]["problem"].unique().to_list() == [problem]


def test_a_chat_model_is_asked_in_messages_and_its_talk_is_no_candidate() -> None:
    def chat(request: TeacherRequest) -> Replied:
        if request.purpose == "answer":
            return "42", "stop", ""
        return f"Here you are:\n\n9. Add {request.seed} and 1.\nInput: <noinput>\n", "stop", ""

    tables, teacher = run(job(chat=True), chat)
    assert all(request.prompt is None and request.messages for request in teacher.requests)
    talk = tables["candidates"].filter(pl.col("raw").str.starts_with("Here"))
    assert talk["problem"].unique().to_list() == ["not a numbered task"]
    assert tables["candidates"]["problem"].null_count() == 10


def test_an_answer_is_asked_for_with_instruction_and_input_at_temperature_zero() -> None:
    tables, teacher = run(job(), two_tasks)
    row = tables["candidates"].filter(pl.col("input") != "").row(0, named=True)
    asked = [request.messages[0].content for request in teacher.of("answer")]
    assert f"{row['instruction']}\n\n{row['input']}" in asked
    assert {request.temperature for request in teacher.of("answer")} == {0.0}


def as_in_the_paper(instances: str, classification: str = "no", finish: str = "stop") -> Callable[..., Replied]:
    """One instruction a call; what is told of it; and its instances."""

    def reply(request: TeacherRequest) -> Replied:
        if request.purpose == "classify":
            return classification, "stop", ""
        if request.purpose == "instances":
            return instances, finish, ""
        return f" Sort the numbers {request.seed}.\n", "stop", ""

    return reply


def test_the_paper_form_shows_no_inputs_and_asks_for_instances() -> None:
    tables, teacher = run(
        job({"instances": "few_shot"}, candidates=4),
        as_in_the_paper(" 3 1\nOutput: 1 3\nExample 2\nInput: 9 8\nOutput: 8 9\n"),
    )
    assert all("Input:" not in text_of(request) for request in teacher.of("instructions"))
    assert not teacher.of("answer") and not teacher.of("classify"), "the category decides"
    rows = tables["candidates"]
    assert rows.select("input", "output").unique().sort("input").rows() == [("3 1", "1 3"), ("9 8", "8 9")]
    assert rows["problem"].null_count() == rows.height == 2 * rows["instruction_id"].n_unique()
    assert rows["candidate_id"].n_unique() == rows.height


@pytest.mark.parametrize(("chat", "tokens"), [(False, 400), (True, 1500)])
def test_who_continues_a_text_has_about_as_much_room_for_instances_as_in_the_paper(chat: bool, tokens: int) -> None:
    one = job({"instances": "few_shot"}, candidates=1, chat=chat)
    reply = as_in_the_paper(" 2\nOutput: 4")
    _, teacher = run(one, (lambda request: _numbered(reply, request)) if chat else reply)
    assert {request.max_tokens for request in teacher.of("instances")} == {tokens}
    shapes = {shape.purpose: shape.max_tokens for shape in SelfInstruct.call_shapes(one.settings, chat)}
    assert shapes["instances"] == tokens


def test_the_filter_judges_an_instruction_once_whatever_its_instances() -> None:
    rules = Rules()
    tables, _ = run(
        job({"instances": "few_shot"}, candidates=4),
        as_in_the_paper(" 3 1\nOutput: 1 3\nExample 2\nInput: 9 8\nOutput: 8 9\n"),
        rules,
    )
    assert len(rules.seen) == tables["candidates"]["instruction_id"].n_unique()
    assert set(rules.seen) <= set(tables["candidates"]["candidate_id"]), "a neighbour is a candidate that exists"


@pytest.mark.parametrize(("reply", "is_classification"), [(" Yes", True), ("no", False), ("I am not sure", False)])
def test_where_the_category_leaves_it_open_the_teacher_tells_classification(
    reply: str, is_classification: bool
) -> None:
    instances = " even\nInput: 2\nClass label: odd\nInput: 3" if is_classification else " 2\nOutput: even"
    tables, teacher = run(
        job({"instances": "few_shot"}, category=OPEN, candidates=2), as_in_the_paper(instances, reply)
    )
    rows = tables["candidates"]
    assert rows["is_classification"].unique().to_list() == [is_classification]
    assert {request.purpose for request in teacher.requests} == {"instructions", "classify", "instances"}
    classified = {call["request_key"] for call in tables["calls"].to_dicts() if call["purpose"] == "classify"}
    assert {key for keys in rows["further_keys"].to_list() for key in keys} == classified
    assert sorted(set(rows.select("input", "output").rows())) == (
        [("2", "even"), ("3", "odd")] if is_classification else [("2", "even")]
    )


def test_classification_is_told_by_12_and_19_examples() -> None:
    _, teacher = run(job({"instances": "few_shot"}, category=OPEN, candidates=1), as_in_the_paper(" 2\nOutput: even"))
    prompt = text_of(teacher.of("classify")[0])
    assert (prompt.count("Classification: yes"), prompt.count("Classification: no")) == (12, 19)


def test_labels_come_first_for_classification_and_inputs_otherwise() -> None:
    for is_classification, ending in ((True, "Class label:"), (False, "Example 1\nInput:")):
        category = replace(MATH, is_classification=is_classification)
        _, teacher = run(job({"instances": "few_shot"}, category=category), as_in_the_paper(""))
        assert text_of(teacher.of("instances")[0]).endswith(ending)


def test_an_instance_cut_by_length_is_malformed_and_those_before_it_stay() -> None:
    text = " 3 1\nOutput: 1 3\nExample 2\nInput: 9 8\nOutput: 8"
    tables, _ = run(job({"instances": "few_shot"}, candidates=1), as_in_the_paper(text, finish="length"))
    assert tables["candidates"]["problem"].to_list() == [None, "cut by length"]


def test_of_the_instances_those_after_the_fifth_are_rejected() -> None:
    many = "\n".join(f"Example {n}\nInput: {n}\nOutput: {n + 1}" for n in (1, 2, 3, 4, 5, 6))
    reply = as_in_the_paper("Here they are.\n" + many)
    tables, _ = run(job({"instances": "few_shot"}, candidates=1, chat=True), lambda r: _numbered(reply, r))
    by_rule = dict(tables["candidates"].group_by("rejection_rule", "problem").len().rows_by_key("rejection_rule"))
    assert tables["candidates"]["rejection_rule"].drop_nulls().to_list() == ["too_many_instances"]
    assert len(by_rule[None]) == 2, "five kept, and the talk before them is malformed"


def _numbered(reply: Callable[[TeacherRequest], Replied], request: TeacherRequest) -> Replied:
    text, finish, error = reply(request)
    return (f"9.{text}" if request.purpose == "instructions" else text), finish, error


def test_an_instruction_without_instances_is_a_row_with_its_problem() -> None:
    tables, _ = run(job({"instances": "few_shot"}, candidates=1), as_in_the_paper(""))
    assert tables["candidates"]["problem"].unique().to_list() == ["empty answer"]


def test_missing_machine_seeds_give_their_places_to_human_ones() -> None:
    for human, machine, expected in ((20, 0, (8, 0)), (20, 1, (7, 1)), (3, 5, (3, 2)), (0, 0, (0, 0))):
        tables, _ = run(job(seeds=seeds(human, machine)), two_tasks)
        origins = [name.split("-")[0] for name in tables["candidates"]["demonstration_ids"][0].to_list()]
        assert (origins.count("human"), origins.count("machine")) == expected
