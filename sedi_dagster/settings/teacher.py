"""The teacher: where it is, and how it is called."""

import re
from typing import Any, Literal
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator

from sedi_dagster.settings.group import SettingsGroup
from sedi_dagster.settings.masking import ApiKey, as_meant, masked
from sedi_dagster.texts.cleaning import RULES, CleaningRule
from sedi_dagster.texts.endings import Ending

SIMULATED = "SIMULATED teacher"
"""What everything says that was made with it: console, metadata, report, dataset, and in capitals."""


class TeacherSettings(SettingsGroup):
    base_url: str | None = Field(
        None,
        description="OpenAI-compatible endpoint; empty: the bundled model on loopback; simulated: the simulated "
        "teacher",
    )
    model: str = Field("smollm2-135m-instruct", description="Model name sent to the endpoint")
    api_key: ApiKey = Field(SecretStr(""), description="API key for the endpoint; never written anywhere")
    headers: dict[str, str] = Field(
        default_factory=dict, description="HTTP headers of every request, as JSON; values are never written anywhere"
    )
    query: dict[str, str] = Field(
        default_factory=dict,
        description='Query parameters of every request, as JSON, such as {"api-version": "2024-10-21"} for Azure; '
        "values are never written anywhere",
    )
    prompt_style: Literal["auto", "completion", "chat"] = Field(
        "auto",
        description="completion: continue a list (small base models); chat: messages; auto: completion for the "
        "bundled model, otherwise chat",
    )
    max_concurrency: int = Field(8, ge=1, le=4096, description="Most calls in flight at once")
    timeout_s: float = Field(180.0, gt=0, description="Timeout of one call, in seconds")
    max_attempts: int = Field(
        5, ge=1, description="Attempts for a call with transient failures (5xx, timeout; 429 does not count)"
    )
    token_parameter: Literal["max_tokens", "max_completion_tokens"] = Field(
        "max_tokens", description="Request field for the token limit of the answer"
    )
    temperature: float = Field(0.7, ge=0, le=2, description="Sampling temperature for new instructions")
    top_p: float = Field(0.95, gt=0, le=1, description="Nucleus sampling for new instructions")
    reasoning_tokens: int = Field(0, ge=0, description="Tokens added to the limit of every call, for reasoning models")
    extra_body: dict[str, Any] = Field(
        default_factory=dict,
        description='JSON object merged into every request; null removes a field, as in {"seed": null}',
    )
    structured_output: Literal["auto", "json_schema", "json_object", "prompt"] = Field(
        "auto",
        description="How JSON output is requested; auto: tried once per endpoint and remembered",
    )
    batch: Literal["auto", "on", "off"] = Field(
        "auto",
        description="Send calls through the endpoint's batch API, at its lower price and within a day; auto: in "
        "nightly rounds, if available",
    )
    clean_reasoning: bool = Field(True, description="Remove reasoning (<think> and others) from answers")
    clean_turn_marks: bool = Field(True, description="Truncate answers at an end-of-turn token, such as <|im_end|>")
    clean_control_characters: bool = Field(
        True, description="Remove control characters from answers (C0, C1, terminal colours)"
    )
    finish_reasons: dict[str, Ending] = Field(
        default_factory=dict,
        description="Meaning of non-standard finish reasons (whole, cut, refused, failed), as JSON",
    )
    requests_per_minute: int | None = Field(
        None, ge=1, description="Rate limit of the endpoint, if known; empty: adaptive"
    )
    tokens_per_minute: int | None = Field(
        None, ge=1, description="Rate limit of the endpoint, if known; empty: adaptive"
    )
    patience_s: float = Field(
        900.0,
        gt=0,
        description="Longest time to tolerate rate limiting (429), or a model that is still loading, in seconds",
    )
    silence_s: float = Field(
        20.0,
        gt=0,
        description="Time without any response to calls in flight after which the endpoint is probed, in seconds",
    )
    local_threads: int = Field(0, ge=0, description="Threads of the bundled model's server; 0: all cores")
    local_context: int = Field(
        2048, ge=256, le=8192, description="Context size of the bundled model, in tokens per call"
    )

    @field_validator("base_url", "model", mode="before")
    @classmethod
    def _as_it_was_meant(cls, text: Any) -> Any:
        return as_meant(text) if isinstance(text, str) else text

    @field_validator("headers")
    @classmethod
    def _can_be_sent(cls, headers: dict[str, str]) -> dict[str, str]:
        headers = {name.strip(): value.strip() for name, value in headers.items()}
        for name, value in headers.items():
            is_name = re.fullmatch(r"[\w!#$%&'*+.^`|~-]+", name, re.ASCII)
            if not is_name or not (value.isascii() and value.isprintable()):
                raise ValueError(
                    f"SEDI_TEACHER_HEADERS: the header {name!r} cannot be sent: its name has a blank or a colon, or "
                    "its value a line break or a letter beyond ASCII"
                )
        return headers

    @field_validator("model")
    @classmethod
    def _name_in_one_line(cls, name: str) -> str:
        if not name or not name.isprintable():
            raise ValueError("SEDI_TEACHER_MODEL has no name, or one with a line break or a control character in it")
        return name

    @field_validator("base_url")
    @classmethod
    def _without_path_of_a_call(cls, url: str | None) -> str | None:
        """The address that the API's paths are added to, also where that of a call was copied."""
        if not url or url.startswith("simulated:"):
            return url
        url = re.sub(r"/(?:(?:chat/)?completions|responses|messages|models|embeddings)/?(?=$|\?)", "", url)
        try:
            parts = urlsplit(url)
            usable = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
        except ValueError:
            usable = False
        if not usable or re.search(r"[\s\\<>{}$]|://.*://", url):
            raise ValueError(
                f"SEDI_TEACHER_BASE_URL={masked(url)}: no address of a server; write http:// or https://, the host, "
                "the port if there is one, and the path, such as http://127.0.0.1:8000/v1"
            )
        return url

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
