"""Rewrites `evaluation_items.jsonl`: written items as they stand in it, and template items made anew.

    python seeds/build.py

Needs nothing but Python. The items of the template modules are the same at every run; run it after editing
one of them, or after adding written items by hand.
"""

from __future__ import annotations

import importlib.util
import json
import random
from collections.abc import Iterable
from pathlib import Path
from typing import Any

SEEDS = Path(__file__).resolve().parent
TEMPLATE_SEED = 0
"""Every template module draws from a generator of its own, started with this number."""

Item = dict[str, Any]


def template_items(module_path: Path) -> list[Item]:
    """The items that one module in `templates/` makes."""
    spec = importlib.util.spec_from_file_location(f"seed_templates_{module_path.stem}", module_path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{module_path} is no Python module")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    made: list[Item] = module.items(random.Random(TEMPLATE_SEED))
    return made


def written_items(path: Path) -> list[Item]:
    """The items of the file that a person wrote."""
    items = (json.loads(line) for line in path.read_text(encoding="utf-8").splitlines())
    return [item for item in items if item["origin"] == "written"]


def as_jsonl(items: Iterable[Item]) -> str:
    """Items sorted by category and id, one a line."""
    ordered = sorted(items, key=lambda item: (item["category"], item["id"]))
    return "".join(json.dumps(item, ensure_ascii=False) + "\n" for item in ordered)


def built_items(folder: Path = SEEDS) -> str:
    """What `evaluation_items.jsonl` should hold."""
    items = written_items(folder / "evaluation_items.jsonl")
    for module_path in sorted((folder / "templates").glob("[a-z]*.py")):
        items += template_items(module_path)
    return as_jsonl(items)


if __name__ == "__main__":
    (SEEDS / "evaluation_items.jsonl").write_text(built_items(), encoding="utf-8")
