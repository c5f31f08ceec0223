"""`sedi verify`: what was changed, is missing or has no origin in the data folder."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import asdict
from typing import Any

import click

from sedi_dagster.lineage.verify import Verification, verify
from sedi_dagster.reporting.numbers import count
from sedi_dagster.settings import load_settings
from sedi_dagster.store import Store
from sedi_dagster.teacher.ledger_url import ledger_url

LISTED = 200


@click.command("verify")
@click.option("--head", metavar="SHA256", help="The head that an earlier verification told; the chain must have it.")
@click.option("--json", "as_json", is_flag=True, help="All that was found out, as JSON.")
def verify_command(head: str | None, as_json: bool) -> None:
    """Recompute everything in the data folder and compare it with the manifests. Ends with 2 if anything differs."""
    settings = load_settings()
    began = time.perf_counter()
    told = verify(Store(settings.data_root), ledger_url(settings), head, progress=None if as_json else _Counter())
    if as_json:
        click.echo(json.dumps({"passed": told.passed, **asdict(told)}, indent=2, ensure_ascii=False))
    else:
        _print(told, time.perf_counter() - began)
    sys.exit(0 if told.passed else 2)


class _Counter:
    """Tells on a terminal how much was hashed."""

    def __init__(self) -> None:
        self._bytes, self._told = 0, time.monotonic()

    def __call__(self, number: int) -> None:
        self._bytes += number
        if sys.stderr.isatty() and time.monotonic() - self._told > 0.5:
            self._told = time.monotonic()
            click.echo(f"\r{self._bytes / 1e6:,.0f} MB hashed", nl=False, err=True)


def _print(told: Verification, seconds: float) -> None:
    for note in told.notes[:LISTED]:
        click.echo(f"note: {note}")
    for finding in told.findings[:LISTED]:
        click.echo(str(finding))
    if len(told.findings) > LISTED:
        click.echo(f"... and {count(len(told.findings) - LISTED)} more; --json lists all.")
    what = {"rounds": told.rounds, "files": told.files, "calls": told.calls, "examples": told.examples}
    click.echo(f"{_counted(what)} ({told.bytes / 1e6:,.1f} MB) verified in {seconds:.1f} s: {_verdict(told)}.")
    if told.head:
        click.echo(f"Head of the chain: {told.head}. Kept elsewhere, it proves later that no manifest was replaced.")


def _counted(what: dict[str, Any]) -> str:
    return ", ".join(f"{count(number)} {name}" for name, number in what.items())


def _verdict(told: Verification) -> str:
    if told.passed:
        return "all as it was written" if told.rounds else "no round is finished yet"
    return f"{count(len(told.findings))} {'finding' if len(told.findings) == 1 else 'findings'}"
