"""Rounds of a whole loop are verified, and made again from the ledger without a call, with equal hashes."""

from __future__ import annotations

import json
import sqlite3

import pytest
from loops import Loop

from benchmarks.testbed.faulty_teacher import FaultyTeacher
from sedi_dagster.errors import SediError
from sedi_dagster.lineage.verify import verify
from sedi_dagster.orchestration.reproducing import reproduce
from sedi_dagster.settings import load_settings

pytestmark = pytest.mark.usefixtures("undrawn")

ROUNDS = ("round-0001", "round-0002")


def test_a_round_is_made_again_with_equal_hashes_and_without_a_call(
    loop: Loop, simulated_teacher: FaultyTeacher
) -> None:
    loop.run(1)
    settings, store = load_settings(), loop.sedi.store()
    report = verify(store, settings.ledger_url)
    assert report.passed and report.rounds == 1 and report.calls > 0, report.findings
    sent = simulated_teacher.meter.as_dict()["requests"]
    _check_reproduced(ROUNDS[0])
    assert simulated_teacher.meter.as_dict()["requests"] == sent
    assert verify(store, settings.ledger_url).head == report.head, "the data folder is only read"
    assert not (loop.project / "cache" / "reproduce" / ROUNDS[0]).exists()


@pytest.mark.slow
def test_a_later_round_comes_out_the_same_and_another_answer_comes_out_otherwise(loop: Loop) -> None:
    loop.run(2)
    settings = load_settings()
    _check_reproduced(ROUNDS[1])

    # an answer that is not the one that was paid for comes out otherwise, and says where
    database = loop.project / "data" / "ledger.sqlite"
    candidates = loop.tables("generated_batches", ROUNDS[0], "math")["candidates"]
    key = candidates["answer_key"].drop_nulls()[0]
    with sqlite3.connect(database) as ledger:
        (body,) = ledger.execute("SELECT body FROM texts WHERE key = ? AND kind = 'response'", (key,)).fetchone()
        answer = json.loads(body)
        answer["choices"][0]["message"]["content"] += " Or so."
        ledger.execute("UPDATE texts SET body = ? WHERE key = ? AND kind = 'response'", (json.dumps(answer), key))
    changed = {one.name for one in reproduce(settings, ROUNDS[0], lambda _: None) if not one.same}
    assert f"generated_batches/{ROUNDS[0]}/math: candidates" in changed
    assert f"generated_batches/{ROUNDS[0]}/open_qa: candidates" not in changed
    with sqlite3.connect(database) as ledger:
        ledger.execute("DELETE FROM calls")
    with pytest.raises(SediError, match="has no answer in the ledger"):
        reproduce(settings, ROUNDS[0], lambda _: None)


def _check_reproduced(key: str) -> None:
    compared = reproduce(load_settings(), key, lambda _: None)
    assert len(compared) > 25 and all(one.same for one in compared), [one for one in compared if not one.same]
