"""Writing a round's checkpoint: safetensors, tokenizer with chat template, and a model card.

The checkpoint loads with plain `transformers` or `peft`, in the three lines that its card shows.
"""

from __future__ import annotations

import json
from pathlib import Path
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
    """Write `checkpoint/` in the job's output folder: the adapter, or with `whole_model` the full model in fp32.

    Args:
        steps, heldout: the signals and held-out losses, for the model card.
    """
    folder = job.output / FOLDER
    is_adapter = hasattr(model, "merge_and_unload")
    if whole_model and is_adapter:
        model = model.merge_and_unload()
        is_adapter = False
    model.save_pretrained(folder, safe_serialization=True)
    _sort_modules(folder / "adapter_config.json")
    tokenizer.save_pretrained(folder)
    (folder / "README.md").write_text(model_card(job, fitted, is_adapter, steps, heldout), encoding="utf-8")


def _sort_modules(config: Path) -> None:
    """Sort the names of the trained modules, which peft keeps as a set and writes in random order."""
    if config.exists():
        content = json.loads(config.read_text(encoding="utf-8"))
        if isinstance(content.get("target_modules"), list):
            content["target_modules"].sort()
        config.write_text(json.dumps(content, indent=2, sort_keys=True), encoding="utf-8")
