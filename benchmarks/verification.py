"""How long `sedi verify` takes beside `sha256sum` of the same files.

    python benchmarks/verification.py data --more 1000

Works on a copy of a data folder. `--more` puts files of random bytes beside the others: they have no origin, and are
hashed all the same. CPU time is given, as another program may hold the processors.
"""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import click

MEGABYTE = 1_000_000
FILES = 10


def timed(command: list[str], **environment: str) -> tuple[float, float]:
    """Wall clock and CPU seconds of a command."""
    began, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, env=os.environ | environment, capture_output=True, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return time.perf_counter() - began, cpu


@click.command()
@click.argument("data", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--more", default=0, show_default=True, help="Megabytes to hash besides.")
@click.option("--times", default=3, show_default=True, help="The least of so many is printed.")
def main(data: Path, more: int, times: int) -> None:
    """Time both on a copy of DATA, a finished loop's data folder."""
    with tempfile.TemporaryDirectory() as scratch:
        copy = Path(scratch) / "data"
        shutil.copytree(data, copy)
        for number in range(FILES if more else 0):
            (copy / f"more-{number}.bin").write_bytes(os.urandom(more * MEGABYTE // FILES))
        files = sorted(str(file) for file in copy.rglob("*") if file.is_file())
        size = sum(Path(file).stat().st_size for file in files)
        verify = [sys.executable, "-m", "sedi_dagster.cli", "verify"]
        start = [sys.executable, "-m", "sedi_dagster.cli", "verify", "--help"]
        click.echo(f"{len(files)} files, {size / MEGABYTE:,.1f} MB; start of the program included")
        for name, command in (
            ("sedi verify", verify),
            ("its start alone", start),
            ("sha256sum", ["sha256sum", *files]),
        ):
            took = [timed(command, SEDI_DATA=str(copy)) for _ in range(times)]
            wall, cpu = min(wall for wall, _ in took), min(cpu for _, cpu in took)
            click.echo(f"{name:16} {wall:7.2f} s, CPU {cpu:6.2f} s")


if __name__ == "__main__":
    main()
