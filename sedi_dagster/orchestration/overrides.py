"""The settings as run config for the launchpad: typed, with descriptions, completed and validated.

Generated from `Settings`, except secrets, because run config is stored.
"""

from enum import Enum
from pathlib import Path
from types import NoneType
from typing import Any, Literal, get_args, get_origin

import dagster as dg
from pydantic import BaseModel, ConfigDict, Field, SecretStr, create_model
from pydantic.fields import FieldInfo

from sedi_dagster.settings import Settings

NEVER_WRITTEN = ("headers", "query")


class _Checked(dg.Config):
    """Unknown names are refused, in the launchpad and in Python."""

    model_config = ConfigDict(extra="forbid")


def overrides_model(settings: type[BaseModel] = Settings, name: str = "Overrides") -> type[dg.Config]:
    """A class of optional fields, one a setting; groups are classes of their own. Empty: as it is without them."""
    fields: dict[str, Any] = {}
    for field, info in settings.model_fields.items():
        kind = _kind(field, info)
        if kind is None or field in NEVER_WRITTEN:
            continue
        if isinstance(kind, type) and issubclass(kind, dg.Config):
            fields[field] = (kind, Field(default=kind(), description=f"Settings of {field}"))
        else:
            fields[field] = (kind | None, Field(default=None, description=info.description))
    return create_model(name, __base__=_Checked, **fields)


def given(overrides: dg.Config) -> dict[str, Any]:
    """What was given, by group and field, as `load_settings` takes it."""
    values: dict[str, Any] = overrides.model_dump(mode="json", exclude_none=True)
    return {name: value for name, value in values.items() if value != {}}


def _kind(field: str, info: FieldInfo) -> Any:
    """The type in run config; None for a secret."""
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
