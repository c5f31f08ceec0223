"""The rules for instructions and instances: those of Self-Instruct, and the same adapted to any language.

Self-Instruct's rules (arXiv 2212.10560, section 2.2, and its released code) assume English. Each rule is a Polars
expression that is true where the rule is broken, so that all candidates are judged in one pass over the columns.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import polars as pl

from sedi_dagster.filtering.keywords import KEYWORDS, asks_for_what_text_cannot_serve
from sedi_dagster.settings import FilteringSettings
from sedi_dagster.texts.words import word_counts

FOUND_SCHEMA: dict[str, Any] = {
    "row": pl.UInt32,
    "rule": pl.String,
    "score": pl.Float64,
    "threshold": pl.Float64,
    "neighbour_id": pl.String,
    "neighbour": pl.String,
}
"""One row a rejected candidate: its rule, what the rule measured and, if the text is near another, that neighbour."""

_ONE = pl.lit(1.0)
_BYTES_PER_WORD = 5
"""Letters of a word, as typing speeds are counted."""


@dataclass(frozen=True)
class InstructionForm:
    """Parameters of the rules of form: the fewest and the most words of an instruction, and which set of rules."""

    min_words: int = 4
    max_words: int = 150
    mode: Literal["sedi", "self_instruct"] = "sedi"

    @classmethod
    def of(cls, settings: FilteringSettings) -> InstructionForm:
        """Return the limits and the mode of the settings."""
        return cls(settings.min_words, settings.max_words, settings.mode)


@dataclass(frozen=True)
class Rule:
    """A named rule. `score` is what it measures where it is broken, null if it measures nothing."""

    name: str
    broken: pl.Expr
    score: pl.Expr
    threshold: float | None


# Signs that an instruction may begin with: brackets, quotation marks, inverted question and exclamation marks.
_OPENING = r"\p{Ps}\p{Pi}\"'`¿¡"


def form_rules(form: InstructionForm) -> tuple[Rule, ...]:
    """Return the rules of form for the column `instruction`.

    The mode self_instruct has the published rules, which assume English; the other mode has rules for any script. The
    score is the number of words for the rules on length, otherwise 1.
    """
    instruction = pl.col("instruction")
    words = instruction.map_batches(word_counts, return_dtype=pl.UInt32)
    # Turkish, Finnish, Korean, Hebrew or Tamil say in three words what takes English five. Bytes (of UTF-8), because
    # the scripts that leave vowels out or write a syllable as one letter have more of them a letter.
    is_long = (words == form.min_words - 1) & (instruction.str.len_bytes() >= _BYTES_PER_WORD * form.min_words)
    is_short = (words < form.min_words) & ~(is_long & (form.mode != "self_instruct"))
    length = (
        Rule("too_short", is_short, words, form.min_words),
        Rule("too_long", words > form.max_words, words, form.max_words),
    )
    if form.mode != "self_instruct":
        unservable = instruction.map_batches(asks_for_what_text_cannot_serve, return_dtype=pl.Boolean)
        sign = rf"^[\p{{P}}$+<=>^|~&&[^{_OPENING}]]"
        return (
            *length,
            Rule("unservable_keyword", unservable, _ONE, 1.0),
            Rule("starts_with_punctuation", instruction.str.contains(sign), _ONE, 1.0),
        )
    return (
        *length,
        Rule("unservable_keyword", instruction.str.contains(rf"(?i){KEYWORDS['en']}"), _ONE, 1.0),
        Rule("starts_with_write_a_program", instruction.str.starts_with("Write a program"), _ONE, 1.0),
        Rule("starts_with_punctuation", instruction.str.contains(r"^[!-/:-@\[-`{-~]"), _ONE, 1.0),
        Rule("starts_with_non_ascii", instruction.str.contains(r"^[^\x00-\x7F]"), _ONE, 1.0),
    )


def instance_rules() -> tuple[Rule, ...]:
    """Return the rules for the columns `instruction`, `input` and `output` of answered tasks."""
    instruction, text_input, output = (pl.col(name).str.strip_chars() for name in ("instruction", "input", "output"))
    nothing = pl.lit(None, pl.Float64)
    return (
        Rule("empty_output", output == "", nothing, None),
        Rule(
            "output_equals_input",
            ((text_input != "") & (output == text_input)) | (output == instruction),
            nothing,
            None,
        ),
        Rule("output_ends_with_colon", output.str.contains("[:：]$"), nothing, None),
    )


def contradiction_rule() -> Rule:
    """Return Self-Instruct's rule that rejects all instances of an instruction with one input but different outputs."""
    answers = pl.col("output").n_unique().over("instruction_id", "input")
    return Rule("same_input_different_outputs", answers > 1, answers, 1.0)


def first_broken(frame: pl.DataFrame, rules: Sequence[Rule]) -> pl.DataFrame:
    """Return the first rule that each row breaks (`FOUND_SCHEMA`), without the rows that break none.

    Args:
        frame: `row`, and the columns that the rules read.
    """
    first: Any = pl
    for rule in rules:
        finding = pl.struct(
            rule=pl.lit(rule.name), score=rule.score.cast(pl.Float64), threshold=pl.lit(rule.threshold, pl.Float64)
        )
        first = first.when(rule.broken).then(finding)
    found = frame.lazy().select("row", found=first).filter(pl.col("found").is_not_null()).unnest("found").collect()
    return found_frame(found)


def found_frame(found: pl.DataFrame) -> pl.DataFrame:
    """Return the frame with the columns and types of `FOUND_SCHEMA`; missing columns are null."""
    missing = [pl.lit(None).alias(name) for name in FOUND_SCHEMA if name not in found.columns]
    return found.with_columns(missing).select(pl.col(name).cast(kind) for name, kind in FOUND_SCHEMA.items())


def instruction_problem(instruction: str, form: InstructionForm) -> tuple[str, float, float] | None:
    """Return the rule of form that one instruction breaks, as (rule, score, threshold), or None."""
    frame = pl.DataFrame({"row": [0], "instruction": [instruction]})
    found = first_broken(frame, form_rules(form))
    return found.select("rule", "score", "threshold").row(0) if found.height else None


def instance_problem(text_input: str, output: str, instruction: str = "") -> str | None:
    """Return the rule that one instance (input and output) of an instruction breaks, or None."""
    frame = pl.DataFrame({"row": [0], "instruction": [instruction], "input": [text_input], "output": [output]})
    found = first_broken(frame, instance_rules())
    return str(found["rule"][0]) if found.height else None
