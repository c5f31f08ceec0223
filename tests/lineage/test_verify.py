"""Verification passes over what was written, and names every change, loss and intrusion."""

from __future__ import annotations

import json
import random
import shutil
import sqlite3
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from click.testing import CliRunner
from made_loop import make_loop, remember_the_work
from tampering import data_files, tampered

from sedi_dagster.batching.example_table import replace_round
from sedi_dagster.cli import main
from sedi_dagster.lineage.verify import Verification, verify
from sedi_dagster.records import CategoryPlan, RoundPlan
from sedi_dagster.storage.files import file_sha256
from sedi_dagster.storage.rounds import save_plan
from sedi_dagster.storage.store import Store

ROUND = "round-0001"


@pytest.fixture
def store(finished: Store, tmp_path: Path) -> Store:
    """A copy that a test may spoil."""
    shutil.copytree(finished.root.path, tmp_path / "data")
    return Store(str(tmp_path / "data"))


def check(store: Store, head: str | None = None) -> Verification:
    return verify(store, f"sqlite:///{store.root.path}/ledger.sqlite", head)


def named(report: Verification, what: str) -> list[str]:
    return [finding.where for finding in report.findings if finding.what == what]


def test_what_was_written_is_as_it_was_written(finished: Store) -> None:
    report = check(finished)
    assert report.passed and not report.notes, report.findings
    assert (report.rounds, report.files) == (2, len(data_files(Path(finished.root.path))))
    assert report.calls > 20 and report.examples > 10


@pytest.mark.parametrize("seed", range(12))
def test_random_tampering_is_found_and_named(finished: Store, tmp_path: Path, seed: int) -> None:
    root = tmp_path / "data"
    shutil.copytree(finished.root.path, root)
    with tampered(root, random.Random(seed)) as touched:
        found = check(Store(str(root))).names()
    assert all(any(path in where for where in found) for path in touched), (touched, found)


@pytest.mark.slow
def test_two_hundred_random_changes_deletions_and_swaps_are_found_and_named(tmp_path: Path) -> None:
    store = make_loop(tmp_path / "data", per_category=12)
    for seed in range(200):
        with tampered(tmp_path / "data", random.Random(seed)) as touched:
            found = check(store).names()
        assert all(any(path in where for where in found) for path in touched), (seed, touched, found)
    assert check(store).passed


@pytest.mark.slow
def test_every_single_file_is_guarded_against_a_changed_byte_and_against_loss(tmp_path: Path) -> None:
    store = make_loop(tmp_path / "data")
    rng = random.Random(1)
    for path in data_files(tmp_path / "data"):
        file = tmp_path / "data" / path
        content = file.read_bytes()
        spoilt = bytearray(content)
        spoilt[rng.randrange(len(spoilt))] ^= 1
        file.write_bytes(spoilt)
        assert path in check(store).names()
        file.unlink()
        assert any(path in where for where in check(store).names()), path
        file.write_bytes(content)


def test_a_file_that_nobody_wrote_has_no_origin(store: Store) -> None:
    for path in ("plans/notes.txt", "assets/extra/t.parquet", "exports/more.jsonl", "lance/examples.lance/data/x.lance",
                 "checkpoints/round-0001/payload.bin", "leaflet.pdf", "ledger.sqlite.bak", "checks/round-0009/x.json",
                 "inputs/round-0009.json", "superseded/note.txt",
                 "superseded/round-0001/0001/more.bin"):  # fmt: skip
        store.write_text("text", *path.split("/"))
        assert path in named(check(store), "no origin")
        store.path(*path.split("/")).unlink()
    assert check(store).passed


def test_records_answer_for_what_they_name(store: Store) -> None:
    """A verdict on other data, put back from an earlier time, and a record that is gone with all that it names."""
    parts = ("checks", "seed_feedback", ROUND, "it_is_whole.json")
    store.write_sealed({**store.read_json(*parts), "data_version": "another"}, *parts)
    assert named(check(store), "changed") == ["/".join(parts)]
    remember_the_work(store)
    store.remove("superseded", ROUND, "0001")
    store.path("superseded", ROUND, "0001.json").unlink()
    assert {f"superseded/{ROUND}/0001.json", f"superseded/{ROUND}/0001/checkpoint/adapter_config.json"} <= set(
        named(check(store), "missing")
    )


def test_a_consistent_lie_is_found_by_the_chain(store: Store) -> None:
    """A partition is replaced together with its marker, and the manifest is made to agree."""
    tables = store.read_tables("evaluation_scores", ROUND)
    lie = tables | {"items": tables["items"].with_columns(passed=pl.lit(True))}
    store.write_tables(lie, "evaluation_scores", ROUND)
    report = check(store)
    assert f"assets/evaluation_scores/{ROUND}/items.parquet" in named(report, "changed")
    manifest = store.read_json("manifests", f"{ROUND}.json")
    for path in manifest["data"]:
        if store.path(*path.split("/")).exists():
            manifest["data"][path] = file_sha256(Path(store.root.path) / path)
    store.write_json(manifest, "manifests", f"{ROUND}.json")
    assert f"manifests/{ROUND}.json" in named(check(store), "changed")
    # the partition of the manifest is forged as well: only the next manifest knows better
    forged = store.read_tables("lineage_manifest", ROUND)
    sha256 = file_sha256(Path(store.root.path) / "manifests" / f"{ROUND}.json")
    forged["manifest"] = forged["manifest"].with_columns(sha256=pl.lit(sha256))
    store.write_tables(forged, "lineage_manifest", ROUND)
    remember_the_work(store)  # seals are made anew
    assert named(check(store), "changed") == [f"manifests/{ROUND}.json"]


def test_the_newest_manifest_is_known_by_its_partition(store: Store) -> None:
    manifest = store.read_json("manifests", "round-0002.json")
    store.write_json(manifest | {"promotion": "because"}, "manifests", "round-0002.json")
    assert named(check(store), "changed") == ["manifests/round-0002.json"]


def test_the_head_of_the_chain_is_asked_for(store: Store) -> None:
    head = check(store).head
    assert head and check(store, head).passed and check(store, head[:12]).passed
    assert check(store, "0" * 64).findings


def test_an_open_round_is_no_finding_until_something_in_it_changes(store: Store) -> None:
    save_plan(store, RoundPlan("round-0003", "round-0002", "test", (CategoryPlan("math", 2, ""),), 3))
    tables = store.read_tables("generated_batches", "round-0002", "math")
    store.write_tables(tables, "generated_batches", "round-0003", "math")
    remember_the_work(store)
    assert check(store).passed
    kept = store.read_table("examples", "filtered_batches", "round-0002").with_columns(round=pl.lit("round-0003"))
    store.write_tables(store.read_tables("filtered_batches", "round-0002"), "filtered_batches", "round-0003")
    replace_round(str(store.path("lance")), "round-0003", kept, np.ones((kept.height, 8), dtype=np.float32), "a-model")
    remember_the_work(store)
    report = check(store)
    assert report.passed and report.examples, "what Lance rewrites with every version is no change"
    store.remove("checks", "generated_batches", "round-0003")
    assert check(store).passed, "its checks may be still to come"
    for path in ("plans/round-0003.json", "inputs/generated_batches/round-0003/math.json"):
        file = store.path(*path.split("/"))
        before = file.read_bytes()
        file.write_bytes(before.replace(b"2", b"3", 1))
        assert path in named(check(store), "changed")
        file.write_bytes(before)
    file = store.path("assets", "generated_batches", "round-0003", "math", "calls.parquet")
    file.write_bytes(file.read_bytes()[:-1])
    assert named(check(store), "changed") == ["assets/generated_batches/round-0003/math/calls.parquet"] + (
        ["assets/generated_batches/round-0003/math/_tables.json"] if len(tables) == 1 else []
    )


def test_a_seed_pool_that_was_read_again_is_noted_and_a_changed_file_of_it_is_found(store: Store) -> None:
    seeds = store.read_tables("seed_pool")["seeds"]
    file = store.path("assets", "seed_pool", "seeds.parquet")
    before = file.read_bytes()
    file.write_bytes(before[:-1] + bytes([before[-1] ^ 1]))
    assert "assets/seed_pool/seeds.parquet" in named(check(store), "changed")
    store.write_tables({"seeds": seeds.head(4)}, "seed_pool")
    remember_the_work(store)
    report = check(store)
    assert report.passed and "assets/seed_pool was rebuilt" in report.notes[0]


def test_a_pruned_checkpoint_is_noted_and_a_promoted_one_is_missed(store: Store) -> None:
    store.remove("checkpoints", ROUND)
    assert f"checkpoints/{ROUND}/adapter_model.safetensors" in named(check(store), "missing")


def test_pruned_texts_of_calls_are_noted_and_their_accounts_still_checked(store: Store) -> None:
    file = Path(store.root.path) / "ledger.sqlite"
    with sqlite3.connect(file) as database:
        database.execute("DELETE FROM texts")
        database.execute("UPDATE calls SET state = 'pruned'")
    report = check(store)
    assert report.passed and "pruned" in report.notes[0]
    with sqlite3.connect(file) as database:
        database.execute("UPDATE calls SET nanousd = 0")
    assert all("ledger.sqlite: call" in where for where in check(store).names()) and check(store).findings


@pytest.mark.parametrize(("was", "now"), [(b"SQLite format 3", b"SQLite format 4"), (b"NOT NULL", b"NOT \xceULL")])
def test_a_damaged_ledger_is_named(store: Store, was: bytes, now: bytes) -> None:
    file = Path(store.root.path) / "ledger.sqlite"
    with sqlite3.connect(file) as database:
        database.execute("PRAGMA journal_mode=DELETE")  # all of it in one file
    database.close()
    assert was in file.read_bytes()
    file.write_bytes(file.read_bytes().replace(was, now, 1))
    assert "ledger.sqlite" in named(check(store), "changed")


def test_rows_without_origin_are_found_where_all_hashes_agree(store: Store) -> None:
    """The Lance table gets a row that no round kept, and a training row is of no example."""
    examples = store.read_table("examples", "filtered_batches", "round-0002")
    stranger = examples.head(1).with_columns(example_id=pl.lit("cand-stranger"), round=pl.lit("round-0009"))
    replace_round(str(store.path("lance")), "round-0009", stranger, np.eye(8, dtype=np.float32)[:1], "a-model")
    assert any("round-0009" in where or "lance" in where for where in named(check(store), "no origin"))


def test_the_command_tells_and_ends_with_2(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEDI_DATA", str(store.root.path))
    done = CliRunner().invoke(main, ["verify"])
    assert done.exit_code == 0 and "unchanged" in done.output and "Head of the chain" in done.output
    store.path("reports", "index.html").unlink()
    done = CliRunner().invoke(main, ["verify"])
    assert done.exit_code == 2 and "missing: reports/index.html" in done.output
    report = json.loads(CliRunner().invoke(main, ["verify", "--json"]).output)
    assert not report["passed"] and report["findings"][0]["where"] == "reports/index.html"


def test_only_the_newest_round_may_still_lack_its_report_which_is_made_after_the_manifest(store: Store) -> None:
    newest = max(name for name in store.names("manifests") if name.endswith(".json")).removesuffix(".json")
    store.remove("assets", "round_report", newest)
    store.path("reports", f"{newest}.html").unlink()
    report = check(store)
    assert f"assets/round_report/{newest}" not in named(report, "missing")
    assert any("has no report yet" in note for note in report.notes)
    store.remove("assets", "round_report", ROUND)
    assert f"assets/round_report/{ROUND}" in named(check(store), "missing")


def test_a_folder_without_rounds_passes(tmp_path: Path) -> None:
    assert verify(Store(str(tmp_path)), None).passed


def test_a_stray_file_beside_the_assets_is_named(store: Store) -> None:
    store.path("assets", "notes.txt").write_text("mine")
    assert check(store).names() == ["assets/notes.txt"]
