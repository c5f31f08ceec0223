"""The page of the morning says what ran, what it spent and gained, what failed, and what is next."""

from __future__ import annotations

from dataclasses import replace

from round_data import outcome

from sedi_dagster.reporting.costs import Spending
from sedi_dagster.reporting.morning import Night, NightRun, morning_lines, render_morning

HOSTILE = "<script>alert(1)</script>"
FAILED = NightRun("run-2", "generate round-0002 math", "FAILURE", "the teacher is down")
NIGHT = Night(
    began="Wednesday",
    ended="Thursday",
    runs=(NightRun("run-1", "round round-0001", "SUCCESS"), FAILED),
    rounds=((outcome(1, 0.25), 0.2),),
    warnings=("filtered_batches/round-0001: the_keep_rate_does_not_fall. 5% were kept.",),
    spending=Spending(tokens=12_345, tokens_cap=100_000),
    next_steps=("open round-0002: math (20).",),
)


def test_it_says_all_of_the_night() -> None:
    page, lines = render_morning(NIGHT), morning_lines(NIGHT)
    for text in (page, lines):
        for part in ("1 round finished, 1 run failed", "25%", "the teacher is down", "5% were kept", "open round-0002"):
            assert part in text, part
    assert 'href="/runs/run-2"' in page and "(/runs/run-2)" in lines
    assert 'href="round-0001.html"' in page and "12,345 teacher tokens of 100,000" in page
    assert "SIMULATED" not in page and "SIMULATED" in render_morning(replace(NIGHT, simulated=True))


def test_a_night_in_which_nothing_happened_says_so() -> None:
    quiet = replace(NIGHT, runs=(), rounds=(), warnings=(), next_steps=("nothing. The loop has stopped: it is done.",))
    assert "no rounds finished, no runs failed" in render_morning(quiet)
    assert "The loop has stopped" in morning_lines(quiet)


def test_what_a_run_said_is_shown_as_text() -> None:
    assert HOSTILE not in render_morning(replace(NIGHT, runs=(replace(FAILED, message=HOSTILE, work=HOSTILE),)))
