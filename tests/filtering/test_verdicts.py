"""Every candidate ends in exactly one state, by a named rule, in the order of the greedy procedure."""

from __future__ import annotations

from collections.abc import Sequence
from string import ascii_lowercase
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sedi_dagster.filtering.decontamination import Decontaminator
from sedi_dagster.filtering.rules import InstructionForm
from sedi_dagster.filtering.verdicts import VERDICT_SCHEMA, Rules, judge_candidates
from sedi_dagster.generation.candidates import CANDIDATE_SCHEMA

ITEM = "Which planet of our solar system has the most moons?"
SEED = ("seed-1", "Name three rivers that flow through Germany.")


def candidate(
    name: str, instruction: str, text_input: str = "", output: str | None = "Fine.", **more: Any
) -> dict[str, Any]:
    return {
        "candidate_id": name, "instruction_id": name, "category": "math", "instruction": instruction,
        "input": text_input, "output": output, **more,
    }  # fmt: skip


def rejected_unanswered(name: str, instruction: str, neighbour_id: str, neighbour: str) -> dict[str, Any]:
    return candidate(
        name, instruction, output=None, rejection_rule="near_duplicate", rejection_score=0.9, rejection_threshold=0.85,
        rejection_neighbour_id=neighbour_id, rejection_neighbour=neighbour,
    )  # fmt: skip


def characters(prompts: Sequence[str], outputs: Sequence[str]) -> list[int]:
    """A student whose tokens are characters."""
    return [len(prompt + output) for prompt, output in zip(prompts, outputs, strict=True)]


def letters(texts: list[str]) -> np.ndarray:
    """Vectors of letter counts: nearness that has nothing to do with the order of words."""
    counts = np.array([[text.lower().count(letter) for letter in ascii_lowercase] for text in texts], np.float32)
    return counts / np.maximum(np.linalg.norm(counts, axis=1, keepdims=True), 1e-9)


def judge(*rows: dict[str, Any], threshold: float = 0.85, limit: int = 10_000, **more: Any) -> pl.DataFrame:
    rules = Rules(
        **{
            "decontaminator": Decontaminator([("item-1", ITEM)], 0.7, 13),
            "form": InstructionForm(),
            "novelty_threshold": threshold,
            "max_length": limit,
            "count_tokens": characters,
            **more,
        }
    )
    pool = pl.DataFrame([(*SEED, "")], schema=dict.fromkeys(("id", "instruction", "input"), pl.String), orient="row")
    return judge_candidates(pl.DataFrame(list(rows), schema=CANDIDATE_SCHEMA), pool, rules)


RIVER = "Explain why rivers meander in flat country."


@pytest.mark.parametrize(
    ("row", "rule", "neighbour"),
    [
        (candidate("c", "Too short"), "too_short", None),
        (candidate("c", "word " * 151), "too_long", None),
        (candidate("c", "Draw a house with a garden."), "unservable_keyword", None),
        (candidate("c", "- Add all of the numbers."), "starts_with_punctuation", None),
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


def test_of_two_answers_to_one_task_the_first_is_kept() -> None:
    from_two_calls = judge(candidate("a", RIVER, output="One."), candidate("b", RIVER, output="Two."))
    assert from_two_calls["rule"].to_list() == [None, "exact_duplicate"]
    instances = [
        candidate(name, RIVER, output=output, instruction_id="i") for name, output in (("a", "One."), ("b", "Two."))
    ]
    verdicts = judge(*instances)
    assert verdicts["rule"].to_list() == [None, "same_input_different_outputs"] and verdicts["neighbour_id"][1] == "a"


def test_self_instruct_keeps_none_of_several_answers_to_one_input() -> None:
    instances = [candidate(n, RIVER, output=n, instruction_id="i") for n in ("a", "b")]
    verdicts = judge(*instances, form=InstructionForm(mode="self_instruct"))
    assert verdicts["rule"].to_list() == ["same_input_different_outputs"] * 2


def test_an_answer_cut_by_length_contradicts_nothing() -> None:
    cut = candidate("b", RIVER, output="One and", problem="answer cut by length")
    assert judge(candidate("a", RIVER, output="One and two."), cut)["state"].to_list() == ["kept", "malformed"]


def test_a_malformed_candidate_keeps_its_problem_as_rule() -> None:
    (verdict,) = judge(candidate("c", "", output=None, problem="no instruction")).to_dicts()
    assert (verdict["state"], verdict["rule"]) == ("malformed", "no instruction")


def test_a_candidate_rejected_before_it_was_answered_keeps_that_verdict() -> None:
    row = candidate(
        "c", SEED[1], output=None, rejection_rule="near_duplicate", rejection_score=0.95, rejection_threshold=0.85,
        rejection_neighbour_id="seed-9", rejection_neighbour="Name rivers.",
    )  # fmt: skip
    verdict = judge(row).to_dicts()[0]
    assert [verdict[name] for name in ("state", "rule", "score", "threshold", "neighbour_id", "neighbour")] == [
        "rejected", "near_duplicate", 0.95, 0.85, "seed-9", "Name rivers.",
    ]  # fmt: skip


OTHER = "Describe how a lock lifts a boat."
NEAR_OTHER = "Describe how a lock lifts a heavy boat."


def test_an_unanswered_candidate_never_names_a_neighbour_that_was_dropped() -> None:
    verdicts = judge(
        candidate("first", OTHER, output=None, problem="answer cut by length"),
        rejected_unanswered("second", NEAR_OTHER, "first", OTHER),
    )
    assert verdicts["state"].to_list() == ["malformed", "rejected"]
    assert verdicts["rule"][1] == "unanswered_duplicate"
    assert verdicts.row(1)[4:8] == (0.9, 0.85, "first", OTHER)


def test_an_unanswered_candidate_is_near_whatever_was_kept_instead_of_its_neighbour() -> None:
    verdicts = judge(
        candidate("first", OTHER, output="So:"),
        rejected_unanswered("second", NEAR_OTHER, "first", OTHER),
        candidate("third", NEAR_OTHER.replace("heavy", "long"), output="With water."),
    )
    assert verdicts["rule"].to_list() == ["output_ends_with_colon", "near_duplicate", None]
    assert verdicts["neighbour_id"][1] == "third" and verdicts["score"][1] == pytest.approx(14 / 16)


def test_a_candidate_is_not_dropped_for_the_sake_of_one_that_is_dropped_itself() -> None:
    verdicts = judge(candidate("a", OTHER, output=ITEM), candidate("b", NEAR_OTHER), candidate("c", OTHER, "A canal"))
    assert verdicts["rule"].to_list() == ["evaluation_rouge_l", None, "near_duplicate"]
    assert verdicts["neighbour_id"][2] == "b"


def test_instances_of_one_instruction_are_no_duplicates_of_one_another() -> None:
    rows = [candidate(f"i{n}", RIVER, f"River {n}", f"Bend {n}", instruction_id="one call") for n in range(3)]
    again = candidate("again", RIVER, "River 1", "Bend 1", instruction_id="one call")
    other = candidate("other", RIVER, "River 9", "Bend 9", instruction_id="another call")
    verdicts = judge(*rows, again, other)
    assert verdicts["state"].to_list() == ["kept"] * 3 + ["rejected"] * 2
    assert verdicts["rule"].to_list()[3:] == ["repeated_instance", "exact_duplicate"]
    assert verdicts["neighbour_id"].to_list()[3:] == ["i1", "i0"]


def test_all_instances_of_a_near_duplicate_are_dropped() -> None:
    rows = [candidate(f"i{n}", SEED[1] + " Now.", f"{n}", instruction_id="one call") for n in range(2)]
    verdicts = judge(*rows)
    assert verdicts["rule"].to_list() == ["near_duplicate"] * 2
    assert verdicts["neighbour_id"].to_list() == ["seed-1"] * 2


def test_an_instruction_is_judged_by_its_good_instances() -> None:
    bad = candidate("bad", RIVER, output="So:", instruction_id="one call")
    good = candidate("good", RIVER, "The Rhine", instruction_id="one call")
    verdicts = judge(bad, good, candidate("later", RIVER))
    assert verdicts["rule"].to_list() == ["output_ends_with_colon", None, "exact_duplicate"]
    assert verdicts["neighbour_id"][2] == "good"


ANAGRAM = "In flat country, explain why rivers meander."


def test_nearness_by_meaning_is_off_by_default_and_names_its_neighbour() -> None:
    rows = (candidate("a", RIVER), candidate("b", ANAGRAM))
    assert judge(*rows, threshold=0.95)["state"].to_list() == ["kept", "kept"]
    verdicts = judge(*rows, threshold=0.95, semantic_threshold=0.98, embed=letters)
    assert verdicts["rule"].to_list() == [None, "semantic_duplicate"]
    assert (verdicts["neighbour_id"][1], verdicts["neighbour"][1], verdicts["threshold"][1]) == ("a", RIVER, 0.98)
    assert verdicts["score"][1] == pytest.approx(1.0)


def test_what_novelty_drops_for_the_sake_of_a_semantic_duplicate_is_judged_again() -> None:
    like_anagram = ANAGRAM.replace("flat", "flat xyz xyz xyz")
    rows = (candidate("a", RIVER), candidate("b", ANAGRAM), candidate("c", like_anagram))
    assert judge(*rows, threshold=0.8)["neighbour_id"].to_list() == [None, None, "b"], "c is near b by words"
    verdicts = judge(*rows, threshold=0.8, semantic_threshold=0.98, embed=letters)
    assert verdicts["rule"].to_list() == [None, "semantic_duplicate", None]


def test_an_item_may_be_recognised_by_its_vector() -> None:
    text = "Most moons: the planet which our solar system has of?"
    rules = {"decontaminator": Decontaminator([("item-1", ITEM)], 0.7, 13, cosine=0.98, embed=letters)}
    assert judge(candidate("a", text))["state"][0] == "kept"
    rejected = judge(candidate("a", text), **rules).to_dicts()[0]
    assert (rejected["rule"], rejected["neighbour_id"], rejected["threshold"]) == ("evaluation_cosine", "item-1", 0.98)


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
