"""The data folder at a URL: a real S3 server in a process of its own, other processes that write, and its failures."""

from __future__ import annotations

import errno
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from benchmarks.testbed.s3_server import S3Server
from sedi_dagster.batching.example_table import replace_round
from sedi_dagster.errors import StorageError, StorageUnavailable
from sedi_dagster.lineage.contents import example_digests
from sedi_dagster.records import CategoryPlan, RoundOutcome, RoundPlan, round_key
from sedi_dagster.storage.files import folder_hashes
from sedi_dagster.storage.object_store import as_storage_error
from sedi_dagster.storage.rounds import HISTORY, cache_history, load_history, save_plan
from sedi_dagster.storage.store import Store


def in_another_process(code: str, *arguments: str, wait: bool = True) -> subprocess.Popen[str]:
    process = subprocess.Popen([sys.executable, "-c", code, *arguments], stdout=subprocess.PIPE, text=True)
    if wait:
        assert process.wait(60) == 0
    return process


WRITE_A_PLAN = """
import sys
from sedi_dagster.storage.store import Store
store = Store(sys.argv[1])
print(store.create_json({"by": sys.argv[2]}, "plans", "round-0001.json"))
"""


def test_what_another_process_writes_is_seen_by_one_that_has_looked_before(s3_folder: str) -> None:
    store = Store(s3_folder)
    assert store.names("plans") == [] and store.read_json("plans", "round-0001.json") is None
    in_another_process(WRITE_A_PLAN, s3_folder, "them")
    assert store.names("plans") == ["round-0001.json"]
    assert store.read_json("plans", "round-0001.json") == {"by": "them"}
    assert not store.create_json({"by": "me"}, "plans", "round-0001.json")
    Store(s3_folder).remove("plans")
    assert store.names("plans") == []


def test_of_processes_that_open_one_round_at_once_one_is_first_and_its_plan_holds(s3_folder: str) -> None:
    names = [str(n) for n in range(4)]
    started = [in_another_process(WRITE_A_PLAN, s3_folder, name, wait=False) for name in names]
    fields = {name: process.communicate()[0].strip() for name, process in zip(names, started, strict=True)}
    first = [name for name, said in fields.items() if said == "True"]
    assert len(first) == 1 and Store(s3_folder).read_json("plans", "round-0001.json") == {"by": first[0]}


def test_a_plan_whose_acknowledgement_was_lost_is_known_as_ones_own(s3: S3Server, s3_folder: str) -> None:
    s3.lose_answers("PUT", 1)
    assert Store(s3_folder).create_json({"by": "me"}, "plans", "round-0001.json")
    assert not Store(s3_folder).create_json({"by": "them"}, "plans", "round-0001.json")


@pytest.mark.parametrize(
    "use", [lambda s: s.names("plans"), Store.check_writable, load_history], ids=["list", "check", "read"]
)
def test_a_mistyped_bucket_is_an_error_and_none_is_made(s3: S3Server, use: Callable[[Store], object]) -> None:
    for _ in range(2):
        with pytest.raises(StorageError, match="There is no bucket 'sedii'"):
            use(Store("s3://sedii/data"))


def test_a_url_without_a_bucket_is_an_error(s3: S3Server) -> None:
    with pytest.raises(StorageError, match="names no bucket"):
        Store("s3://")


def test_missing_credentials_are_told_before_anything_is_spent(
    s3: S3Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    store = Store(f"s3://{s3.bucket}/nobody")
    store.root.fs.clear_instance_cache()
    with pytest.raises(StorageError, match="cannot be used with the current credentials") as raised:
        Store(f"s3://{s3.bucket}/nobody").check_writable()
    assert "AWS_ACCESS_KEY_ID" in raised.value.fix
    store.root.fs.clear_instance_cache()


def test_a_store_that_answers_503_for_a_while_is_asked_again_and_then_said_to_be_away(
    s3: S3Server, s3_folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(s3_folder)
    s3.refuse(0.5)
    store.write_json({"n": 1}, "plans", "round-0001.json")
    assert store.read_json("plans", "round-0001.json") == {"n": 1}
    assert s3.requests()["refused"] >= 1
    s3.refuse(1)
    monkeypatch.setattr("botocore.retries.standard.ExponentialBackoff.delay_amount", lambda *_: 0.0)
    with pytest.raises(StorageUnavailable, match="cannot be reached for now"):
        store.names("plans")


def test_an_endpoint_where_nobody_listens_is_said_to_be_away(s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setattr("botocore.retries.standard.ExponentialBackoff.delay_amount", lambda *_: 0.0)
    store = Store("s3://elsewhere/data")
    store.root.fs.clear_instance_cache()
    with pytest.raises(StorageUnavailable, match="AWS_ENDPOINT_URL"):
        Store("s3://elsewhere/data").check_writable()
    store.root.fs.clear_instance_cache()


def test_a_bucket_in_another_region_names_the_setting(s3_folder: str) -> None:
    class Answer(Exception):
        response = {"Error": {"Code": "PermanentRedirect"}}  # noqa: RUF012

    with pytest.raises(StorageError, match="another region") as raised, as_storage_error(Store(s3_folder).root):
        raise OSError(errno.EREMCHG, "use the other endpoint") from Answer()
    assert "AWS_DEFAULT_REGION" in raised.value.fix


def finished_rounds(store: Store, count: int) -> None:
    for number in range(1, count + 1):
        key = round_key(number)
        save_plan(store, RoundPlan(key, None, "test", (CategoryPlan("math", 4, "because"),), count))
        outcome = RoundOutcome(key, 1, 2, 3, 0.5, True)
        store.write_json({"outcome": outcome.to_json()}, "manifests", f"{key}.json")


def test_looking_at_the_loop_reads_as_many_objects_after_twelve_rounds_as_after_two(
    s3: S3Server, s3_folder: str
) -> None:
    asked = []
    for count in (2, 12):
        store = Store(f"{s3_folder}/{count}")
        finished_rounds(store, count)
        cache_history(store)
        save_plan(store, RoundPlan(round_key(count + 1), round_key(count), "test", (), count + 1))
        s3.forget()
        history = load_history(store)
        asked.append(s3.requests())
        assert len(history.plans) == count + 1 and len(history.finished) == count
        assert history == load_history(store, cached=False)
    assert asked[0] == asked[1] and sum(asked[0].values()) <= 6


def test_a_history_that_is_behind_or_cut_does_not_hide_a_round(s3_folder: str) -> None:
    store = Store(s3_folder)
    finished_rounds(store, 2)
    cache_history(store)
    finished_rounds(store, 3)
    assert len(load_history(store).finished) == 3
    changed = store.read_json("manifests", "round-0001.json")
    changed["outcome"]["score"] = 0.75
    store.write_json(changed, "manifests", "round-0001.json")
    assert load_history(store).finished[0].score == 0.75
    for text in ('{"round-0001', '{"round-0001.json": 3, "round-0002.json": {}}'):
        store.write_text(text, HISTORY)
        assert len(load_history(store).finished) == 3


def test_a_checkpoint_goes_up_and_comes_down_as_it_was(s3: S3Server, s3_folder: str, tmp_path: Path) -> None:
    made = tmp_path / "checkpoint"
    (made / "deep").mkdir(parents=True)
    (made / "model.safetensors").write_bytes(bytes(range(256)) * 40_000)  # 10 MB: more than one part
    (made / "deep" / "config.json").write_text("{}")
    store = Store(s3_folder)
    store.upload(made, "checkpoints", "round-0001")
    assert folder_hashes(store.local_copy(tmp_path / "cache", "checkpoints", "round-0001")) == folder_hashes(made)
    assert store.names("checkpoints") == ["round-0001"], "nothing is left beside it"
    s3.forget()
    (made / "deep" / "config.json").write_text('{"new": 1}')
    store.upload(made, "checkpoints", "round-0001")
    copy = store.local_copy(tmp_path / "cache", "checkpoints", "round-0001")
    assert (copy / "deep" / "config.json").read_text() == '{"new": 1}'


def test_the_lance_table_lies_at_the_same_url(s3_folder: str) -> None:
    import numpy as np

    uri = str(Store(s3_folder).path("lance"))
    for key, count in (("round-0001", 3), ("round-0002", 2), ("round-0001", 1)):
        rows = pl.DataFrame(
            {
                "example_id": [f"{key}-{n}" for n in range(count)],
                "round": [key] * count,
                **{name: ["text"] * count for name in ("category", "instruction", "input", "output")},
            }
        )
        total = replace_round(uri, key, rows, np.ones((count, 4), dtype=np.float32), "model")
    assert total == 3
    assert {key: len(found) for key, found in example_digests(uri).items()} == {"round-0001": 1, "round-0002": 2}
