"""The code location: what is in it, and what loading it costs."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import dagster as dg
import pytest

from sedi_dagster.definitions import defs
from sedi_dagster.errors import SettingsError
from sedi_dagster.orchestration.schedules import _with_valid_crons
from sedi_dagster.settings import PROJECT_ROOT, LoopSettings
from sedi_dagster.settings.env_example import env_example

HEAVY = (
    "openai",
    "aiohttp",
    "torch",
    "transformers",
    "trl",
    "sentence_transformers",
    "lancedb",
    "datasets",
    "peft",
    "sklearn",
    "matplotlib",
    "numba",
    "ray",
    "dagster_ray",
)


@pytest.fixture(scope="module")
def repository() -> dg.RepositoryDefinition:
    return defs().get_repository_def()


@pytest.fixture(scope="module")
def loaded_apart() -> tuple[str, list[str]]:
    """The heavy libraries and the schedules of a code location that a process of its own has loaded."""
    code = (
        f"import sys, sedi_dagster.definitions as d; made = d.defs(); print([m for m in {HEAVY!r} if m in sys.modules])"
        "; print(*(f'{s.execution_timezone} {s.cron_schedule}' for s in made.schedules), sep='\\n')"
    )
    chosen = {"SEDI_LOOP_NIGHTLY_TIMEZONE": "Europe/Berlin", "SEDI_LOOP_VERIFICATION_CRON": "30 3 * * *"}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={name: value for name, value in os.environ.items() if not name.startswith("SEDI_")} | chosen,
    )
    heavy, *schedules = done.stdout.splitlines()
    return heavy, schedules


def test_loading_the_code_location_imports_no_heavy_library(loaded_apart: tuple[str, list[str]]) -> None:
    heavy, _ = loaded_apart
    assert heavy == "[]"


def test_no_asset_is_lost(repository: dg.RepositoryDefinition) -> None:
    assert {key.to_user_string() for key in repository.asset_graph.get_all_asset_keys()} == {
        "seed_pool",
        "generated_batches",
        "filtered_batches",
        "sft_checkpoint",
        "seed_feedback",
        "evaluation_scores",
        "round_report",
        "lineage_manifest",
        "baseline_scores",
        "sft_dataset",
        "morning_page",
    }


def test_the_lineage_goes_from_seeds_to_report(repository: dg.RepositoryDefinition) -> None:
    graph = repository.asset_graph
    upstream = graph.get_ancestor_asset_keys(dg.AssetKey("round_report"))
    text = {key.to_user_string() for key in upstream}
    assert {"seed_pool", "generated_batches", "filtered_batches", "sft_checkpoint", "evaluation_scores"} <= text


def test_every_asset_says_what_it_holds(repository: dg.RepositoryDefinition) -> None:
    for key in repository.asset_graph.get_all_asset_keys():
        assert len(repository.asset_graph.get(key).description or "") > 60, key


def test_sensors_schedule_and_jobs_are_there(repository: dg.RepositoryDefinition) -> None:
    assert {s.name for s in repository.sensor_defs} >= {"weak_category_sensor", "round_ready_sensor"}
    assert {s.name for s in repository.schedule_defs} == {
        "nightly_regeneration",
        "nightly_verification",
        "morning_summary",
    }
    assert set(repository.job_names) >= {"prepare", "generate_batch", "train_round", "open_round"}


def test_the_blocking_checks_are_there(repository: dg.RepositoryDefinition) -> None:
    blocking = {key.name for key in repository.asset_graph.asset_check_keys if repository.asset_graph.get(key).blocking}
    assert blocking == {
        "every_seed_task_is_whole",
        "every_candidate_has_its_call",
        "every_candidate_has_one_verdict",
        "every_kept_example_is_trained_once",
        "no_evaluation_item_is_trained_on",
        "kept_examples_are_novel",
        "losses_are_finite",
        "the_composed_batches_were_trained",
        "the_weights_are_as_written",
        "human_seeds_stay",
        "baseline_scores_are_in_range",
        "scores_are_in_range",
        "the_dataset_is_what_the_rounds_kept",
    }


def test_every_asset_has_a_group_an_owner_and_says_what_it_spends(repository: dg.RepositoryDefinition) -> None:
    graph = repository.asset_graph
    for key in graph.get_all_asset_keys():
        node = graph.get(key)
        assert node.group_name not in ("", "default") and node.owners and "spends" in node.tags, key
    assert graph.get(dg.AssetKey("evaluation_scores")).freshness_policy is not None


def test_a_schedule_that_is_none_is_an_error_of_its_setting() -> None:
    with pytest.raises(SettingsError, match="SEDI_LOOP_MORNING_CRON: '0 25"):
        _with_valid_crons(LoopSettings(morning_cron="0 25 * * *"))


def test_sensors_schedules_and_jobs_say_what_they_do(repository: dg.RepositoryDefinition) -> None:
    for definition in (*repository.sensor_defs, *repository.schedule_defs):
        assert len(definition.description or "") > 40, definition.name
    for name in set(repository.job_names) - {"__ASSET_JOB"}:
        assert len(repository.get_job(name).description or "") > 40, name


def test_every_asset_says_where_to_start_and_every_partition_is_a_run_of_its_own(
    repository: dg.RepositoryDefinition,
) -> None:
    graph = repository.asset_graph
    for key in graph.get_all_asset_keys():
        node = graph.get(key)
        assert "How it is made" in (node.description or ""), key
        assert not node.is_partitioned or node.backfill_policy == dg.BackfillPolicy.multi_run(1), key


def test_every_schedule_is_in_the_time_zone_of_the_settings(loaded_apart: tuple[str, list[str]]) -> None:
    _, schedules = loaded_apart
    assert len(schedules) == 3 and all(line.startswith("Europe/Berlin ") for line in schedules)
    assert "Europe/Berlin 30 3 * * *" in schedules


def test_report_and_dataset_are_made_again_when_the_manifest_was_and_not_before_there_is_one() -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions("rounds", ["round-0001"])
        first = dg.evaluate_automation_conditions(defs=defs(), instance=instance)
        assert first.total_requested == 0
        for name in ("filtered_batches", "sft_checkpoint", "evaluation_scores"):
            instance.report_runless_asset_event(dg.AssetMaterialization(name, partition="round-0001"))
        second = dg.evaluate_automation_conditions(defs=defs(), instance=instance, cursor=first.cursor)
        assert second.total_requested == 0
        instance.report_runless_asset_event(dg.AssetMaterialization("lineage_manifest", partition="round-0001"))
        third = dg.evaluate_automation_conditions(defs=defs(), instance=instance, cursor=second.cursor)
        assert third.get_requested_partitions(dg.AssetKey("round_report")) == {"round-0001"}
        assert third.total_requested == 2, "the dataset too"


def test_env_example_lists_every_setting_as_it_is() -> None:
    written = (PROJECT_ROOT / ".env.example").read_text(encoding="utf-8")
    assert written == env_example(), "run: python -m sedi_dagster.settings.env_example > .env.example"


def test_settings_shown_in_manifests_hold_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    from sedi_dagster.settings import load_settings

    monkeypatch.setenv("SEDI_TEACHER_API_KEY", "planted-key-4711")
    assert "planted-key-4711" not in json.dumps(load_settings().public()) + repr(load_settings())
