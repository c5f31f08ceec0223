"""Single-call generation: whole examples from one call, in JSON or as a series."""

from __future__ import annotations

import json

from plain_teacher import Rules, job, run, text_of

from sedi_dagster.generation.methods import candidates_per_call
from sedi_dagster.records import Rejection, TeacherRequest
from sedi_dagster.settings import load_settings

MIX = {"single_call": 1.0}
Replied = tuple[str, str, str]


def in_json(request: TeacherRequest) -> Replied:
    examples = [
        {"instruction": f"Double {request.seed}.", "input": "", "output": f"{2 * (request.seed or 0)}"},
        {"instruction": f"Halve the number of call {request.seed}.", "input": "8", "output": "4"},
    ]
    return json.dumps({"examples": examples}), "stop", ""


def as_series(request: TeacherRequest) -> Replied:
    return (
        f" Double {request.seed}.\nInput: <noinput>\nOutput: {2 * (request.seed or 0)}\n\n"
        f"Task 5: Halve the number of call {request.seed}.\nInput: 8\nOutput: 4\n",
        "stop",
        "",
    )


def test_a_chat_model_is_asked_for_json_and_a_completion_model_for_a_series() -> None:
    asked, _ = run(job(chat=True, candidates=6), in_json, mix=MIX)[::-1]
    assert all(request.json_schema and request.messages for request in asked.requests)
    continued, _ = run(job(candidates=6), as_series, mix=MIX)[::-1]
    assert all(request.json_schema is None and request.prompt for request in continued.requests)
    assert continued.requests[0].stop == ("Task 7:",), "three demonstrations and three more"


def test_both_forms_give_whole_examples_without_a_further_call() -> None:
    for chat, reply in ((True, in_json), (False, as_series)):
        tables, teacher = run(job(chat=chat, candidates=6), reply, mix=MIX)
        rows = tables["candidates"]
        assert rows["problem"].null_count() == rows["output"].count() == rows.height == 6
        assert len(teacher.requests) == 3
        assert rows["answer_key"].equals(rows["instruction_key"].alias("answer_key"))


def test_a_label_before_the_output_of_an_example_is_no_part_of_it() -> None:
    def labelled(request: TeacherRequest) -> Replied:
        text, finish, error = in_json(request)
        return text.replace('"output": "', '"output": "**Answer:** '), finish, error

    tables, _ = run(job(chat=True, candidates=4), labelled, mix=MIX)
    assert all(output.isdecimal() for output in tables["candidates"]["output"])


def test_demonstrations_show_their_outputs() -> None:
    _, teacher = run(job(chat=True, candidates=2), in_json, mix=MIX)
    assert text_of(teacher.requests[0]).count('"output": "answer') == 3


def test_as_many_examples_are_asked_for_as_the_limit_has_room_for() -> None:
    for tokens, answers, wanted in ((150, "complete", 1), (1500, "complete", 10), (1500, "short", 20)):
        settings = {"max_example_tokens": tokens, "answers": answers}
        _, teacher = run(job(settings, chat=True, candidates=40), in_json, mix=MIX)
        assert f"Write {wanted} more of this kind" in text_of(teacher.requests[0])


def test_the_profile_of_an_api_has_room_for_twenty_examples_a_call() -> None:
    generation = load_settings({"profile": "openai"}).generation
    assert candidates_per_call(generation.methods, generation, chat=True) == 20


def test_no_more_examples_are_asked_for_than_are_wanted_and_may_be_flawed() -> None:
    _, teacher = run(job({"max_example_tokens": 1500}, chat=True, candidates=12), in_json, mix=MIX)
    assert "Write 7 more of this kind" in text_of(teacher.requests[0]) and len(teacher.requests) > 2


def test_short_answers_are_asked_for_in_so_many_words() -> None:
    for answers in ("short", "complete"):
        _, teacher = run(job({"answers": answers}, chat=True, candidates=1), in_json, mix=MIX)
        assert ("shortest right answer" in text_of(teacher.requests[0])) == (answers == "short")


def test_a_cut_or_rejected_example_is_a_row_that_says_so() -> None:
    def cut(request: TeacherRequest) -> Replied:
        return in_json(request)[0][:-20], "length", ""

    rules = Rules(lambda instruction: Rejection("near_duplicate", 0.9) if "Double" in instruction else None)
    tables, _ = run(job(chat=True, candidates=1), cut, rules, MIX)
    rows = tables["candidates"]
    assert set(rows["rejection_rule"]) == {"near_duplicate", None}
    assert "cut by length" in rows["problem"].to_list()


def test_samples_that_disagree_with_the_example_drop_it() -> None:
    def reply(request: TeacherRequest) -> Replied:
        return (f"{request.sample_index + 100}", "stop", "") if request.purpose == "answer_sample" else in_json(request)

    tables, teacher = run(job({"answer_samples": 3}, chat=True, candidates=2), reply, mix=MIX)
    assert len(teacher.of("answer_sample")) == 4
    assert tables["candidates"]["rejection_rule"].unique().to_list() == ["answers_disagree"]
