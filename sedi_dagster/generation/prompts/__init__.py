"""The prompts, one file each, so that a changed prompt is a diff of its file.

`NAME.chat.j2` is a chat message, `NAME.completion.j2` a text to continue, and `NAME.yaml` has the few-shot examples
of both, as `few_shot`.
"""

import hashlib
import json
from functools import cache
from importlib.resources import files
from typing import Any

import yaml
from jinja2 import Environment, StrictUndefined, Template


@cache
def _prompt(name: str) -> tuple[Template, Any, str]:
    """Template, its few-shot examples, and the hash of both files."""
    source = files(__package__).joinpath(f"{name}.j2").read_bytes()
    data = files(__package__).joinpath(f"{name.split('.')[0]}.yaml")
    examples = data.read_bytes() if data.is_file() else b""
    environment = Environment(undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters["one_line"] = lambda text: " ".join(text.split())
    environment.filters["as_json"] = lambda value: json.dumps(value, ensure_ascii=False)
    digest = hashlib.blake2b(source + examples, digest_size=4).hexdigest()
    return environment.from_string(source.decode()), yaml.safe_load(examples), digest


def render(name: str, **values: Any) -> str:
    """The prompt `name` (a file here without `.j2`) with its values filled in."""
    template, few_shot, _ = _prompt(name)
    return template.render(few_shot=few_shot, **values).rstrip("\n")


def version(*names: str) -> str:
    """`name@hash of its text` for each prompt that was put together: changes exactly when a file does."""
    return "+".join(f"{name}@{_prompt(name)[2]}" for name in names)
