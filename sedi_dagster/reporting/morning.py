"""The morning page: what ran, what it cost and gained, what failed, what is next."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from sedi_dagster.records import RoundOutcome
from sedi_dagster.reporting.costs import Spending
from sedi_dagster.reporting.numbers import count, percent
from sedi_dagster.reporting.page import render_page


@dataclass(frozen=True)
class NightRun:
    """A finished or active run. `message` is the error of a failed run."""

    run_id: str
    work: str
    status: str
    message: str = ""

    @property
    def failed(self) -> bool:
        return self.status == "FAILURE"


@dataclass(frozen=True)
class Night:
    """Facts for the morning page.

    Attributes:
        began, ended: begin and end of the day that the page describes, as text.
        rounds: rounds that finished on that day, each with the previous score.
        warnings: texts about the checks of these rounds that did not pass.
        next_steps: texts about what is due now.
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
        """The summary in one sentence."""
        failed = [run for run in self.runs if run.failed]
        counts = f"{_counted(self.rounds, 'round')} finished, {_counted(failed, 'run')} failed"
        if not self.rounds:
            return f"{counts}."
        outcome, before = self.rounds[-1]
        since = f" (before: {percent(before)})" if before is not None else ""
        return f"{counts}; the score is {percent(outcome.score)}{since}."

    @property
    def by_job(self) -> list[tuple[str, str]]:
        """(work, counts of its runs by status)."""
        works = dict.fromkeys(run.work for run in self.runs)
        return [(work, _statuses([run.status for run in self.runs if run.work == work])) for work in works]

    @property
    def tokens(self) -> int:
        return sum(outcome.tokens for outcome, _ in self.rounds)


def render_morning(night: Night) -> str:
    """Return the morning page as HTML."""
    return render_page("morning.html.j2", night=night, simulated=night.simulated)


def morning_lines(night: Night) -> str:
    """Return a short version in Markdown for the Dagster UI."""
    lines = [f"**{night.sentence}** {count(night.tokens)} teacher tokens in the rounds that finished."]
    for run in [run for run in night.runs if run.failed][-3:]:
        lines.append(f"- {run.work} failed: {run.message or 'see the run'} ([run](/runs/{run.run_id}))")
    lines += [f"- {warning}" for warning in night.warnings[:3]]
    lines += [f"- Next: {step}" for step in night.next_steps]
    return "\n".join(lines)


def _counted(items: Sequence[object], name: str) -> str:
    return f"{count(len(items)) if items else 'no'} {name}{'' if len(items) == 1 else 's'}"


def _statuses(statuses: Sequence[str]) -> str:
    words = {"SUCCESS": "succeeded", "FAILURE": "failed", "CANCELED": "cancelled"}
    return ", ".join(f"{number} {words.get(status, status.lower())}" for status, number in Counter(statuses).items())
