"""The history of rounds as it lies in the data folder."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from sedi_dagster.errors import StorageError
from sedi_dagster.records import CategoryPlan, RoundOutcome, RoundPlan, round_key
from sedi_dagster.storage.rounds import SEED_TASKS, LoopHistory, load_history, load_plan, save_plan, table_of
from sedi_dagster.storage.store import Store


def history(store: Store, *promoted: bool, still_open: bool = False) -> LoopHistory:
    for number in range(1, len(promoted) + 1 + still_open):
        save_plan(store, RoundPlan(round_key(number), None, "test", (CategoryPlan("math", 3, "test"),), number))
    for number, was_promoted in enumerate(promoted, 1):
        outcome = RoundOutcome(round_key(number), 1, 2, 100, 0.5, was_promoted)
        store.write_json({"outcome": outcome.to_json()}, "manifests", f"{round_key(number)}.json")
    return load_history(store)


def test_a_plan_without_a_manifest_is_the_open_round(tmp_path: Path) -> None:
    loaded = history(Store(str(tmp_path)), True, True, still_open=True)
    assert loaded.open_round is not None and loaded.open_round.round == "round-0003"
    assert [outcome.round for outcome in loaded.finished] == ["round-0001", "round-0002"]


def test_nothing_is_open_in_an_empty_folder(tmp_path: Path) -> None:
    loaded = load_history(Store(str(tmp_path)))
    assert loaded.open_round is None and loaded.finished == [] and load_plan(Store(str(tmp_path)), "round-0001") is None


def test_a_round_builds_on_the_last_promoted_one_before_it(tmp_path: Path) -> None:
    loaded = history(Store(str(tmp_path)), True, False, True)
    assert [loaded.promoted_before(round_key(n)) for n in (1, 2, 3, 4)] == [None, *["round-0001"] * 2, "round-0003"]


def test_a_table_about_a_checkpoint_is_found_with_what_made_it(tmp_path: Path) -> None:
    store, names = Store(str(tmp_path)), ("items", "seed_items", "seed_files")
    store.write_tables({name: pl.DataFrame({"of": [name]}) for name in names}, "baseline_scores")
    for asset, table in (("evaluation_scores", "items"), ("sft_checkpoint", "files")):
        store.write_tables({table: pl.DataFrame({"of": [asset]})}, asset, "round-0002")
    asked = [(None, "items"), *((at, table) for at in (SEED_TASKS, "round-0002") for table in ("items", "files"))]
    found = [store.read_table(*table_of(checkpoint, table))["of"][0] for checkpoint, table in asked]
    assert found == ["items", "seed_items", "seed_files", "evaluation_scores", "sft_checkpoint"]


def test_a_plan_half_written_by_a_killed_process_is_no_plan(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    history(store, True)
    store.path("plans", "round-0002.json.17-17.tmp").write_text("{")
    assert len(load_history(store).plans) == 1


@pytest.mark.parametrize(
    ("folder", "content"),
    [("plans", "{}"), ("plans", "null"), ("manifests", "[]"), ("manifests", '{"outcome": {"x": 1}}')],
)
def test_a_record_of_another_shape_is_told_with_its_file(tmp_path: Path, folder: str, content: str) -> None:
    store = Store(str(tmp_path))
    history(store, True, True)
    store.path(folder, "round-0002.json").write_text(content)
    with pytest.raises(
        StorageError, match=rf"(?s){folder}.round-0002.json is not in the format of this version.*backup"
    ):
        load_history(store)


def test_a_finished_round_without_its_plan_is_told_and_not_done_again(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    history(store, True, True)
    store.path("plans", "round-0001.json").unlink()
    with pytest.raises(StorageError, match=r"(?s)plans.round-0001.json is missing.*paid for again"):
        load_history(store)


def test_other_files_beside_plans_and_manifests_do_no_harm(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    loaded = history(store, True)
    for folder in ("plans", "manifests"):
        store.path(folder, "round-x.json").write_text("{}")
        store.path(folder, "notes.json").write_text("{}")
    assert load_history(store) == loaded
