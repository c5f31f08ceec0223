"""Evaluation: items, the served student, the reference, the tests and the judge."""

from __future__ import annotations

from pydantic import Field, SecretStr

from sedi_dagster.settings.group import SettingsGroup
from sedi_dagster.settings.masking import ApiKey


class EvaluationSettings(SettingsGroup):
    items_per_category: int = Field(
        12, ge=2, description="Evaluation items used per category: a fixed, stratified subset, in two halves"
    )
    batch_size: int | None = Field(
        None,
        ge=1,
        description="Items answered at once; empty: 24 on a CPU and of a served student, 256 on a GPU; halved when "
        "memory ends",
    )
    base_url: str | None = Field(
        None,
        description="OpenAI-compatible endpoint that serves the student; empty: it answers in a process of its own. "
        "Evaluation items are sent there",
    )
    model: str = Field(
        "{checkpoint}", description="Model name sent to it; {checkpoint} stands for untrained, round-0001, ..."
    )
    api_key: ApiKey = Field(SecretStr(""), description="Key for that endpoint; never written anywhere")
    timeout_s: float = Field(300.0, gt=0, description="Time allowed for one answer of that endpoint, in seconds")
    reference: str = Field(
        "",
        description="Reference model (bundled:..., a folder or a hub name) that answers the same items; targets named "
        "`reference` are taken from it, or all targets if none is; empty: there is none",
    )
    alpha: float = Field(0.05, gt=0, lt=1, description="Level of the tests after correction over categories")
    min_gap: float = Field(0.05, ge=0, lt=1, description="Smallest gap to the target that counts, as a share of items")
    confirm_alpha: float = Field(
        0.2, gt=0, lt=1, description="Level at which the fresh half of the items alone must confirm a weak category"
    )
    max_drop: float = Field(
        0.05, ge=0, lt=1, description="Largest drop of a category that does not stop promotion, however significant"
    )
    judge: bool = Field(
        False,
        description="Let a model compare answers of brainstorming and creative writing with those before. It is sent "
        "evaluation items, so it needs an endpoint of its own; what it says is reported and decides nothing",
    )
    judge_base_url: str | None = Field(None, description="OpenAI-compatible endpoint of the judge; no default")
    judge_model: str = Field("", description="Model name sent to the judge's endpoint")
    judge_api_key: ApiKey = Field(SecretStr(""), description="Key for the judge's endpoint; never written anywhere")
