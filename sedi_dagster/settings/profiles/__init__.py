"""The profiles: settings that go together, a YAML file each. `SEDI_PROFILE` chooses one."""

from pathlib import Path
from typing import Any

import yaml

NAMES = ("local", "rehearsal", "openai")

PROFILES: dict[str, dict[str, Any]] = {
    name: yaml.safe_load(Path(__file__).with_name(f"{name}.yaml").read_text(encoding="utf-8")) for name in NAMES
}
