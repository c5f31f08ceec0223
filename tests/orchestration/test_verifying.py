"""The nightly check says what `sedi verify` says, and no round waits for it."""

from __future__ import annotations

from pathlib import Path

import dagster as dg
import pytest

from sedi_dagster.definitions import build_defs
from sedi_dagster.storage.store import Store

VERIFY = "verify_records"
CHECK = "lineage_manifest_the_data_folder_is_as_recorded"


def verified(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dg.AssetCheckEvaluation:
    monkeypatch.setenv("SEDI_DATA", str(tmp_path))
    with dg.DagsterInstance.ephemeral() as instance:
        done = build_defs().resolve_job_def(VERIFY).execute_in_process(instance=instance)
    (evaluation,) = done.get_asset_check_evaluations()
    return evaluation


def test_the_job_of_the_night_fails_its_check_with_the_name_of_what_it_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(str(tmp_path))
    assert verified(tmp_path, monkeypatch).passed
    store.write_text("{}", "reports", "round-0001.html")
    evaluation = verified(tmp_path, monkeypatch)
    assert not evaluation.passed and "no origin: reports/round-0001.html" in str(evaluation.description)


def test_a_round_is_not_held_up_by_verification() -> None:
    steps = {job: {node.name for node in build_defs().resolve_job_def(job).nodes} for job in ("train_round", VERIFY)}
    assert steps[VERIFY] == {CHECK}
    assert "lineage_manifest" in steps["train_round"] and CHECK not in steps["train_round"]
