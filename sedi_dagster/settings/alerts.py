"""Where messages go when the loop needs a person."""

import re

from pydantic import Field, SecretStr, field_validator

from sedi_dagster.settings.group import Command, SettingsGroup


class AlertSettings(SettingsGroup):
    webhook: SecretStr = Field(
        SecretStr(""),
        description='URL that receives a JSON message, {"text": ...}, when the loop needs attention (compatible '
        "with Slack and others); never written anywhere; empty: off",
    )
    command: Command = Field(
        "", description="Command that receives the same message on standard input; run without a shell; empty: off"
    )
    every_failure: bool = Field(False, description="Also send alerts for failed runs that are retried automatically")

    @field_validator("webhook")
    @classmethod
    def _is_an_address(cls, webhook: SecretStr) -> SecretStr:
        if (url := webhook.get_secret_value()) and not re.match(r"https?://[^/\s]", url):
            raise ValueError("SEDI_ALERTS_WEBHOOK is not an http or https URL")
        return webhook

    @property
    def are_on(self) -> bool:
        return bool(self.webhook.get_secret_value() or self.command)
