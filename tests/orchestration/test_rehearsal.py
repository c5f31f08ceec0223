"""The rehearsal with the real student: weak categories are found, targeted and mended. Minutes long."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest
from sqlalchemy import select

from sedi_dagster.rounds import LoopHistory, load_history
from sedi_dagster.settings import PROJECT_ROOT, SIMULATED
from sedi_dagster.store import Store
from sedi_dagster.teacher.ledger import Ledger
from sedi_dagster.teacher.schema import texts

pytestmark = pytest.mark.slow


def mended(history: LoopHistory) -> set[str]:
    """Categories that were weak after a round, got most of the next one, and reached their target in it."""
    found = set()
    for before, plan, after in zip(history.finished, history.plans[1:], history.finished[1:], strict=False):
        if not before.promoted:  # the next round goes by the scores of an earlier checkpoint
            continue
        weak = {outcome.category for outcome in before.categories if outcome.decision == "weak"}
        candidates = {planned.category: planned.candidates for planned in plan.categories}
        assert weak <= candidates.keys()
        assert sum(candidates[category] for category in weak) > 0.75 * sum(candidates.values())
        found |= {outcome.category for outcome in after.categories if outcome.category in weak and outcome.gap <= 0}
    return found


def test_a_weak_category_is_found_targeted_and_mended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = tmp_path / "data"
    for name, folder in {"SEDI_DATA": data, "SEDI_CACHE": tmp_path / "cache", "DAGSTER_HOME": tmp_path / "dg"}.items():
        monkeypatch.setenv(name, str(folder))
    command = [sys.executable, "-m", "sedi_dagster.cli", "run", "--profile", "rehearsal", "--rounds", "4"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=3600)
    assert done.returncode == 0, done.stdout + done.stderr

    store = Store(str(data))
    history = load_history(store)
    assert mended(history) and "mended: " in done.stdout, done.stdout
    untrained = store.read_tables("baseline_scores")["items"]["passed"].mean()
    assert isinstance(untrained, float) and history.finished[-1].score > untrained + 0.2

    told = [done.stdout, *((data / name).read_text() for name in ("exports/README.md", "reports/round-0001.html"))]
    assert all(SIMULATED in text or "Simulated teacher" in text for text in told)

    verdicts = pl.concat([store.read_tables("filtered_batches", o.round)["verdicts"] for o in history.finished])
    assert verdicts.filter(pl.col("rule").str.starts_with("evaluation_")).is_empty()  # nothing taught is near an item

    items = (PROJECT_ROOT / "seeds/rehearsal/evaluation_items.jsonl").read_text().splitlines()
    prompts = [json.loads(line)["prompt"] for line in items]
    trained = pl.concat([store.read_tables("filtered_batches", o.round)["batches"] for o in history.finished])
    with Ledger(f"sqlite:///{data / 'ledger.sqlite'}") as ledger:
        seen = "\n".join([*(row.body for row in ledger.read(select(texts.c.body))), *trained["prompt"].to_list()])
    assert not [prompt for prompt in prompts if prompt in seen]
