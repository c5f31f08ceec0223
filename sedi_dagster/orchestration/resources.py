"""The resource shared by all assets: settings, the data folder, the user's files.

In the launchpad, settings can be overridden per run. The config schema (types, descriptions) is generated from
`Settings`, without secrets, because run config is stored.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from pathlib import Path
from types import NoneType
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin

import dagster as dg
import polars as pl
from pydantic import BaseModel, ConfigDict, Field, SecretStr, create_model
from pydantic.fields import FieldInfo

from sedi_dagster.categories import load_categories
from sedi_dagster.errors import SediError
from sedi_dagster.evaluation.items import draw_items, load_evaluation_items
from sedi_dagster.filtering.guarded_texts import read_guarded_texts
from sedi_dagster.records import Category, EvaluationItem, RoundPlan, Tables
from sedi_dagster.seed_pool import SeedFile, read_seed_file, seed_frame
from sedi_dagster.settings import Settings, load_settings
from sedi_dagster.storage.rounds import LoopHistory, load_history, load_plan
from sedi_dagster.storage.store import Store

SECRET_FIELDS = ("headers", "query")
"""Dictionaries that may contain secrets."""


class _StrictConfig(dg.Config):
    """Rejects unknown names, in the launchpad and in Python."""

    model_config = ConfigDict(extra="forbid")


def overrides_model(settings: type[BaseModel] = Settings, name: str = "Overrides") -> type[dg.Config]:
    """Return a config class with one optional field per setting, nested by group. Unset fields override nothing."""
    fields: dict[str, Any] = {}
    for field, info in settings.model_fields.items():
        kind = _config_type(field, info)
        if kind is None or field in SECRET_FIELDS:
            continue
        if isinstance(kind, type) and issubclass(kind, dg.Config):
            fields[field] = (kind, Field(default=kind(), description=f"Settings of {field}"))
        else:
            fields[field] = (kind | None, Field(default=None, description=info.description))
    return create_model(name, __base__=_StrictConfig, **fields)


def _config_type(field: str, info: FieldInfo) -> Any:
    """The type of a setting in run config; None for a secret."""
    kinds = [kind for kind in get_args(info.annotation) if kind is not NoneType]
    union = NoneType in get_args(info.annotation)
    kind = kinds[0] if union else info.annotation
    if get_origin(kind) is Literal:
        return Enum(f"Choice_of_{field}", {str(value): value for value in get_args(kind)})
    if get_origin(kind) is dict:
        return dict[str, Any]
    if kind is Path:
        return str
    if kind is SecretStr or not isinstance(kind, type):
        return None
    return overrides_model(kind, f"{field.capitalize()}Overrides") if issubclass(kind, BaseModel) else kind


if TYPE_CHECKING:
    Overrides = dg.Config
else:
    Overrides = overrides_model()


class SediResource(dg.ConfigurableResource[None]):
    """Settings and storage of the loop.

    `overrides`, set in the launchpad, takes precedence over `SEDI_*` variables for one run:
    `{"training": {"learning_rate": 0.0002}}`.
    """

    overrides: Overrides = Field(default=Overrides(), description="Settings by group, such as {training: {epochs: 2}}")
    recorded: dict[str, Any] = Field(default={}, description="Settings of a finished round, for `sedi reproduce`")

    def settings(self) -> Settings:
        """Return the settings of this run: those of the environment, with the overrides applied."""
        overrides: dict[str, Any] = self.overrides.model_dump(mode="json", exclude_none=True)
        return load_settings({**self.recorded, **{name: value for name, value in overrides.items() if value != {}}})

    def store(self) -> Store:
        """Return the data folder."""
        return Store(self.settings().data_root)

    def categories(self) -> dict[str, Category]:
        """Return the user's categories by id, in the order of the file."""
        settings = self.settings()
        return load_categories(settings.path(settings.categories))

    def seed_file(self) -> SeedFile:
        """Read the user's seed tasks. Tasks without a category are assigned one, with a confidence.

        Raises:
            InputFileError: the file cannot be used.
        """
        settings = self.settings()
        return read_seed_file(
            settings.path(settings.seeds), self.categories(), None, settings.seed_categories
        ).checked()

    def seeds(self) -> pl.DataFrame:
        """Return the seed tasks as a frame (`SEED_SCHEMA`)."""
        file = self.seed_file()
        return seed_frame(file.tasks, file.confidence)

    def all_items(self) -> list[EvaluationItem]:
        """Return all of the user's evaluation items."""
        settings = self.settings()
        return load_evaluation_items(settings.path(settings.items), self.categories())

    def items(self) -> list[EvaluationItem]:
        """Return the fixed subset of the evaluation items on which rounds are measured."""
        settings = self.settings()
        return draw_items(self.all_items(), settings.evaluation.items_per_category, settings.project_seed)

    def guarded_texts(self) -> list[tuple[str, str]]:
        """Return (id, text) pairs of the user's protected files, which no example may resemble."""
        settings = self.settings()
        names = (name.strip() for name in settings.filtering.decontaminate_files.split(","))
        return [text for name in names if name for text in read_guarded_texts(settings.path(Path(name)))]

    def history(self) -> LoopHistory:
        """Return the plans and outcomes of all rounds."""
        return load_history(self.store())

    def plan(self, round_key: str) -> RoundPlan:
        """Return the plan of a round.

        Raises:
            SediError: the round has no plan.
        """
        plan = load_plan(self.store(), round_key)
        if plan is None:
            raise SediError(
                f"There is no plan for {round_key} in {self.settings().data_root}.",
                "Open a round with the job open_round, or run `sedi run`.",
            )
        return plan

    def concat_batches(self, table: str, plan: RoundPlan, generated: Mapping[str, Tables]) -> pl.DataFrame:
        """Concatenate a table of the generated batches of all planned categories, in plan order.

        Raises:
            SediError: the batch of a category is missing.
        """
        missing = [c for c in plan.category_ids if f"{c}|{plan.round}" not in generated]
        if missing:
            raise SediError(
                f"{plan.round} is incomplete: there is no generated batch for {', '.join(missing)}.",
                "Materialize these partitions of generated_batches first.",
            )
        return pl.concat([generated[f"{c}|{plan.round}"][table] for c in plan.category_ids])
