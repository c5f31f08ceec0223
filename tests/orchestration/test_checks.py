"""The check of the pool reads the rounds before it, and warns without blocking."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import pytest
from loops import Loop

from sedi_dagster.orchestration.catalogue import CATALOGUE
from sedi_dagster.orchestration.checking import BLOCKING, CHECKS, not_passed
from sedi_dagster.orchestration.checks import keep_rate_fell, kept_examples_are_novel, the_pool_stays_diverse
from sedi_dagster.orchestration.composing import DIVERSITY_SCHEMA
from sedi_dagster.orchestration.partitions import ROUNDS, partition_path
from sedi_dagster.orchestration.resources import SediResource
from sedi_dagster.records import RoundOutcome, RoundPlan, Tables, round_key
from sedi_dagster.storage.rounds import save_plan

Defect = Callable[[Tables], Tables]


def _changed(table: str, **columns: Any) -> Defect:
    """The tables with columns of one of them replaced."""
    made = {name: value if isinstance(value, pl.Expr) else pl.lit(value) for name, value in columns.items()}
    return lambda tables: {**tables, table: tables[table].with_columns(**made)}


def _twice(table: str) -> Defect:
    return lambda tables: {**tables, table: pl.concat([tables[table], tables[table].head(1)])}


def _without_first(table: str) -> Defect:
    return lambda tables: {**tables, table: tables[table].slice(1)}


DEFECTS: dict[str, Defect] = {
    "every_seed_task_is_whole": _changed("seeds", output=""),
    "every_candidate_has_its_call": _changed("candidates", instruction_key="no such call"),
    "the_budget_held": _changed("result", stopped="budget"),
    "every_candidate_has_one_verdict": _without_first("verdicts"),
    "every_kept_example_is_trained_once": _twice("batches"),
    "no_evaluation_item_is_trained_on": _changed("batches", prompt="Name the colour number 1 of math."),
    "kept_examples_are_novel": _twice("examples"),
    "the_keep_rate_does_not_fall": lambda tables: {
        **tables,
        "examples": tables["examples"].clear(),
        "verdicts": pl.concat([tables["verdicts"]] * 5),  # of few it may be chance
    },
    "losses_are_finite": _changed("steps", loss=float("nan")),
    "the_composed_batches_were_trained": _changed("steps", example_ids=pl.col("example_ids").list.reverse()),
    "human_seeds_stay": _without_first("seeds"),
    "baseline_scores_are_in_range": _changed("items", score=1.5),
    "scores_are_in_range": _twice("items"),
    "no_category_is_stuck": _changed("categories", decision="stuck"),
    "the_checkpoint_was_promoted": _changed("promotion", promoted=False),
    "the_report_is_there": _changed("pages", sha256="other"),
    "the_dataset_is_what_the_rounds_kept": _without_first("examples"),
}
"""What each check must notice, planted in data that passes."""
BY_CHANCE = {"the_keep_rate_does_not_fall"}
"""May also fail on whole data: the simulated teacher writes at random, and a round here has few candidates."""


@pytest.mark.usefixtures("undrawn")
def test_every_check_passes_on_whole_data_and_fails_on_its_planted_defect(loop: Loop) -> None:
    loop.run(2)
    store, judged = loop.sedi.store(), set()
    for definition in CHECKS:
        (spec,) = definition.check_specs
        if spec.name not in DEFECTS:
            continue
        asset, last = spec.asset_key.path[-1], loop.sedi.history().plans[-1]
        partition = None
        if definition.partitions_def is not None:
            partition = f"{last.category_ids[0]}|{last.round}" if asset == "generated_batches" else last.round
        context = dg.build_asset_context(instance=loop.instance, partition_key=partition)
        parts = (asset, *partition_path(partition))
        whole = store.read_tables(*parts)
        assert definition(context, sedi=loop.sedi).passed or spec.name in BY_CHANCE, spec.name
        store.write_tables(DEFECTS[spec.name](whole), *parts)
        found = definition(context, sedi=loop.sedi)
        assert not found.passed, spec.name
        assert (found.severity == dg.AssetCheckSeverity.ERROR) == (spec.name in BLOCKING.get(asset, ())), spec.name
        assert (spec.name in not_passed(store, *parts)) == (spec.name in BLOCKING.get(asset, ())), spec.name
        store.write_tables(whole, *parts)
        judged.add(spec.name)
    assert judged == DEFECTS.keys()


def test_every_asset_has_a_check() -> None:
    checked = {spec.asset_key.path[-1] for definition in CHECKS for spec in definition.check_specs}
    assert checked == CATALOGUE.keys()


def diversity(value: float, model: str = "m") -> pl.DataFrame:
    rows = [
        ("batches", "distance", 0.9, 0.8, model),
        ("pool", "equal_size_distance", value, None, model),
        ("pool", "equal_size_error", 0.004, None, model),
    ]
    return pl.DataFrame(rows, schema=DIVERSITY_SCHEMA, orient="row")


def judged(check: dg.AssetChecksDefinition, folder: Path, name: str, *rounds: pl.DataFrame) -> dg.AssetCheckResult:
    """What a check of `filtered_batches` says of the last round, each round with the one table that it reads."""
    sedi = SediResource(overrides={"data": str(folder)})
    for number, table in enumerate(rounds, start=1):
        key = round_key(number)
        save_plan(sedi.store(), RoundPlan(key, None, "test", (), number))
        sedi.store().write_tables({name: table}, "filtered_batches", key)
        if number < len(rounds):
            outcome = RoundOutcome(key, 1, 1, 1, 0.5, True, ())
            sedi.store().write_json({"outcome": outcome.to_json()}, "manifests", f"{key}.json")
    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions(ROUNDS.name or "", [round_key(len(rounds))])
        context = dg.build_asset_context(partition_key=round_key(len(rounds)), instance=instance)
        result = check(context, sedi=sedi)
    assert isinstance(result, dg.AssetCheckResult)
    return result


def checked(tmp_path: Path, *rounds: pl.DataFrame) -> dg.AssetCheckResult:
    return judged(the_pool_stays_diverse, tmp_path, "diversity", *rounds)


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


EXAMPLES = [("Who has the clock?", "Ida has it."), ("Who has the clock?", "Yara has it."), ("Name a colour.", "")]


def novel(folder: Path, *rounds: list[tuple[str, str]]) -> bool:
    tables = [pl.DataFrame(rows, schema=["instruction", "input"], orient="row") for rows in rounds]
    return judged(kept_examples_are_novel, folder, "examples", *tables).passed


def test_an_instruction_may_have_several_inputs_in_its_round_and_come_in_no_later_one(tmp_path: Path) -> None:
    assert novel(tmp_path / "instances", EXAMPLES)
    assert not novel(tmp_path / "twice", [*EXAMPLES, EXAMPLES[0]])
    assert novel(tmp_path / "new", EXAMPLES, [("Name a town.", "")])
    assert not novel(tmp_path / "again", EXAMPLES, [("Name a colour.", "Not a warm one.")])


@pytest.mark.parametrize(
    ("kept", "candidates", "fell"), [(0, 4, False), (1, 4, False), (0, 20, True), (4, 20, True), (9, 20, False)]
)
def test_a_low_keep_rate_is_a_fall_only_where_chance_does_not_explain_it(
    kept: int, candidates: int, fell: bool
) -> None:
    assert keep_rate_fell(kept, candidates, usual=0.5) == fell
