"""Every setting, its default and its meaning. One way in: `load_settings`.

Precedence, lowest first: defaults here, the profile, `.env`, `SEDI_*` variables, overrides (a command-line
option or run config in the launchpad). A nested setting is named `SEDI_<GROUP>_<FIELD>`, such as
`SEDI_TEACHER_BASE_URL`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from dotenv import dotenv_values
from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict
from pydantic_settings import SettingsError as UnreadableVariable

from sedi_dagster.errors import SettingsError


def _project_root() -> Path:
    """The checkout this package runs from, or the working folder when it was installed as a wheel."""
    checkout = Path(__file__).resolve().parent.parent
    return checkout if (checkout / "workspace.yaml").exists() else Path.cwd()


PROJECT_ROOT = _project_root()
ENV_FILE = PROJECT_ROOT / ".env"


class _Group(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class TeacherSettings(_Group):
    base_url: str | None = Field(
        None, description="OpenAI-compatible endpoint; empty: the bundled model on loopback; simulated: is a stand-in"
    )
    model: str = Field("smollm2-135m-instruct", description="Model name sent to the endpoint")
    api_key: SecretStr = Field(SecretStr(""), description="Key for the endpoint; never written anywhere")
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
    extra_body: dict[str, Any] = Field(default_factory=dict, description="JSON object merged into every request")
    structured_output: Literal["auto", "json_schema", "json_object", "prompt"] = Field(
        "auto",
        description="How an answer's JSON form is asked for; auto: tried out once an endpoint and remembered",
    )
    requests_per_minute: int | None = Field(None, ge=1, description="The endpoint's limit, if known; empty: adapt")
    tokens_per_minute: int | None = Field(None, ge=1, description="The endpoint's limit, if known; empty: adapt")
    patience_s: float = Field(
        900.0, gt=0, description="Longest time to bear with nothing but rate limit answers (429), in seconds"
    )
    local_threads: int = Field(0, ge=0, description="Threads of the bundled model's server; 0: all cores")
    local_context: int = Field(2048, ge=256, le=8192, description="Context of the bundled model, in tokens a call")

    @property
    def is_simulated(self) -> bool:
        """Whether everything the teacher writes is made up by the simulated one."""
        return (self.base_url or "").startswith("simulated:")

    @property
    def asks_in_chat(self) -> bool:
        """The bundled model continues a list well and follows a request badly; others are asked in messages."""
        return self.base_url is not None if self.prompt_style == "auto" else self.prompt_style == "chat"


class Price(_Group):
    input: float = Field(ge=0, description="USD for a million prompt tokens")
    output: float = Field(ge=0, description="USD for a million answer tokens")
    as_of: str = Field(min_length=4, description="Day the price was read off the seller's page, such as 2026-11-01")


_PRICES = {
    "gpt-4.1": Price(input=2.0, output=8.0, as_of="2025-04-14"),
    "gpt-4.1-mini": Price(input=0.4, output=1.6, as_of="2025-04-14"),
    "gpt-4.1-nano": Price(input=0.1, output=0.4, as_of="2025-04-14"),
    "gpt-4o": Price(input=2.5, output=10.0, as_of="2024-10-02"),
    "gpt-4o-mini": Price(input=0.15, output=0.6, as_of="2024-07-18"),
}


class BudgetSettings(_Group):
    """Caps that no call may break; the token caps of a round and of the whole loop are in `LoopSettings`."""

    max_usd: float | None = Field(None, gt=0, description="US dollars the whole loop may cost; empty: no limit")
    max_usd_per_round: float | None = Field(None, gt=0, description="US dollars a round may cost; empty: no limit")
    max_usd_per_day: float | None = Field(None, gt=0, description="US dollars a day (UTC) may cost; empty: no limit")
    max_usd_per_run: float | None = Field(None, gt=0, description="US dollars a run may cost; empty: no limit")
    max_tokens_per_day: int | None = Field(None, ge=1, description="Tokens a day (UTC) may use; empty: no limit")
    max_tokens_per_run: int | None = Field(None, ge=1, description="Tokens a run may use; empty: no limit")
    prices: dict[str, Price] = Field(
        _PRICES, description="Price by model name, as JSON; a model that is not in it has no known price"
    )

    @property
    def caps_usd(self) -> bool:
        return any((self.max_usd, self.max_usd_per_round, self.max_usd_per_day, self.max_usd_per_run))


class GenerationSettings(_Group):
    methods: dict[str, float] = Field(
        {"self_instruct": 1.0}, description="Share of the candidates by method of generation, summing to 1"
    )
    candidates_per_category: int = Field(4, ge=1, description="Candidates to ask for, per category and round")
    demonstrations: int = Field(8, ge=1, le=20, description="Seed tasks shown in a prompt (Self-Instruct: 8)")
    machine_demonstrations: int = Field(
        2, ge=0, description="Of these, at most so many machine-made (Self-Instruct: 2)"
    )
    instances: Literal["few_shot", "answer"] = Field(
        "few_shot",
        description="self_instruct. few_shot: instances as in the paper; answer: inputs come with the instructions, "
        "and each task is put to the teacher as a user would",
    )
    evolution_rounds: int = Field(2, ge=1, description="evol_instruct: times that an instruction is evolved, at most")
    answer_samples: int = Field(
        1, ge=1, le=32, description="Answers asked for a task, kept if they agree; each is paid for"
    )
    max_instruction_tokens: int = Field(200, ge=16, description="Token limit of a call that asks for instructions")
    max_answer_tokens: int = Field(128, ge=8, description="Token limit of a call that asks for an answer")
    max_example_tokens: int = Field(400, ge=32, description="Token limit of a call that asks for whole examples")
    max_pieces_factor: float = Field(
        6.0, ge=1, description="Pieces of text, malformed ones included, per candidate wanted before giving up"
    )


class FilteringSettings(_Group):
    mode: Literal["sedi", "self_instruct"] = Field(
        "sedi", description="sedi: novelty threshold 0.85 (SeDi-Instruct); self_instruct: 0.7"
    )
    novelty_threshold: float | None = Field(
        None,
        gt=0,
        le=1,
        description="ROUGE-L F1 above which an instruction is a near duplicate; empty: by mode",
    )
    min_words: int = Field(4, ge=1, description="Fewest words in an instruction")
    max_words: int = Field(150, ge=1, description="Most words in an instruction")
    decontamination_threshold: float = Field(
        0.7,
        gt=0,
        le=1,
        description="ROUGE-L F1 with an evaluation item at or above which a candidate is dropped",
    )
    decontamination_ngram: int = Field(
        13, ge=3, description="Words in a row shared with an evaluation item that drop it"
    )

    @property
    def threshold(self) -> float:
        if self.novelty_threshold is not None:
            return self.novelty_threshold
        return 0.85 if self.mode == "sedi" else 0.7


class BatchingSettings(_Group):
    embedding_model: str = Field(
        "bundled:all-MiniLM-L6-v2",
        description="sentence-transformers model: bundled:..., a folder or a hub name",
    )
    composition: Literal["diverse", "random", "sequential"] = Field(
        "diverse", description="How kept examples are put into training batches"
    )
    batch_size: int = Field(8, ge=1, description="Examples in a training batch (one optimiser step)")
    human_replay: float = Field(
        0.5, ge=0, le=1, description="Share of human seed tasks in the training batches of a round"
    )


class TrainingSettings(_Group):
    student: str = Field("bundled:smollm2-135m-instruct", description="Student: bundled:..., a folder or a hub name")
    method: Literal["lora", "full"] = Field("lora", description="Train LoRA adapters or all weights")
    learning_rate: float = Field(5e-4, gt=0, description="Peak learning rate")
    epochs: float = Field(1.0, gt=0, description="Passes over the round's training batches")
    micro_batch_size: int = Field(
        4, ge=1, description="Examples in memory at once; a training batch is made of several (gradient accumulation)"
    )
    max_length: int = Field(512, ge=32, description="Tokens of prompt and answer together; longer rows are rejected")
    lora_rank: int = Field(16, ge=1, description="Rank of the LoRA adapters, on all linear layers")
    start: Literal["previous", "base"] = Field(
        "previous",
        description="previous: go on from the last promoted checkpoint; base: from the untrained student",
    )
    python: str = Field("", description="Interpreter of the training and evaluation process; empty: this one")


class EvaluationSettings(_Group):
    items_per_category: int = Field(
        12, ge=1, description="Evaluation items used per category: a fixed, stratified subset"
    )
    batch_size: int = Field(24, ge=1, description="Items answered at once")
    alpha: float = Field(0.05, gt=0, lt=1, description="Level of the tests after correction over categories")
    min_gap: float = Field(0.05, ge=0, lt=1, description="Smallest gap to the target that counts, as a share of items")


class FeedbackSettings(_Group):
    promote_per_category: int = Field(2, ge=0, description="Examples that may become seeds, per category and round")
    max_machine_seeds_per_category: int = Field(12, ge=0, description="Machine-made seeds in prompting, per category")
    window_steps: int = Field(10, ge=1, description="Of so many steps the batch with the highest signal is promoted")


class LoopSettings(_Group):
    max_rounds: int = Field(20, ge=1, description="Rounds after which the loop ends")
    max_tokens: int | None = Field(None, ge=1, description="Teacher tokens the whole loop may use; empty: no limit")
    max_tokens_per_round: int | None = Field(None, ge=1, description="Teacher tokens a round may use; empty: no limit")
    plateau_rounds: int = Field(4, ge=1, description="Rounds without a better score after which the loop ends")
    nightly_cron: str = Field("0 2 * * *", description="When nightly_regeneration starts a round")


PROFILES: dict[str, dict[str, Any]] = {
    "local": {"generation": {"instances": "answer"}},  # two calls a candidate, not three or more: they are slow
    "rehearsal": {
        "data": "data-rehearsal",  # simulated text must never lie among real examples
        "teacher": {
            "base_url": "simulated:",
            "model": "simulated-teacher",
            "max_concurrency": 16,
        },
    },
    "openai": {
        "teacher": {
            "base_url": "https://api.openai.com/v1",
            "model": "gpt-4.1-mini",
            "max_concurrency": 64,
        },
        "generation": {
            "candidates_per_category": 100,
            "max_instruction_tokens": 1024,
            "max_answer_tokens": 512,
        },
        "training": {"student": "HuggingFaceTB/SmolLM2-360M-Instruct", "max_length": 1024},
        "evaluation": {"items_per_category": 100},
    },
}


class _ProfileSource(PydanticBaseSettingsSource):
    """The chosen profile as the lowest source, so that every other source wins over it."""

    def get_field_value(self, field: Any, field_name: str) -> tuple[Any, str, bool]:
        return None, field_name, False

    def __call__(self) -> dict[str, Any]:
        name = self.current_state.get("profile", "local")
        if not isinstance(name, str) or name not in PROFILES:
            raise SettingsError(
                f"Unknown profile {name!r}.",
                f"Set SEDI_PROFILE (or --profile) to one of: {', '.join(PROFILES)}.",
            )
        return PROFILES[name]


class Settings(BaseSettings):
    """All settings of a run; frozen. `load_settings` makes one."""

    model_config = SettingsConfigDict(
        env_prefix="SEDI_",
        env_nested_delimiter="_",
        env_nested_max_split=1,
        env_file=ENV_FILE,
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
    )

    profile: str = Field(
        "local", description="local: bundled models, no key; openai: an API teacher; rehearsal: a simulated teacher"
    )
    data: str = Field("data", description="Where all data lives: a folder or any fsspec URL")
    cache: Path = Field(Path(".cache"), description="Local scratch folder; everything in it can be remade")
    seeds: Path = Field(Path("seeds/seed_tasks.jsonl"), description="Seed tasks")
    categories: Path = Field(Path("seeds/categories.yaml"), description="Categories")
    items: Path = Field(Path("seeds/evaluation_items.jsonl"), description="Evaluation items")
    ledger: str = Field(
        "", description="SQLAlchemy URL of the ledger of teacher calls; empty: SQLite in the data folder"
    )
    project_seed: int = Field(0, description="Every random choice derives from this number")

    teacher: TeacherSettings = TeacherSettings()
    budget: BudgetSettings = BudgetSettings()
    generation: GenerationSettings = GenerationSettings()
    filtering: FilteringSettings = FilteringSettings()
    batching: BatchingSettings = BatchingSettings()
    training: TrainingSettings = TrainingSettings()
    evaluation: EvaluationSettings = EvaluationSettings()
    feedback: FeedbackSettings = FeedbackSettings()
    loop: LoopSettings = LoopSettings()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, env_settings, dotenv_settings, _ProfileSource(settings_cls)

    def path(self, value: Path) -> Path:
        """A path of the settings, relative ones taken from the project's root."""
        return PROJECT_ROOT / value.expanduser()

    @property
    def data_root(self) -> str:
        """The data folder as an absolute path, or the URL as it is."""
        return self.data if "://" in self.data else str(self.path(Path(self.data)))

    def public(self) -> dict[str, Any]:
        """The settings as JSON, secrets masked (also passwords in URLs): for manifests and metadata."""
        shown: dict[str, Any] = _masked(self.model_dump(mode="json"))
        return shown


_PASSWORD_IN_URL = re.compile(r"(://[^/@\s:]*):[^/\s]*@|([?&][^=&\s]*(?:password|secret|token|key)=)[^&\s]*", re.I)


def _masked(value: Any) -> Any:
    """The value without the passwords of URLs in it."""
    if isinstance(value, dict):
        return {key: _masked(inner) for key, inner in value.items()}
    if isinstance(value, str):
        return _PASSWORD_IN_URL.sub(lambda m: f"{m[1]}:***@" if m[1] else f"{m[2]}***", value)
    return value


def _variable(location: tuple[int | str, ...]) -> str:
    return "SEDI_" + "_".join(str(part) for part in location[:2]).upper()


def _known_variables() -> set[str]:
    known = set()
    for name, info in Settings.model_fields.items():
        group = info.annotation
        if isinstance(group, type) and issubclass(group, _Group):
            known |= {_variable((name, inner)) for inner in group.model_fields}
        else:
            known.add(_variable((name,)))
    return known


def load_settings(overrides: Mapping[str, Any] | None = None) -> Settings:
    """Read defaults, profile, `.env`, variables and overrides into checked settings.

    Raises:
        SettingsError: a variable that no setting reads (a typing error would else be silent), an unknown
            profile, or a value of the wrong type; all problems at once.
    """
    given = {name.upper(): value for name, value in dotenv_values(ENV_FILE).items()}
    given |= os.environ
    unknown = sorted(v for v in given if v.startswith("SEDI_") and v not in _known_variables())
    unknown += [_variable((name,)) for name in overrides or {} if name not in Settings.model_fields]
    if unknown:
        raise SettingsError(
            f"Unknown setting: {', '.join(unknown)}.",
            "Correct the name or unset it; .env.example lists all settings.",
        )
    try:
        return Settings(**(overrides or {}))
    except ValidationError as error:
        problems = [f"{_variable(e['loc'])}: {e['msg']}{_got(e['loc'], e['input'])}" for e in error.errors()]
        raise SettingsError("Bad setting. " + "; ".join(problems), ".env.example explains each setting.") from None
    except UnreadableVariable as error:
        text = getattr(error.__cause__, "doc", None)
        names = [name for name in sorted(_known_variables()) if given.get(name) == text]
        raise SettingsError(
            f"Bad setting. {', '.join(names) or error}: not JSON ({error.__cause__}).",
            ".env.example explains each setting.",
        ) from None


def _got(location: tuple[int | str, ...], value: Any) -> str:
    """The bad value as a message shows it; nothing where it may be a secret or hold one."""
    plain = isinstance(value, str | int | float) and _variable(location) in _known_variables()
    secret = _variable(location).endswith(("_KEY", "_BODY"))
    return f" (got {_masked(value)!r})" if plain and not secret else ""
