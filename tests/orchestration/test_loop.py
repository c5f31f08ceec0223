"""The whole loop with a planted student: what holds over rounds, and what happens to a finished one."""

from __future__ import annotations

import json
from pathlib import Path

import dagster as dg
import polars as pl
import pytest
from loops import Loop

from benchmarks.testbed.planted_student import SPOILT
from sedi_dagster.errors import SediError
from sedi_dagster.orchestration.checking import BLOCKING, not_passed
from sedi_dagster.orchestration.due import due
from sedi_dagster.orchestration.home import restore
from sedi_dagster.orchestration.jobs import ROUND_ASSETS
from sedi_dagster.orchestration.state import read_state
from sedi_dagster.storage.superseding import superseded

pytestmark = pytest.mark.usefixtures("undrawn")

ROUND = "round-0001"
VERIFICATION = dg.AssetCheckKey(dg.AssetKey("lineage_manifest"), "the_data_folder_is_as_recorded")
ROUND_PARTITIONS = ("filtered_batches", "sft_checkpoint", "seed_feedback", "evaluation_scores", "lineage_manifest")


def test_two_rounds_are_trained_once_each_from_the_promoted_checkpoint_and_measured_with_it(
    loop: Loop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEDI_TEACHER_API_KEY", "not-for-a-workload-4711")
    assert loop.run(2) == "2 rounds are finished"
    first, second = loop.sedi.history().finished
    assert [(t["round"], t["parent"]) for t in loop.trainings()] == [
        (ROUND, None),
        ("round-0002", ROUND),
    ]
    assert not any(training["keys"] for training in loop.trainings())
    untrained = loop.tables("baseline_scores")["items"]["passed"].mean()
    assert isinstance(untrained, float) and untrained < first.score < second.score, "each is measured with its weights"
    assert first.promoted and second.promoted
    assert second.tokens > 0 and {c.category for c in second.categories if c.tokens} < {"math", "open_qa"}
    before = loop.tables("evaluation_scores", "round-0002")["before"]["passed"].mean()
    assert before == first.score, "promotion is against the checkpoint that is replaced"

    # a round's run leaves no check red, nor waits for verification, which comes last when the manifest is made by hand
    assert not loop.instance.event_log_storage.get_latest_asset_check_execution_by_key([VERIFICATION])
    by_hand = loop.materialize("lineage_manifest", ROUND).get_asset_check_evaluations()
    assert all(check.passed for check in by_hand) and by_hand[-1].asset_check_key == VERIFICATION

    # one request is one round, also after a longer run that ended by itself
    assert loop.run(1, ["math"]) == "3 rounds are finished in total"
    assert len(loop.trainings()) == 3

    # Dagster's records and ours are the same, and so they are once more after they were lost
    versions = {asset: loop.data_version(asset, ROUND) for asset in ROUND_PARTITIONS}
    store = loop.sedi.store()
    assert versions == {asset: (store.tables_marker(asset, ROUND) or {})["data_version"] for asset in versions}
    assert loop.tables("sft_dataset")["examples"].height == sum(done.kept for done in loop.sedi.history().finished)
    with dg.DagsterInstance.ephemeral() as fresh:
        lost = Loop(loop.project, fresh)
        assert lost.run(1, ["math"]) == "4 rounds are finished in total"
        assert {asset: lost.data_version(asset, ROUND) for asset in versions} == versions


def test_a_failed_blocking_check_and_a_changed_byte_in_a_promoted_checkpoint_are_never_walked_past(loop: Loop) -> None:
    loop.run(1)
    store, data = loop.sedi.store(), loop.project / "data"
    assert all(not not_passed(store, asset, ROUND) for asset in BLOCKING if asset in ROUND_PARTITIONS)
    (data / "manifests").rename(loop.project / "manifests")  # the round is open again
    (verdict,) = sorted((data / "checks" / "filtered_batches" / ROUND).glob("every_kept*.json"))
    passed = verdict.read_text()
    verdict.write_text(json.dumps({**json.loads(passed), "passed": False}))
    (step,) = due(read_state(loop.sedi, loop.instance, "test", since=1e12))
    assert getattr(step, "work", None) is not None and "filtered_batches" in step.work.assets  # type: ignore[union-attr]
    assert {"sft_checkpoint", "lineage_manifest"} <= set(step.work.assets)  # type: ignore[union-attr]

    verdict.write_text(passed)
    (loop.project / "manifests").rename(data / "manifests")
    weights = data / "checkpoints" / ROUND / "adapter_model.safetensors"
    weights.write_bytes(weights.read_bytes() + b" ")
    with pytest.raises(SediError, match=f"{ROUND}/adapter_model.safetensors is missing or was changed since training"):
        loop.run(1)
    assert len(loop.trainings()) == 1


@pytest.mark.slow
def test_a_training_that_fails_its_check_once_is_trained_again_and_only_that_is_built_on(
    loop: Loop, monkeypatch: pytest.MonkeyPatch
) -> None:
    spoilt = loop.project / "spoilt"
    spoilt.touch()
    monkeypatch.setenv(SPOILT, str(spoilt))
    with pytest.raises(SediError, match="losses_are_finite"):
        loop.run(1)
    assert not loop.sedi.history().finished
    loop.run(1)
    assert [training.get("spoilt", False) for training in loop.trainings()] == [True, False]
    assert [done.round for done in loop.sedi.history().finished] == [ROUND]
    assert loop.tables("sft_checkpoint", ROUND)["steps"]["loss"].is_finite().all()


def test_a_part_of_a_finished_round_that_is_made_again_is_superseded_on_record(loop: Loop) -> None:
    loop.run(1)
    before = loop.tables("filtered_batches", ROUND)["examples"]
    kept, version = before["example_id"].to_list(), loop.data_version("filtered_batches", ROUND)

    assert loop.materialize("filtered_batches", ROUND).success
    assert loop.data_version("filtered_batches", ROUND) == version, "the same again: nothing downstream is stale"
    assert superseded(loop.sedi.store(), ROUND) == []

    assert loop.materialize("filtered_batches", ROUND, batching={"composition": "sequential"}).success
    assert loop.data_version("filtered_batches", ROUND) != version
    (record,) = superseded(loop.sedi.store(), ROUND)
    assert record["partition"] == f"filtered_batches/{ROUND}" and record["was"] == version
    old = pl.read_parquet(loop.project / f"data/superseded/{ROUND}/0001/filtered_batches/{ROUND}/examples.parquet")
    assert old["example_id"].to_list() == kept, "what was exported has its trace"
    check = loop.instance.get_latest_asset_check_evaluation_record(
        dg.AssetCheckKey(dg.AssetKey("lineage_manifest"), "the_manifest_agrees_with_the_data")
    )
    assert check is not None and "superseded" in str(check.event)

    assert loop.materialize("filtered_batches", ROUND).success, "a second time, too"
    assert loop.data_version("filtered_batches", ROUND) == version and len(superseded(loop.sedi.store(), ROUND)) == 2


def test_lost_records_come_back_with_their_figures_in_their_order_also_after_a_partition_was_added_by_hand(
    loop: Loop,
) -> None:
    loop.run(1)
    assets = [dg.AssetKey(name) for name in ("seed_pool", "generated_batches", *ROUND_ASSETS)]
    with dg.DagsterInstance.ephemeral() as fresh:
        fresh.add_dynamic_partitions("rounds", [ROUND])
        restore(fresh, loop.sedi)
        assert restore(fresh, loop.sedi) == [], "once"
        made = [_newest(fresh, asset) for asset in assets]
        assert [number for number, _ in made] == sorted(number for number, _ in made), "in the order of their making"
        for asset, (_, event) in zip(assets, made, strict=True):
            before = _newest(loop.instance, asset)[1]
            assert event.partition == before.partition
            figures = {name: value for name, value in before.metadata.items() if isinstance(value.value, int | float)}
            assert figures.items() <= dict(event.metadata).items(), asset

    # nor is the dataset what Dagster knows of, but what the data folder holds
    rows = loop.tables("sft_dataset")["examples"].height
    loop.instance.delete_dynamic_partition("rounds", ROUND)
    assert loop.materialize("sft_dataset").success
    assert loop.tables("sft_dataset")["examples"].height == rows > 0


def _newest(instance: dg.DagsterInstance, asset: dg.AssetKey) -> tuple[int, dg.AssetMaterialization]:
    (record,) = instance.fetch_materializations(asset, limit=1).records
    event = record.event_log_entry.asset_materialization
    assert event is not None
    return record.storage_id, event


def test_the_launchpads_overrides_hold_for_the_storage_too(loop: Loop, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    assert loop.materialize("seed_pool", data=str(elsewhere)).success
    assert (elsewhere / "assets" / "seed_pool" / "_tables.json").exists()
    assert not (loop.project / "data" / "assets").exists()


def test_the_dataset_is_empty_before_the_first_round(loop: Loop) -> None:
    assert loop.materialize("sft_dataset").success
    assert loop.tables("sft_dataset")["examples"].is_empty()
