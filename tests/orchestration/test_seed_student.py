"""The student of the human seed tasks alone: trained once, measured beside the untrained one, built on if better."""

from pathlib import Path

import dagster as dg
import polars as pl
import pytest

from assets.baseline_scores import baseline_scores
from assets.seed_pool import seed_pool
from sedi_dagster.orchestration.evaluating import evaluation_fingerprint
from sedi_dagster.orchestration.io_manager import TablesIOManager
from sedi_dagster.orchestration.planning import starting_scores
from sedi_dagster.orchestration.resources import SediResource
from sedi_dagster.orchestration.round_inputs import promoted_checkpoint
from sedi_dagster.records import Tables
from sedi_dagster.storage.rounds import SEED_TASKS


def measured(project: Path, instance: dg.DagsterInstance) -> Tables:
    sedi = SediResource()
    resources = {"sedi": sedi, "io_manager": TablesIOManager(sedi=sedi)}
    assert dg.materialize([seed_pool, baseline_scores], instance=instance, resources=resources).success
    return sedi.store().read_tables("baseline_scores")


@pytest.mark.usefixtures("warm_worker")
def test_it_is_trained_on_the_seed_tasks_and_measured_on_the_same_items(
    project: Path, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEDI_TRAINING_SEED_EPOCHS", "2")
    monkeypatch.setenv("SEDI_TRAINING_HELD_OUT_SHARE", "0.2")
    tables = measured(project, instance)
    steps, held_out = tables["seed_steps"], tables["seed_heldout"]
    assert steps.height == 6, "two passes over twelve seed tasks less two held out, in batches of four"
    assert set(held_out["category"]) == {"math", "open_qa"} and set(held_out["step"]) == {0, 6}
    assert tables["seed_items"]["item_id"].equals(tables["items"]["item_id"])
    assert not tables["seed_items"]["reference_loss"].equals(tables["items"]["reference_loss"])
    store = SediResource().store()
    for file in tables["seed_files"]["file"]:
        assert store.path("checkpoints", SEED_TASKS, file).exists()


@pytest.mark.parametrize("start", [SEED_TASKS, ""])
def test_the_first_round_builds_on_the_better_of_the_two(project: Path, start: str) -> None:
    sedi = SediResource()
    assert promoted_checkpoint(sedi, "round-0001") is None, "nothing was measured yet"
    sedi.store().write_tables({"origin": pl.DataFrame({"fingerprint": ["f"], "start": [start]})}, "baseline_scores")
    assert promoted_checkpoint(sedi, "round-0001") == (start or None)


def test_other_seed_tasks_or_another_way_to_train_on_them_ask_for_a_new_measurement(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = {evaluation_fingerprint(SediResource())}
    monkeypatch.setenv("SEDI_TRAINING_SEED_EPOCHS", "4")
    found.add(evaluation_fingerprint(SediResource()))
    file = project / "seeds.jsonl"
    file.write_text(file.read_text().replace("how many pens", "how many pencils"), encoding="utf-8")
    found.add(evaluation_fingerprint(SediResource()))
    assert len(found) == 3


@pytest.mark.parametrize(("start", "scores"), [(SEED_TASKS, {"math": 0.5}), ("", {"math": 0.0})])
def test_learning_curves_begin_with_the_student_that_the_first_round_builds_on(
    project: Path, start: str, scores: dict[str, float]
) -> None:
    sedi = SediResource()
    assert starting_scores(sedi) == {}, "nothing was measured yet"
    items = {
        name: pl.DataFrame({"category": ["math"] * 2, "passed": [False, name == "seed_items"]})
        for name in ("items", "seed_items")
    }
    origin = pl.DataFrame({"fingerprint": ["f"], "start": [start]})
    sedi.store().write_tables({**items, "origin": origin}, "baseline_scores")
    assert starting_scores(sedi) == scores
