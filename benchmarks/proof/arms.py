"""Arms: named sets of `SEDI_*` settings, read from a YAML file and checked against the product's own settings."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from sedi_dagster.records import content_id

BASELINES = "baselines"
"""The arm without rounds whose baselines the others take over."""

Setting = str | int | float | bool | dict[str, Any] | list[Any]


@dataclass(frozen=True)
class Arm:
    """One way to run the loop.

    Attributes:
        label: what it is called in tables.
        settings: environment of the loop, by variable name, the plan's common settings included.
        rounds: rounds of a loop; 0: only the baselines are measured.
        seeds_file: file of the ground that the seed tasks are read from.
        ablates: what the arm called `ours` has and this one has not; named in the summary of the results.
        last_commit: the last one that has these settings; empty: they are still there. What is on record stays in the
            results, but the arm cannot be run any more.
    """

    name: str
    label: str
    settings: Mapping[str, str]
    rounds: int
    seeds_file: str = "seed_tasks.jsonl"
    ablates: str = ""
    last_commit: str = ""

    @property
    def version(self) -> str:
        """Changes with whatever decides how a loop of the arm runs."""
        return content_id("arm", dict(sorted(self.settings.items())), self.rounds, self.seeds_file)


@dataclass(frozen=True)
class Claim:
    """A comparison of two arms in the summary of the results; `gain`: what the first has before the second."""

    gain: str
    arm: str
    against: str


@dataclass(frozen=True)
class Plan:
    """Which loops are run and how they are measured.

    Attributes:
        measurement_items: items a category that measure; those that decide inside the loop are others.
        project_seeds: a loop of every arm for each of them.
        claims: comparisons of the summary, those of ours first.
        chosen: arms that are run where none is named.
    """

    arms: dict[str, Arm]
    project_seeds: tuple[int, ...]
    measurement_items: int
    baseline: str
    ours: str
    claims: tuple[Claim, ...] = ()
    chosen: tuple[str, ...] = ()


def load_plan(file: Path, quick: bool = False) -> Plan:
    """Read the arms' file.

    Raises:
        ValueError: an arm names another arm that does not exist.
    """
    data = yaml.safe_load(file.read_text(encoding="utf-8"))
    if quick:
        data |= data["quick"]
    common, given = data["common"], data["arms"]
    arms = {}
    for name, entry in given.items():
        settings = _settings(name, given, set())
        arms[name] = Arm(
            name,
            entry["label"],
            {variable: _text(value) for variable, value in (common | settings | data.get("override", {})).items()},
            min(int(entry.get("rounds", data["rounds"])), data["rounds"]),
            entry.get("seeds_file", "seed_tasks.jsonl"),
            entry.get("ablates", ""),
            entry.get("last_commit", ""),
        )
    ours = [(data["baseline"], "the whole"), *((name, arm.ablates) for name, arm in arms.items() if arm.ablates)]
    claims = [Claim(gain, data["ours"], name) for name, gain in ours]
    claims += [Claim(**claim) for claim in data.get("claims", ())]
    first, last = data["project_seeds"]
    return Plan(
        arms,
        tuple(range(first, last + 1)),
        data["measurement_items"],
        data["baseline"],
        data["ours"],
        tuple(claims),
        tuple(data.get("only", ())) or tuple(n for n, arm in arms.items() if n != BASELINES and not arm.last_commit),
    )


def _settings(name: str, given: Mapping[str, Any], seen: set[str]) -> dict[str, Setting]:
    """An arm's own settings on top of those of the arm it is `like`."""
    if name not in given or name in seen:
        raise ValueError(f"arm {name!r} is not in the file, or is like itself")
    entry = given[name]
    base = _settings(entry["like"], given, seen | {name}) if "like" in entry else {}
    return base | entry.get("settings", {})


def _text(value: Setting) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return value if isinstance(value, str) else json.dumps(value)
