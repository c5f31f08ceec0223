"""`sedi verify`: files in the data folder that changed, are missing or have no recorded origin."""

import json
import sys
import time
from dataclasses import asdict

import click

from sedi_dagster.lineage.verify import Verification, verify
from sedi_dagster.reporting.numbers import count
from sedi_dagster.settings import load_settings
from sedi_dagster.storage.store import Store

LISTED = 200


@click.command("verify")
@click.option("--head", metavar="SHA256", help="Require this head, as printed by an earlier verification.")
@click.option("--json", "as_json", is_flag=True, help="Print the full result as JSON.")
def verify_command(head: str | None, as_json: bool) -> None:
    """Recompute all hashes in the data folder and compare them with the manifests.

    Lists files that changed, are missing or have no recorded origin. The exit status is 2 if there are any.
    """
    settings = load_settings()
    began = time.perf_counter()
    report = verify(Store(settings.data_root), settings.ledger_url, head, progress=None if as_json else _Counter())
    if as_json:
        click.echo(json.dumps({"passed": report.passed, **asdict(report)}, indent=2, ensure_ascii=False))
    else:
        _print(report, time.perf_counter() - began)
    sys.exit(0 if report.passed else 2)


class _Counter:
    """Shows the amount of hashed data on a terminal."""

    def __init__(self) -> None:
        self._bytes, self._printed_at = 0, time.monotonic()

    def __call__(self, number: int) -> None:
        self._bytes += number
        if sys.stderr.isatty() and time.monotonic() - self._printed_at > 0.5:
            self._printed_at = time.monotonic()
            click.echo(f"\r{self._bytes / 1e6:,.0f} MB hashed", nl=False, err=True)


def _print(report: Verification, seconds: float) -> None:
    for note in report.notes[:LISTED]:
        click.echo(f"note: {note}")
    for finding in report.findings[:LISTED]:
        click.echo(str(finding))
    if len(report.findings) > LISTED:
        click.echo(f"... and {count(len(report.findings) - LISTED)} more; --json lists all.")
    counts = ", ".join(f"{count(getattr(report, name))} {name}" for name in ("rounds", "files", "calls", "examples"))
    verdict = "unchanged" if report.rounds else "no round is finished yet"
    if report.findings:
        verdict = f"{count(len(report.findings))} {'finding' if len(report.findings) == 1 else 'findings'}"
    click.echo(f"{counts} ({report.bytes / 1e6:,.1f} MB) verified in {seconds:.1f} s: {verdict}.")
    if report.head:
        click.echo(f"Head of the chain: {report.head}. Keep it elsewhere to prove later that no manifest was replaced.")
