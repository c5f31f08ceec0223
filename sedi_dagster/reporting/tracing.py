"""`sedi trace`: a trace as a tree in the terminal, as JSON, or as a page."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.text import Text
from rich.tree import Tree

from sedi_dagster.errors import SediError
from sedi_dagster.lineage.index import LineageIndex
from sedi_dagster.lineage.trace import Archive, Link, Node, descendants, trace
from sedi_dagster.reporting.numbers import count, one_line
from sedi_dagster.settings import Settings, load_settings
from sedi_dagster.storage.store import Store

MAX_LINE_LENGTH = 160
MAX_FACT_LENGTH = 2000
PIPED_WIDTH = 200


@click.command("trace")
@click.argument("wanted", metavar="ID")
@click.option("--json", "as_json", is_flag=True, help="Print the trace as JSON, with full texts.")
@click.option(
    "--html", "page", type=click.Path(dir_okay=False, path_type=Path), help="Write the trace as an HTML page."
)
@click.option("--descendants", is_flag=True, help="List everything derived from it, one per line.")
def trace_command(wanted: str, as_json: bool, page: Path | None, descendants: bool) -> None:
    """Show where something came from and what it led to.

    ID: the id (or a prefix) of an example, candidate, seed, teacher call or evaluation item; a batch
    (round-0001/batch-0003); a checkpoint (round-0001, or the SHA-256 of its weights); or part of a text.
    """
    settings = load_settings()
    with open_archive(settings) as archive:
        node = trace(archive, wanted)
        if descendants:
            _print_descendants(archive, node, as_json)
        for partition, error in archive.index.unreadable.items():
            click.echo(f"Skipped: {partition}. {error.problem}", err=True)
    if descendants:
        return
    if page is not None:
        try:
            page.write_text(trace_page(node, settings.teacher.is_simulated), encoding="utf-8")
        except OSError as error:
            raise SediError(f"{page} cannot be written: {error.strerror}.", "Name another file with --html.") from None
        click.echo(f"Wrote {page}.", err=True)
    elif as_json:
        click.echo(json.dumps(node.to_json(), indent=2, ensure_ascii=False))
    else:
        width = None if sys.stdout.isatty() else PIPED_WIDTH
        Console(highlight=False, width=width).print(tree(node))


@contextmanager
def open_archive(settings: Settings) -> Iterator[Archive]:
    """Open the data that a trace is read from, after updating the index. Slow updates show progress on stderr."""

    def report(done: int, total: int) -> None:
        if done % 100 == 0 and total > 100:
            click.echo(f"Indexing {total:,} new or changed partitions: {done:,} done.", err=True)

    store = Store(settings.data_root)
    ledger = settings.ledger_url if settings.ledger or "://" not in settings.data_root else None
    with LineageIndex(store, settings.path(settings.cache), report) as index:
        yield Archive(store, index, ledger)


def tree(node: Node) -> Tree:
    """Return the trace for a terminal: the node, what it came from, and what it led to."""
    root = Tree(_line(node), guide_style="dim")
    for name, value in node.facts.items():
        root.add(Text.assemble((f"{name}: ", "dim"), one_line(_as_text(value), MAX_FACT_LENGTH)))
    for label, links in (("came from", node.came_from), ("led to", node.led_to)):
        if links:
            _add_links(root.add(Text(label, style="bold cyan")), links)
    return root


def trace_page(node: Node, simulated: bool = False) -> str:
    """Return the trace as one HTML page."""
    from sedi_dagster.reporting.page import render_page

    return render_page("trace.html.j2", node=node, simulated=simulated)


def _add_links(branch: Tree, links: list[Link]) -> None:
    for link in links:
        label = Text(link.relation, style="cyan")
        if link.total > len(link.nodes):
            label.append(f"  {count(len(link.nodes))} of {count(link.total)}", style="dim")
        group = branch.add(label)
        for node in link.nodes:
            child = group.add(_line(node))
            if node.facts:
                facts = (f"{name} {one_line(_as_text(value), MAX_LINE_LENGTH)}" for name, value in node.facts.items())
                child.add(Text("  ".join(facts), style="dim"))
            _add_links(child, node.came_from)
            _add_links(child, node.led_to)


def _line(node: Node) -> Text:
    kind = "" if node.id.startswith(node.kind) else f"{node.kind} "  # not "seed seed-3f..."
    line = Text.assemble((kind, "dim"), (node.id, "bold"))
    if node.text:
        line.append(f"  {one_line(node.text, MAX_LINE_LENGTH)}")
    return line


def _as_text(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, dict):
        return ", ".join(f"{name} {inner}" for name, inner in value.items())
    return str(value)


def _print_descendants(archive: Archive, node: Node, as_json: bool) -> None:
    for child in descendants(archive, node.id):
        if as_json:
            click.echo(json.dumps(child.to_json(), ensure_ascii=False))
        else:
            head = "  ".join((child.id, child.facts.get("round", ""), child.facts.get("state", "")))
            click.echo(f"{head}  {one_line(child.text, MAX_LINE_LENGTH)}")
