"""Where messages go when the loop needs a person."""

from __future__ import annotations

from pydantic import Field, SecretStr

from sedi_dagster.settings.group import SettingsGroup


class AlertSettings(SettingsGroup):
    webhook: SecretStr = Field(
        SecretStr(""),
        description='URL that gets a JSON message, {"text": ...}, when the loop needs a person (Slack and many others '
        "take it); never written anywhere; empty: off",
    )
    command: str = Field(
        "", description="Command that gets the same message on its standard input; run without a shell; empty: off"
    )
    every_failure: bool = Field(False, description="Tell of failed runs too that are tried again by themselves")

    @property
    def are_on(self) -> bool:
        return bool(self.webhook.get_secret_value() or self.command)
