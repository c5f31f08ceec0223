"""`sedi filter`: verdicts for the rows of any file, without a loop."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
from click.testing import CliRunner, Result

from sedi_dagster.cli import main

ROWS = [
    {"instruction": "Explain why rivers meander in flat country.", "output": "They erode their outer banks."},
    {"instruction": "Explain why rivers meander in flat countries.", "output": "<script>alert(1)</script>"},
    {"instruction": "Describe the picture that hangs above my desk.", "output": "A lake."},
    {"instruction": "Summarise the text.", "input": "Ice floats.", "output": "It floats.", "category": "summarization"},
    {"instruction": "Translate the text into French.", "input": "Ice floats.", "output": "La glace flotte."},
    {"instruction": "Translate the text into French.", "input": "Snow falls.", "output": "La neige tombe."},
    {"instruction": "Translate the text into French.", "input": "Snow falls.", "output": "Il neige."},
    {"instruction": "请用三句话解释为什么天空是蓝色的。", "output": "因为空气散射蓝光。"},
    {"instruction": "Name the longest river of Peru, please.", "output": None},
]


def filtered(tmp_path: Path, *options: str) -> tuple[Result, Path]:
    path = tmp_path / "rows.jsonl"
    path.write_text("\n".join(json.dumps(row) for row in ROWS), encoding="utf-8")
    out = tmp_path / "out"
    done = CliRunner().invoke(main, ["filter", str(path), "--out", str(out), *options], catch_exceptions=False)
    return done, out


def test_every_readable_row_has_a_verdict_and_the_rest_is_told(tmp_path: Path) -> None:
    done, out = filtered(tmp_path)
    assert done.exit_code == 0, done.output
    verdicts = pl.read_parquet(out / "verdicts.parquet")
    assert dict(verdicts.select("row", "rule").iter_rows()) == {
        "line 1": None,
        "line 2": "near_duplicate",
        "line 3": "unservable_keyword",
        "line 4": "too_short",
        "line 5": None,
        "line 6": None,
        "line 7": "same_input_different_outputs",
        "line 8": None,
    }
    assert verdicts.filter(pl.col("row") == "line 2")["neighbour_row"].to_list() == ["line 1"]
    assert "4 of 8 rows are kept (50.0%)" in done.output
    assert "1 row(s) that could not be read" in done.output and "line 9, field 'output': is missing" in done.output
    kept = [json.loads(line) for line in (out / "kept.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [row["output"] for row in kept] == [ROWS[n]["output"] for n in (0, 4, 5, 7)]


def test_the_page_shows_each_rule_with_rows_and_escapes_what_is_in_them(tmp_path: Path) -> None:
    _, out = filtered(tmp_path)
    page = (out / "report.html").read_text(encoding="utf-8")
    assert "near_duplicate" in page and "is too close to line 1" in page
    assert "line 9, field" in page and "<script>" not in page


def test_rows_must_differ_from_another_file_too(tmp_path: Path) -> None:
    other = tmp_path / "mine.csv"
    other.write_text(f"question,answer\n{ROWS[0]['instruction']},Because.\n", encoding="utf-8")
    _, out = filtered(tmp_path, "--against", str(other))
    first = pl.read_parquet(out / "verdicts.parquet").row(0, named=True)
    assert (first["rule"], first["neighbour_row"]) == ("exact_duplicate", "mine.csv row 1")
