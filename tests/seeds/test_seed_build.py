"""What is generated in `seeds/` is what its scripts generate."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from types import ModuleType

import polars as pl
import pytest

SEEDS = Path(__file__).resolve().parents[2] / "seeds"


@pytest.fixture
def scripts() -> tuple[ModuleType, ModuleType]:
    """`seeds/build.py` and `seeds/table.py` as modules."""
    loaded = []
    for name in ("build", "table"):
        spec = importlib.util.spec_from_file_location(f"seeds_{name}", SEEDS / f"{name}.py")
        assert spec and spec.loader
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        loaded.append(module)
    return loaded[0], loaded[1]


def test_building_the_items_changes_nothing(scripts: tuple[ModuleType, ModuleType]) -> None:
    build, _ = scripts
    assert build.built_items() == (SEEDS / "evaluation_items.jsonl").read_text(encoding="utf-8")


def test_the_build_script_runs_from_any_folder_and_writes_its_own_only(tmp_path: Path) -> None:
    copy = tmp_path / "seeds"
    (copy / "templates").mkdir(parents=True)
    (copy / "build.py").write_bytes((SEEDS / "build.py").read_bytes())
    (copy / "templates" / "math.py").write_bytes((SEEDS / "templates" / "math.py").read_bytes())
    (copy / "evaluation_items.jsonl").write_text('{"id": "math-x", "category": "math", "origin": "template:old"}\n')
    subprocess.run([sys.executable, copy / "build.py"], check=True, cwd=tmp_path)
    lines = (copy / "evaluation_items.jsonl").read_text(encoding="utf-8").splitlines()
    assert len(lines) == 50
    assert "template:old" not in "".join(lines)


def test_at_most_half_of_a_category_comes_from_templates(scripts: tuple[ModuleType, ModuleType]) -> None:
    _, table = scripts
    for category, rows in table.by_category(table.rows_of("evaluation_items.jsonl")).items():
        made = [row for row in rows if row["origin"] != "written"]
        assert 2 * len(made) <= len(rows), category
        assert max(Counter(row["cluster"] for row in made).values()) <= 10, category


def test_the_table_in_the_readme_is_that_of_the_files(scripts: tuple[ModuleType, ModuleType]) -> None:
    """All but the columns which try all answers on all items; `test_the_whole_table_is_current` has them."""
    _, table = scripts
    readme = (SEEDS / "README.md").read_text(encoding="utf-8")
    items = table.by_category(table.rows_of("evaluation_items.jsonl"))
    for category, seeds in table.by_category(table.rows_of("seed_tasks.jsonl")).items():
        assert f"| {' | '.join([category, *table.content_cells(seeds, items[category])])} |" in readme


@pytest.mark.slow
def test_the_whole_table_is_current(scripts: tuple[ModuleType, ModuleType]) -> None:
    _, table = scripts
    assert f"{table.START}\n{table.table()}\n{table.END}" in (SEEDS / "README.md").read_text(encoding="utf-8")


def test_student_scores_are_shown_only_for_the_items_they_were_measured_on(
    scripts: tuple[ModuleType, ModuleType], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, table = scripts
    items = {"math": [row for row in table.rows_of("evaluation_items.jsonl") if row["category"] == "math"][:10]}
    results = tmp_path / "items.parquet"
    ids = [row["id"] for row in items["math"]]
    pl.DataFrame({"item_id": ids, "passed": [True] * 4 + [False] * 6}).write_parquet(results)
    monkeypatch.setattr(table, "SEEDS", tmp_path)
    table.take_in_student(results, items)
    measured = json.loads((tmp_path / "untrained_student.json").read_text())["math"]
    assert table.student_cell(items["math"], measured) == "40% (17% to 69%)"
    assert table.student_cell(items["math"][:9], measured) == "items changed since"
    with pytest.raises(SystemExit, match="lacks 1 items"):
        table.take_in_student(results, {"math": [*items["math"], {**items["math"][0], "id": "math-new"}]})
