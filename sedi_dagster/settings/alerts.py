"""Where messages go when the loop needs a person."""

from pydantic import Field, SecretStr

from sedi_dagster.settings.group import SettingsGroup


class AlertSettings(SettingsGroup):
    webhook: SecretStr = Field(
        SecretStr(""),
        description='URL that receives a JSON message, {"text": ...}, when the loop needs attention (compatible '
        "with Slack and others); never written anywhere; empty: off",
    )
    command: str = Field(
        "", description="Command that receives the same message on standard input; run without a shell; empty: off"
    )
    every_failure: bool = Field(False, description="Also send alerts for failed runs that are retried automatically")

    @property
    def are_on(self) -> bool:
        return bool(self.webhook.get_secret_value() or self.command)
