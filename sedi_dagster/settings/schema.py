"""All settings of a run in one model, and where they come from, merged by precedence."""

from __future__ import annotations

import re
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal
from urllib.parse import unquote

from pydantic import Field, model_validator
from pydantic_settings import BaseSettings, EnvSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict

from sedi_dagster.errors import SettingsError
from sedi_dagster.settings.alerts import AlertSettings
from sedi_dagster.settings.batching import BatchingSettings
from sedi_dagster.settings.budget import BudgetSettings
from sedi_dagster.settings.evaluation import EvaluationSettings
from sedi_dagster.settings.feedback import FeedbackSettings
from sedi_dagster.settings.filtering import FilteringSettings
from sedi_dagster.settings.generation import GenerationSettings
from sedi_dagster.settings.loop import LoopSettings
from sedi_dagster.settings.masking import masked, without_secrets
from sedi_dagster.settings.paths import ENV_FILE, PROJECT_ROOT, local_path, odd_in_path
from sedi_dagster.settings.profiles import PROFILES
from sedi_dagster.settings.ray import RaySettings
from sedi_dagster.settings.teacher import TeacherSettings
from sedi_dagster.settings.training import TrainingSettings

_HALF_A_URL = re.compile(r"[A-Za-z][\w+.-]*:[/\\]|(?:s3|gs|gcs|az|abfss?|hdfs|https?)//")
"""`s3:/bucket`, `s3//bucket`, `C:\\data`: what would become a folder of that name."""


class ProfileSource(PydanticBaseSettingsSource):
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


class LayeredSource(PydanticBaseSettingsSource):
    """All sources as one, the highest first: a field is taken whole from the highest that has it.

    (Left to themselves the sources are merged all the way down, so that a setting that is a JSON object could be
    neither replaced nor emptied.)
    """

    def __init__(self, settings_cls: type[BaseSettings], layers: Sequence[PydanticBaseSettingsSource]) -> None:
        super().__init__(settings_cls)
        self._layers = layers

    def get_field_value(self, field: Any, field_name: str) -> tuple[Any, str, bool]:
        return None, field_name, False

    def __call__(self) -> dict[str, Any]:
        merged: dict[str, Any] = {}
        for layer in self._layers:
            layer._set_current_state(merged)
            for name, value in layer().items():
                if isinstance(value, dict) and isinstance(merged.get(name, {}), dict):
                    merged[name] = {**value, **merged.get(name, {})}
                else:
                    merged.setdefault(name, value)
        return merged


class Settings(BaseSettings):
    """All settings of a run; frozen. `load_settings` makes one."""

    model_config = SettingsConfigDict(
        env_prefix="SEDI_",
        env_nested_delimiter="_",
        env_nested_max_split=1,
        env_file=ENV_FILE,
        env_file_encoding="utf-8-sig",
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
    )

    profile: str = Field(
        "local", description="local: bundled models, no API key; openai: an API teacher; rehearsal: a simulated teacher"
    )
    data: str = Field("data", description="Folder or fsspec URL for all data")
    cache: Path = Field(Path(".cache"), description="Local scratch folder; everything in it can be rebuilt")
    seeds: Path = Field(Path("seeds/seed_tasks.jsonl"), description="File of seed tasks")
    seed_categories: dict[str, str] = Field(
        default_factory=dict,
        description='Maps category names in the seed file to categories, as JSON: {"poem": "creative_writing"}; '
        "an empty name excludes these tasks",
    )
    categories: Path = Field(Path("seeds/categories.yaml"), description="File of categories")
    items: Path = Field(Path("seeds/evaluation_items.jsonl"), description="File of evaluation items")
    ledger: str = Field(
        "", description="SQLAlchemy URL of the ledger of teacher calls; empty: SQLite in the data folder"
    )
    compute: Literal["local", "ray"] = Field(
        "local", description="Where training, evaluation, IFD and embedding run: local processes or Ray jobs"
    )
    pod: dict[str, Any] = Field(
        default_factory=dict,
        description="On Kubernetes: pod configuration for runs that train and evaluate, as JSON (dagster-k8s/config)",
    )
    project_seed: int = Field(0, description="Random seed from which all randomness derives")
    openlineage: bool = Field(False, description="Send OpenLineage events to OPENLINEAGE_URL (docs/lineage.md)")

    teacher: TeacherSettings = TeacherSettings()
    budget: BudgetSettings = BudgetSettings()
    generation: GenerationSettings = GenerationSettings()
    filtering: FilteringSettings = FilteringSettings()
    batching: BatchingSettings = BatchingSettings()
    training: TrainingSettings = TrainingSettings()
    evaluation: EvaluationSettings = EvaluationSettings()
    feedback: FeedbackSettings = FeedbackSettings()
    loop: LoopSettings = LoopSettings()
    alerts: AlertSettings = AlertSettings()
    ray: RaySettings = RaySettings()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        for source in (env_settings, dotenv_settings):
            assert isinstance(source, EnvSettingsSource)
            # Blanks around a value come with copying and with files of variables; blanks alone are no value.
            source.env_vars = {name: text for name, value in source.env_vars.items() if (text := (value or "").strip())}
        layers = (init_settings, env_settings, dotenv_settings, ProfileSource(settings_cls))
        return (LayeredSource(settings_cls, layers),)

    @model_validator(mode="after")
    def _measure_what_feedback_asks_for(self) -> Settings:
        if self.feedback.signal == "loss_drop" and not self.training.example_losses:
            raise ValueError("SEDI_FEEDBACK_SIGNAL=loss_drop needs SEDI_TRAINING_EXAMPLE_LOSSES=true")
        if self.feedback.signal == "heldout_gain" and not self.training.held_out_share:
            raise ValueError("SEDI_FEEDBACK_SIGNAL=heldout_gain needs SEDI_TRAINING_HELD_OUT_SHARE above 0")
        return self

    @model_validator(mode="after")
    def _have_what_sends_events(self) -> Settings:
        if self.openlineage and find_spec("openlineage") is None:
            raise ValueError(
                "SEDI_OPENLINEAGE=true needs the package openlineage-python: pip install 'sedi-dagster[openlineage]'"
            )
        return self

    @model_validator(mode="after")
    def _keep_paths_that_every_library_reads_alike(self) -> Settings:
        root = self.data_root
        if "://" not in root and (odd := odd_in_path(root)):
            raise ValueError(
                f"SEDI_DATA={self.data}: a folder with {odd!r} in its path cannot be used, as some libraries read it "
                "as part of a URL; choose another folder"
            )
        if "://" not in self.data and _HALF_A_URL.match(self.data.strip()):
            raise ValueError(f"SEDI_DATA={self.data}: neither a folder nor a URL; a URL begins as s3://bucket does")
        return self

    def path(self, value: Path) -> Path:
        """A path of the settings, relative ones taken from the project's root; an address stays one."""
        return value if _HALF_A_URL.match(str(value)) else PROJECT_ROOT / local_path(str(value))

    @property
    def data_root(self) -> str:
        """The data folder as an absolute path, or the URL as it is."""
        data = unquote(self.data.removeprefix("file://")) if self.data.startswith("file://") else self.data
        return data if "://" in data else str(self.path(Path(data)))

    @property
    def ledger_url(self) -> str:
        """Where the ledger of teacher calls is: as set, else SQLite in the data folder.

        Raises:
            SettingsError: the data is at a URL, where no SQLite can be, and no ledger is set.
        """
        if self.ledger:
            return self.ledger
        root = self.data_root.removeprefix("file://")
        if "://" in root:
            raise SettingsError(
                f"The ledger of teacher calls cannot be stored at {self.data_root}.",
                "Set SEDI_LEDGER to a database, such as postgresql+psycopg://user@host/sedi or "
                "sqlite:////path/ledger.sqlite.",
            )
        return f"sqlite:///{Path(root) / 'ledger.sqlite'}"  # settings refuse what would mean something else in a URL

    def public(self) -> dict[str, Any]:
        """The settings as JSON, secrets masked (also passwords in URLs): for manifests and metadata."""
        shown: dict[str, Any] = masked(self.model_dump(mode="json"))
        for name in ("headers", "query"):
            shown["teacher"][name] = dict.fromkeys(shown["teacher"][name], "***")
        shown["teacher"]["extra_body"] = without_secrets(shown["teacher"]["extra_body"])
        return shown
