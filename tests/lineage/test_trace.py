"""Anything with an id can be followed to what it came from and what it led to, and agrees with the raw files."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from click.testing import CliRunner
from made_loop import make_loop
from raw_walk import RawFiles, check_trace

from sedi_dagster.cli import main
from sedi_dagster.errors import SediError
from sedi_dagster.lineage.index import LineageIndex, partition_stamps
from sedi_dagster.lineage.trace import Archive, Node, descendants, trace
from sedi_dagster.reporting.tracing import trace_page
from sedi_dagster.storage.files import file_sha256
from sedi_dagster.storage.store import MARKER, Store

ROUND = "round-0001"


def data(store: Store) -> Path:
    return Path(store.root.path)


@pytest.fixture(scope="module")
def archive(finished: Store, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Archive]:
    with LineageIndex(finished, tmp_path_factory.mktemp("cache")) as index:
        yield Archive(finished, index, f"sqlite:///{data(finished)}/ledger.sqlite")


@pytest.fixture(scope="module")
def raw(finished: Store) -> RawFiles:
    return RawFiles(data(finished))


def linked(node: Node, relation: str) -> list[Node]:
    return [one for link in (*node.came_from, *node.led_to) if link.relation == relation for one in link.nodes]


def test_the_trace_of_every_example_agrees_with_the_raw_files(archive: Archive, raw: RawFiles) -> None:
    assert len(raw.examples) > 8
    for id_ in raw.examples:
        check_trace(raw, trace(archive, id_).to_json())


def _of(node: dict[str, Any], relation: str) -> list[dict[str, Any]]:
    links = [*node.get("came_from", ()), *node.get("led_to", ())]
    return next(link["nodes"] for link in links if link["relation"] == relation)


DEFECTS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "a seed is left out": lambda t: _of(t, "shown in its prompt").pop(),
    "a seed has another's text": lambda t: _of(t, "shown in its prompt")[0].update(text="Another."),
    "a call is left out": lambda t: _of(t, "written by").pop(),
    "a call has other tokens": lambda t: _of(t, "written by")[0]["facts"].update({"prompt tokens": 1}),
    "a call has another price": lambda t: _of(t, "written by")[0]["facts"].update({"cost usd": 0.0}),
    "a batch is left out": lambda t: _of(t, "trained on").pop(),
    "a companion is left out": lambda t: _of(_of(t, "trained on")[0], "companions").pop(),
    "a step has another loss": lambda t: _of(_of(t, "trained on")[0], "trained in")[0]["facts"].update(loss=9.0),
    "a step has another gradient norm": lambda t: _of(_of(t, "trained on")[0], "trained in")[0]["facts"].update(
        {"grad norm": 9.0}
    ),
    "a checkpoint has other weights": lambda t: _of(_of(t, "trained on")[0], "checkpoint")[0]["facts"].update(
        {"adapter_model.safetensors": "sha256 0"}
    ),
    "a checkpoint has another score": lambda t: _of(_of(t, "trained on")[0], "checkpoint")[0]["facts"].update(
        score="8 of 8"
    ),
    "it is of another round": lambda t: t["facts"].update(round="round-0009"),
    "what became of it as a seed is left out": lambda t: t.update(
        led_to=[link for link in t["led_to"] if link["relation"] != "as a seed"]
    ),
    "a candidate that saw it is left out": lambda t: next(
        link for link in t["led_to"] if link["relation"] == "shown to the teacher for"
    ).update(total=0),
}


@pytest.mark.parametrize("defect", list(DEFECTS))
def test_the_walk_through_the_raw_files_sees_a_wrong_link(archive: Archive, raw: RawFiles, defect: str) -> None:
    became = next(key for key, row in raw.seeds.items() if row["origin"] == "machine")
    text = trace(archive, became).to_json()
    check_trace(raw, text)
    DEFECTS[defect](text)
    with pytest.raises(AssertionError):
        check_trace(raw, text)


def test_a_rejected_candidate_has_its_rule_and_the_text_it_was_too_near_to(archive: Archive, raw: RawFiles) -> None:
    id_, verdict = next((k, v) for k, v in raw.verdicts.items() if v["state"] == "rejected")
    node = trace(archive, id_)
    assert (node.kind, node.facts["rule"], node.facts["score"]) == ("candidate", "near_duplicate", 0.9)
    assert [one.id for one in linked(node, "too near to")] == [verdict["neighbour_id"]]
    assert id_ in [one.id for one in linked(trace(archive, verdict["neighbour_id"]), "kept out as too near")]


def test_a_seed_leads_to_every_candidate_that_saw_it_and_every_batch_that_trained_on_it(
    archive: Archive, raw: RawFiles
) -> None:
    batches = raw.table("filtered_batches", ROUND, "batches")
    assert batches is not None
    id_ = batches.filter(pl.col("origin") == "human")["example_id"][0]
    node = trace(archive, id_)
    saw = {key for key, row in raw.candidates.items() if id_ in row["demonstration_ids"]}
    assert node.kind == "seed" and node.facts["origin"] == "human" and node.facts["in the seed file now"]
    (shown,) = [link for link in node.led_to if link.relation == "shown to the teacher for"]
    assert shown.total == len(saw) > 0 and {one.id for one in shown.nodes} <= saw
    assert linked(node, "trained on")[0].facts["trained as"] == "human seed task"


def test_descendants_go_on_through_machine_made_seeds(archive: Archive, raw: RawFiles) -> None:
    promoted = next(row for row in raw.seeds.values() if row["origin"] == "machine" and row["since_round"] == ROUND)
    children = {k for k, row in raw.candidates.items() if promoted["seed_id"] in row["demonstration_ids"]}
    shown = raw.candidates[promoted["seed_id"]]["demonstration_ids"][0]
    found = [node.id for node in descendants(archive, shown)]
    assert children and children <= set(found) and promoted["seed_id"] in found
    assert len(found) == len(set(found))


def test_a_call_leads_to_all_that_it_wrote_and_has_what_was_said(archive: Archive, raw: RawFiles) -> None:
    row = next(iter(raw.candidates.values()))
    key = row["instruction_key"]
    node = trace(archive, key)
    wrote = {k for k, r in raw.candidates.items() if key in (r["instruction_key"], r["answer_key"])}
    assert node.kind == "call" and {one.id for one in linked(node, "wrote")} == wrote and len(wrote) > 1
    assert node.facts["response"] == f"response of {key}" and node.facts["model"] == "a-teacher"


def test_a_batch_has_its_rows_its_step_and_its_checkpoint(archive: Archive, raw: RawFiles) -> None:
    batches = raw.table("filtered_batches", ROUND, "batches")
    assert batches is not None
    node = trace(archive, f"{ROUND}/batch-0002")
    ids = batches.filter(pl.col("batch") == 2).sort("position")["example_id"].to_list()
    assert [one.id for one in linked(node, "rows")] == ids
    assert [one.id for one in linked(node, "trained in")] == [f"{ROUND}/step-0002"]
    assert [one.id for one in linked(node, "checkpoint")] == [f"checkpoints/{ROUND}"]


@pytest.mark.parametrize("named", ["round", "weights"])
def test_a_checkpoint_is_found_by_round_or_weights_with_what_was_built_on_it(
    archive: Archive, finished: Store, named: str
) -> None:
    weights = data(finished) / "checkpoints" / ROUND / "adapter_model.safetensors"
    node = trace(archive, ROUND if named == "round" else file_sha256(weights)[:12])
    assert node.id == f"checkpoints/{ROUND}" and node.facts["trained from"] == "seed-tasks"
    assert [one.id for one in linked(node, "trained from")] == ["checkpoints/seed-tasks"]
    assert [one.id for one in linked(node, "trained on from here")] == ["checkpoints/round-0002"]
    assert linked(node, "became seeds")


@pytest.mark.parametrize("named", ["seed-tasks", "weights"])
def test_the_student_of_the_seed_tasks_is_a_checkpoint_as_any(
    archive: Archive, finished: Store, raw: RawFiles, named: str
) -> None:
    weights = data(finished) / "checkpoints" / "seed-tasks" / "adapter_model.safetensors"
    node = trace(archive, named if named == "seed-tasks" else file_sha256(weights))
    human = {key for key, row in raw.seeds.items() if row["origin"] == "human"}
    assert {one.id for one in linked(node, "human seed tasks")} == human
    assert [one.id for one in linked(node, "trained on from here")] == [f"checkpoints/{ROUND}"]
    assert node.facts["score"] == "4 of 8" and node.facts["score before"] == "2 of 8"
    seed = trace(archive, human.pop())
    assert [one.id for one in linked(seed, "trained on, before any round")] == ["checkpoints/seed-tasks"]


def test_an_evaluation_item_has_the_answer_of_every_checkpoint(archive: Archive) -> None:
    node = trace(archive, "math-1")
    fields = {one.id: one.facts["passed"] for one in linked(node, "answered by")}
    assert fields == {
        "untrained student": False, "checkpoints/seed-tasks": True, "checkpoints/round-0001": True,
        "checkpoints/round-0002": True,
    }  # fmt: skip


def test_a_unique_beginning_or_a_piece_of_text_is_enough(archive: Archive, raw: RawFiles) -> None:
    id_ = raw.examples[0]
    assert trace(archive, id_[:14]).id == id_
    text = raw.candidates[id_]["instruction"]
    assert trace(archive, f"  {text.upper()[6:]}\n").id == id_


@pytest.mark.parametrize(
    ("wanted", "message"),
    [("cand-", "begin with 'cand-'"), ("Write down coding", "have it in their text"), ("no such", "No id begins with"),
     ("100%_\\", "No id begins with"), ("", "The ID is empty"), ("round-0009", "There is no record of")],
)  # fmt: skip
def test_what_is_ambiguous_or_unknown_is_told(archive: Archive, wanted: str, message: str) -> None:
    with pytest.raises(SediError, match=message):
        trace(archive, wanted)


def test_a_partition_that_is_written_anew_is_indexed_anew(finished: Store, tmp_path: Path) -> None:
    shutil.copytree(data(finished), tmp_path / "data")
    store = Store(str(tmp_path / "data"))
    tables = store.read_tables("generated_batches", ROUND, "math")
    old = tables["candidates"]["candidate_id"][0]
    with LineageIndex(store, tmp_path) as index:
        assert index.mentions(old, "candidate")
    renamed = tables["candidates"].with_columns(pl.col("candidate_id").replace(old, "cand-new"))
    store.write_tables({**tables, "candidates": renamed}, "generated_batches", ROUND, "math")
    with LineageIndex(store, tmp_path) as index:
        assert not index.mentions(old, "candidate")
        assert [m.partition for m in index.mentions("cand-new")] == [f"generated_batches/{ROUND}/math"]
        assert len(index.with_text("Write down math rule 0 of round-0001")) == 1


def test_a_partition_that_begins_to_be_written_anew_while_they_are_listed_is_left_out(
    finished: Store, tmp_path: Path
) -> None:
    shutil.copytree(data(finished), tmp_path / "data")
    stamps = partition_stamps(Store(str(tmp_path / "data")))
    listed = [next(p for p, _ in stamps if p == f"generated_batches/{ROUND}/coding")]
    (tmp_path / "data" / "assets" / "generated_batches" / ROUND / "math" / MARKER).unlink()
    listed += [p for p, _ in stamps if p.startswith("generated_batches/")]
    assert listed == [f"generated_batches/{ROUND}/coding", "generated_batches/round-0002/math"]


def test_one_changed_file_hides_no_other_partition(finished: Store, tmp_path: Path) -> None:
    shutil.copytree(data(finished), tmp_path / "data")
    file = tmp_path / "data" / "assets" / "generated_batches" / ROUND / "math" / "candidates.parquet"
    file.write_bytes(file.read_bytes()[:-1])
    with LineageIndex(Store(str(tmp_path / "data")), tmp_path) as index:
        assert list(index.unreadable) == [f"generated_batches/{ROUND}/math"]
        assert index.with_prefix("cand-")


def test_a_broken_index_is_made_again(finished: Store, tmp_path: Path) -> None:
    for _ in range(2):
        with LineageIndex(finished, tmp_path) as index:
            assert index.with_prefix("cand-")
        for file in (tmp_path / "lineage").iterdir():
            file.write_bytes(b"not a database" * 100)


def sedi(store: Store, cache: Path, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> Any:
    monkeypatch.setenv("SEDI_DATA", str(data(store)))
    monkeypatch.setenv("SEDI_CACHE", str(cache))
    return CliRunner().invoke(main, ["trace", *arguments])


def test_the_command_prints_a_tree_json_or_a_page(
    finished: Store, raw: RawFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    id_ = raw.examples[-1]
    printed = sedi(finished, tmp_path, monkeypatch, id_)
    assert printed.exit_code == 0 and "came from" in printed.stdout and "led to" in printed.stdout
    check_trace(raw, json.loads(sedi(finished, tmp_path, monkeypatch, id_, "--json").stdout))
    page = tmp_path / "trace.html"
    assert sedi(finished, tmp_path, monkeypatch, id_, "--html", str(page)).exit_code == 0
    assert f"sedi trace {id_}" in page.read_text()
    text = sedi(finished, tmp_path, monkeypatch, "cand-")
    assert text.exit_code == 2 and "Give a longer" in text.stderr


def test_a_damaged_table_is_skipped_and_named(
    finished: Store, raw: RawFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(data(finished), tmp_path / "data")
    for file in (tmp_path / "data" / "assets" / "evaluation_scores").glob("*/items.parquet"):
        file.write_bytes(file.read_bytes()[:-1])
    traced = sedi(Store(str(tmp_path / "data")), tmp_path, monkeypatch, raw.examples[-1])
    assert traced.exit_code == 0 and "came from" in traced.stdout
    assert f"Skipped: evaluation_scores/{ROUND}" in traced.stderr


def test_a_page_shows_hostile_text_as_text() -> None:
    attack = '<script>alert(1)</script><img src=x onerror="a()">'
    node = Node("example", "cand-1", attack, {"output": attack})
    node.link_from("written by", [Node("call", attack, attack, {attack: attack})])
    page = trace_page(node)
    assert "<script" not in page and "<img" not in page and page.count("&lt;script&gt;") >= 5


@pytest.mark.slow
def test_a_thousand_random_examples_agree_with_the_raw_files(tmp_path: Path) -> None:
    store = make_loop(tmp_path / "data", per_category=500)
    raw = RawFiles(tmp_path / "data")
    chosen = random.Random(0).sample(raw.examples, 1000)
    with LineageIndex(store, tmp_path / "cache") as index:
        archive = Archive(store, index, f"sqlite:///{tmp_path}/data/ledger.sqlite")
        for id_ in chosen:
            check_trace(raw, trace(archive, id_).to_json())
