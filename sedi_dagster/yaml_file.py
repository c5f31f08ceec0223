"""Reading the package's own YAML files."""

from pathlib import Path
from typing import Any

import yaml

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""The loader based on libyaml, if available: ten times as fast, for files that every command and run reads."""


def read_yaml(path: Path) -> Any:
    """Return the content of one of the package's YAML files."""
    return yaml.load(path.read_text(encoding="utf-8"), Loader=_LOADER)
