"""The card of the exported dataset: what is in it, who wrote it, how to ask where a row came from."""

from __future__ import annotations

import polars as pl


def dataset_card(examples: pl.DataFrame, teacher: str, profile: str) -> str:
    """Markdown with the front matter that dataset hubs read."""
    counts = examples.group_by("round", "category").len().sort("round", "category")
    rows = "\n".join(f"| {r} | {c} | {n} |" for r, c, n in counts.iter_rows())
    return f"""---
tags: [instruction-tuning, synthetic]
---
# Instruction data made by sedi-dagster

{examples.height} examples written by `{teacher}` (profile `{profile}`), filtered and kept.
Synthetic text: it may be wrong. The teacher's licence and terms apply to it.

- `sft_dataset.jsonl`: one example a line, `messages` (user, assistant), `example_id`, `round`, `category`.
- `sft_dataset.parquet`: the same as instruction, input, output.

`sedi trace EXAMPLE_ID` tells for each row which seed tasks and prompt it came from, which calls were paid, why it
was kept and in which training steps it was used.

| round | category | examples |
| --- | --- | --- |
{rows}
"""
