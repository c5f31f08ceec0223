"""Which text of a task is compared with other tasks.

It is the instruction, as in Self-Instruct. Seed tasks of one domain often share theirs and differ in the input ("Which
team should answer this ticket?"): a task with such an instruction is compared by its input, and only with the others
that have the same instruction.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

import polars as pl

from sedi_dagster.filtering.guarded_texts import FEWEST_WORDS
from sedi_dagster.texts.words import tokens, word_counts


class SharedInstructions:
    """The instructions that several seed tasks have, each with another input."""

    def __init__(self, tasks: Iterable[tuple[str, str]] = ()) -> None:
        """`tasks`: instruction and input of the human seed tasks."""
        inputs: defaultdict[str, set[str]] = defaultdict(set)
        spellings: defaultdict[str, set[str]] = defaultdict(set)
        for instruction, text_input in tasks:
            if text_input and (name := _name(instruction)):
                inputs[name].add(text_input)
                spellings[name].add(instruction)
        self.names = frozenset(name for name, given in inputs.items() if len(given) > 1)
        shared = {spelling for name in self.names for spelling in spellings[name]}
        self._spellings = sorted(shared, key=len, reverse=True)

    def compared(self, instruction: str, text_input: str) -> tuple[str, str]:
        """The shared instruction that the task has ("": none), and the text that is compared with others of it."""
        name = _name(instruction) if text_input and self.names else ""
        return (name, text_input) if name in self.names else ("", instruction)

    def with_compared(self, tasks: pl.DataFrame) -> pl.DataFrame:
        """The tasks (`instruction`, `input`) with `compared` of each as the columns `shared` and `text`."""
        if not self.names:
            return tasks.with_columns(shared=pl.lit(""), text="instruction")
        pairs = tasks.select("instruction", pl.col("input").fill_null("")).iter_rows()
        found = pl.DataFrame(
            [self.compared(instruction, text_input) for instruction, text_input in pairs],
            schema={"shared": pl.String, "text": pl.String},
            orient="row",
        )
        return tasks.with_columns(found)

    def own_part(self, prompt: str) -> str:
        """A prompt without the shared instruction that it begins with: what is its own."""
        for spelling in self._spellings:
            rest = prompt.removeprefix(spelling)
            whole_words = not (spelling[-1].isalnum() and rest[:1].isalnum())
            if rest != prompt and rest.strip() and whole_words:
                return rest.strip()
        return prompt

    def telling(self, texts: pl.Series) -> pl.Series:
        """Texts that could recite an item; "" instead of a few words, which may be all that is an item's own.

        What is asked of "France" is not told by the answer "France" to another question.
        """
        return texts.set(word_counts(texts) < FEWEST_WORDS, "") if self.names else texts

    def telling_input(self, tasks: pl.DataFrame) -> pl.Expr:
        """The same of the inputs of tasks as `with_compared` gives them; those of shared instructions are whole."""
        return pl.when(pl.col("shared") == "").then(self.telling(tasks["input"])).otherwise("input")


def _name(instruction: str) -> str:
    return " ".join(tokens(instruction))
