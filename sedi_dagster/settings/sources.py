"""Where settings come from, merged by precedence."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic_settings import BaseSettings, PydanticBaseSettingsSource

from sedi_dagster.errors import SettingsError
from sedi_dagster.settings.profiles import PROFILES


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
