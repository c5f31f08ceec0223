"""The prompts, each a file of its own, so that a change of a prompt is a diff of that file."""

from __future__ import annotations

import hashlib
from functools import cache
from importlib.resources import files
from typing import Any

from jinja2 import Environment, StrictUndefined


def _one_line(text: str) -> str:
    return " ".join(text.split())


@cache
def _template(name: str) -> tuple[Any, str]:
    source = files(__package__).joinpath(f"{name}.j2").read_text(encoding="utf-8")
    environment = Environment(undefined=StrictUndefined, keep_trailing_newline=False)
    environment.filters["one_line"] = _one_line
    return environment.from_string(source), hashlib.blake2b(source.encode(), digest_size=4).hexdigest()


def render(name: str, **values: Any) -> str:
    """The prompt `name` (a file here without `.j2`) with its values filled in."""
    return str(_template(name)[0].render(**values)).rstrip("\n")


def version(name: str) -> str:
    """`name@hash of its text`: changes exactly when the file does."""
    return f"{name}@{_template(name)[1]}"
