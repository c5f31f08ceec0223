"""Each rule of form by its name, with a case on either side of it."""

from __future__ import annotations

from typing import Literal

import pytest

from sedi_dagster.filtering.keywords import UNSERVABLE
from sedi_dagster.filtering.rules import InstructionForm, instance_problem, instruction_problem


def rule(instruction: str, mode: Literal["sedi", "self_instruct"] = "sedi") -> str | None:
    found = instruction_problem(instruction, InstructionForm(mode=mode))
    return found[0] if found else None


@pytest.mark.parametrize(
    ("instruction", "published", "in_any_language"),
    [
        ("", "too_short", "too_short"),
        ("Sort these numbers", "too_short", "too_short"),
        ("Sort these three numbers", None, None),
        ("Türkiye'nin başkenti neresidir?", "too_short", None),
        ("서울의 인구는 얼마인가요?", "too_short", None),
        ("מהי בירת ישראל?", "too_short", None),
        ("ما عاصمة مصر؟", "too_short", None),
        ("తెలంగాణ రాజధాని ఏది?", "too_short", None),
        ("Écris un poème", "too_short", "too_short"),
        ("https://example.com/a/long/address", "too_short", "too_short"),
        ("Photosynthese zusammenfassen", "too_short", "too_short"),
        ("word " * 150, None, None),
        ("word " * 151, "too_long", "too_long"),
        ("Describe the picture in words", "unservable_keyword", "unservable_keyword"),
        ("DRAW a house with words", "unservable_keyword", "unservable_keyword"),
        ("Tell me how to go to Rome", "unservable_keyword", "unservable_keyword"),
        ("Write one paragraph about photography", None, None),
        ("Explain mapping and filing to me", None, None),
        ("Write a program that sorts numbers", "starts_with_write_a_program", None),
        ("Please Write a program that sorts", None, None),
        ("- Sort these three numbers", "starts_with_punctuation", "starts_with_punctuation"),
        ("、この文を短くしてください。", "starts_with_non_ascii", "starts_with_punctuation"),
        ("'Sort' these three numbers", "starts_with_punctuation", None),
        ("(Sort) these three numbers", "starts_with_punctuation", None),
        ("«Sort» these three numbers", "starts_with_non_ascii", None),
        ("¿Qué es la luz del alba?", "starts_with_non_ascii", None),
        ("Écris une phrase sur Paris", "starts_with_non_ascii", None),
        ("请写一首关于春天的诗", "starts_with_non_ascii", None),
        ("写 一 首 诗", "starts_with_non_ascii", None),
        ("😀 means what in words", "starts_with_non_ascii", None),
        ("Translate 你好 into English words", None, None),
    ],
)
def test_an_instruction_is_dropped_by_the_rule_it_breaks(
    instruction: str, published: str | None, in_any_language: str | None
) -> None:
    assert rule(instruction, "self_instruct") == published
    assert rule(instruction) == in_any_language


@pytest.mark.parametrize("keyword", [*UNSERVABLE, "go to"])
def test_every_unservable_keyword_is_found_as_a_whole_word_only(keyword: str) -> None:
    assert rule(f"Now take the {keyword}, please") == "unservable_keyword"
    assert rule(f"Now take the x{keyword}x, please") is None


def test_a_rule_of_length_tells_what_it_measured() -> None:
    assert instruction_problem("Sort these", InstructionForm()) == ("too_short", 2.0, 4.0)
    assert instruction_problem("a b c d e", InstructionForm(1, 4)) == ("too_long", 5.0, 4.0)


@pytest.mark.parametrize(
    ("text_input", "output", "expected"),
    [
        ("", "", "empty_output"),
        ("", " \n", "empty_output"),
        ("1 2", " 1 2\n", "output_equals_input"),
        ("", "3", None),
        ("", "Here is the list:", "output_ends_with_colon"),
        ("", "Here is the list:\n", "output_ends_with_colon"),
        ("", "答案如下：", "output_ends_with_colon"),
        ("1 2", "3: yes", None),
    ],
)
def test_an_instance_is_dropped_by_the_rule_it_breaks(text_input: str, output: str, expected: str | None) -> None:
    assert instance_problem(text_input, output) == expected


def test_an_answer_that_is_the_instruction_itself_is_none() -> None:
    assert instance_problem("", "Name a bird. ", "Name a bird.") == "output_equals_input"
    assert instance_problem("", "A tern.", "Name a bird.") is None
