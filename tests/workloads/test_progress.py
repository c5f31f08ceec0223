"""A progress line that is written is read back, and no other text is taken for one."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sedi_dagster.workloads.progress import ProgressLine, format_progress, parse_progress

NAMES = st.from_regex(r"[a-z_]{1,8}", fullmatch=True)
FIGURES = st.dictionaries(NAMES, st.one_of(st.booleans(), st.integers(), st.floats()), max_size=3)


def test_a_line_reads_well() -> None:
    line = format_progress("train", 12, 40, {"loss": 2.31415, "tokens": 5_120})
    assert line == "progress train 12/40 loss=2.314 tokens=5120"
    assert parse_progress(line) == ProgressLine("train", 12, 40, {"loss": 2.314, "tokens": 5120.0})


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.from_regex(r"[a-z-]{1,10}", fullmatch=True), st.integers(0), st.integers(0), FIGURES)
def test_what_is_written_is_read_back(stage: str, done: int, total: int, figures: dict[str, float]) -> None:
    read = parse_progress("a Dagster prefix - " + format_progress(stage, done, total, figures) + "\n")
    assert read is not None and (read.stage, read.done, read.total) == (stage, done, total)
    assert read.figures.keys() == figures.keys()
    for name, value in figures.items():
        number = float(value)
        assert read.figures[name] == pytest.approx(number, rel=1e-3) or math.isnan(number)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "progress",
        "progress train",
        "progress train 1/",
        "progress train 1/2 loss=low",
        "progress train 1/2 loss=1.2.3",
        "progress train 1/2 and more",
        "making progress train 1/2 loss",
        "progress train ١/٢",
    ],
)
def test_other_text_is_no_progress(text: str) -> None:
    assert parse_progress(text) is None


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.text(), st.text())
def test_no_text_upsets_the_reader(before: str, after: str) -> None:
    parse_progress(f"{before}progress train 1/2 {after}")
