"""The model card of a checkpoint: origin, training, scores, and the three lines that load it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import PurePath

import polars as pl

from sedi_dagster.texts.markdown import markdown_table
from sedi_dagster.training.job import TrainingJob
from sedi_dagster.training.sizing import Fitted

SCORES = "## Scores\n"

_LOAD_ADAPTER = """from peft import AutoPeftModelForCausalLM; from transformers import AutoTokenizer
model = AutoPeftModelForCausalLM.from_pretrained({location!r})
tokenizer = AutoTokenizer.from_pretrained({location!r})"""
_LOAD_MODEL = """from transformers import AutoModelForCausalLM, AutoTokenizer
model = AutoModelForCausalLM.from_pretrained({location!r})
tokenizer = AutoTokenizer.from_pretrained({location!r})"""


def model_card(job: TrainingJob, fitted: Fitted, is_adapter: bool, steps: pl.DataFrame, heldout: pl.DataFrame) -> str:
    """Return the model card: Markdown with the front matter that model hubs read."""
    about = job.about
    load = (_LOAD_ADAPTER if is_adapter else _LOAD_MODEL).format(location=str(about.get("location", job.output)))
    text = job.settings.model_dump(mode="json", exclude={"python", "warm_worker"}) | vars(fitted)
    settings = json.dumps(text | {"student": _public_name(str(text["student"]))}, indent=2)
    end = max(1, steps.height // 5)
    return f"""---
library_name: {"peft" if is_adapter else "transformers"}
pipeline_tag: text-generation
tags: [sedi-dagster, sft{", lora" if is_adapter else ""}]
---
# {about.get("round", "A student")} of a sedi-dagster loop

| | |
| --- | --- |
| kind | {"LoRA adapter" if is_adapter else "full model"} |
| base | `{_public_name(str(about.get("student", job.student)))}` |
| trained from | {about.get("parent") or "the untrained base"} |
| round | {about.get("round", "")} |
| data version of the training batches | `{about.get("data_version", "")}` |
| optimizer steps, completion tokens | {steps.height}, {steps["completion_tokens"].sum():,} |
| training loss, first and last fifth | {_mean(steps.head(end))}, {_mean(steps.tail(end))} |
| held-out loss before and after | {_held_out(heldout)} |

```python
{load}
```

The path is relative to the data folder.

{"The adapter names the folder of its base in `adapter_config.json`." if is_adapter else ""}
Trained on synthetic and human-written instructions; its answers may be wrong.

## Settings

```json
{settings}
```

{SCORES}
Not evaluated yet.
"""


def with_scores(card: str, score: float, promoted: bool, categories: Iterable[tuple[str, int, int]]) -> str:
    """Return the card with the results of the evaluation.

    Args:
        score: overall pass rate.
        categories: id, passed items and items of each category.
    """
    table = markdown_table(
        ("category", "passed"), [(name, f"{passed} of {items}") for name, passed, items in categories]
    )
    verdict = "promoted: later rounds start from it" if promoted else "not promoted"
    return f"{card.split(SCORES)[0]}{SCORES}\n{score:.1%} of the evaluation items passed; {verdict}.\n\n{table}\n"


def _public_name(model: str) -> str:
    """The name of a model; for a local folder, only its last part."""
    return PurePath(model).name if PurePath(model).is_absolute() else model


def _mean(steps: pl.DataFrame) -> str:
    return f"{float(steps.select(pl.mean('loss')).item()):.3f}" if steps.height else "-"


def _held_out(heldout: pl.DataFrame) -> str:
    if heldout.is_empty():
        return "not measured"
    tokens = (
        heldout.with_columns(total=pl.col("loss") * pl.col("answer_tokens"))
        .group_by("step")
        .agg(loss=pl.sum("total") / pl.sum("answer_tokens"))
    )
    losses = tokens.sort("step")["loss"]
    return f"{losses[0]:.3f}, {losses[-1]:.3f}"
