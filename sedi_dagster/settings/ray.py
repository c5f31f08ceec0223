"""Where training, evaluation, IFD and embedding run as Ray jobs, and with what."""

from typing import Annotated

from pydantic import Field, field_validator

from sedi_dagster.settings.group import SettingsGroup

RAY_STAGES = ("training", "evaluation", "ifd", "embedding")
"""What runs as Ray jobs."""


class RaySettings(SettingsGroup):
    address: str = Field(
        "http://127.0.0.1:8265",
        pattern=r"^https?://",
        description="With SEDI_COMPUTE=ray: URL of Ray's dashboard, which accepts jobs",
    )
    resources: dict[str, dict[str, Annotated[float, Field(ge=0)]]] = Field(
        default_factory=dict,
        description="Resources of each stage's job, as JSON: num_cpus, num_gpus, memory (bytes) or custom "
        "resources. Stages: training, evaluation, ifd, embedding; the default is one CPU",
    )
    python: str = Field("python", description="Python interpreter on the workers that has sedi-dagster installed")

    @field_validator("resources")
    @classmethod
    def _stages_that_there_are(cls, given: dict[str, dict[str, float]]) -> dict[str, dict[str, float]]:
        if unknown := sorted(given.keys() - set(RAY_STAGES)):
            raise ValueError(f"SEDI_RAY_RESOURCES: no stage {', '.join(unknown)}; there are {', '.join(RAY_STAGES)}")
        return given
