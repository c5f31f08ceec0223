"""The profiles: settings that go together, a YAML file each. `SEDI_PROFILE` chooses one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

NAMES = ("local", "rehearsal", "openai")


def _read(name: str) -> dict[str, Any]:
    profile: dict[str, Any] = yaml.safe_load(Path(__file__).with_name(f"{name}.yaml").read_text(encoding="utf-8"))
    return profile


PROFILES: dict[str, dict[str, Any]] = {name: _read(name) for name in NAMES}
