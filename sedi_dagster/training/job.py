"""The job file of the training workload: its fields, validation, and the text of `--help`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from sedi_dagster.errors import WorkloadError
from sedi_dagster.settings import TrainingSettings

FIELDS = {
    "student": "folder with safetensors weights, or name on the hub",
    "checkpoint": "folder of the checkpoint to continue from (adapter or full model), or null: the untrained student",
    "rows": "Parquet with batch, position, example_id, category, origin, prompt, output, sorted by batch and position",
    "held_out": "Parquet with example_id, category, prompt, output of rows that are never trained on, or null",
    "output": "folder for checkpoint/, steps.parquet, examples.parquet, heldout.parquet, summary.json, state/",
    "batch_size": "rows per training batch, which is one optimizer step",
    "seed": "seed for the initial weights of a new adapter",
    "settings": "object with training settings (SEDI_TRAINING_* without the prefix, in lower case); may be {}",
    "held_out_every": "optimizer steps between two measurements of the held-out loss; 0: before and after only",
    "ifd": "whether to measure the instruction-following difficulty of each row (one more pass)",
    "about": "object with further facts for the model card: round, parent, data_version, location",
    "offline": "whether to work without the hub (read before anything is imported)",
}
_OPTIONAL = {"checkpoint", "held_out", "settings", "held_out_every", "ifd", "about", "offline"}


@dataclass(frozen=True)
class TrainingJob:
    """A validated job; `FIELDS` describes the attributes."""

    student: str
    rows: Path
    output: Path
    batch_size: int
    seed: int
    checkpoint: Path | None = None
    held_out: Path | None = None
    settings: TrainingSettings = field(default_factory=TrainingSettings)
    held_out_every: int = 0
    ifd: bool = False
    about: Mapping[str, Any] = field(default_factory=dict)
    offline: bool = True

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> TrainingJob:
        """Validate the content of a job file.

        Raises:
            WorkloadError: a field is missing, unknown or invalid.
        """
        known = {f.name for f in fields(cls)}
        problems = [f"{name} is missing" for name in sorted(known - _OPTIONAL - data.keys())]
        problems += [f"{name} is unknown" for name in sorted(data.keys() - known)]
        problems += [
            f"{name} must be a whole number of at least {least}, not {data[name]!r}"
            for name, least in (("batch_size", 1), ("seed", 0), ("held_out_every", 0))
            if name in data and (not isinstance(data[name], int) or data[name] < least)
        ]
        for name in ("rows", "held_out"):
            if data.get(name) and not Path(data[name]).is_file():
                problems.append(f"{name}: there is no file {data[name]}")
        settings = data.get("settings") or {}
        try:
            settings = TrainingSettings(**settings)
        except (ValidationError, TypeError) as error:
            problems.append(f"settings: {error}")
        if problems:
            raise WorkloadError(
                f"The job file is invalid: {'; '.join(problems)}.",
                "`python -m sedi_dagster.training --help` describes every field.",
            )
        paths = {name: Path(data[name]) if data.get(name) else None for name in ("checkpoint", "held_out")}
        return cls(
            **{**data, **paths, "rows": Path(data["rows"]), "output": Path(data["output"]), "settings": settings}
        )


def describe() -> str:
    """Return a description of the job file's fields with an example, for `--help`."""
    lines = [f"  {name:<15} {text}{' (optional)' if name in _OPTIONAL else ''}" for name, text in FIELDS.items()]
    example = (
        '  {"student": ".cache/models/SmolLM2-135M-Instruct", "rows": "rows.parquet", "output": "out",\n'
        '   "batch_size": 8, "seed": 0, "settings": {"method": "lora", "epochs": 2}}'
    )
    command = "  accelerate launch --num_processes 4 -m sedi_dagster.training --job job.json"
    return "\n".join(
        ["the job file (JSON):", *lines, "", "example:", example, "", "on several devices of one machine:", command]
    )
