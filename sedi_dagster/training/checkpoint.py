"""The checkpoint a round leaves behind: safetensors, tokenizer with its chat template, and a model card.

It loads with plain `transformers` or `peft` in the three lines that its card shows.
"""

from __future__ import annotations

from typing import Any

import polars as pl

from sedi_dagster.training.card import model_card
from sedi_dagster.training.job import TrainingJob
from sedi_dagster.training.sizing import Fitted

FOLDER = "checkpoint"


def save_checkpoint(
    job: TrainingJob,
    fitted: Fitted,
    model: Any,
    tokenizer: Any,
    whole_model: bool,
    steps: pl.DataFrame,
    heldout: pl.DataFrame,
) -> None:
    """Write `checkpoint/` in the job's output folder: an adapter, or (`whole_model`) all weights in fp32."""
    folder = job.output / FOLDER
    is_adapter = hasattr(model, "merge_and_unload")
    if whole_model and is_adapter:
        model = model.merge_and_unload()
        is_adapter = False
    model.save_pretrained(folder, safe_serialization=True)
    tokenizer.save_pretrained(folder)
    (folder / "README.md").write_text(model_card(job, fitted, is_adapter, steps, heldout), encoding="utf-8")
