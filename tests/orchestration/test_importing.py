"""Candidates made elsewhere become a round: judged, trained on, exported and traced as the loop's own."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest
from click.testing import CliRunner
from loops import Loop

from benchmarks.testbed.faulty_teacher import FaultyTeacher
from sedi_dagster.cli import main
from sedi_dagster.datafiles import Problems
from sedi_dagster.errors import SediError
from sedi_dagster.orchestration.importing import import_file
from sedi_dagster.settings import load_settings

pytestmark = pytest.mark.usefixtures("undrawn")

INSTRUCTIONS = (
    "Explain to a new neighbour why the roofs here are so steep.",
    "List what a ferry needs before it may leave the harbour.",
    "Compare salt lakes with fresh ones in a short paragraph.",
    "How does a kite made of paper stay in the air?",
    "Give advice to somebody who mends a stone wall alone.",
    "Write a friendly note that cancels a trip by night train.",
)
ROWS = [
    {
        "instruction": instruction,
        "generation": f"Here is answer number {n}.",
        "model_name": "some-large-model",
        "distilabel_metadata": {"step": n},
    }
    for n, instruction in enumerate(INSTRUCTIONS)
]


@pytest.fixture
def made_elsewhere(project: Path) -> Path:
    path = project / "distilabel.parquet"
    again = {**ROWS[0], "generation": "It was a matter of taste."}
    pl.DataFrame([*ROWS, again]).write_parquet(path)
    return path


def test_an_imported_round_goes_through_the_loop_without_a_teacher(
    loop: Loop, made_elsewhere: Path, simulated_teacher: FaultyTeacher
) -> None:
    done = CliRunner().invoke(main, ["import", str(made_elsewhere), "--into", "math"])
    assert done.exit_code == 0, done.output
    assert "round-0001 has 7 candidates: math (7)" in done.output
    assert "7 rows have fields that are ignored: model_name (7), distilabel_metadata (7)" in done.output

    assert "1 round is finished" in loop.run(1)
    assert not simulated_teacher.meter.as_dict()["billed"]

    candidates = loop.tables("generated_batches", "round-0001", "math")["candidates"]
    assert set(candidates["method"]) == {"imported"} and set(candidates["teacher"]) == {"some-large-model"}
    assert candidates["prompt_version"][0].startswith("distilabel.parquet@")
    assert json.loads(candidates["raw"][3])["distilabel_metadata"] == {"step": 3}

    judged = loop.tables("filtered_batches", "round-0001")
    by_id = dict(judged["verdicts"].select("candidate_id", "rule").iter_rows())
    assert by_id.pop(candidates["candidate_id"][6]) == "same_input_different_outputs"
    assert set(by_id.values()) == {None}
    trained = judged["batches"].filter(pl.col("origin") == "machine")["example_id"]
    assert set(trained) == set(by_id)
    exported = pl.read_parquet(loop.project / "data" / "exports" / "sft_dataset.parquet")
    assert set(exported["example_id"]) == set(by_id)
    traced = CliRunner().invoke(main, ["trace", next(iter(by_id))])
    assert traced.exit_code == 0 and "distilabel.parquet@" in traced.output, traced.output
    verified = CliRunner().invoke(main, ["verify"])
    assert verified.exit_code == 0, verified.output


def test_rows_without_a_category_get_that_of_the_seeds_they_are_most_like(project: Path) -> None:
    path = project / "rows.jsonl"
    rows = [{"instruction": "A box holds 12 eggs. How many are in 7 boxes?", "output": "12 x 7 = 84"}, ROWS[0]]
    path.write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    problems = Problems(path)
    plan = import_file(path, load_settings(), problems)
    assert {c.category: c.candidates for c in plan.categories} == {"math": 1, "open_qa": 1}
    assert any("most similar" in note for note in problems.note_lines())


def test_a_category_of_rows_that_there_is_not_is_named(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = project / "own.yaml"
    own.write_text((project / "categories.yaml").read_text().replace("id: ", "id: my_").replace("name: ", "name: my_"))
    monkeypatch.setenv("SEDI_CATEGORIES", str(own))
    path = project / "rows.jsonl"
    path.write_text(json.dumps({**ROWS[0], "category": "poetry"}))
    with pytest.raises(SediError, match="name no known category, but 'poetry'"):
        import_file(path, load_settings(), Problems(path))


def test_nothing_is_imported_into_a_round_that_is_open_or_a_category_that_there_is_not(made_elsewhere: Path) -> None:
    settings = load_settings()
    with pytest.raises(SediError, match="Unknown category: poetry"):
        import_file(made_elsewhere, settings, Problems(made_elsewhere), into="poetry")
    import_file(made_elsewhere, settings, Problems(made_elsewhere), into="math")
    with pytest.raises(SediError, match="round-0001 is open, started by sedi import"):
        import_file(made_elsewhere, settings, Problems(made_elsewhere), into="math")
