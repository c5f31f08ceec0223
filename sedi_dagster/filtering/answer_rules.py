"""Rules against outputs that are not answers: refusals, placeholders, one output for many tasks, special tokens.

Each rule can be turned off in the settings. `texts.refusals` has the patterns of refusals and placeholders.
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
"""Bytes of the shortest output that tasks may not share; shorter ones are labels, numbers and names."""


@dataclass(frozen=True)
class AnswerForm:
    """Which rules on outputs apply.

    Attributes:
        most_tasks: most tasks that may have the same output; None: any number.
        special_tokens: special tokens of the student's tokenizer; examples that contain one are rejected.
    """

    refusals: bool = True
    placeholders: bool = True
    most_tasks: int | None = 4
    special_tokens: Sequence[str] = ()

    @classmethod
    def of(cls, settings: FilteringSettings, special_tokens: Sequence[str] = ()) -> AnswerForm:
        """Return the rules that the settings turn on; `special_tokens` are those of the student's tokenizer."""
        tokens = tuple(special_tokens) if settings.special_tokens else ()
        return cls(settings.refusals, settings.placeholders, settings.most_tasks_per_output, tokens)

    def problem(self, output: str, task: str = "") -> str | None:
        """Return the rule that an output breaks, judged without other outputs; None if it breaks none.

        Args:
            task: instruction and, on the lines below it, the input.
        """
        if self.refusals and is_refusal(output) and not is_asked_for(output, task):
            return "refusal"
        return "placeholder" if self.placeholders and is_placeholder(output, task) else None


def answer_rules(form: AnswerForm) -> tuple[Rule, ...]:
    """Return the rules that apply, for the columns `output`, `instruction`, `input` and `is_classification`.

    A placeholder that the task names ("Write N/A where there is no date") is an answer. So is a refusal that the task
    names, asks for or has as its input ("Decline the invitation", "Make this more polite").

    The score of a refusal is its length in bytes, the score of a repeated output the number of tasks that have it.
    """
    output, one = pl.col("output").str.strip_chars(), pl.lit(1.0)
    length = output.str.len_bytes()
    tasks = pl.col("instruction").n_unique().over(output.str.to_lowercase())
    task = pl.concat_str("instruction", "input", separator="\n").str.to_lowercase()
    named = (output != "") & task.str.contains(output.str.to_lowercase(), literal=True)
    input_in_line = pl.col("instruction").str.extract(GIVEN_IN_LINE, 1).fill_null("")
    requested = named | task.str.contains(REFUSAL_ASKED) | _refuses(pl.col("input")) | _refuses(input_in_line)
    refusal = _refuses(output) & ~requested
    placeholder = output.str.contains(PLACEHOLDER) | output.str.contains(DOTS)
    placeholder &= ~named & ((output == "") | ~task.str.contains(PLACEHOLDER_ASKED))
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
    """Find candidates whose text contains a special token (`FOUND_SCHEMA`; `neighbour` is the token)."""
    if not special_tokens or not candidates.height:
        return pl.DataFrame(schema=FOUND_SCHEMA)
    text = pl.concat_str("instruction", "input", "output", separator="\n")
    found = candidates.select("row", neighbour=text.str.extract_many(list(special_tokens)).list.first())
    return found_frame(
        found.drop_nulls("neighbour").with_columns(rule=pl.lit("special_token"), score=1.0, threshold=1.0)
    )
