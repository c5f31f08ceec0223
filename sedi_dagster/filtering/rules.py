"""The rules for instructions and instances: those of Self-Instruct (arXiv 2212.10560, section 2.2 and its released
code), which are for English, and the same in any language.

Each rule is a Polars expression that is true where the rule is broken, so that a million candidates are judged in
one pass over the columns.
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
"""What a rule finds: one line a row that it rejects, with what it measured and, for near texts, the neighbour."""

_ONE = pl.lit(1.0)
_BYTES_PER_WORD = 5
"""Letters of a word, as typing speeds are counted."""


@dataclass(frozen=True)
class InstructionForm:
    """What the rules of form need to know: the fewest and the most words of an instruction, and whose rules."""

    min_words: int = 4
    max_words: int = 150
    mode: Literal["sedi", "self_instruct"] = "sedi"

    @classmethod
    def of(cls, settings: FilteringSettings) -> InstructionForm:
        """The limits and the mode of the settings."""
        return cls(settings.min_words, settings.max_words, settings.mode)


@dataclass(frozen=True)
class Rule:
    """A named rule. `score` is what it measures where it is broken; null if there is nothing to measure."""

    name: str
    broken: pl.Expr
    score: pl.Expr
    threshold: float | None


# What a task may begin with besides letters and digits: brackets, quotation marks, Spanish ones.
_OPENING = r"\p{Ps}\p{Pi}\"'`¿¡"


def form_rules(form: InstructionForm) -> tuple[Rule, ...]:
    """The rules of form for the column `instruction`. The score is words for the length rules, otherwise 1.

    In the mode self_instruct the published rules, which are for English alone; else the same in every script.
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
    """The rules for the columns `instruction`, `input` and `output` of one answered task."""
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
    """Instances of one instruction with one input and different outputs: Self-Instruct trusts none of them."""
    answers = pl.col("output").n_unique().over("instruction_id", "input")
    return Rule("same_input_different_outputs", answers > 1, answers, 1.0)


def first_broken(frame: pl.DataFrame, rules: Sequence[Rule]) -> pl.DataFrame:
    """The first rule that each row breaks (`FOUND_SCHEMA`); a row that breaks none is not in it.

    Args:
        frame: with `row` and the columns that the rules read.
    """
    verdict: Any = pl
    for rule in rules:
        finding = pl.struct(
            pl.lit(rule.name).alias("rule"),
            rule.score.cast(pl.Float64).alias("score"),
            pl.lit(rule.threshold, pl.Float64).alias("threshold"),
        )
        verdict = verdict.when(rule.broken).then(finding)
    found = frame.lazy().select("row", found=verdict).filter(pl.col("found").is_not_null()).unnest("found").collect()
    return found_frame(found)


def found_frame(found: pl.DataFrame) -> pl.DataFrame:
    """The frame in the columns and types of `FOUND_SCHEMA`; what is missing is null."""
    missing = [pl.lit(None).alias(name) for name in FOUND_SCHEMA if name not in found.columns]
    return found.with_columns(missing).select(pl.col(name).cast(kind) for name, kind in FOUND_SCHEMA.items())


def instruction_problem(instruction: str, form: InstructionForm) -> tuple[str, float, float] | None:
    """Why one instruction is dropped for its form: (rule, score, threshold), or None."""
    frame = pl.DataFrame({"row": [0], "instruction": [instruction]})
    found = first_broken(frame, form_rules(form))
    return found.select("rule", "score", "threshold").row(0) if found.height else None


def instance_problem(text_input: str, output: str, instruction: str = "") -> str | None:
    """Why one instance (input and output) of an instruction is dropped by itself, or None."""
    frame = pl.DataFrame({"row": [0], "instruction": [instruction], "input": [text_input], "output": [output]})
    found = first_broken(frame, instance_rules())
    return str(found["rule"][0]) if found.height else None
