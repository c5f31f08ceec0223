"""Teacher A, SIMULATED: a server on loopback that speaks the API and writes what `author.py` says.

    python -m benchmarks.teachers.simulated --ground development --port 0

prints its address as a line of JSON when it listens, and runs until its standard input closes.
"""

from __future__ import annotations

from pathlib import Path

import click

from benchmarks.teachers.author import Author
from benchmarks.teachers.ground import GROUNDS, load_ground
from benchmarks.teachers.serving import serve
from benchmarks.teachers.tokens import Tokens


@click.command(help=__doc__)
@click.option("--ground", type=click.Choice(GROUNDS), default=GROUNDS[0], show_default=True)
@click.option("--port", default=0, help="Port on loopback; 0: any free one.")
@click.option("--tokenizer", type=click.Path(path_type=Path, exists=True), help="The student's tokenizer.json.")
def main(ground: str, port: int, tokenizer: Path | None) -> None:
    serve(Author(load_ground(ground)).write, Tokens(tokenizer), port, teacher="SIMULATED", ground=ground)


if __name__ == "__main__":
    main()
