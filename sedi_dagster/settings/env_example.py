"""`.env.example`, generated from the settings, so that it is always up to date.

python -m sedi_dagster.settings.env_example > .env.example
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

from sedi_dagster.settings import PROFILES, Settings

_HEAD = """\
# All settings of sedi-dagster with their defaults. Copy to `.env` and uncomment what you change.
# Precedence, lowest first: the defaults below, the profile, .env, environment variables, command line or launchpad.
# DAGSTER_HOME (default .dagster/) is the folder of Dagster's own records.
"""


def env_example() -> str:
    """The text of `.env.example`: every setting with its description and default."""
    return "\n".join([_HEAD, *_lines("SEDI", Settings.model_fields)]).rstrip() + "\n"


def _lines(prefix: str, fields: Mapping[str, FieldInfo]) -> Iterator[str]:
    groups = {
        name: info
        for name, info in fields.items()
        if isinstance(info.annotation, type) and issubclass(info.annotation, BaseModel)
    }
    for name, info in fields.items():
        if name not in groups:
            yield f"# {info.description}" + (f" (one of {', '.join(PROFILES)})" if name == "profile" else "")
            yield f"# {prefix}_{name.upper()}={_shown(info)}"
    for name, info in groups.items():
        yield f"\n## {name}"
        group: Any = info.annotation
        yield from _lines(f"{prefix}_{name.upper()}", group.model_fields)


def _shown(info: FieldInfo) -> str:
    value = info.get_default(call_default_factory=True)
    if value is None or isinstance(value, SecretStr):
        return ""
    if isinstance(value, dict):
        return json.dumps({k: v.model_dump() if isinstance(v, BaseModel) else v for k, v in value.items()})
    return str(value)


if __name__ == "__main__":
    print(env_example(), end="")
