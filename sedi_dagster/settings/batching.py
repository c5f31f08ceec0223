"""Which rows a round trains on, and how they are composed into batches."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from sedi_dagster.settings.group import SettingsGroup


class BatchingSettings(SettingsGroup):
    embedding_model: str = Field(
        "bundled:all-MiniLM-L6-v2",
        description="sentence-transformers model: bundled:..., a folder or a hub name",
    )
    composition: Literal["random", "clusters", "sequential"] = Field(
        "random",
        description="How rows are composed into training batches; clusters: across k-means clusters, as in "
        "SeDi-Instruct",
    )
    batch_size: int = Field(8, ge=1, description="Examples per training batch (one optimizer step)")
    human_replay: float = Field(
        0.5, ge=0, le=1, description="Share of human seed tasks among a round's training rows; 1: all of them"
    )
    earlier_replay: float = Field(
        1.0, ge=0, le=1, description="Share of earlier rounds' examples among a round's training rows; 1: all of them"
    )

    @model_validator(mode="after")
    def _leave_room_for_the_rounds_own_examples(self) -> BatchingSettings:
        if sum(share for share in (self.human_replay, self.earlier_replay) if share < 1) >= 1:
            raise ValueError(
                "SEDI_BATCHING_HUMAN_REPLAY and SEDI_BATCHING_EARLIER_REPLAY together must be less than 1; "
                "either may be 1, which uses all of them"
            )
        return self
