"""The check of the pool reads the rounds before it, and warns without blocking."""

from __future__ import annotations

from pathlib import Path

import dagster as dg
import polars as pl
import pytest

from sedi_dagster.orchestration.checks import the_pool_stays_diverse
from sedi_dagster.orchestration.composing import DIVERSITY_SCHEMA
from sedi_dagster.orchestration.partitions import ROUNDS
from sedi_dagster.orchestration.resources import SediResource
from sedi_dagster.records import RoundOutcome, RoundPlan, round_key
from sedi_dagster.rounds import save_plan


def diversity(value: float, model: str = "m") -> pl.DataFrame:
    rows = [
        ("batches", "distance", 0.9, 0.8, model),
        ("pool", "equal_size_distance", value, None, model),
        ("pool", "equal_size_error", 0.004, None, model),
    ]
    return pl.DataFrame(rows, schema=DIVERSITY_SCHEMA, orient="row")


def checked(tmp_path: Path, *rounds: pl.DataFrame) -> dg.AssetCheckResult:
    sedi = SediResource(overrides={"data": str(tmp_path)})
    for number, table in enumerate(rounds, start=1):
        key = round_key(number)
        save_plan(sedi.store(), RoundPlan(key, None, "test", (), number))
        sedi.store().write_tables({"diversity": table}, "filtered_batches", key)
        if number < len(rounds):
            outcome = RoundOutcome(key, 1, 1, 1, 0.5, True, ())
            sedi.store().write_json({"outcome": outcome.to_json()}, "manifests", f"{key}.json")
    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions(ROUNDS.name or "", [round_key(len(rounds))])
        context = dg.build_asset_context(partition_key=round_key(len(rounds)), instance=instance)
        result = the_pool_stays_diverse(context, sedi=sedi)
    assert isinstance(result, dg.AssetCheckResult)
    return result


def test_a_pool_that_draws_together_gets_a_warning_that_names_the_figures(tmp_path: Path) -> None:
    result = checked(tmp_path, diversity(0.5), diversity(0.5), diversity(0.45), diversity(0.42))
    assert not result.passed and result.severity == dg.AssetCheckSeverity.WARN
    assert "0.420" in str(result.description) and "0.500" in str(result.description)


@pytest.mark.parametrize("values", [(0.5,), (0.5, 0.5, 0.5, 0.5), (0.5, 0.42, 0.5, 0.49)])
def test_a_pool_that_stays_as_it_is_passes(tmp_path: Path, values: tuple[float, ...]) -> None:
    assert checked(tmp_path, *(diversity(value) for value in values)).passed


def test_rounds_measured_with_another_embedding_model_do_not_count(tmp_path: Path) -> None:
    result = checked(tmp_path, diversity(0.9, "old"), diversity(0.9, "old"), diversity(0.5), diversity(0.5))
    assert result.passed and result.metadata["rounds_measured"].value == 2


def test_a_round_without_enough_examples_for_the_measure_passes(tmp_path: Path) -> None:
    assert checked(tmp_path, diversity(0.5).head(1)).passed
