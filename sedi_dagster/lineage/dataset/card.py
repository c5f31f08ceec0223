"""The dataset card: front matter that Hugging Face's tools read, and in words how the examples were made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import Any

import polars as pl
import yaml

from sedi_dagster.lineage.dataset.facts import DatasetFacts
from sedi_dagster.lineage.dataset.forms import FORMS
from sedi_dagster.lineage.dataset.selection import Selection

_SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))
_BUNDLED_LICENCE = "apache-2.0"


def dataset_card(
    examples: pl.DataFrame,
    splits: Mapping[str, pl.DataFrame],
    facts: DatasetFacts,
    sizes: Mapping[str, Mapping[str, int]],
    languages: Sequence[str],
    selection: Selection,
) -> str:
    """Markdown with YAML front matter.

    Args:
        sizes: bytes of the Parquet file, by form and split.
        languages: ISO 639-1 codes.
    """
    header = yaml.safe_dump(
        _front_matter(examples, splits, facts, sizes, languages), sort_keys=False, allow_unicode=True
    )
    return f"---\n{header}---\n{_body(examples, splits, facts, selection)}"


def _front_matter(
    examples: pl.DataFrame,
    splits: Mapping[str, pl.DataFrame],
    facts: DatasetFacts,
    sizes: Mapping[str, Mapping[str, int]],
    languages: Sequence[str],
) -> dict[str, Any]:
    own = facts.bundled_teacher or facts.simulated
    licence = {"license": _BUNDLED_LICENCE} if own else {"license": "other", "license_name": "terms-of-the-teacher"}
    return {
        "pretty_name": "Instruction data made by sedi-dagster",
        **licence,
        **({"language": list(languages)} if languages else {}),
        "task_categories": ["text-generation"],
        "size_categories": [next((name for most, name in _SIZES if examples.height < most), "n>1M")],
        "tags": ["instruction-tuning", "synthetic", "sedi-dagster", *(["simulated"] if facts.simulated else [])],
        "configs": [
            {
                "config_name": form,
                **({"default": True} if form == next(iter(FORMS)) else {}),
                "data_files": [{"split": split, "path": f"{form}/{split}.parquet"} for split in splits],
            }
            for form in sizes
        ],
        "dataset_info": [
            {
                "config_name": form,
                "splits": [
                    {"name": split, "num_bytes": sizes[form][split], "num_examples": part.height}
                    for split, part in splits.items()
                ],
                "download_size": sum(sizes[form].values()),
                "dataset_size": sum(sizes[form].values()),
            }
            for form in sizes
        ],
    }


def _body(examples: pl.DataFrame, splits: Mapping[str, pl.DataFrame], facts: DatasetFacts, selection: Selection) -> str:
    counts = examples.group_by("round", "category").len().sort("round", "category")
    kept = sum(number for name, number in facts.verdicts.items() if name.split()[0] == "kept")
    warning = (
        "**Simulated teacher: every text here was made up by a stand-in. This is no data to train on.**\n\n"
        if facts.simulated
        else ""
    )
    student = PurePath(facts.student).name if PurePath(facts.student).is_absolute() else facts.student
    cost = "no price is known" if facts.usd is None else f"{facts.usd:,.2f} USD"
    return f"""# Instruction data made by sedi-dagster

{warning}{examples.height:,} examples written by {_listed(facts.teachers)} from human seed tasks, filtered and kept.
Chosen: {selection}.

## How to load

```python
from datasets import load_dataset

data = load_dataset("this-folder-or-repository", "messages")  # or {_listed(list(FORMS)[1:])}
```

| form | columns | read by |
| --- | --- | --- |
| `messages` | `messages` (role, content) | TRL, axolotl |
| `prompt_completion` | `prompt`, `completion` (role, content) | TRL, loss on the completion alone |
| `alpaca` | `instruction`, `input`, `output` | LLaMA-Factory, axolotl |
| `sharegpt` | `conversations` (from, value) | LLaMA-Factory |

Each form lies in a folder of its own, every split as Parquet and as JSON lines; each row also has `example_id`, `round`
and `category`. `dataset_info.json` is LLaMA-Factory's (`dataset_dir`: this folder, `dataset`: `alpaca` or `sharegpt`).
`SHA256SUMS` has the checksums (`sha256sum -c SHA256SUMS`). Splits go by a hash of the instruction: an
example stays in its split as the set grows, and all instances of one instruction are in one split.

| split | examples |
| --- | --- |
{_table(splits)}

## How it was made

Self-Instruct (arXiv 2212.10560) as a loop after SeDi-Instruct (arXiv 2502.04774): the teacher writes from seed tasks,
what it writes is filtered, the student (`{student}`) is fine-tuned and evaluated, and the next round asks for more
where it is weak. Rounds: {len(facts.rounds)}. Candidates: {facts.candidates:,}, of
which {kept:,} were kept; {facts.tokens:,} teacher tokens, {cost}.

| method and prompt version | candidates |
| --- | --- |
{_table(facts.methods)}

| verdict | candidates |
| --- | --- |
{_table(facts.verdicts)}

Filters: near duplicates above ROUGE-L {_threshold(facts.filtering)}, contradictions, malformed and empty answers; texts
near an evaluation item (ROUGE-L from {facts.filtering["decontamination_threshold"]}, or
{facts.filtering["decontamination_ngram"]} words in a row). Instruction-following difficulty: {facts.filtering["ifd"]}.

| diversity of all that was kept | |
| --- | --- |
{_table({name: f"{value:.3f}" for name, value in facts.diversity.items()})}

`sedi trace EXAMPLE_ID` tells of each row the seed tasks its prompt showed, the calls that were paid, its verdict, and
the training steps and checkpoints that it went into.

| round | category | examples |
| --- | --- | --- |
{chr(10).join(f"| {key} | {category} | {number:,} |" for key, category, number in counts.iter_rows())}

## Limits

Synthetic text: it may be wrong, dated or biased as its teacher is, and nobody has read it all. Filters look at form and
nearness, not at truth. The teacher's licence and terms apply to what it wrote; so may those of the seed tasks.
"""


def _listed(names: Sequence[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _threshold(filtering: Mapping[str, Any]) -> Any:
    if filtering["novelty_threshold"] is not None:
        return filtering["novelty_threshold"]
    return 0.85 if filtering["mode"] == "sedi" else 0.7


def _table(values: Mapping[str, Any]) -> str:
    shown = {name: f"{v.height:,}" if isinstance(v, pl.DataFrame) else v for name, v in values.items()}
    return "\n".join(f"| {name} | {value} |" for name, value in shown.items())
