"""What all groups of settings have in common."""

import shlex
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict
from pydantic_core import PydanticCustomError


class SettingsGroup(BaseModel):
    """A group of settings, `SEDI_<GROUP>_<FIELD>`: frozen, without unknown names."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


def _with_closed_quotes(command: str) -> str:
    try:
        shlex.split(command)
    except ValueError as error:
        raise PydanticCustomError("command", "Not a command: {error}", {"error": str(error)}) from None
    return command


Command = Annotated[str, AfterValidator(_with_closed_quotes)]
"""A program and its arguments, quoted as in a shell."""
