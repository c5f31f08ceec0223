"""The morning page: what ran, what it cost and gained, what failed, what is next."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from sedi_dagster.records import RoundOutcome
from sedi_dagster.reporting.costs import Spending
from sedi_dagster.reporting.numbers import count, percent
from sedi_dagster.reporting.page import fill


@dataclass(frozen=True)
class NightRun:
    """A run that ended, or is still at work. `said`: why it failed, else empty."""

    run_id: str
    what: str
    status: str
    message: str = ""

    @property
    def failed(self) -> bool:
        return self.status == "FAILURE"


@dataclass(frozen=True)
class Night:
    """Attributes:
    began, ended: the span that the page is about, as people there write it.
    rounds: finished in it, each with the score before.
    warnings: checks of these rounds that did not pass, in words.
    next_steps: what is due now, in words.
    """

    began: str
    ended: str
    runs: tuple[NightRun, ...]
    rounds: tuple[tuple[RoundOutcome, float | None], ...]
    warnings: tuple[str, ...]
    spending: Spending
    next_steps: tuple[str, ...]
    simulated: bool = False

    @property
    def sentence(self) -> str:
        """The night in one line."""
        failed = [run for run in self.runs if run.failed]
        counts = f"{_counted(self.rounds, 'round')} finished, {_counted(failed, 'run')} failed"
        if not self.rounds:
            return f"{counts}."
        outcome, before = self.rounds[-1]
        since = f" (before: {percent(before)})" if before is not None else ""
        return f"{counts}; the score is {percent(outcome.score)}{since}."

    @property
    def by_job(self) -> list[tuple[str, str]]:
        """(work, how its runs ended), failures named."""
        jobs = dict.fromkeys(run.what for run in self.runs)
        return [(job, _statuses([run.status for run in self.runs if run.what == job])) for job in jobs]

    @property
    def tokens(self) -> int:
        return sum(outcome.tokens for outcome, _ in self.rounds)


def render_morning(night: Night) -> str:
    """The page."""
    return fill("morning.html.j2", night=night, simulated=night.simulated)


def morning_lines(night: Night) -> str:
    """The same in a few lines of Markdown, for the UI."""
    lines = [f"**{night.sentence}** {count(night.tokens)} teacher tokens in the rounds that finished."]
    for run in [run for run in night.runs if run.failed][-3:]:
        lines.append(f"- {run.what} failed: {run.message or 'see the run'} ([run](/runs/{run.run_id}))")
    lines += [f"- {warning}" for warning in night.warnings[:3]]
    lines += [f"- Next: {step}" for step in night.next_steps]
    return "\n".join(lines)


def _counted(things: Sequence[object], name: str) -> str:
    return f"{count(len(things)) if things else 'no'} {name}{'' if len(things) == 1 else 's'}"


def _statuses(statuses: Sequence[str]) -> str:
    words = {"SUCCESS": "succeeded", "FAILURE": "failed", "CANCELED": "cancelled"}
    return ", ".join(f"{number} {words.get(status, status.lower())}" for status, number in Counter(statuses).items())
