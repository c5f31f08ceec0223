"""Where training, evaluation, IFD and embedding run as Ray jobs, and with what."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, field_validator

from sedi_dagster.settings.group import SettingsGroup

RAY_STAGES = ("training", "evaluation", "ifd", "embedding")
"""What runs as Ray jobs."""


class RaySettings(SettingsGroup):
    address: str = Field(
        "http://127.0.0.1:8265",
        pattern=r"^https?://",
        description="With SEDI_COMPUTE=ray: the address of Ray's dashboard, which takes jobs",
    )
    resources: dict[str, dict[str, Annotated[float, Field(ge=0)]]] = Field(
        default_factory=dict,
        description="What a stage's job is given, as JSON: num_cpus, num_gpus, memory (bytes), or a resource of your "
        "own. Stages: training, evaluation, ifd, embedding; one that is not named gets one processor",
    )
    python: str = Field("python", description="The interpreter on the workers that has sedi-dagster installed")

    @field_validator("resources")
    @classmethod
    def _stages_that_there_are(cls, given: dict[str, dict[str, float]]) -> dict[str, dict[str, float]]:
        if unknown := sorted(given.keys() - set(RAY_STAGES)):
            raise ValueError(f"SEDI_RAY_RESOURCES: no stage {', '.join(unknown)}; there are {', '.join(RAY_STAGES)}")
        return given
