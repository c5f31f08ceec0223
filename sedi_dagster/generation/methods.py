"""The methods by name. A new one is a file of its own and a line here."""

from __future__ import annotations

from sedi_dagster.generation.method import Method
from sedi_dagster.generation.self_instruct import SelfInstruct

METHODS: dict[str, type[Method]] = {method.name: method for method in (SelfInstruct,)}
