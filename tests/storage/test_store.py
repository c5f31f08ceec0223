"""The data folder, on a local path and by URL: a partition is there whole or not at all."""

from __future__ import annotations

import threading
import uuid
from pathlib import Path

import polars as pl
import pytest

from sedi_dagster.errors import StorageError
from sedi_dagster.storage.files import folder_hashes
from sedi_dagster.storage.store import MARKER, Store, tables_version

FRAME = pl.DataFrame({"id": ["a", "b"], "n": [1, None], "ids": [["x"], []]})
PARTITION = ("generated_batches", "round-0001", "math")


@pytest.fixture(params=["path", "file", "memory", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    if request.param == "s3":
        return Store(request.getfixturevalue("s3_folder"))
    roots = {"path": str(tmp_path), "file": f"file://{tmp_path}", "memory": f"memory://{uuid.uuid4()}/data"}
    return Store(roots[request.param])


def test_tables_come_back_equal_with_a_marker_that_describes_them(store: Store) -> None:
    record = store.write_tables({"candidates": FRAME, "calls": FRAME.clear()}, *PARTITION)
    read = store.read_tables(*PARTITION)
    assert list(read) == ["candidates", "calls"] and read["candidates"].equals(FRAME)
    assert read["calls"].is_empty() and read["calls"].schema == FRAME.schema
    assert store.tables_marker(*PARTITION) == record
    assert record["tables"]["candidates"]["rows"] == 2 and record["tables"]["calls"]["columns"] == FRAME.columns


def test_tables_and_columns_written_before_a_rename_have_their_present_names(store: Store) -> None:
    store.write_tables({"candidates": pl.DataFrame({"candidate_id": ["c1"], "screened_rule": ["too_short"]})}, "a")
    now = pl.DataFrame({"candidate_id": ["c1"], "rejection_rule": ["too_short"]})
    assert store.read_table("candidates", "a").equals(now) and store.read_tables("a")["candidates"].equals(now)
    store.write_tables({"earnings": now}, "b")
    assert store.read_tables("b").keys() == {"seed_statistics"}


def test_writing_again_replaces_every_table(store: Store) -> None:
    store.write_tables({"old": FRAME, "candidates": FRAME}, *PARTITION)
    store.write_tables({"candidates": FRAME.head(1)}, *PARTITION)
    assert list(store.read_tables(*PARTITION)) == ["candidates"]
    assert store.names("assets", *PARTITION) == [MARKER, "candidates.parquet"]


def test_a_partition_killed_before_its_marker_is_not_there(store: Store) -> None:
    store.write_tables({"candidates": FRAME}, *PARTITION)
    store.remove_file("assets", *PARTITION, MARKER)
    assert store.tables_marker(*PARTITION) is None
    for read in (store.read_tables, lambda *parts: store.read_table("candidates", *parts)):
        with pytest.raises(StorageError, match="no complete data for generated_batches/round-0001/math"):
            read(*PARTITION)
    assert store.find_table("candidates", *PARTITION) is None
    store.write_tables({"candidates": FRAME}, *PARTITION)
    assert store.read_tables(*PARTITION)["candidates"].equals(FRAME)


def test_a_table_that_an_earlier_version_did_not_write_is_none_or_an_error_by_its_name(store: Store) -> None:
    store.write_tables({"candidates": FRAME}, *PARTITION)
    assert store.find_table("calls", *PARTITION) is None
    with pytest.raises(StorageError, match="no table calls of generated_batches/round-0001/math"):
        store.read_table("calls", *PARTITION)
    found = store.find_table("candidates", *PARTITION)
    assert found is not None and found.equals(FRAME)


def test_a_process_killed_while_rewriting_leaves_no_mixture(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    store.write_tables({"a": FRAME, "b": FRAME}, *PARTITION)

    def killed(*parts: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(store, "write_json", killed)
    with pytest.raises(KeyboardInterrupt):
        store.write_tables({"a": FRAME.head(1), "b": FRAME.head(1)}, *PARTITION)
    assert store.tables_marker(*PARTITION) is None


@pytest.mark.parametrize("damage", ["missing", "cut", "empty"])
def test_a_damaged_table_is_told_and_not_read(store: Store, damage: str) -> None:
    store.write_tables({"candidates": FRAME}, *PARTITION)
    file = ("assets", *PARTITION, "candidates.parquet")
    content = store.read_bytes(*file)
    store.remove_file(*file)
    if damage != "missing":
        store.write_bytes(content[: len(content) // 2] if damage == "cut" else b"", *file)
    with pytest.raises(StorageError, match=r"candidates\.parquet is missing or was changed"):
        store.read_tables(*PARTITION)


def test_json_is_written_whole_and_read_back(store: Store) -> None:
    store.write_json({"text": "ü 😀", "n": 1}, "plans", "round-0001.json")
    store.write_json({"n": 2}, "plans", "round-0001.json")
    assert store.read_json("plans", "round-0001.json") == {"n": 2}
    assert store.names("plans") == ["round-0001.json"], "no temporary file is left"
    assert store.read_json("plans", "round-0002.json") is None and store.names("nowhere") == []


def test_a_file_that_is_not_json_is_told(store: Store) -> None:
    store.write_text('{"half":', "plans", "round-0001.json")
    with pytest.raises(StorageError, match=r"round-0001\.json is not JSON"):
        store.read_json("plans", "round-0001.json")


def test_two_writers_of_one_file_do_not_mix_their_texts(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    texts = [letter * 200_000 for letter in "abcd"]

    def write(text: str) -> None:
        for _ in range(10):
            store.write_text(text, "plans", "round-0001.json")

    threads = [threading.Thread(target=write, args=(text,)) for text in texts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (tmp_path / "plans" / "round-0001.json").read_text() in texts
    assert store.names("plans") == ["round-0001.json"]


def test_a_folder_is_replaced_and_copied_back(store: Store, tmp_path: Path) -> None:
    source = tmp_path / "made"
    (source / "inner").mkdir(parents=True)
    (source / "weights").write_bytes(b"\x00\x01")
    (source / "inner" / "stale").write_text("old")
    store.upload(source, "checkpoints", "round-0001")
    (source / "inner" / "stale").unlink()
    (source / "inner" / "config").write_text("new")
    store.upload(source, "checkpoints", "round-0001")
    copy = store.local_copy(tmp_path / "cache", "checkpoints", "round-0001")
    assert folder_hashes(copy) == folder_hashes(source) and len(folder_hashes(copy)) == 2


def test_a_root_that_can_be_written_passes_and_leaves_nothing(store: Store) -> None:
    store.check_writable()
    assert ".write-probe" not in store.names()


def test_a_root_that_cannot_be_written_is_told_before_anything_is_spent(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StorageError, match="cannot be written"):
        Store(str(tmp_path / "file" / "data")).check_writable()


@pytest.mark.parametrize("root", ["nosuch://bucket/data", "s3nosuch://x"])
def test_a_url_of_an_unknown_kind_is_told(root: str) -> None:
    with pytest.raises(StorageError, match="SEDI_DATA"):
        Store(root)


def test_the_version_of_tables_goes_by_content_not_by_chunks() -> None:
    in_chunks = pl.concat([FRAME.head(1), FRAME.tail(1)], rechunk=False)
    assert in_chunks.n_chunks() == 2 and tables_version({"t": FRAME}) == tables_version({"t": in_chunks})
    assert tables_version({"t": FRAME}) != tables_version({"u": FRAME})
    assert tables_version({"t": FRAME}) != tables_version({"t": FRAME.reverse()})
    assert tables_version({"a": FRAME, "b": FRAME}) == tables_version({"b": FRAME, "a": FRAME})


@pytest.mark.parametrize("content", ["{}", "[]", "3"])
def test_a_marker_of_another_shape_is_told(tmp_path: Path, content: str) -> None:
    store = Store(str(tmp_path))
    store.path("assets", "seed_pool").mkdir(parents=True)
    store.path("assets", "seed_pool", "_tables.json").write_text(content)
    with pytest.raises(StorageError, match="is not a marker of tables"):
        store.read_tables("seed_pool")


def test_a_data_folder_that_is_a_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("")
    with pytest.raises(StorageError, match="is a file"):
        Store(str(tmp_path / "data"))


def test_a_data_folder_with_a_name_that_the_system_does_not_take_is_told(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="too long"):
        Store(str(tmp_path / ("a" * 300)))


def test_a_link_to_nowhere_does_not_hide_the_other_files_of_a_folder(tmp_path: Path) -> None:
    """As a temporary file that is renamed while the folder is listed: a plan would else seem not to be there."""
    store = Store(str(tmp_path))
    store.write_json({}, "plans", "round-0001.json")
    (tmp_path / "plans" / ".#round-0001.json").symlink_to("nowhere")
    assert store.names("plans") == store.names("plans/") == ["round-0001.json"]
    assert store.record_names("plans") == ["round-0001"]
