"""Cleaning of model-written outputs in a file, by the rules for a teacher's answers."""

from collections.abc import Iterable, Iterator
from dataclasses import replace

from sedi_dagster.datafiles.problems import Problems
from sedi_dagster.datafiles.shapes import Exchange
from sedi_dagster.texts.cleaning import CleaningRule, clean

_SETTING = "SEDI_TEACHER_CLEAN_{}=false keeps it"


def clean_outputs(
    exchanges: Iterable[Exchange], rules: frozenset[CleaningRule], problems: Problems
) -> Iterator[Exchange]:
    """Yield the exchanges with cleaned outputs. An exchange whose output becomes empty is noted in `problems`."""
    for exchange in exchanges:
        found = clean(exchange.output, rules)
        if found.problem or not found.text.strip():
            problems.add(exchange.number, "output", f"is {found.problem or 'reasoning without an answer'}", "an answer")
            continue
        for rule in found.applied:
            what = rule.replace("_", " ")
            problems.notes[f"outputs contained {what}, which was removed ({_SETTING.format(rule.upper())})"] += 1
        yield replace(exchange, output=found.text.strip()) if found.applied else exchange
