"""From candidates to kept examples: rejections by rule and category, in counts that add up."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from sedi_dagster.yaml_file import read_yaml

RULES: dict[str, str] = read_yaml(Path(__file__).with_name("rules.yaml"))
"""What the rules mean, in words. A rule that is not here is shown by its name alone."""


@dataclass(frozen=True)
class Reason:
    """A rule that dropped candidates. `name` ends before a colon, so that refusals count as one."""

    name: str
    state: str  # rejected, malformed
    count: int
    example: Mapping[str, Any]

    @property
    def meaning(self) -> str:
        return RULES.get(self.name, "")


@dataclass(frozen=True)
class FunnelRow:
    """One category: planned, what became of every candidate. `dropped` goes along with `Funnel.reasons`."""

    category: str
    planned: int
    candidates: int
    malformed: int
    rejected: int
    kept: int
    dropped: tuple[int, ...]


@dataclass(frozen=True)
class Funnel:
    """What became of the candidates, by category and in all."""

    reasons: tuple[Reason, ...]
    rows: tuple[FunnelRow, ...]
    total: FunnelRow

    @property
    def adds_up(self) -> bool:
        """Whether every candidate has exactly one state, and every dropped one a reason."""
        return all(
            row.candidates == row.malformed + row.rejected + row.kept
            and row.malformed + row.rejected == sum(row.dropped)
            for row in (*self.rows, self.total)
        )


def funnel(planned: Mapping[str, int], candidates: pl.DataFrame, verdicts: pl.DataFrame) -> Funnel:
    """Count the verdicts.

    Args:
        planned: candidates asked for, by category.
        candidates: what the teacher wrote, one row each (`candidate_id`, `category`, `raw`).
        verdicts: what became of each (`state`, `rule`, and what the rule measured).
    """
    judged = verdicts.with_columns(pl.col("rule").str.split(":").list.first().alias("reason"))
    raw = candidates.select("candidate_id", "raw").unique("candidate_id")
    judged = judged.join(raw, on="candidate_id", how="left", maintain_order="left")
    reasons = _reasons(judged)
    extra = [c for c in candidates["category"].unique(maintain_order=True) if c not in planned]
    rows = []
    for name in (*planned, *extra):
        mine = pl.col("category") == name
        rows.append(_row(name, planned.get(name, 0), candidates.filter(mine), judged.filter(mine), reasons))
    return Funnel(reasons, tuple(rows), _row("all", sum(planned.values()), candidates, judged, reasons))


def _reasons(judged: pl.DataFrame) -> tuple[Reason, ...]:
    """Malformed first, then rejected, the most frequent first; each with a candidate as the example."""
    dropped = judged.filter(pl.col("state") != "kept").group_by("state", "reason", maintain_order=True)
    reasons = [
        Reason(str(reason or "no rule given"), str(state), rows.height, _clearest(rows))
        for (state, reason), rows in dropped
    ]
    return tuple(sorted(reasons, key=lambda reason: (reason.state, -reason.count, reason.name)))


def _clearest(rows: pl.DataFrame) -> dict[str, Any]:
    """The first row that has a text to show, else the first."""
    readable = rows.filter(pl.col("instruction").fill_null("").str.strip_chars() != "")
    return (readable if readable.height else rows).row(0, named=True)


def _row(
    category: str, planned: int, candidates: pl.DataFrame, mine: pl.DataFrame, reasons: Sequence[Reason]
) -> FunnelRow:
    states = dict(mine.group_by("state").len().iter_rows())
    by_reason = mine.group_by("state", pl.col("reason").fill_null("no rule given")).len()
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
