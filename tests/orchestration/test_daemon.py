"""By clicking: a round opened in the UI is carried into the next one by the daemon alone. Minutes long."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from browser import Ui

from sedi_dagster.storage.rounds import load_history
from sedi_dagster.storage.store import Store

pytestmark = pytest.mark.slow


def test_a_round_opened_by_a_click_is_carried_into_the_next_round(ui: Ui, project: Path) -> None:
    for name in ("round_ready_sensor", "weak_category_sensor"):
        ui.switch_on(name)
    ui.launch("open_round")

    store = Store(os.environ["SEDI_DATA"])
    end = time.monotonic() + 900
    while len(load_history(store).finished) < 2:
        assert time.monotonic() < end, (project / "ui.log").read_text()[-3000:]
        time.sleep(2)
    history = load_history(store)
    assert [plan.trigger for plan in history.plans[:2]] == ["person", "weak_category_sensor"]
    weak = {o.category for o in history.finished[0].categories if o.decision == "weak"}
    assert set(history.plans[1].category_ids) == weak
