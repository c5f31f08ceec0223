"""Evaluation: items, the served student, the reference, the tests and the judge."""

from pydantic import Field, SecretStr

from sedi_dagster.settings.group import SettingsGroup
from sedi_dagster.settings.masking import ApiKey
from sedi_dagster.settings.training import ModelName


class EvaluationSettings(SettingsGroup):
    items_per_category: int = Field(
        12, ge=2, description="Evaluation items used per category: a fixed, stratified subset, in two halves"
    )
    batch_size: int | None = Field(
        None,
        ge=1,
        description="Items answered at once; empty: 24 on a CPU or with a served student, 256 on a GPU; halved "
        "when out of memory",
    )
    base_url: str | None = Field(
        None,
        description="OpenAI-compatible endpoint that serves the student; it receives evaluation items; empty: the "
        "student runs in its own process",
    )
    model: str = Field(
        "{checkpoint}",
        description="Model name for that endpoint; {checkpoint} is replaced by untrained, round-0001, ...",
    )
    api_key: ApiKey = Field(SecretStr(""), description="API key for that endpoint; never written anywhere")
    timeout_s: float = Field(300.0, gt=0, description="Timeout of one answer from that endpoint, in seconds")
    reference: ModelName = Field(
        "",
        description="Reference model (bundled:..., a folder or a hub name) that answers the same items. "
        "Categories whose target is `reference` are compared with it; if there are none, all are. "
        "Empty: none",
    )
    alpha: float = Field(
        0.05, gt=0, lt=1, description="Significance level of the tests, after correction over categories"
    )
    min_gap: float = Field(0.05, ge=0, lt=1, description="Smallest relevant gap to the target, as a share of items")
    confirm_alpha: float = Field(
        0.2,
        gt=0,
        lt=1,
        description="Significance level at which the other half of the items must confirm a weak category",
    )
    max_drop: float = Field(
        0.05, ge=0, lt=1, description="Largest drop of a category that does not prevent promotion, even if significant"
    )
    judge: bool = Field(
        False,
        description="Let an LLM judge compare new and previous answers in brainstorming and creative writing. It "
        "receives evaluation items and so needs its own endpoint; its results are only reported",
    )
    judge_base_url: str | None = Field(None, description="OpenAI-compatible endpoint of the judge; no default")
    judge_model: str = Field("", description="Model name for the judge's endpoint")
    judge_api_key: ApiKey = Field(SecretStr(""), description="API key for the judge's endpoint; never written anywhere")
