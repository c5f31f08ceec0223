"""What is asked before an answer is paid for: the same rules as the verdicts, one instruction at a time."""

from __future__ import annotations

import pytest

from sedi_dagster.filtering.decontamination import Decontaminator
from sedi_dagster.filtering.generation_filter import GenerationFilter
from sedi_dagster.filtering.rules import InstructionForm

SEED = "Name three rivers that flow through Germany."
ITEM = "Which planet of our solar system has the most moons?"


@pytest.fixture
def rules() -> GenerationFilter:
    known = Decontaminator([("item-1", ITEM)], 0.7, 13)
    return GenerationFilter([("seed-1", SEED, "")], known, 0.85, InstructionForm())


@pytest.mark.parametrize(
    ("instruction", "rule", "neighbour"),
    [
        ("Too short", "too_short", None),
        ("Draw a house with a garden.", "unservable_keyword", None),
        (ITEM.lower(), "evaluation_rouge_l", "item-1"),
        (SEED.upper(), "exact_duplicate", "seed-1"),
        (SEED + " Now.", "near_duplicate", "seed-1"),
        ("Explain why rivers meander in flat country.", None, None),
    ],
)
def test_an_instruction_is_rejected_by_the_rule_it_breaks(
    rules: GenerationFilter, instruction: str, rule: str | None, neighbour: str | None
) -> None:
    verdict = rules.task("cand-1", instruction, "")
    assert (verdict.rule if verdict else None) == rule
    assert (verdict.neighbour_id if verdict else None) == neighbour


def test_what_passes_counts_for_those_after_it(rules: GenerationFilter) -> None:
    instruction = "Explain why rivers meander in flat country."
    assert rules.task("cand-1", instruction, "") is None
    verdict = rules.task("cand-2", instruction, "")
    assert verdict is not None and (verdict.rule, verdict.neighbour_id) == ("exact_duplicate", "cand-1")


def test_the_student_counts_tokens_with_its_template(tiny_student: str) -> None:
    from sedi_dagster.student.loading import load_tokenizer, token_counter

    prompts, outputs = ["Name a river.", "x " * 300], ["Rhine", "1\n2"]
    tokenizer = load_tokenizer(str(tiny_student))
    one_by_one = [
        len(tokenizer.apply_chat_template(
            [{"role": "user", "content": p}, {"role": "assistant", "content": o}], tokenize=True, return_dict=False
        ))
        for p, o in zip(prompts, outputs, strict=True)
    ]  # fmt: skip
    count = token_counter(str(tiny_student))
    assert count(prompts, outputs) == one_by_one
    assert count([], []) == []
