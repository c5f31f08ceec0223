"""The verdict on every candidate: kept, rejected by a named rule, or malformed.

Rules on the candidate itself come before comparisons, and cheap rules first:

1. malformed; form and keywords; the instance; decontamination; length for the student;
2. exact, near and semantic duplicates of seeds and kept instructions, in candidate order.

The neighbour of a duplicate is therefore always kept. Candidates that generation rejected before they were answered
come last: they keep their verdict if it still holds.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from sedi_dagster.filtering.answer_rules import AnswerForm, answer_rules, with_special_tokens
from sedi_dagster.filtering.decontamination import Decontaminator
from sedi_dagster.filtering.duplicates import duplicates
from sedi_dagster.filtering.novelty import NoveltyIndex
from sedi_dagster.filtering.rules import (
    FOUND_SCHEMA,
    InstructionForm,
    contradiction_rule,
    first_broken,
    form_rules,
    found_frame,
    instance_rules,
)
from sedi_dagster.filtering.semantic import Embed
from sedi_dagster.filtering.shared_instructions import SharedInstructions
from sedi_dagster.records import task_prompts
from sedi_dagster.texts.words import mostly_foreign

VERDICT_SCHEMA: dict[str, Any] = {
    "candidate_id": pl.String,
    "category": pl.String,
    "state": pl.String,  # kept, rejected, malformed
    "rule": pl.String,
    "score": pl.Float64,
    "threshold": pl.Float64,
    "neighbour_id": pl.String,
    "neighbour": pl.String,
    "instruction": pl.String,
}


@dataclass(frozen=True)
class Rules:
    """What the rules need to know.

    `count_tokens(prompts, outputs)`: tokens of each example in the student's terms; None: they are not counted.
    `latin_only`: the vectors are of a model that reads the Latin script alone; texts in other scripts, which look all
    the same to it, are not compared. `shared`: the instructions whose tasks are compared by their input.
    """

    decontaminator: Decontaminator
    form: InstructionForm
    novelty_threshold: float
    max_length: int = 0
    count_tokens: Callable[[Sequence[str], Sequence[str]], list[int]] | None = None
    semantic_threshold: float | None = None
    embed: Embed | None = None
    latin_only: bool = False
    answers: AnswerForm = field(default_factory=AnswerForm)
    shared: SharedInstructions = field(default_factory=SharedInstructions)


def judge_candidates(candidates: pl.DataFrame, pool: pl.DataFrame, rules: Rules) -> pl.DataFrame:
    """A verdict for every candidate, in candidate order (`VERDICT_SCHEMA`, one row each).

    Args:
        candidates: as generation made them. Those of one `instruction_id` are instances of one instruction, which is
            compared with others once.
        pool: `id`, `instruction` and `input` of the seeds and of the examples kept in earlier rounds.
    """
    frame = rules.shared.with_compared(candidates.with_row_index("row"))
    if "is_classification" not in frame.columns:  # a data set from elsewhere does not say
        frame = frame.with_columns(is_classification=pl.lit(False))
    remaining = _OpenCandidates(frame.filter(pl.col("rejection_rule").is_null()))
    remaining.reject(found_frame(remaining.open.drop_nulls("problem").with_columns(rule="problem")))
    remaining.reject(first_broken(remaining.open, form_rules(rules.form)))
    remaining.reject(first_broken(remaining.open, (*instance_rules(), *answer_rules(rules.answers))))
    remaining.reject(with_special_tokens(remaining.open, rules.answers.special_tokens))
    if rules.form.mode == "self_instruct":
        remaining.reject(first_broken(remaining.open, [contradiction_rule()]))  # a broken answer contradicts nothing
    remaining.reject(_near_items(remaining.open, rules))
    remaining.reject(_too_long(remaining.open, rules))
    remaining.reject(_not_new(remaining.open, pool, rules))
    remaining.reject(_repeated_instances(remaining.open))
    unanswered = frame.filter(pl.col("rejection_rule").is_not_null())
    remaining.reject(_rejected_unanswered(unanswered, frame, remaining.open, rules.novelty_threshold))
    kept = pl.col("rule").is_null()
    malformed = pl.col("problem").is_not_null() & pl.col("rejection_rule").is_null()
    state = pl.when(kept).then(pl.lit("kept")).when(malformed).then(pl.lit("malformed")).otherwise(pl.lit("rejected"))
    judged = frame.join(pl.concat(remaining.found), on="row", how="left", maintain_order="left")
    return judged.with_columns(state=state).select(*VERDICT_SCHEMA)


class _OpenCandidates:
    """The candidates on which nothing is decided yet, and what was found about the others."""

    def __init__(self, candidates: pl.DataFrame) -> None:
        self.open = candidates
        self.found = [pl.DataFrame(schema=FOUND_SCHEMA)]

    def reject(self, found: pl.DataFrame) -> None:
        self.found.append(found)
        self.open = self.open.join(found, on="row", how="anti", maintain_order="left")


def _near_items(candidates: pl.DataFrame, rules: Rules) -> pl.DataFrame:
    """An item may be the instruction, be spread over instruction and input, stand in the input, or be recited."""
    output = rules.shared.telling(candidates["output"])
    parts = [pl.col("instruction"), task_prompts(), rules.shared.telling_input(candidates), pl.lit(output)]
    near = rules.decontaminator.near(pl.concat([candidates.select("row", text=part) for part in parts]))
    rest = candidates.join(near, on="row", how="anti", maintain_order="left")
    of_item = pl.when(pl.col("shared") == "").then(task_prompts()).otherwise("text")
    prompts = rest.select("row", text=of_item)
    if rules.latin_only:
        prompts = prompts.filter(~mostly_foreign(prompts["text"]))
    return pl.concat([near, rules.decontaminator.near_by_cosine(prompts)])


def _too_long(candidates: pl.DataFrame, rules: Rules) -> pl.DataFrame:
    if rules.count_tokens is None:
        return pl.DataFrame(schema=FOUND_SCHEMA)
    prompts = candidates.select(task_prompts()).to_series().to_list()
    tokens = rules.count_tokens(prompts, candidates["output"].to_list())
    measured = candidates.select("row", score=pl.Series(tokens, dtype=pl.Float64))
    longer = measured.filter(pl.col("score") > rules.max_length)
    return found_frame(longer.with_columns(rule=pl.lit("too_long_for_student"), threshold=float(rules.max_length)))


def _not_new(candidates: pl.DataFrame, pool: pl.DataFrame, rules: Rules) -> pl.DataFrame:
    """Duplicates among tasks; all instances of an instruction that is compared share its verdict."""
    by_instruction = pl.col("shared") == ""
    unit = pl.when(by_instruction).then("instruction_id").otherwise("candidate_id")
    instances = candidates.select("row", "shared", "text", id="candidate_id", unit=unit)
    first = instances.unique("unit", keep="first", maintain_order=True)
    known = rules.shared.with_compared(pool)
    found = [
        duplicates(
            of_one.select("row", "id", "text"),
            known.filter(pl.col("shared") == shared).select("id", "text"),
            rules.novelty_threshold,
            rules.semantic_threshold,
            rules.embed,
            rules.latin_only,
        )
        for (shared,), of_one in first.group_by("shared", maintain_order=True)
    ]
    of_unit = pl.concat([pl.DataFrame(schema=FOUND_SCHEMA), *found])
    verdicts = first.select("row", "unit").join(of_unit, on="row").drop("row")
    return found_frame(instances.select("row", "unit").join(verdicts, on="unit"))


def _repeated_instances(candidates: pl.DataFrame) -> pl.DataFrame:
    """Instances of an instruction whose input one before it has: of several answers the first is kept."""
    key = ["instruction_id", "input"]
    first = candidates.unique(key, keep="first", maintain_order=True)
    named = first.select(*key, neighbour_id="candidate_id", neighbour="instruction", first_output="output")
    later = candidates.join(first, on="row", how="anti").join(named, on=key)
    same = pl.col("output") == pl.col("first_output")
    rule = pl.when(same).then(pl.lit("repeated_instance")).otherwise(pl.lit("same_input_different_outputs"))
    return found_frame(later.with_columns(rule=rule))


def _rejected_unanswered(
    unanswered: pl.DataFrame, candidates: pl.DataFrame, kept: pl.DataFrame, novelty_threshold: float
) -> pl.DataFrame:
    """The verdicts that generation gave. If the neighbour was not kept after all, another is looked for.

    What is near no kept instruction was still not answered, so it cannot be kept: the rule says so.
    """
    names = {f"rejection_{name}": name for name in FOUND_SCHEMA if name != "row"}
    verdicts = found_frame(unanswered.select("row", *names).rename(names))
    not_kept = candidates.join(kept, on="row", how="anti").select(neighbour_id="candidate_id")
    untrue = verdicts.join(not_kept, on="neighbour_id", how="semi")
    index: defaultdict[str, NoveltyIndex] = defaultdict(NoveltyIndex)
    for name, shared, text in kept.select("candidate_id", "shared", "text").iter_rows():
        index[shared].add(name, text)
    texts = untrue.select("row").join(unanswered, on="row", maintain_order="left").select("row", "shared", "text")
    near = pl.DataFrame(
        [
            (row, "near_duplicate", nearest[2], novelty_threshold, nearest[0], nearest[1])
            for (shared,), of_one in texts.group_by("shared", maintain_order=True)
            for row, nearest in zip(
                of_one["row"], index[str(shared)].nearest_of(of_one["text"].to_list(), novelty_threshold), strict=True
            )
            if nearest
        ],
        schema=FOUND_SCHEMA,
        orient="row",
    )
    distant = untrue.join(near, on="row", how="anti").with_columns(rule=pl.lit("unanswered_duplicate"))
    return pl.concat([verdicts.join(untrue, on="row", how="anti"), near, distant])
