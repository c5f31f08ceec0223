"""The project's root, its `.env`, and local paths as they are given in settings."""

import re
from pathlib import Path

from sedi_dagster.errors import SettingsError


def _project_root() -> Path:
    """The checkout this package runs from, or the working folder when it was installed as a wheel."""
    checkout = Path(__file__).resolve().parents[2]
    return checkout if (checkout / "workspace.yaml").exists() else Path.cwd()


PROJECT_ROOT = _project_root()
ENV_FILE = PROJECT_ROOT / ".env"

_ODD_IN_PATH = re.compile(r"[#?]|%[0-9a-fA-F]{2}|\$\{?\w+")


def local_path(value: str) -> Path:
    """Return a local path without surrounding whitespace and quotes, with `~` expanded.

    Raises:
        SettingsError: the home folder is unknown.
    """
    plain = value.strip()
    if len(plain) > 1 and plain[0] == plain[-1] and plain[0] in "\"'":
        plain = plain[1:-1]
    try:
        return Path(plain).expanduser()
    except RuntimeError:
        raise SettingsError(f"There is no home folder for {plain!r}.", "Write the absolute path.") from None


def odd_in_path(path: str) -> str:
    """Return a part of a local path that has another meaning in a URL, or an unexpanded variable; else ""."""
    found = _ODD_IN_PATH.search(path)
    return found[0] if found else ""
