"""The profiles: settings that go together, a YAML file each. `SEDI_PROFILE` chooses one."""

from pathlib import Path
from typing import Any

from sedi_dagster.yaml_file import read_yaml

NAMES = ("local", "rehearsal", "openai")

PROFILES: dict[str, dict[str, Any]] = {name: read_yaml(Path(__file__).with_name(f"{name}.yaml")) for name in NAMES}
