"""From candidates to kept examples: counts of rejections by rule and category."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from sedi_dagster.yaml_file import read_yaml

RULES: dict[str, str] = read_yaml(Path(__file__).with_name("rules.yaml"))
"""Descriptions of the rules. Other rules are shown by name only."""


@dataclass(frozen=True)
class Reason:
    """A rule that rejected candidates. `name` is the part before a colon, so that all refusals count as one rule."""

    name: str
    state: str  # rejected, malformed
    count: int
    example: Mapping[str, Any]

    @property
    def meaning(self) -> str:
        return RULES.get(self.name, "")


@dataclass(frozen=True)
class FunnelRow:
    """The counts of one category. `dropped` has one count for each of `Funnel.reasons`."""

    category: str
    planned: int
    candidates: int
    malformed: int
    rejected: int
    kept: int
    dropped: tuple[int, ...]


@dataclass(frozen=True)
class Funnel:
    """The outcomes of all candidates, by category and in total."""

    reasons: tuple[Reason, ...]
    rows: tuple[FunnelRow, ...]
    total: FunnelRow

    @property
    def adds_up(self) -> bool:
        """Whether every candidate has exactly one state, and every rejected or malformed one a reason."""
        return all(
            row.candidates == row.malformed + row.rejected + row.kept
            and row.malformed + row.rejected == sum(row.dropped)
            for row in (*self.rows, self.total)
        )


def funnel(planned: Mapping[str, int], candidates: pl.DataFrame, verdicts: pl.DataFrame) -> Funnel:
    """Count the verdicts.

    Args:
        planned: number of requested candidates by category.
        candidates: with `candidate_id`, `category`, `raw`.
        verdicts: with `state`, `rule`, and the rule's measurements.
    """
    judged = verdicts.with_columns(pl.col("rule").str.split(":").list.first().alias("reason"))
    raw = candidates.select("candidate_id", "raw").unique("candidate_id")
    judged = judged.join(raw, on="candidate_id", how="left", maintain_order="left")
    reasons = _reasons(judged)
    extra = [c for c in candidates["category"].unique(maintain_order=True) if c not in planned]
    rows = []
    for name in (*planned, *extra):
        matches = pl.col("category") == name
        rows.append(_row(name, planned.get(name, 0), candidates.filter(matches), judged.filter(matches), reasons))
    return Funnel(reasons, tuple(rows), _row("all", sum(planned.values()), candidates, judged, reasons))


def _reasons(judged: pl.DataFrame) -> tuple[Reason, ...]:
    """The reasons with an example each, malformed ones first, then by frequency."""
    dropped = judged.filter(pl.col("state") != "kept").group_by("state", "reason", maintain_order=True)
    reasons = [
        Reason(str(reason or "no rule given"), str(state), rows.height, _example(rows))
        for (state, reason), rows in dropped
    ]
    return tuple(sorted(reasons, key=lambda reason: (reason.state, -reason.count, reason.name)))


def _example(rows: pl.DataFrame) -> dict[str, Any]:
    """The first row with an instruction, or the first row if there is none."""
    readable = rows.filter(pl.col("instruction").fill_null("").str.strip_chars() != "")
    return (readable if readable.height else rows).row(0, named=True)


def _row(
    category: str, planned: int, candidates: pl.DataFrame, judged: pl.DataFrame, reasons: Sequence[Reason]
) -> FunnelRow:
    states = dict(judged.group_by("state").len().iter_rows())
    by_reason = judged.group_by("state", pl.col("reason").fill_null("no rule given")).len()
    counts = {(state, reason): number for state, reason, number in by_reason.iter_rows()}
    return FunnelRow(
        category=category,
        planned=planned,
        candidates=candidates.height,
        malformed=states.get("malformed", 0),
        rejected=states.get("rejected", 0),
        kept=states.get("kept", 0),
        dropped=tuple(counts.get((reason.state, reason.name), 0) for reason in reasons),
    )
