"""The rehearsal with the real student: weak categories are found, targeted and recovered. Minutes long."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
import yaml
from sqlalchemy import select

from sedi_dagster.settings import PROJECT_ROOT, SIMULATED
from sedi_dagster.storage.rounds import LoopHistory, load_history
from sedi_dagster.storage.store import Store
from sedi_dagster.teacher.ledger import Ledger
from sedi_dagster.teacher.schema import texts

pytestmark = pytest.mark.slow

REHEARSAL = PROJECT_ROOT / "seeds" / "rehearsal"


def recovered(history: LoopHistory) -> set[str]:
    """Categories that were weak after a round, were asked for in the next one, and reached their target in it."""
    found = set()
    for before, plan, after in zip(history.finished, history.plans[1:], history.finished[1:], strict=False):
        if not before.promoted:  # the next round goes by the scores of an earlier checkpoint
            continue
        weak = {outcome.category for outcome in before.categories if outcome.decision == "weak"}
        assert weak & set(plan.category_ids), "tokens go to what is weak"
        found |= {o.category for o in after.categories if o.category in weak & set(plan.category_ids) and o.gap <= 0}
    return found


@pytest.fixture
def sedi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """The command, with folders of its own, in the profile `rehearsal`; returns what it prints."""
    folders = {"SEDI_DATA": "data", "SEDI_CACHE": "cache", "DAGSTER_HOME": "dg"}
    for name, value in {"SEDI_PROFILE": "rehearsal", **{n: str(tmp_path / f) for n, f in folders.items()}}.items():
        monkeypatch.setenv(name, value)

    def run(*arguments: str) -> str:
        command = [sys.executable, "-m", "sedi_dagster.cli", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=3600)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return run


@pytest.fixture
def two_categories(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the rehearsal only the two skills that the student learns in one round."""
    kept = ("classification", "extraction")
    for name, file in {"SEDI_SEEDS": "seed_tasks.jsonl", "SEDI_ITEMS": "evaluation_items.jsonl"}.items():
        lines = (REHEARSAL / file).read_text().splitlines(keepends=True)
        (tmp_path / file).write_text("".join(line for line in lines if json.loads(line)["category"] in kept))
        monkeypatch.setenv(name, str(tmp_path / file))
    categories = yaml.safe_load((REHEARSAL / "categories.yaml").read_text())
    (tmp_path / "categories.yaml").write_text(yaml.safe_dump([c for c in categories if c["id"] in kept]))
    monkeypatch.setenv("SEDI_CATEGORIES", str(tmp_path / "categories.yaml"))
    monkeypatch.setenv("SEDI_LOOP_GOAL", "targets")


def test_a_category_that_was_left_out_of_training_is_found_weak_and_recovered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, two_categories: None, sedi: Callable[..., str]
) -> None:
    monkeypatch.setenv("SEDI_BATCHING_HUMAN_REPLAY", "0")  # seed tasks of the other would teach it after all
    sedi("run", "--rounds", "1", "--categories", "classification")
    text = sedi("run", "--rounds", "1")
    history = load_history(Store(str(tmp_path / "data")))
    assert [o.category for o in history.finished[0].categories if o.decision == "weak"] == ["extraction"]
    assert history.plans[1].category_ids == ["extraction"]
    assert recovered(history) == {"extraction"} and "recovered: extraction" in text


def test_a_student_without_weakness_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, two_categories: None, sedi: Callable[..., str]
) -> None:
    monkeypatch.setenv("SEDI_GENERATION_CANDIDATES_PER_CATEGORY", "40")
    text = sedi("run", "--rounds", "3")
    history = load_history(Store(str(tmp_path / "data")))
    assert [o.decision for o in history.finished[0].categories] == ["fine", "fine"]
    assert len(history.plans) == 1 and "no category is weak after round-0001" in text


def test_a_weak_category_is_found_targeted_and_recovered(tmp_path: Path, sedi: Callable[..., str]) -> None:
    data = tmp_path / "data"
    printed = sedi("run", "--rounds", "3")

    store = Store(str(data))
    history = load_history(store)
    assert recovered(history) and "recovered: " in printed, printed
    untrained = store.read_tables("baseline_scores")["items"]["passed"].mean()
    assert isinstance(untrained, float) and history.finished[-1].score > untrained + 0.2

    lines = [printed, *((data / name).read_text() for name in ("exports/README.md", "reports/round-0001.html"))]
    assert all(SIMULATED in text or "Simulated teacher" in text for text in lines)

    verdicts = pl.concat([store.read_tables("filtered_batches", o.round)["verdicts"] for o in history.finished])
    assert verdicts.filter(pl.col("rule").str.starts_with("evaluation_")).is_empty()  # nothing taught is near an item

    items = (REHEARSAL / "evaluation_items.jsonl").read_text().splitlines()
    prompts = [json.loads(line)["prompt"] for line in items]
    trained = pl.concat([store.read_tables("filtered_batches", o.round)["batches"] for o in history.finished])
    with Ledger(f"sqlite:///{data / 'ledger.sqlite'}") as ledger:
        seen = "\n".join([*(row.body for row in ledger.read(select(texts.c.body))), *trained["prompt"].to_list()])
    assert not [prompt for prompt in prompts if prompt in seen]
