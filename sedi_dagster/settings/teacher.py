"""The teacher: where it is, and how it is called."""

from __future__ import annotations

import re
from typing import Any, Literal

from pydantic import Field, SecretStr, field_validator

from sedi_dagster.settings.group import SettingsGroup
from sedi_dagster.settings.masking import ApiKey
from sedi_dagster.texts.cleaning import RULES, CleaningRule
from sedi_dagster.texts.endings import Ending

SIMULATED = "SIMULATED teacher"
"""What everything says that was made with it: console, metadata, report, dataset, and in capitals."""


class TeacherSettings(SettingsGroup):
    base_url: str | None = Field(
        None, description="OpenAI-compatible endpoint; empty: the bundled model on loopback; simulated: is a stand-in"
    )
    model: str = Field("smollm2-135m-instruct", description="Model name sent to the endpoint")
    api_key: ApiKey = Field(SecretStr(""), description="Key for the endpoint; never written anywhere")
    headers: dict[str, str] = Field(
        default_factory=dict, description="Headers of every request, as JSON; values are never written anywhere"
    )
    query: dict[str, str] = Field(
        default_factory=dict,
        description='Query parameters of every request, as JSON, such as {"api-version": "2024-10-21"} for Azure; '
        "values are never written anywhere",
    )
    prompt_style: Literal["auto", "completion", "chat"] = Field(
        "auto",
        description="completion: continue a list (small models); chat: ask in messages; auto: by what the teacher is",
    )
    max_concurrency: int = Field(8, ge=1, le=4096, description="Calls under way at once, at most")
    timeout_s: float = Field(180.0, gt=0, description="Time allowed for one call, in seconds")
    max_attempts: int = Field(5, ge=1, description="Attempts for a call that fails in passing (429, 5xx, time-out)")
    token_parameter: Literal["max_tokens", "max_completion_tokens"] = Field(
        "max_tokens", description="Name under which the endpoint takes the answer's token limit"
    )
    temperature: float = Field(0.7, ge=0, le=2, description="Sampling temperature for new instructions")
    top_p: float = Field(0.95, gt=0, le=1, description="Nucleus sampling for new instructions")
    reasoning_tokens: int = Field(
        0, ge=0, description="Tokens added to the limit of every call, for a model that thinks before it answers"
    )
    extra_body: dict[str, Any] = Field(
        default_factory=dict,
        description='JSON object merged into every request; null leaves a field out, as in {"seed": null}',
    )
    structured_output: Literal["auto", "json_schema", "json_object", "prompt"] = Field(
        "auto",
        description="How an answer's JSON form is asked for; auto: tried out once an endpoint and remembered",
    )
    batch: Literal["auto", "on", "off"] = Field(
        "auto",
        description="Send calls through the endpoint's batch API, at its lower price and within a day; auto: in "
        "nightly rounds, where the endpoint has one",
    )
    clean_reasoning: bool = Field(True, description="Take a model's reasoning (<think> and others) off its answers")
    clean_turn_marks: bool = Field(True, description="End an answer at a mark that ends its turn, such as <|im_end|>")
    clean_control_characters: bool = Field(True, description="Take control characters off answers (C0, C1, colours)")
    finish_reasons: dict[str, Ending] = Field(
        default_factory=dict,
        description="What an endpoint's own finish reasons mean (whole, cut, refused, failed), as JSON by its word",
    )
    requests_per_minute: int | None = Field(None, ge=1, description="The endpoint's limit, if known; empty: adapt")
    tokens_per_minute: int | None = Field(None, ge=1, description="The endpoint's limit, if known; empty: adapt")
    patience_s: float = Field(
        900.0, gt=0, description="Longest time to bear with nothing but rate limit answers (429), in seconds"
    )
    silence_s: float = Field(
        20.0,
        gt=0,
        description="Calls under way without any answer for so long: the endpoint is asked whether it is there, in s",
    )
    local_threads: int = Field(0, ge=0, description="Threads of the bundled model's server; 0: all cores")
    local_context: int = Field(2048, ge=256, le=8192, description="Context of the bundled model, in tokens a call")

    @field_validator("base_url")
    @classmethod
    def _without_path_of_a_call(cls, url: str | None) -> str | None:
        """The address that the API's paths are added to, also where that of a call was copied."""
        return re.sub(r"/(?:chat/)?completions/?$", "", url.strip()) if url else url

    @property
    def cleaning_rules(self) -> frozenset[CleaningRule]:
        """The rules of cleaning that are on."""
        return frozenset(rule for rule in RULES if getattr(self, f"clean_{rule}"))

    @property
    def is_simulated(self) -> bool:
        """Whether everything the teacher writes is made up by the simulated one."""
        return (self.base_url or "").startswith("simulated:")

    @property
    def shown(self) -> str:
        """The teacher's name as it is shown to users."""
        if self.is_simulated:
            return SIMULATED
        return f"{self.model} (bundled)" if self.base_url is None else self.model

    @property
    def asks_in_chat(self) -> bool:
        """The bundled model continues a list well and follows a request badly; others are asked in messages."""
        return self.base_url is not None if self.prompt_style == "auto" else self.prompt_style == "chat"
