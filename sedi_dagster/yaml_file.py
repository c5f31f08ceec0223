"""Reading the package's own YAML files."""

from pathlib import Path
from typing import Any

import yaml

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""libyaml's, where PyYAML has it: ten times as fast, in files that every command and every run reads."""


def read_yaml(path: Path) -> Any:
    """What a YAML file of the package holds."""
    return yaml.load(path.read_text(encoding="utf-8"), Loader=_LOADER)
