"""Seed tasks of one domain share their instruction: tasks are then compared by their input."""

from __future__ import annotations

import polars as pl
import pytest

from sedi_dagster.filtering.decontamination import Decontaminator
from sedi_dagster.filtering.generation_filter import GenerationFilter
from sedi_dagster.filtering.rules import InstructionForm
from sedi_dagster.filtering.shared_instructions import SharedInstructions
from sedi_dagster.filtering.verdicts import Rules, judge_candidates
from sedi_dagster.generation.candidates import CANDIDATE_SCHEMA

SORT = (
    "You answer the post of a shop for garden tools. Say which team should answer the message of the customer: "
    "billing, delivery, repairs or other."
)
SUM = "Give the message of the customer in one short sentence."
SEEDS = [
    (SORT, "My invoice has the wrong address on it."),
    (SORT, "The blade of the mower broke after two days."),
    (SUM, "My invoice has the wrong address on it."),
    (SUM, "Where is the parcel that you promised for Monday?"),
    ("Name three tools that every gardener needs.", ""),
]
ITEM = f"{SORT}\n\nThe rake that I ordered came without its handle, and nobody answers the phone."


@pytest.fixture
def shared() -> SharedInstructions:
    return SharedInstructions(SEEDS)


def test_only_instructions_of_several_seeds_with_different_inputs_are_shared(shared: SharedInstructions) -> None:
    assert shared.compared(SORT, "Late again.")[1] == "Late again."
    assert shared.compared(SORT.upper() + "!", "Late again.") == shared.compared(SORT, "Late again.")
    assert shared.compared(SORT, "") == ("", SORT)
    assert shared.compared(*SEEDS[4]) == ("", SEEDS[4][0])
    assert SharedInstructions([(SUM, "One."), (SUM, "One.")]).compared(SUM, "Two.") == ("", SUM)
    assert shared.compared(SORT, "Late.")[0] != shared.compared(SUM, "Late.")[0]


def test_generation_asks_on_for_new_inputs(shared: SharedInstructions) -> None:
    pool = [(f"seed-{number}", *seed) for number, seed in enumerate(SEEDS)]
    rules = GenerationFilter(pool, Decontaminator([], 0.7, 13), 0.85, InstructionForm(), shared=shared)
    assert rules.task("c1", SORT, "The shears are blunt, can I send them in?") is None
    near = rules.task("c2", SORT, "The shears are blunt, can I send them in now?")
    assert near is not None and (near.rule, near.neighbour_id) == ("near_duplicate", "c1")
    same = rules.task("c3", SORT, SEEDS[0][1])
    assert same is not None and (same.rule, same.neighbour_id) == ("exact_duplicate", "seed-0")
    assert rules.task("c4", SUM, "The shears are blunt, can I send them in?") is None  # another task with that input
    again = rules.task("c5", "Name three tools that every gardener needs.", "Quickly.")
    assert again is not None and again.rule == "exact_duplicate"  # not shared: compared by the instruction


def judged(*tasks: tuple[str, str], shared: SharedInstructions, items: list[tuple[str, str]]) -> list[str | None]:
    rows = [
        {"candidate_id": f"c{n}", "instruction_id": text, "category": "post", "instruction": text, "input": given}
        | {"output": f"other {n}"}
        for n, (text, given) in enumerate(tasks)
    ]
    pool = pl.DataFrame(
        [(f"seed-{n}", *seed) for n, seed in enumerate(SEEDS)], schema=["id", "instruction", "input"], orient="row"
    )
    rules = Rules(Decontaminator(items, 0.7, 13), InstructionForm(), 0.85, shared=shared)
    return judge_candidates(pl.DataFrame(rows, schema=CANDIDATE_SCHEMA), pool, rules)["rule"].to_list()


def test_verdicts_compare_inputs(shared: SharedInstructions) -> None:
    tasks = [
        (SORT, "The shears are blunt, can I send them in?"),
        (SORT, "The shears are blunt, can I send them in now?"),
        (SORT, SEEDS[1][1]),
        (SUM, "The shears are blunt, can I send them in?"),
        (SORT, "Do you sell gift cards?"),
        ("Name three tools that every gardener needs!", ""),
    ]
    expected = [None, "near_duplicate", "exact_duplicate", None, None, "exact_duplicate"]
    assert judged(*tasks, shared=shared, items=[]) == expected
    alone = judged(*tasks, shared=SharedInstructions(), items=[])
    assert alone[4] == "exact_duplicate", "without it no task of the domain is new"


def test_a_shared_instruction_does_not_make_a_task_an_item(shared: SharedInstructions) -> None:
    own = [("item", shared.without_instruction(ITEM))]
    assert own[0][1].startswith("The rake")
    tasks = [(SORT, "Do you sell gift cards?"), (SORT, own[0][1]), (SORT, f"Hello! {own[0][1]} Bye.")]
    assert judged(*tasks, shared=shared, items=own) == [None, "evaluation_ngram", "evaluation_ngram"]
    assert judged(tasks[0], shared=shared, items=[("item", ITEM)]) == ["evaluation_ngram"]
    assert shared.without_instruction(SORT) == SORT
    assert shared.without_instruction(SEEDS[4][0]) == SEEDS[4][0]


def test_a_rejection_before_the_answer_is_judged_by_the_input_too(shared: SharedInstructions) -> None:
    """Its neighbour turns out malformed: another kept task of the same instruction is named, or none."""
    rows = [
        {"candidate_id": "bad", "instruction_id": "1", "category": "post", "instruction": SORT, "problem": "cut"}
        | {"input": "The shears are blunt, can I send them in?"},
        {"candidate_id": "late", "instruction_id": "2", "category": "post", "instruction": SORT}
        | {"input": "The shears are blunt, can I send them in?", "rejection_rule": "exact_duplicate"}
        | {"rejection_score": 1.0, "rejection_threshold": 1.0, "rejection_neighbour_id": "bad"},
        {"candidate_id": "good", "instruction_id": "3", "category": "post", "instruction": SORT, "output": "repairs"}
        | {"input": "Do you sell gift cards?"},
    ]
    pool = pl.DataFrame(schema=dict.fromkeys(("id", "instruction", "input"), pl.String))
    rules = Rules(Decontaminator([], 0.7, 13), InstructionForm(), 0.85, shared=shared)
    found = judge_candidates(pl.DataFrame(rows, schema=CANDIDATE_SCHEMA), pool, rules)
    assert found["rule"].to_list() == ["cut", "unanswered_duplicate", None]


def test_a_shared_instruction_is_no_part_of_another_word_and_has_words() -> None:
    shared = SharedInstructions([("Sort", "b a"), ("Sort", "d c"), ("\u200b", "One."), ("\u200b", "Two.")])
    assert shared.without_instruction("Sorting is what this text is about: say how.").startswith("Sorting")
    assert shared.without_instruction("Sort: z y x") == ": z y x"
    assert shared.compared("Name a tool.", "") == ("", "Name a tool.")


def test_an_item_of_one_word_keeps_no_other_task_with_that_word_out() -> None:
    """What is asked of France may be the answer to another question; the same question stays an item."""
    capital, country = "What is the capital of the country?", "Which country has this capital?"
    shared = SharedInstructions([(capital, "Norway"), (capital, "Egypt"), (country, "Oslo"), (country, "Cairo")])
    own = [("item", shared.without_instruction(f"{capital}\n\nother 0"))]
    tasks = [(country, "Paris"), (capital, "other 0"), (capital, "Spain"), ("Say what comes first.", "other 0")]
    assert judged(*tasks, shared=shared, items=own) == [None, "evaluation_rouge_l", None, None]
