"""Which examples become seeds, and which seeds rest."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from sedi_dagster.settings.group import SettingsGroup


class FeedbackSettings(SettingsGroup):
    signal: Literal["grad_norm", "loss_drop", "ifd", "heldout_gain", "random"] = Field(
        "random", description="What ranks examples for promotion to seeds; see docs/training.md"
    )
    window_steps: int = Field(10, ge=1, description="Optimiser steps of a window (grad_norm, heldout_gain)")
    window_batches: int = Field(
        1, ge=1, description="Batches of highest gradient norm whose examples are considered, of each window"
    )
    promote_per_category: int = Field(2, ge=0, description="Examples that may become seeds, per category and round")
    max_entering: int = Field(24, ge=0, description="Examples that may become seeds in a round")
    max_leaving: int = Field(12, ge=0, description="Seeds that may be rested in a round")
    max_machine_seeds_per_category: int = Field(12, ge=0, description="Machine-made seeds in prompting, per category")
    min_human_seeds_per_category: int = Field(
        8, ge=0, description="Human seeds that stay in prompting in each category, whatever they earned"
    )
    max_depth: int = Field(
        3, ge=1, description="Generations from a human seed at most: a child of human seeds has depth 1"
    )
    max_ifd: float = Field(1.0, gt=0, description="Instruction-following difficulty above which none is promoted")
    duplicate_threshold: float = Field(
        0.7, gt=0, le=1, description="ROUGE-L F1 with a seed above which an example is no new seed"
    )
    min_children: int = Field(20, ge=1, description="Children a seed must have had before it is judged by them")
    rest_alpha: float = Field(
        0.05, gt=0, lt=1, description="Level of the test that a seed's children are kept less often than others'"
    )
    rest_rounds: int = Field(3, ge=1, description="Rounds that a seed rests before it is tried again")
