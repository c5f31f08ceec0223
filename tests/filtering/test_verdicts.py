"""Every candidate ends in exactly one state, by a named rule, in the order of the greedy procedure."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sedi_dagster.filtering.decontamination import Decontaminator
from sedi_dagster.filtering.verdicts import VERDICT_SCHEMA, InstructionScreen, judge_candidates
from sedi_dagster.generation.candidates import CANDIDATE_SCHEMA

ITEM = "Which planet of our solar system has the most moons?"
SEED = ("seed-1", "Name three rivers that flow through Germany.")


def candidate(
    name: str, instruction: str, text_input: str = "", output: str | None = "Fine.", **more: Any
) -> dict[str, Any]:
    return {
        "candidate_id": name, "category": "math", "instruction": instruction, "input": text_input, "output": output,
        **more,
    }  # fmt: skip


def judge(*rows: dict[str, Any], threshold: float = 0.85, limit: int = 10_000) -> pl.DataFrame:
    decontaminator = Decontaminator([("item-1", ITEM)], 0.7, 13)
    screen = InstructionScreen([SEED], decontaminator, threshold, min_words=4, max_words=150)

    def too_long(instruction: str, text_input: str, output: str) -> tuple[int, int] | None:
        length = len(f"{instruction}{text_input}{output}")
        return (length, limit) if length > limit else None

    return judge_candidates(pl.DataFrame(list(rows), schema=CANDIDATE_SCHEMA), screen, decontaminator, too_long)


RIVER = "Explain why rivers meander in flat country."


@pytest.mark.parametrize(
    ("row", "rule", "neighbour"),
    [
        (candidate("c", "Too short"), "too_short", None),
        (candidate("c", "word " * 151), "too_long", None),
        (candidate("c", "Draw a house with a garden."), "unservable_keyword", None),
        (candidate("c", "Write a program that adds numbers."), "starts_with_write_a_program", None),
        (candidate("c", "- Add all of the numbers."), "starts_with_punctuation", None),
        (candidate("c", "Ćwicz to every single day."), "starts_with_non_ascii", None),
        (candidate("c", RIVER, output=" "), "empty_output", None),
        (candidate("c", RIVER, "Water", "Water"), "output_equals_input", None),
        (candidate("c", RIVER, output="Because:"), "output_ends_with_colon", None),
        (candidate("c", SEED[1].upper()), "exact_duplicate", "seed-1"),
        (candidate("c", SEED[1] + " Now."), "near_duplicate", "seed-1"),
        (candidate("c", ITEM.replace("most", "fewest")), "evaluation_rouge_l", "item-1"),
        (candidate("c", RIVER, ITEM), "evaluation_rouge_l", "item-1"),
        (candidate("c", "Which planet of our solar", "system has the most moons?"), "evaluation_rouge_l", "item-1"),
        (candidate("c", RIVER, output=ITEM), "evaluation_rouge_l", "item-1"),
        (candidate("c", RIVER, output="x" * 20_000), "too_long_for_student", None),
    ],
)  # fmt: skip
def test_a_candidate_is_rejected_by_the_rule_it_breaks(row: dict[str, Any], rule: str, neighbour: str | None) -> None:
    (verdict,) = judge(row).to_dicts()
    assert (verdict["state"], verdict["rule"], verdict["neighbour_id"]) == ("rejected", rule, neighbour)
    assert (verdict["neighbour"] is None) == (neighbour is None)


def test_a_good_candidate_is_kept_without_a_rule() -> None:
    (verdict,) = judge(candidate("c", RIVER)).to_dicts()
    assert verdict == {**dict.fromkeys(VERDICT_SCHEMA), "candidate_id": "c", "category": "math", "state": "kept",
                       "instruction": RIVER}  # fmt: skip


def test_a_near_duplicate_tells_score_threshold_and_neighbour() -> None:
    verdict = judge(candidate("c", "Name three rivers that flow through Spain."), threshold=0.7).to_dicts()[0]
    assert verdict["score"] == pytest.approx(6 / 7)
    assert (verdict["threshold"], verdict["neighbour"]) == (0.7, SEED[1])
    assert judge(candidate("c", "Name three rivers that flow through Spain."), threshold=0.9)["state"][0] == "kept"


def test_candidates_are_compared_with_what_was_kept_before_them_only() -> None:
    a, b, c = ("one two three four five", "one two three four nine ten", "eight two seven four nine ten")
    verdicts = judge(candidate("a", a), candidate("b", b), candidate("c", c), threshold=0.6)
    assert verdicts["state"].to_list() == ["kept", "rejected", "kept"], "c is near b, and b was not kept"
    assert verdicts["neighbour_id"].to_list() == [None, "a", None]
    reverse = judge(candidate("c", c), candidate("b", b), candidate("a", a), threshold=0.6)
    assert reverse["state"].to_list() == ["kept", "rejected", "kept"]
    assert reverse["neighbour_id"].to_list() == [None, "c", None]


def test_the_second_of_two_equal_instructions_names_the_first() -> None:
    verdicts = judge(candidate("a", RIVER), candidate("b", RIVER, "The Rhine"))
    assert verdicts["rule"].to_list() == [None, "exact_duplicate"] and verdicts["neighbour_id"][1] == "a"


def test_the_same_task_with_different_answers_is_dropped_altogether() -> None:
    verdicts = judge(candidate("a", RIVER, output="One."), candidate("b", RIVER, output="Two."))
    assert verdicts["rule"].to_list() == ["same_input_different_outputs"] * 2


def test_an_answer_cut_by_length_contradicts_nothing() -> None:
    cut = candidate("b", RIVER, output="One and", problem="answer cut by length")
    assert judge(candidate("a", RIVER, output="One and two."), cut)["state"].to_list() == ["kept", "malformed"]


def test_a_malformed_candidate_keeps_its_problem_as_rule() -> None:
    (verdict,) = judge(candidate("c", "", output=None, problem="no instruction")).to_dicts()
    assert (verdict["state"], verdict["rule"]) == ("malformed", "no instruction")


def test_a_candidate_screened_before_it_was_answered_keeps_that_verdict() -> None:
    row = candidate(
        "c", SEED[1], output=None, screened_rule="near_duplicate", screened_score=0.95, screened_threshold=0.85,
        screened_neighbour_id="seed-9", screened_neighbour="Name rivers.",
    )  # fmt: skip
    verdict = judge(row).to_dicts()[0]
    assert [verdict[name] for name in ("state", "rule", "score", "threshold", "neighbour_id", "neighbour")] == [
        "rejected", "near_duplicate", 0.95, 0.85, "seed-9", "Name rivers.",
    ]  # fmt: skip


def test_no_candidates_give_no_verdicts() -> None:
    verdicts = judge()
    assert verdicts.height == 0 and verdicts.schema == pl.Schema(VERDICT_SCHEMA)


TEXTS = st.sampled_from(
    ["", " ", RIVER, SEED[1], ITEM, "Add these small numbers up.", "写一首诗", "😀", "a:", "x\x00y z w"]
)
ROWS = st.lists(
    st.tuples(TEXTS, TEXTS, TEXTS, st.sampled_from([None, "cut by length", "teacher refused: no"])), max_size=12
)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(ROWS)
def test_every_candidate_has_exactly_one_verdict_in_its_place(rows: list[tuple[str, str, str, str | None]]) -> None:
    made = [candidate(f"c{i}", a, b, c, problem=problem) for i, (a, b, c, problem) in enumerate(rows)]
    verdicts = judge(*made)
    assert verdicts["candidate_id"].to_list() == [row["candidate_id"] for row in made]
    assert set(verdicts["state"]) <= {"kept", "rejected", "malformed"}
    assert verdicts["state"].null_count() == 0
    assert verdicts.filter((pl.col("state") == "kept") == pl.col("rule").is_not_null()).height == 0
