"""What others rely on, as text: commands, settings, assets, interfaces. `python tests/public_surface.py`
prints it; `tests/public_surface.txt` is what it was, so that a change shows in one diff.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

import click
import dagster as dg
from pydantic import BaseModel

from sedi_dagster.cli import main
from sedi_dagster.definitions import build_defs
from sedi_dagster.evaluation.verifiers import VERIFIERS
from sedi_dagster.feedback.signals import SCORE_SCHEMA, SIGNALS, Training
from sedi_dagster.generation.method import GenerationJob, Method
from sedi_dagster.generation.methods import METHODS
from sedi_dagster.settings import PROFILES, Settings


def surface() -> str:
    parts = {
        "Commands": _commands("sedi", main, click.Context(main)),
        "Settings": _settings("SEDI", Settings),
        "Profiles": iter(sorted(PROFILES)),
        "Graph": _graph(build_defs()),
        "Interfaces": _interfaces(),
    }
    return "\n\n".join("\n".join([f"# {name}", *lines]) for name, lines in parts.items()) + "\n"


def _commands(path: str, command: click.Command, context: click.Context) -> Iterator[str]:
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            assert inner is not None
            yield from _commands(f"{path} {name}", inner, context)
        return
    options = [
        parameter.opts[-1] if isinstance(parameter, click.Option) else f"<{parameter.name}>"
        for parameter in command.params
    ]
    yield " ".join([path, *options])


def _settings(prefix: str, group: type[BaseModel]) -> Iterator[str]:
    for name, field in group.model_fields.items():
        kind: Any = field.annotation
        if inspect.isclass(kind) and issubclass(kind, BaseModel):
            yield from _settings(f"{prefix}_{name.upper()}", kind)
        else:
            default = field.get_default(call_default_factory=True)
            yield f"{prefix}_{name.upper()} = {default}"


def _graph(defs: dg.Definitions) -> Iterator[str]:
    graph = defs.resolve_asset_graph()
    for key in sorted(graph.get_all_asset_keys()):
        node = graph.get(key)
        parents = ", ".join(sorted(parent.to_user_string() for parent in node.parent_keys))
        yield f"asset {key.to_user_string()} <- {parents or '-'}"
    for check in sorted(graph.asset_check_keys):
        yield f"check {check.asset_key.to_user_string()}: {check.name}"
    repository = defs.get_repository_def()
    yield from (f"job {job.name}" for job in sorted(repository.get_all_jobs(), key=lambda job: job.name))
    yield from (f"sensor {sensor.name}" for sensor in sorted(repository.sensor_defs, key=lambda s: s.name))
    yield from (f"schedule {schedule.name}" for schedule in sorted(repository.schedule_defs, key=lambda s: s.name))


def _interfaces() -> Iterator[str]:
    for name in ("write", "call_shapes"):
        yield f"Method.{name}{inspect.signature(getattr(Method, name))}"
    yield f"GenerationJob: {', '.join(GenerationJob.__dataclass_fields__)}"
    yield f"methods: {', '.join(sorted(METHODS))}"
    yield f"Training: {', '.join(Training.__dataclass_fields__)}; a signal gives {', '.join(SCORE_SCHEMA)}"
    yield f"signals: {', '.join(sorted(SIGNALS))}"
    yield f"verifiers (args, answer, prompt) -> Score: {', '.join(sorted(VERIFIERS))}"


if __name__ == "__main__":
    print(surface(), end="")
