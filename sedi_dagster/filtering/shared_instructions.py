"""Which text of a task is compared with other tasks.

It is the instruction, as in Self-Instruct. But seed tasks of one domain often share their instruction and differ only
in the input ("Which team should answer this ticket?"). A task with such an instruction is compared by its input, and
only with the other tasks that have the same instruction.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

import polars as pl

from sedi_dagster.filtering.guarded_texts import FEWEST_WORDS
from sedi_dagster.texts.words import tokens, word_counts


class SharedInstructions:
    """The instructions that several human seed tasks have with different inputs."""

    def __init__(self, tasks: Iterable[tuple[str, str]] = ()) -> None:
        """Take instruction and input of the human seed tasks."""
        inputs: defaultdict[str, set[str]] = defaultdict(set)
        spellings: defaultdict[str, set[str]] = defaultdict(set)
        for instruction, text_input in tasks:
            if text_input and (key := _key(instruction)):
                inputs[key].add(text_input)
                spellings[key].add(instruction)
        self._keys = {key for key in inputs if len(inputs[key]) > 1}
        self._longest_first = sorted(set().union(*(spellings[key] for key in self._keys)), key=len, reverse=True)

    def compared(self, instruction: str, text_input: str) -> tuple[str, str]:
        """Return the shared instruction of a task ("" if it has none) and the text by which the task is compared.

        Tasks are compared only with those that have the same first value.
        """
        key = _key(instruction) if text_input and self._keys else ""
        return (key, text_input) if key in self._keys else ("", instruction)

    def with_compared(self, tasks: pl.DataFrame) -> pl.DataFrame:
        """Add `compared` of each task (`instruction`, `input`) as the columns `shared` and `text`."""
        if not self._keys:
            return tasks.with_columns(shared=pl.lit(""), text="instruction")
        pairs = tasks.select("instruction", pl.col("input").fill_null("")).iter_rows()
        compared = [self.compared(instruction, text_input) for instruction, text_input in pairs]
        return tasks.with_columns(pl.DataFrame(compared, schema={"shared": pl.String, "text": pl.String}, orient="row"))

    def without_instruction(self, prompt: str) -> str:
        """Return a prompt without the shared instruction that it begins with, if something is left then."""
        for instruction in self._longest_first:
            rest = prompt.removeprefix(instruction)
            within_word = instruction[-1].isalnum() and rest[:1].isalnum()
            if rest != prompt and rest.strip() and not within_word:
                return rest.strip()
        return prompt

    def reciting(self, texts: pl.Series) -> pl.Series:
        """Return the texts that may recite an item, with "" instead of those of a few words.

        Without its shared instruction, an item may be a single word ("France"), which is also a correct answer to
        other questions.
        """
        return texts.set(word_counts(texts) < FEWEST_WORDS, "") if self._keys else texts

    def reciting_input(self, tasks: pl.DataFrame) -> pl.Expr:
        """Return `reciting` of the inputs of tasks (as from `with_compared`), but all inputs of shared instructions."""
        return pl.when(pl.col("shared") == "").then(self.reciting(tasks["input"])).otherwise("input")


def _key(instruction: str) -> str:
    """Return what is equal for instructions with the same tokens."""
    return " ".join(tokens(instruction))
