"""Samples of examples and answers, chosen by id: effectively random, but reproducible."""

from collections.abc import Sequence
from typing import Any

import polars as pl

EXAMPLES_PER_CATEGORY = 2
BEST_EXAMPLES = 4


def kept_examples(examples: pl.DataFrame, categories: Sequence[str]) -> list[tuple[str, list[dict[str, Any]]]]:
    """Up to two kept examples a category, in the order of `categories`."""
    names = dict.fromkeys([*categories, *examples["category"].to_list()])
    chosen = [
        (name, examples.filter(pl.col("category") == name).sort("example_id").head(EXAMPLES_PER_CATEGORY).to_dicts())
        for name in names
    ]
    return [(name, rows) for name, rows in chosen if rows]


def best_examples(examples: pl.DataFrame, considered: pl.DataFrame) -> list[dict[str, Any]]:
    """The kept examples with the highest training signal that became seeds, with `why`."""
    if considered.is_empty():
        return []
    chosen = considered.filter(pl.col("refused").is_null()).sort("signal", descending=True, nulls_last=True)
    joined = chosen.select("example_id", "signal", "why").join(examples, on="example_id", maintain_order="left")
    return joined.head(BEST_EXAMPLES).to_dicts()


def answers(items: pl.DataFrame) -> list[tuple[str, list[dict[str, Any]]]]:
    """A right and a wrong answer of the trained student for each category, where there is one."""
    chosen = items.sort("item_id").group_by("category", "passed", maintain_order=True).head(1)
    chosen = chosen.sort("category", "passed", descending=[False, True])
    return [(str(name), rows.to_dicts()) for (name,), rows in chosen.group_by("category", maintain_order=True)]
