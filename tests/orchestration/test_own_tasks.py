"""A user's file of tasks that share their instruction: split, then a round of which new inputs are kept."""

from __future__ import annotations

import json
import random
import re
from pathlib import Path

import dagster as dg
import pytest
from click.testing import CliRunner

from assets.filtered_batches import filtered_batches
from assets.generated_batches import generated_batches
from assets.seed_pool import seed_pool
from sedi_dagster.cli import main
from sedi_dagster.orchestration.io_manager import TablesIOManager
from sedi_dagster.orchestration.partitions import batch_key
from sedi_dagster.orchestration.planning import next_plan, start_round
from sedi_dagster.orchestration.resources import SediResource
from sedi_dagster.records import RoundPlan
from sedi_dagster.testing import simulated_teacher as server

SORT = (
    "You answer the post of a shop for garden tools. Say which team should answer the message of the customer: "
    "billing, delivery, repairs or other."
)
MESSAGES = {
    "The invoice for my rake has the wrong address.": "billing",
    "Why was I charged twice last month?": "billing",
    "Please send the receipt for the spade again, my tax adviser asks for it.": "billing",
    "My parcel never came, although your page says that it did.": "delivery",
    "When will you send the mower?": "delivery",
    "The driver left everything in the rain behind the house.": "delivery",
    "Half of what I ordered was missing in the box.": "delivery",
    "The trimmer broke on its first day.": "repairs",
    "Can you sharpen these old shears?": "repairs",
    "Its handle came loose while I was digging, what now?": "repairs",
    "Do you have gloves for children?": "other",
    "How should a wooden ladder be stored in winter?": "other",
    "I would like to work in one of your shops during the summer.": "other",
    "Which hose is best for a roof terrace?": "other",
}
NEW = (
    "You took 40 euros too much from my account.",
    "Nobody rang the bell, and now the parcel is in another town.",
    "The engine of the leaf blower smokes.",
    "Are your stores open on Good Friday?",
    "My voucher was not taken off the total.",
    "There is a crack in the wheelbarrow that came today.",
    "What time does the truck arrive tomorrow?",
    "Could someone look at the pump, it drips.",
    "I moved, note my new street please.",
    "Is there a course on pruning apple trees?",
)


def write(prompt: str, rng: random.Random) -> str:
    wanted = re.search(r"Write (\d+) more tasks of this kind, numbered from (\d+)", prompt)
    if wanted is None:
        return "delivery"
    messages = rng.sample(NEW, int(wanted[1]))
    return "\n".join(f"Task {int(wanted[2]) + n}: {SORT}\nInput: {message}\n" for n, message in enumerate(messages))


def test_tasks_of_one_instruction_go_through_the_loop(
    project: Path, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [
        {"instruction": SORT, "input": message, "output": team, "category": "Classification"}
        for message, team in MESSAGES.items()
    ]
    (project / "post.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    out = project / "post"
    done = CliRunner().invoke(main, ["seeds", "split", str(project / "post.jsonl"), "--out", str(out)])
    assert done.exit_code == 0, done.output
    for line in re.findall(r"SEDI_\w+=.+", done.output):
        monkeypatch.setenv(*line.split("=", 1))
    checked = CliRunner().invoke(main, ["seeds", "check"])
    assert checked.exit_code == 0 and "No problem" in checked.output, checked.output

    rows = [{"instruction": SORT, "input": message, "output": "other"} for message in NEW]
    (project / "new.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    arguments = ["filter", str(project / "new.jsonl"), "--out", str(project / "filtered")]
    arguments += ["--against", str(project / "post.jsonl")]
    filtered = CliRunner().invoke(main, arguments)
    assert f"{len(NEW)} of {len(NEW)} rows are kept" in filtered.output, "the loop's rules, outside the loop"

    monkeypatch.setattr(server, "write", write)
    monkeypatch.setenv("SEDI_GENERATION_METHODS", json.dumps({"self_instruct": 1.0}))
    monkeypatch.setenv("SEDI_GENERATION_INSTANCES", "answer")
    monkeypatch.setenv("SEDI_GENERATION_MAX_INSTRUCTION_TOKENS", "500")
    monkeypatch.setenv("SEDI_TRAINING_MAX_LENGTH", "1024")
    sedi = SediResource()
    plan = next_plan(sedi, "a test", None, 12)
    assert isinstance(plan, RoundPlan) and list(plan.category_ids) == ["classification"]
    start_round(sedi, instance, plan)
    resources = {"sedi": sedi, "io_manager": TablesIOManager(sedi=sedi)}
    everything = [seed_pool, generated_batches, filtered_batches]
    for asset, partition in (
        (seed_pool, None),
        (generated_batches, batch_key("classification", plan.round)),
        (filtered_batches, plan.round),
    ):
        assert dg.materialize(
            everything, selection=[asset], partition_key=partition, instance=instance, resources=resources
        ).success
    verdicts = sedi.store().read_tables("filtered_batches", plan.round)["verdicts"]
    rules = set(verdicts["rule"])
    kept = verdicts.filter(verdicts["state"] == "kept")
    assert kept.height >= 6 and set(kept["instruction"]) == {SORT}, rules
    assert rules <= {None, "exact_duplicate", "near_duplicate"}, "no new message is an item or a seed task"
