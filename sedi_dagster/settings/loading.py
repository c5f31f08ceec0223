"""`load_settings`: settings from all sources, validated, with one error for all problems."""

import json
import os
import re
from collections.abc import Mapping
from difflib import get_close_matches
from functools import lru_cache
from io import StringIO
from pathlib import Path
from typing import Any

from dotenv import dotenv_values
from dotenv.parser import parse_stream
from pydantic import ValidationError
from pydantic_settings import SettingsError as UnreadableVariable

from sedi_dagster.errors import SettingsError
from sedi_dagster.settings.group import SettingsGroup
from sedi_dagster.settings.masking import masked
from sedi_dagster.settings.paths import ENV_FILE
from sedi_dagster.settings.schema import Settings


def load_settings(overrides: Mapping[str, Any] | None = None) -> Settings:
    """Load settings from defaults, the profile, `.env`, environment variables and overrides, and validate them.

    Raises:
        SettingsError: an unknown variable (otherwise a typing error would go unnoticed), an unknown profile, or an
            invalid value; all problems at once.
    """
    of_file = _of_file(ENV_FILE)
    try:
        asked = json.dumps([of_file, {n: v for n, v in os.environ.items() if n.upper().startswith("SEDI_")}, overrides])
    except TypeError:  # overrides that are objects of Python
        return _checked(of_file, overrides)
    return _kept(asked)


@lru_cache(maxsize=16)
def _kept(asked: str) -> Settings:
    """Cache the settings, which are loaded hundreds of times a round and take milliseconds to merge."""
    of_file, _, overrides = json.loads(asked)
    return _checked(of_file, overrides)


def _checked(of_file: Mapping[str, str | None], overrides: Mapping[str, Any] | None) -> Settings:
    given = {name.upper(): value for name, value in (of_file | os.environ).items()}
    unknown = sorted(_unknown(given))
    unknown += [variable((name,)) for name in overrides or {} if name not in Settings.model_fields]
    if unknown:
        raise SettingsError(
            f"Unknown setting: {', '.join(map(_with_hint, unknown))}.",
            "Correct the name or unset it; .env.example lists all settings.",
        )
    try:
        return Settings(**(overrides or {}))
    except ValidationError as error:
        problems = [
            # what several settings come to together names them itself
            e["msg"].removeprefix("Value error, ")
            if e["type"] == "value_error"
            else f"{variable(e['loc'])}: {e['msg']}{_got(e['loc'], e['input'])}"
            for e in error.errors()
        ]
        raise SettingsError("Bad setting. " + "; ".join(problems), ".env.example explains each setting.") from None
    except UnreadableVariable as error:
        text = getattr(error.__cause__, "doc", None)
        names = [name for name in sorted(known_variables()) if (given.get(name) or "").strip() == text]
        raise SettingsError(
            f"Bad setting. {', '.join(names) or error}: not JSON ({error.__cause__}).",
            ".env.example explains each setting.",
        ) from None


def _of_file(path: Path) -> dict[str, str | None]:
    """Return the variables of a `.env`; raise `SettingsError` for invalid lines, which dotenv would ignore."""
    try:
        text = path.read_text(encoding="utf-8-sig") if path.is_file() else ""
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:
        raise SettingsError(f"{path} is not written in UTF-8.", "Save it as UTF-8 (it may be UTF-16).")
    defined = set(os.environ)
    for line in parse_stream(StringIO(text)):
        odd = line.error or (line.key is not None and not re.fullmatch(r"[\w.-]+", line.key))
        if odd or (line.key is not None and line.value is None and line.key.upper().startswith("SEDI_")):
            name = re.split(r"[=\s]", line.original.string.strip(), maxsplit=1)[0][:60]
            raise SettingsError(
                f"{path}, line {line.original.line}: {name!r} begins no variable.",
                "Write NAME=value, one a line, as .env.example does.",
            )
        if (line.key or "").upper().startswith("SEDI_"):
            unset = next((name for name in re.findall(r"\$\{(\w+)\}", line.value or "") if name not in defined), None)
            if unset:  # else it would be replaced by nothing: ${HOME_DIR}/data by /data
                raise SettingsError(
                    f"{path}, line {line.original.line}: {line.key} refers to ${{{unset}}}, which is not set.",
                    f"Set {unset} above that line or in the environment, or write its value.",
                )
        defined.add(line.key or "")
    return dotenv_values(stream=StringIO(text))


def variable(location: tuple[int | str, ...]) -> str:
    """Return the environment variable of a setting, given the names of its group and field."""
    return "SEDI_" + "_".join(str(part) for part in location[:2]).upper()


def known_variables() -> set[str]:
    """Return the environment variables of all settings."""
    known = set()
    for name, info in Settings.model_fields.items():
        group = info.annotation
        if isinstance(group, type) and issubclass(group, SettingsGroup):
            known |= {variable((name, inner)) for inner in group.model_fields}
        else:
            known.add(variable((name,)))
    return known


_OF_A_SERVICE = re.compile(r"(.+?)_(?:SERVICE_HOST|SERVICE_PORT(?:_\w+)?|PORT(?:_\d+_(?:TCP|UDP|SCTP)(?:_\w+)?)?)")


def _unknown(given: Mapping[str, Any]) -> list[str]:
    """Return `SEDI_` variables that are no settings.

    Variables that Kubernetes and Docker set for a service named `sedi-...` are allowed.
    """
    names = given.keys() - known_variables()
    services = {name.removesuffix("_SERVICE_HOST") for name in names if name.endswith("_SERVICE_HOST")}
    return [
        name
        for name in names
        if name.startswith("SEDI_") and not ((of := _OF_A_SERVICE.fullmatch(name)) and of[1] in services)
    ]


def _with_hint(unknown: str) -> str:
    near = get_close_matches(unknown, sorted(known_variables()), 1, 0.8)
    return f"{unknown} (did you mean {near[0]}?)" if near else unknown


def _got(location: tuple[int | str, ...], value: Any) -> str:
    """Format an invalid value for a message; "" if it may be or contain a secret."""
    plain = isinstance(value, str | int | float) and variable(location) in known_variables()
    secret = variable(location).endswith(("_KEY", "_BODY", "_HEADERS", "_QUERY"))
    return f" (got {masked(value)!r})" if plain and not secret else ""
