"""Rules for outputs that are not answers: refusals, placeholders, one answer for many tasks, special tokens.

Each can be turned off in the settings. `texts.refusals` detects refusals and placeholders.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from sedi_dagster.filtering.rules import FOUND_SCHEMA, Rule, found_frame
from sedi_dagster.settings import FilteringSettings
from sedi_dagster.texts.refusals import (
    DOTS,
    GIVEN_IN_LINE,
    LONGEST_REFUSAL_BYTES,
    PLACEHOLDER,
    PLACEHOLDER_ASKED,
    REFUSAL_ASKED,
    are_refusals,
    is_asked_for,
    is_placeholder,
    is_refusal,
)

_SHORTEST_REPEATED = 16
"""Bytes from which on an output that many tasks share is no coincidence of labels, numbers and names."""


@dataclass(frozen=True)
class AnswerForm:
    """Which of the rules are on.

    Attributes:
        most_tasks: tasks that may have the very same output; None: any number.
        special_tokens: of the student's tokenizer; a text with one is not trained on.
    """

    refusals: bool = True
    placeholders: bool = True
    most_tasks: int | None = 4
    special_tokens: Sequence[str] = ()

    @classmethod
    def of(cls, settings: FilteringSettings, special_tokens: Sequence[str] = ()) -> AnswerForm:
        """The rules that the settings turn on; `special_tokens` are those of the student's tokenizer."""
        tokens = tuple(special_tokens) if settings.special_tokens else ()
        return cls(settings.refusals, settings.placeholders, settings.most_tasks_per_output, tokens)

    def problem(self, output: str, task: str = "") -> str | None:
        """The rule that an output breaks by itself, or None. `task`: its instruction and input."""
        if self.refusals and is_refusal(output) and not is_asked_for(output, task):
            return "refusal"
        return "placeholder" if self.placeholders and is_placeholder(output, task) else None


def answer_rules(form: AnswerForm) -> tuple[Rule, ...]:
    """The rules that are on, for the columns `output`, `instruction`, `input` and `is_classification`.

    A placeholder that the task itself names ("Write N/A where there is no date") is an answer, and so is a refusal that
    it names, asks for or has as its input ("Decline the invitation", "Make this more polite").

    The score of a refusal is its length in bytes, that of a repeated output the number of tasks that have it.
    """
    output, one = pl.col("output").str.strip_chars(), pl.lit(1.0)
    length = output.str.len_bytes()
    tasks = pl.col("instruction").n_unique().over(output.str.to_lowercase())
    task = pl.concat_str("instruction", "input", separator="\n").str.to_lowercase()
    named = (output != "") & task.str.contains(output.str.to_lowercase(), literal=True)
    given = pl.col("instruction").str.extract(GIVEN_IN_LINE, 1).fill_null("")
    asked = named | task.str.contains(REFUSAL_ASKED) | _refuses(pl.col("input")) | _refuses(given)
    refusal = _refuses(output) & ~asked
    stands_for_one = output.str.contains(PLACEHOLDER) | output.str.contains(DOTS)
    placeholder = stands_for_one & ~named & ((output == "") | ~task.str.contains(PLACEHOLDER_ASKED))
    rules = []
    if form.refusals:
        rules.append(Rule("refusal", refusal, length, LONGEST_REFUSAL_BYTES))
    if form.placeholders:
        rules.append(Rule("placeholder", placeholder, one, 1.0))
    if form.most_tasks is not None:
        shared = (tasks > form.most_tasks) & (length >= _SHORTEST_REPEATED) & ~pl.col("is_classification")
        rules.append(Rule("repeated_output", shared, tasks, form.most_tasks))
    return tuple(rules)


def _refuses(texts: pl.Expr) -> pl.Expr:
    return texts.map_batches(are_refusals, return_dtype=pl.Boolean)


def with_special_tokens(candidates: pl.DataFrame, special_tokens: Sequence[str]) -> pl.DataFrame:
    """Candidates that spell out a special token (`FOUND_SCHEMA`, the token as `neighbour`)."""
    if not special_tokens or not candidates.height:
        return pl.DataFrame(schema=FOUND_SCHEMA)
    text = pl.concat_str("instruction", "input", "output", separator="\n")
    found = candidates.select("row", neighbour=text.str.extract_many(list(special_tokens)).list.first())
    return found_frame(
        found.drop_nulls("neighbour").with_columns(rule=pl.lit("special_token"), score=1.0, threshold=1.0)
    )
