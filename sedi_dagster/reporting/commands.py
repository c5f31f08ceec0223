"""`sedi rejected`."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import click
import polars as pl
from rich.console import Console
from rich.table import Table
from rich.text import Text

from sedi_dagster.reporting.funnel import RULES
from sedi_dagster.reporting.numbers import clip, count, measured, percent, printable
from sedi_dagster.reporting.rejected import choose, count_by_rule, dropped_candidates, judged_rounds, read_verdicts
from sedi_dagster.settings import load_settings
from sedi_dagster.storage.rounds import load_history
from sedi_dagster.storage.store import Store

LONGEST_SHOWN = 300


@click.command("rejected")
@click.option("--round", "round_", default="", help="Only this round, such as 3; default: all.")
@click.option("--category", default="", help="Only this category.")
@click.option("--rule", default="", help="Only this rule, such as near_duplicate.")
@click.option("--limit", type=click.IntRange(1), default=20, show_default=True, help="Number of candidates to show.")
@click.option("--summary", is_flag=True, help="Counts by round, category and rule instead of candidates.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object per line.")
def rejected_command(round_: str, category: str, rule: str, limit: int, summary: bool, as_json: bool) -> None:
    """List rejected and malformed candidates with the rule and the nearest neighbour."""
    store = Store(load_settings().data_root)
    rounds = judged_rounds(store, load_history(store), round_)
    verdicts = read_verdicts(store, rounds)
    chosen = choose(verdicts, category, rule)
    if summary:
        counted = count_by_rule(chosen)
        _print_json(counted) if as_json else _print_summary(counted)
        return
    all_dropped = chosen.filter(pl.col("state") != "kept").height
    shown = dropped_candidates(store, verdicts, chosen, limit)
    if as_json:
        _print_json(shown)
        return
    console = Console(highlight=False)
    for row in shown.iter_rows(named=True):
        _print_candidate(console, row)
    more = f"; {count(shown.height)} shown, --limit shows more" if shown.height < all_dropped else ""
    console.print(f"{count(all_dropped)} of {count(chosen.height)} candidates were not kept{more}.")


def _print_json(rows: pl.DataFrame) -> None:
    for row in rows.iter_rows(named=True):
        click.echo(json.dumps(row, ensure_ascii=False))


def _print_candidate(console: Console, row: dict[str, Any]) -> None:
    """Rule and measure, the candidate, and the text that it was too close to."""
    head = Text(row["rule"] if row["state"] == "rejected" else f"malformed: {row['rule']}", style="bold")
    if row["score"] is not None:
        head.append(f"  {measured(row['score'])} (threshold {measured(row['threshold'])})", style="not bold")
    head.append(f"  {row['round']} {row['category']} {row['candidate_id']}", style="not bold dim")
    console.print(head, soft_wrap=True)
    for label, text in _texts(row):
        console.print(Text.assemble((f"  {label:11} ", "dim"), _shown(text)), soft_wrap=True)
    if row["neighbour"] is not None:
        fate = f", itself rejected: {row['neighbour_rule']}" if row["neighbour_rule"] else ""
        line = Text.assemble(
            ("  too close   ", "dim"), _shown(row["neighbour"]), (f"  {row['neighbour_id']}{fate}", "dim")
        )
        console.print(line, soft_wrap=True)
    console.print()


def _texts(row: dict[str, Any]) -> Iterable[tuple[str, str]]:
    """What there is of the candidate: its fields, or the raw text if it has no instruction."""
    if not (row["instruction"] or "").strip():
        yield "raw", row["raw"] or ""
        return
    for name in ("instruction", "input", "output"):
        if (row[name] or "").strip():
            yield name, row[name]


def _shown(text: str) -> str:
    return clip(printable(" ".join(text.split())), LONGEST_SHOWN)


def _print_summary(counted: pl.DataFrame) -> None:
    """By rule, over all that was chosen; then a line a round and category."""
    console = Console(highlight=False)
    candidates = int(counted["candidates"].sum())
    by_rule = Table("rule", "state", title=f"{count(candidates)} candidates", title_justify="left")
    by_rule.add_column("candidates", justify="right")
    by_rule.add_column("share", justify="right")
    by_rule.add_column("meaning", style="dim")
    rules = counted.group_by("state", "rule").agg(pl.sum("candidates"))
    for state, rule, number in rules.sort("candidates", "rule", descending=[True, False]).iter_rows():
        by_rule.add_row(Text(rule or ""), state, count(number), percent(number / candidates), RULES.get(rule or "", ""))
    console.print(by_rule)
    table = Table("round", "category")
    table.add_column("candidates", justify="right")
    table.add_column("kept", justify="right")
    table.add_column("rejected by")
    for (key, category), rows in counted.group_by("round", "category", maintain_order=True):
        dropped = rows.filter(pl.col("state") != "kept").sort("candidates", "rule", descending=[True, False])
        counts = ", ".join(f"{rule} {number}" for rule, number in dropped.select("rule", "candidates").iter_rows())
        kept = int(rows.filter(pl.col("state") == "kept")["candidates"].sum())
        table.add_row(str(key), str(category), count(int(rows["candidates"].sum())), count(kept), Text(counts))
    console.print(table)
