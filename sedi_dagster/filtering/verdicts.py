"""The verdict on every candidate: kept, rejected by a named rule, or malformed.

Rules on the candidate itself run before comparisons with others, and cheap rules first:

1. malformed; form and keywords; the instance; decontamination; length for the student;
2. exact, near and semantic duplicates of seeds and kept instructions, in candidate order.

The neighbour of a duplicate is therefore always kept. Candidates that generation rejected before they were answered
come last, and keep their verdict if it still holds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from sedi_dagster.filtering.answer_rules import AnswerForm, answer_rules, with_special_tokens
from sedi_dagster.filtering.decontamination import Decontaminator
from sedi_dagster.filtering.duplicates import duplicates, near_duplicates_found
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
    """Parameters of the rules.

    Attributes:
        max_length: most tokens of an example, counted by `count_tokens`.
        count_tokens: returns the student's tokens of each example from prompts and outputs; None: not counted.
        semantic_threshold: cosine above which a task is a semantic duplicate; None: embeddings are not compared.
        embed: computes the embeddings.
        latin_only: `embed` distinguishes only texts in the Latin script; others are not compared by their embeddings.
        shared: instructions whose tasks are compared by their input.
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
    """Return a verdict for every candidate, in candidate order (`VERDICT_SCHEMA`, one row each).

    Args:
        candidates: as generation wrote them. Candidates with the same `instruction_id` are instances of one
            instruction, which is compared with others once.
        pool: `id`, `instruction` and `input` of the seeds and of the examples kept in earlier rounds.
    """
    frame = rules.shared.with_compared(candidates.with_row_index("row"))
    if "is_classification" not in frame.columns:  # not known of a data set from outside the loop
        frame = frame.with_columns(is_classification=pl.lit(False))
    was_answered = pl.col("rejection_rule").is_null()
    remaining = frame.filter(was_answered)
    found: list[pl.DataFrame] = []

    def reject(rejected: pl.DataFrame) -> None:
        nonlocal remaining
        found.append(rejected)
        remaining = remaining.join(rejected, on="row", how="anti", maintain_order="left")

    reject(found_frame(remaining.drop_nulls("problem").with_columns(rule="problem")))
    reject(first_broken(remaining, form_rules(rules.form)))
    reject(first_broken(remaining, (*instance_rules(), *answer_rules(rules.answers))))
    reject(with_special_tokens(remaining, rules.answers.special_tokens))
    if rules.form.mode == "self_instruct":
        # After the rules above: an output that they reject does not contradict others.
        reject(first_broken(remaining, [contradiction_rule()]))
    reject(_near_items(remaining, rules))
    reject(_too_long(remaining, rules))
    reject(_not_new(remaining, pool, rules))
    reject(_repeated_instances(remaining))
    reject(_rejected_unanswered(frame.filter(~was_answered), frame, remaining, rules.novelty_threshold))
    state = (
        pl.when(pl.col("rule").is_null())
        .then(pl.lit("kept"))
        .when(was_answered & pl.col("problem").is_not_null())
        .then(pl.lit("malformed"))
        .otherwise(pl.lit("rejected"))
    )
    judged = frame.join(pl.concat(found), on="row", how="left", maintain_order="left")
    return judged.with_columns(state=state).select(*VERDICT_SCHEMA)


def _near_items(candidates: pl.DataFrame, rules: Rules) -> pl.DataFrame:
    """Find candidates that have an item as instruction, as instruction and input together, as input, or as output."""
    output = rules.shared.reciting(candidates["output"])
    parts = [pl.col("instruction"), task_prompts(), rules.shared.reciting_input(candidates), pl.lit(output)]
    near = rules.decontaminator.near(pl.concat([candidates.select("row", text=part) for part in parts]))
    rest = candidates.join(near, on="row", how="anti", maintain_order="left")
    prompt = pl.when(pl.col("shared") == "").then(task_prompts()).otherwise("text")
    prompts = rest.select("row", text=prompt)
    if rules.latin_only:
        prompts = prompts.filter(~mostly_foreign(prompts["text"]))
    return pl.concat([near, rules.decontaminator.near_by_cosine(prompts)])


def _too_long(candidates: pl.DataFrame, rules: Rules) -> pl.DataFrame:
    if rules.count_tokens is None:
        return pl.DataFrame(schema=FOUND_SCHEMA)
    prompts = candidates.select(task_prompts()).to_series().to_list()
    tokens = rules.count_tokens(prompts, candidates["output"].to_list())
    counted = candidates.select("row", score=pl.Series(tokens, dtype=pl.Float64))
    longer = counted.filter(pl.col("score") > rules.max_length)
    return found_frame(longer.with_columns(rule=pl.lit("too_long_for_student"), threshold=float(rules.max_length)))


def _not_new(candidates: pl.DataFrame, pool: pl.DataFrame, rules: Rules) -> pl.DataFrame:
    """Find duplicates. All instances of an instruction share its verdict, unless they are compared by their input."""
    unit = pl.when(pl.col("shared") == "").then("instruction_id").otherwise("candidate_id")
    instances = candidates.select("row", "shared", "text", id="candidate_id", unit=unit)
    first = instances.unique("unit", keep="first", maintain_order=True)
    known = rules.shared.with_compared(pool)
    found = [
        duplicates(
            group.select("row", "id", "text"),
            known.filter(pl.col("shared") == shared).select("id", "text"),
            rules.novelty_threshold,
            rules.semantic_threshold,
            rules.embed,
            rules.latin_only,
        )
        for (shared,), group in first.group_by("shared", maintain_order=True)
    ]
    of_first = pl.concat([pl.DataFrame(schema=FOUND_SCHEMA), *found])
    of_unit = first.select("row", "unit").join(of_first, on="row").drop("row")
    return found_frame(instances.select("row", "unit").join(of_unit, on="unit"))


def _repeated_instances(candidates: pl.DataFrame) -> pl.DataFrame:
    """Find instances of an instruction that have the input of an earlier one; of several answers the first is kept."""
    key = ["instruction_id", "input"]
    first = candidates.unique(key, keep="first", maintain_order=True)
    neighbours = first.select(*key, neighbour_id="candidate_id", neighbour="instruction", first_output="output")
    later = candidates.join(first, on="row", how="anti").join(neighbours, on=key)
    same_output = pl.col("output") == pl.col("first_output")
    rule = pl.when(same_output).then(pl.lit("repeated_instance")).otherwise(pl.lit("same_input_different_outputs"))
    return found_frame(later.with_columns(rule=rule))


def _rejected_unanswered(
    unanswered: pl.DataFrame, candidates: pl.DataFrame, kept: pl.DataFrame, novelty_threshold: float
) -> pl.DataFrame:
    """Return the verdicts of generation, with another neighbour if the neighbour was not kept after all.

    A candidate that is near no kept instruction was still not answered and cannot be kept: it is an
    `unanswered_duplicate`.
    """
    names = {f"rejection_{name}": name for name in FOUND_SCHEMA if name != "row"}
    verdicts = found_frame(unanswered.select("row", *names).rename(names))
    not_kept = candidates.join(kept, on="row", how="anti").select(neighbour_id="candidate_id")
    outdated = verdicts.join(not_kept, on="neighbour_id", how="semi")
    texts = unanswered.join(outdated, on="row", how="semi", maintain_order="left").select("row", "shared", "text")
    replaced = pl.DataFrame(schema=FOUND_SCHEMA)
    for (shared,), group in texts.group_by("shared", maintain_order=True):
        known = kept.filter(pl.col("shared") == shared).select("candidate_id", "text")
        nearest = NoveltyIndex(known.iter_rows()).nearest_of(group["text"].to_list(), novelty_threshold)
        replaced = pl.concat([replaced, near_duplicates_found(group["row"], nearest, novelty_threshold)])
    distant = outdated.join(replaced, on="row", how="anti").with_columns(rule=pl.lit("unanswered_duplicate"))
    return pl.concat([verdicts.join(outdated, on="row", how="anti"), replaced, distant])
