"""Which examples become seeds, and which seeds rest."""

from typing import Literal

from pydantic import Field

from sedi_dagster.settings.group import SettingsGroup


class FeedbackSettings(SettingsGroup):
    signal: Literal["grad_norm", "loss_drop", "ifd", "heldout_gain", "random"] = Field(
        "random", description="Training signal that ranks examples for promotion to seeds; see docs/training.md"
    )
    window_steps: int = Field(10, ge=1, description="Optimizer steps per window (grad_norm, heldout_gain)")
    window_batches: int = Field(
        1, ge=1, description="Batches of highest gradient norm per window whose examples are considered"
    )
    promote_per_category: int = Field(2, ge=0, description="Most examples promoted to seeds per category and round")
    max_entering: int = Field(24, ge=0, description="Most examples promoted to seeds per round")
    max_leaving: int = Field(12, ge=0, description="Most seeds that start to rest per round")
    max_machine_seeds_per_category: int = Field(
        12, ge=0, description="Most machine-made seeds used in prompts, per category"
    )
    min_human_seeds_per_category: int = Field(8, ge=0, description="Fewest human seeds kept in prompts, per category")
    max_depth: int = Field(
        3, ge=1, description="Most generations between an example and a human seed; a child of human seeds has depth 1"
    )
    max_ifd: float = Field(
        1.0, gt=0, description="Instruction-following difficulty above which an example is not promoted"
    )
    duplicate_threshold: float = Field(
        0.7, gt=0, le=1, description="ROUGE-L F1 with an existing seed above which an example is not promoted"
    )
    min_children: int = Field(20, ge=1, description="Candidates prompted with a seed before the seed is judged by them")
    rest_alpha: float = Field(
        0.05,
        gt=0,
        lt=1,
        description="Significance level of the test that a seed's children are kept less often than others'",
    )
    rest_rounds: int = Field(3, ge=1, description="Rounds that a seed rests before it is used again")
