"""What the servers of both teachers have in common: reading a request, keeping to its limits, and the command."""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Callable, Mapping
from typing import Any

import click

from benchmarks.teachers.tokens import Tokens
from sedi_dagster.testing.simulated_teacher import MODEL, Completion, SimulatedTeacher, sample_of

Write = Callable[[str, object, Mapping[str, Any] | None], str]
"""`write(prompt, seed, schema)`: the text for a prompt."""


class Completing:
    """Completes requests with what `write` says; it depends on the request's text and its `seed` alone."""

    def __init__(self, write: Write, tokens: Tokens) -> None:
        self._write, self._tokens = write, tokens

    def __call__(self, asked: Mapping[str, Any], rng: random.Random) -> Completion:
        schema = (asked.get("response_format") or {}).get("json_schema", {}).get("schema")
        if schema is not None and "examples" not in schema.get("properties", {}):  # somebody tries what it can do
            text = json.dumps(sample_of(schema, random.Random(0)))
        else:
            text = self._write(prompt_of(asked), asked.get("seed"), schema)
        stops = asked.get("stop") or ()
        for stop in [stops] if isinstance(stops, str) else stops:
            text = text.partition(stop)[0]
        limit = int(asked.get("max_tokens") or asked.get("max_completion_tokens") or 16)
        text, completion_tokens, was_cut = self._tokens.cut(text, limit)
        return Completion(text, was_cut, self._tokens.of_prompt(asked), completion_tokens)


def prompt_of(asked: Mapping[str, Any]) -> str:
    """What a request says: its prompt, or its messages one after the other."""
    if "messages" not in asked:
        return str(asked["prompt"])
    return "\n\n".join(str(message["content"]) for message in asked["messages"])


def serve(write: Write, tokens: Tokens, port: int, **told: Any) -> None:
    """Serve until standard input closes; when listening, print the address and `told` as a line of JSON."""
    with SimulatedTeacher(port, Completing(write, tokens)) as server:
        click.echo(json.dumps({"base_url": server.base_url, "model": MODEL, **told}))
        sys.stdout.flush()
        sys.stdin.read()
