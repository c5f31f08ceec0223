"""On an empty instance every obvious click works."""

from __future__ import annotations

import os
from collections import defaultdict

import dagster as dg
import pytest
from loops import Loop

from sedi_dagster.orchestration.columns import TABLES
from sedi_dagster.orchestration.home import prepare_for_ui
from sedi_dagster.orchestration.partitions import ROUNDS, partition_path
from sedi_dagster.settings import SIMULATED

CELLS = ("math|round-0001", "open_qa|round-0001")
ROUND = ("filtered_batches", "sft_checkpoint", "seed_feedback", "evaluation_scores", "lineage_manifest", "round_report")


def test_materialize_all_makes_the_first_round_from_nothing_with_its_plots_and_pages(
    loop: Loop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEDI_TEACHER_BASE_URL", "simulated:")
    loop.instance.add_dynamic_partitions(str(ROUNDS.name), ["round-0001"])
    wanted: list[tuple[str, str | None]] = [("seed_pool", None), ("baseline_scores", None), ("sft_dataset", None)]
    wanted += [("morning_page", None), *(("generated_batches", cell) for cell in CELLS)]
    wanted += [*((asset, "round-0001") for asset in ROUND), ("sft_dataset", None)]
    columns: dict[str, set[str]] = defaultdict(set)
    for asset, partition in wanted:
        run = loop.materialize(asset, partition)
        assert run.success, (asset, partition)
        event = next(event for event in run.all_events if event.is_step_materialization)
        metadata = event.step_materialization_data.materialization.metadata
        assert metadata["teacher"].value == SIMULATED, f"{asset} does not say that it is a rehearsal"
        assert "dagster/row_count" in metadata and "dagster/column_schema" in metadata and "dagster/uri" in metadata
        for name, table in loop.tables(asset, *partition_path(partition)).items():
            columns[name] |= set(table.columns)
        for value in metadata.values():
            if isinstance(value, dg.TableSchemaMetadataValue):
                untold = [column.name for column in value.schema.columns if not column.description]
                assert not untold, f"{asset}: columns without a description"
    unknown = {name: set(told) - columns[name] for name, told in TABLES.items() if not name.startswith("seed_")}
    assert not any(unknown.values()), "described, and not there"
    history = loop.sedi.history()
    assert [plan.trigger for plan in history.plans] == ["person"] and not history.open_round
    for page in ("round-0001", "index", "morning"):
        assert "SIMULATED" in loop.sedi.store().path("reports", f"{page}.html").read_text()
    assert "SIMULATED" in loop.sedi.store().path("exports", "README.md").read_text()
    plots_are_files_that_short_metadata_links_to(loop)


def plots_are_files_that_short_metadata_links_to(loop: Loop) -> None:
    for asset, name in (("sft_checkpoint", "loss_and_gradient_norm"), ("round_report", "scores")):
        records = dg.AssetRecordsFilter(dg.AssetKey(asset), asset_partitions=["round-0001"])
        event = loop.instance.fetch_materializations(records, limit=1).records[0].asset_materialization
        assert event is not None
        shown = str(event.metadata[name].value)
        path = f"plots/{asset}/round-0001/{name}.png"
        assert shown.endswith(f"(/sedi/{path})") and loop.sedi.store().path(path).read_bytes().startswith(b"\x89PNG")
        assert sum(len(str(value.value)) for value in event.metadata.values()) < 20_000


def test_a_cell_of_no_round_says_what_to_press(loop: Loop) -> None:
    loop.instance.add_dynamic_partitions(str(ROUNDS.name), ["round-0009"])
    loop.materialize("seed_pool")
    run = loop.materialize("generated_batches", "math|round-0009")
    failure = run.failure_data_for_node("generated_batches")
    assert failure is not None and failure.user_failure_data is not None
    assert "open_round" in str(failure.user_failure_data.description)
    assert loop.sedi.history().plans == ()


def test_the_ui_finds_the_cells_of_the_first_round_missing_not_green(project: object) -> None:
    prepare_for_ui("local")
    with dg.DagsterInstance.get() as instance:
        assert instance.get_dynamic_partitions(str(ROUNDS.name)) == ["round-0001"]
    assert "DAGSTER_HOME" in os.environ
