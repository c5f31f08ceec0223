"""`sedi rejected`: rejected candidates of all rounds, with the rule and the nearest neighbour."""

import json
from typing import Any

import click
import polars as pl
from rich.console import Console
from rich.table import Table
from rich.text import Text

from sedi_dagster.errors import SediError
from sedi_dagster.filtering.verdicts import VERDICT_SCHEMA
from sedi_dagster.records import round_named
from sedi_dagster.reporting.funnel import RULES
from sedi_dagster.reporting.numbers import count, measured, one_line, percent
from sedi_dagster.settings import load_settings
from sedi_dagster.storage.rounds import load_history
from sedi_dagster.storage.store import Store

MAX_LENGTH = 300
DROPPED_SCHEMA: dict[str, Any] = {
    "round": pl.String,
    **VERDICT_SCHEMA,
    "neighbour_rule": pl.String,  # set if the neighbour was dropped later, by this rule
    "input": pl.String,
    "output": pl.String,
    "raw": pl.String,
}


@click.command("rejected")
@click.option("--round", "round_", default="", help="Only this round, such as 3; default: all.")
@click.option("--category", default="", help="Only this category.")
@click.option("--rule", default="", help="Only this rule, such as near_duplicate.")
@click.option("--limit", type=click.IntRange(1), default=20, show_default=True, help="Number of candidates to show.")
@click.option("--summary", is_flag=True, help="Print counts by round, category and rule instead of candidates.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per line.")
def rejected_command(round_: str, category: str, rule: str, limit: int, summary: bool, as_json: bool) -> None:
    """List rejected and malformed candidates with the rule and the nearest neighbour."""
    store = Store(load_settings().data_root)
    rounds = judged_rounds(store, round_)
    verdicts = pl.concat(
        store.read_table("verdicts", "filtered_batches", key).with_columns(round=pl.lit(key)) for key in rounds
    ).with_columns(reason=pl.col("rule").str.split(":").list.first())
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
    """Print the rule with its measurement, the candidate, and the text that it was too close to."""
    head = Text(row["rule"] if row["state"] == "rejected" else f"malformed: {row['rule']}", style="bold")
    if row["score"] is not None:
        head.append(f"  {measured(row['score'])} (threshold {measured(row['threshold'])})", style="not bold")
    head.append(f"  {row['round']} {row['category']} {row['candidate_id']}", style="not bold dim")
    console.print(head, soft_wrap=True)
    for name in ("instruction", "input", "output") if (row["instruction"] or "").strip() else ("raw",):
        if (text := one_line(row[name] or "", MAX_LENGTH)) or name == "raw":
            console.print(Text.assemble((f"  {name:11} ", "dim"), text), soft_wrap=True)
    if row["neighbour"] is not None:
        rejected = f", itself rejected: {row['neighbour_rule']}" if row["neighbour_rule"] else ""
        near, name = one_line(row["neighbour"], MAX_LENGTH), f"  {row['neighbour_id']}{rejected}"
        console.print(Text.assemble(("  too close   ", "dim"), near, (name, "dim")), soft_wrap=True)
    console.print()


def _print_summary(counted: pl.DataFrame) -> None:
    """Print the counts by rule, then one line per round and category."""
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


def judged_rounds(store: Store, requested: str) -> list[str]:
    """Return the keys of the filtered rounds, or only the requested one (`3` or `round-0003`).

    Raises:
        SediError: no round, or not the requested one, was filtered.
    """
    judged = [plan.round for plan in load_history(store).plans if store.tables_marker("filtered_batches", plan.round)]
    if not judged:
        raise SediError(
            "No round has been filtered yet.", "Start one with `sedi run`, or set SEDI_DATA to another data folder."
        )
    if not requested:
        return judged
    key = round_named(requested)
    if key not in judged:
        raise SediError(f"{key} has not been filtered.", f"Choose from {', '.join(judged)}.")
    return [key]


def choose(verdicts: pl.DataFrame, category: str, rule: str) -> pl.DataFrame:
    """Return the verdicts with the given category and rule; empty strings match all.

    Args:
        rule: name of a rule, without the part after a colon.

    Raises:
        SediError: no candidate has the category, or no candidate was rejected by the rule.
    """
    for name, column, value in (("category", "category", category), ("rule", "reason", rule)):
        if value:
            known = verdicts[column].drop_nulls().unique().sort().to_list()
            if value not in known:
                raise SediError(f"No candidate has the {name} {value!r}.", f"Choose from {', '.join(known)}.")
            verdicts = verdicts.filter(pl.col(column) == value)
    return verdicts


def dropped_candidates(store: Store, verdicts: pl.DataFrame, chosen: pl.DataFrame, limit: int) -> pl.DataFrame:
    """Return the first `limit` chosen candidates that were not kept (`DROPPED_SCHEMA`).

    Args:
        verdicts: all verdicts of the rounds, to look up the rules that rejected neighbours.
        chosen: verdicts to choose from.
    """
    neighbours = verdicts.select(neighbour_id="candidate_id", neighbour_rule="rule").drop_nulls()
    shown = chosen.filter(pl.col("state") != "kept").head(limit)
    shown = shown.join(neighbours.unique("neighbour_id"), on="neighbour_id", how="left", maintain_order="left")
    texts = [pl.DataFrame(schema=dict.fromkeys(("candidate_id", "input", "output", "raw"), pl.String))]
    for key, category in shown.select("round", "category").unique(maintain_order=True).iter_rows():
        texts.append(store.read_table("candidates", "generated_batches", key, category).select(texts[0].columns))
    shown = shown.join(pl.concat(texts), on="candidate_id", how="left", maintain_order="left")
    return shown.select(*DROPPED_SCHEMA)


def count_by_rule(verdicts: pl.DataFrame) -> pl.DataFrame:
    """Return the number of candidates by round, category, state and rule (null for kept ones)."""
    return (
        verdicts.group_by("round", "category", "state", rule="reason", maintain_order=True)
        .agg(candidates=pl.len())
        .sort("round", "candidates", descending=[False, True], maintain_order=True)
    )
