"""A round's candidates judged by the asset itself: files of the user's, IFD in its own process, `sedi rejected`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import pytest
from click.testing import CliRunner

from assets.filtered_batches import filtered_batches
from assets.generated_batches import generated_batches
from assets.seed_pool import seed_pool
from sedi_dagster.cli import main
from sedi_dagster.errors import InputFileError
from sedi_dagster.generation.candidates import CANDIDATE_SCHEMA
from sedi_dagster.orchestration.io_manager import TablesIOManager
from sedi_dagster.orchestration.planning import start_round
from sedi_dagster.orchestration.preflight import preflight
from sedi_dagster.orchestration.resources import SediResource
from sedi_dagster.records import CategoryPlan, RoundPlan

ROUND = "round-0001"
INSTRUCTIONS = (
    "Explain why rivers meander in flat country.",
    "Describe how a lock lifts a boat.",
    "List four trades that a harbour needs.",
    "Tell what a lighthouse keeper does at noon.",
    "Say why bread rises in a warm place.",
    "Compare a bicycle with a tandem in a sentence.",
)


@pytest.fixture
def judged(project: Path, monkeypatch: pytest.MonkeyPatch, instance: dg.DagsterInstance) -> dict[str, pl.DataFrame]:
    """The tables of a round that was filtered with everything switched on."""
    (project / "bench.txt").write_text("What makes bread rise in a warm place?\n")
    monkeypatch.setenv("SEDI_FILTERING_DECONTAMINATE_FILES", str(project / "bench.txt"))
    monkeypatch.setenv("SEDI_FILTERING_DECONTAMINATION_COSINE", "0.8")
    monkeypatch.setenv("SEDI_FILTERING_IFD", "loss_ratio")
    monkeypatch.setenv("SEDI_BATCHING_HUMAN_REPLAY", "0.5")
    sedi = SediResource()
    store = sedi.store()
    start_round(sedi, instance, RoundPlan(ROUND, None, "test", (CategoryPlan("math", 8, "test"),), 1))
    rows: list[dict[str, Any]] = [
        {
            "candidate_id": f"cand-{n}", "instruction_id": f"instr-{n}", "round": ROUND, "category": "math",
            "position": n, "instruction": text, "input": "", "output": f"Answer number {n}.", "raw": text,
            "is_classification": False,
        }
        for n, text in enumerate(INSTRUCTIONS)
    ]  # fmt: skip
    rows.append(rows[0] | {"candidate_id": "cand-6", "instruction_id": "instr-6", "output": "\x1b[31mred:\x1b[0m 3"})
    rows.append(rows[1] | {"candidate_id": "cand-7", "instruction_id": "instr-7", "output": None, "problem": "cut"})
    store.write_tables({"candidates": pl.DataFrame(rows, schema=CANDIDATE_SCHEMA)}, "generated_batches", ROUND, "math")
    resources = {
        "sedi": sedi,
        "io_manager": TablesIOManager(sedi=sedi),
    }
    assert dg.materialize([seed_pool], instance=instance, resources=resources).success
    assert dg.materialize(
        [seed_pool, generated_batches, filtered_batches],
        selection=[filtered_batches],
        partition_key=ROUND,
        instance=instance,
        resources=resources,
    ).success
    return store.read_tables("filtered_batches", ROUND)


def sedi_rejected(*arguments: str) -> str:
    done = CliRunner().invoke(main, ["rejected", *arguments], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


def test_every_rule_that_is_switched_on_has_its_verdict_and_can_be_asked_about(
    judged: dict[str, pl.DataFrame], monkeypatch: pytest.MonkeyPatch
) -> None:
    verdicts = {row["candidate_id"]: row for row in judged["verdicts"].iter_rows(named=True)}
    # the second of two equal instructions; near a line of the user's file by its vector; IFD on what is left
    assert verdicts["cand-6"]["rule"] == "exact_duplicate" and verdicts["cand-6"]["neighbour_id"] == "cand-0"
    assert verdicts["cand-4"]["rule"] == "evaluation_cosine"
    assert verdicts["cand-4"]["neighbour_id"] == "bench.txt:1"
    assert verdicts["cand-7"]["state"] == "malformed"

    scores = judged["ifd"]
    scored = {f"cand-{n}" for n in (0, 1, 2, 3, 5)}
    assert set(scores["candidate_id"]) == scored
    above = set(scores.filter(pl.col("ifd_loss_ratio") > 1)["candidate_id"])
    kept = set(judged["examples"]["example_id"])
    assert len(kept) == -(-(len(scored) - len(above)) // 2), "half of those at most 1, rounded up"
    assert {verdicts[c]["rule"] for c in above} <= {"ifd_loss_ratio_above_one"}
    assert {verdicts[c]["rule"] for c in scored - above - kept} <= {"ifd_loss_ratio_not_in_share"}

    monkeypatch.setenv("COLUMNS", "200")
    text = sedi_rejected("--rule", "evaluation_cosine")
    for part in ("evaluation_cosine", "(threshold 0.80)", INSTRUCTIONS[4], "What makes bread rise", "bench.txt:1"):
        assert part in text
    assert "1 of 1 candidates were not kept" in text
    everything = sedi_rejected()
    assert "malformed: cut" in everything and "\x1b" not in everything
    lines = [json.loads(line) for line in sedi_rejected("--json", "--round", "1", "--limit", "3").splitlines()]
    assert len(lines) == 3 and lines[0]["round"] == ROUND and lines[0]["output"] == "Answer number 0."
    summary = [json.loads(line) for line in sedi_rejected("--summary", "--json").splitlines()]
    assert sum(line["candidates"] for line in summary) == 8
    shown = sedi_rejected("--summary")
    assert "8 candidates" in shown and "exact_duplicate 1" in shown


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(["--round", "4"], "No round has been filtered yet"), (["--rule", "x"], "No round has been filtered yet")],
)
def test_before_any_round_there_is_nothing_to_ask_about(project: Path, arguments: list[str], message: str) -> None:
    done = CliRunner().invoke(main, ["rejected", *arguments])
    assert done.exit_code == 2 and message in done.output


def test_a_bad_file_is_told_before_anything_is_spent(
    project: Path, monkeypatch: pytest.MonkeyPatch, simulated_teacher: Any
) -> None:
    (project / "bench.jsonl").write_text('{"answer": "4"}\n')
    monkeypatch.setenv("SEDI_FILTERING_DECONTAMINATE_FILES", str(project / "bench.jsonl"))
    with pytest.raises(InputFileError, match="line 1: has no text"):
        preflight(SediResource())
    assert simulated_teacher.meter.as_dict()["billed"] == 0
