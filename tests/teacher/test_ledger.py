"""The ledger: durable, shared, its accounts always add up. On SQLite, and on PostgreSQL where there is one."""

from __future__ import annotations

import asyncio
import errno
import select
import socket
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, text

from sedi_dagster.errors import SettingsError, StorageError, StorageFull
from sedi_dagster.teacher.budget import Budget
from sedi_dagster.teacher.disk_reserve import BYTES, DiskReserve
from sedi_dagster.teacher.ledger import Ledger
from sedi_dagster.teacher.owners import Owner
from sedi_dagster.teacher.transaction import Answered, Begun, Busy, EndedCall, NewCall, NoRoom, Reserved

DAY = "2026-11-01"


def new_call(key: str, tokens: int = 100, budget: Budget | None = None, round_key: str = "round-0001") -> NewCall:
    return NewCall(
        key=key,
        endpoint="http://endpoint/v1",
        model="model",
        purpose="test",
        round=round_key,
        category="math",
        run="",
        day=DAY,
        request='{"model":"model"}',
        most_tokens=tokens,
        most_nanousd=tokens * 10,
        caps=(budget or Budget()).caps(round_key, DAY),
    )


def done(key: str, prompt: int = 10, completion: int = 5) -> EndedCall:
    return EndedCall(
        key,
        "done",
        response="{}",
        prompt_tokens=prompt,
        completion_tokens=completion,
        nanousd=(prompt + completion) * 10,
    )


def begin(ledger: Ledger, *calls: NewCall) -> list[Begun]:
    async def all_at_once() -> list[Begun]:
        return list(await asyncio.gather(*(ledger.begin(call) for call in calls)))

    return asyncio.run(all_at_once())


def end(ledger: Ledger, *calls: EndedCall) -> None:
    async def all_at_once() -> None:
        await asyncio.gather(*(ledger.end(call) for call in calls))

    asyncio.run(all_at_once())


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'ledger.sqlite'}"
    return str(request.getfixturevalue("postgres_ledger"))


@pytest.fixture
def ledger(url: str) -> Iterator[Ledger]:
    with Ledger(url) as opened:
        yield opened


def test_a_call_is_reserved_then_settled_in_all_its_accounts(ledger: Ledger) -> None:
    assert begin(ledger, new_call("a")) == [Reserved("a")]
    for name in ("loop", "round:round-0001", f"day:{DAY}"):
        assert ledger.account(name).reserved_tokens == 100
    end(ledger, done("a"))
    for name in ("loop", "round:round-0001", f"day:{DAY}"):
        account = ledger.account(name)
        assert (account.spent_tokens, account.reserved_tokens) == (15, 0)
        assert (account.spent_nanousd, account.reserved_nanousd) == (150, 0)


def test_an_answered_call_is_not_begun_again_and_a_failed_one_is(ledger: Ledger) -> None:
    begin(ledger, new_call("a"), new_call("b"))
    end(ledger, done("a"), EndedCall("b", "failed", error="503"))
    assert begin(ledger, new_call("a"), new_call("b")) == [Answered("a"), Reserved("b")]
    assert set(asyncio.run(ledger.lookup(["a", "b"]))) == {"a"}


def test_the_worst_case_that_does_not_fit_is_not_begun(ledger: Ledger) -> None:
    budget = Budget(max_tokens=250)
    first, second, third = begin(ledger, *(new_call(key, 100, budget) for key in "abc"))
    assert first == Reserved("a") and second == Reserved("b")
    assert isinstance(third, NoRoom) and not third.for_good
    end(ledger, done("a", 90, 10), done("b", 90, 10))
    (fourth,) = begin(ledger, new_call("d", 100, budget))
    assert isinstance(fourth, NoRoom) and fourth.for_good
    assert begin(ledger, new_call("e", 50, budget)) == [Reserved("e")]


def test_a_cap_of_one_round_leaves_another_alone(ledger: Ledger) -> None:
    budget = Budget(max_tokens_per_round=100)
    begun = begin(ledger, new_call("a", 100, budget), new_call("b", 100, budget, round_key="round-0002"))
    assert begun == [Reserved("a"), Reserved("b")]


def test_a_cap_in_money_holds_to_the_nanodollar(ledger: Ledger) -> None:
    budget = Budget(max_usd=0.000001)
    (fits,) = begin(ledger, new_call("a", 100, budget))
    (over,) = begin(ledger, new_call("b", 1, budget))
    assert fits == Reserved("a") and isinstance(over, NoRoom)


def test_a_call_of_another_open_ledger_is_busy_and_one_of_a_dead_owner_is_taken_over(url: str) -> None:
    with Ledger(url) as ours:
        other = Ledger(url)
        begin(other, new_call("a"))
        assert begin(ours, new_call("a")) == [Busy("a", other.owner.id)]
        forget(other)
        assert begin(ours, new_call("a", 60)) == [Reserved("a")]
        end(ours, done("a"))
        account = ours.account("loop")
        assert (account.spent_tokens, account.reserved_tokens) == (100 + 15, 0)
        assert ours.read_call("a") is not None and ours.read_call("a").lost_tokens == 100  # type: ignore[union-attr]


def forget(ledger: Ledger) -> None:
    """End a ledger as kill -9 would: nothing more is written, and its process is not there any more."""
    ledger._closed = True
    ledger._queue.put(None)
    ledger._thread.join()

    def vanish(connection: Any) -> None:
        from sqlalchemy import update

        from sedi_dagster.teacher.schema import owners

        connection.execute(update(owners).where(owners.c.id == ledger.owner.id).values(heartbeat=0.0))

    ledger.write(vanish)


def test_calls_of_a_dead_process_are_settled_when_the_ledger_is_opened(url: str) -> None:
    dead = Ledger(url)
    begin(dead, new_call("a"), new_call("b"))
    end(dead, done("b"))
    forget(dead)
    with Ledger(url) as ledger:
        account = ledger.account("loop")
        assert (account.spent_tokens, account.reserved_tokens) == (100 + 15, 0)
        call = ledger.read_call("a")
        assert call is not None and call.state == "failed" and call.lost_tokens == 100


def test_an_answer_that_comes_after_the_call_was_taken_over_is_kept(url: str) -> None:
    slow = Ledger(url)
    with Ledger(url) as ours:
        begin(slow, new_call("a"))
        ours.owner.__dict__["sees_alive"] = lambda row: False
        assert begin(ours, new_call("a")) == [Reserved("a")]
        end(slow, done("a"))
        end(ours, done("a", 1, 1))
        assert ours.account("loop").reserved_tokens == 0
        call = ours.read_call("a")
        assert call is not None and call.state == "done" and call.prompt_tokens == 10
    slow.close()


def test_closing_gives_up_what_is_under_way_and_keeps_the_sums(url: str) -> None:
    with Ledger(url) as first:
        begin(first, new_call("a"))
    with Ledger(url) as second:
        account = second.account("loop")
        assert (account.spent_tokens, account.reserved_tokens) == (100, 0)


def test_a_begin_that_nobody_waits_for_any_more_costs_nothing(ledger: Ledger) -> None:
    async def cancelled() -> None:
        task = asyncio.create_task(ledger.begin(new_call("a")))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await asyncio.sleep(0.2)
        await ledger.begin(new_call("b"))
        await ledger.end(done("b"))

    asyncio.run(cancelled())
    account = ledger.account("loop")
    assert (account.spent_tokens, account.reserved_tokens) == (15, 0)


def test_pruning_deletes_texts_and_leaves_the_accounts(ledger: Ledger) -> None:
    begin(ledger, new_call("a"))
    end(ledger, done("a"))
    assert ledger.prune(before=0.0) == 0
    assert ledger.prune(before=4e9) == 1
    call = ledger.read_call("a")
    assert call is not None and call.state == "pruned" and call.request is None and call.response is None
    assert ledger.account("loop").spent_tokens == 15
    assert begin(ledger, new_call("a")) == [Reserved("a")]
    end(ledger, done("a"))
    call = ledger.read_call("a")
    assert ledger.account("loop").spent_tokens == 30
    assert call is not None and call.lost_tokens == 15 and call.prompt_tokens == 10


def test_many_calls_at_once_are_few_commits_and_all_are_there(ledger: Ledger) -> None:
    keys = [f"key-{n}" for n in range(700)]
    assert all(isinstance(b, Reserved) for b in begin(ledger, *(new_call(k) for k in keys)))
    end(ledger, *(done(k) for k in keys))
    assert ledger.account("loop").spent_tokens == 15 * len(keys)
    assert len(asyncio.run(ledger.lookup(keys))) == len(keys)


def test_text_of_any_kind_is_kept_as_it_is(ledger: Ledger) -> None:
    text = "é 漢字 🎈 \\x00 'quoted' \"twice\" \n\t"
    begin(ledger, replace(new_call("a"), request=text))
    end(ledger, replace(done("a"), response=text))
    call = ledger.read_call("a")
    assert call is not None and call.request == text and call.response == text


def test_a_process_that_is_gone_is_seen_as_dead_and_a_reused_id_too() -> None:
    child = subprocess.Popen(["sleep", "30"])
    row = type("Row", (), Owner(id="other", pid=child.pid).row())
    try:
        assert Owner().sees_alive(row)
        assert not Owner().sees_alive(type("Row", (), dict(row.__dict__) | {"pid_started": 1}))
    finally:
        child.kill()
        child.wait()
    assert not Owner().sees_alive(row)


@pytest.mark.parametrize(
    "bad", ["not a url", "mysql://host/db", "nosuch+driver://host/db", "sqlite://", "sqlite:///:memory:"]
)
def test_a_url_that_is_no_ledger_is_a_settings_error(bad: str) -> None:
    with pytest.raises(SettingsError):
        Ledger(bad)


def test_a_ledger_that_cannot_be_opened_says_where_and_hides_the_password(tmp_path: Path) -> None:
    (tmp_path / "folder.sqlite").mkdir()
    with pytest.raises(StorageError, match=r"folder\.sqlite"):
        Ledger(f"sqlite:///{tmp_path / 'folder.sqlite'}")
    pytest.importorskip("psycopg")
    with pytest.raises(StorageError) as failed:
        Ledger("postgresql+psycopg://user:hunter2secret@127.0.0.1:9/db")
    assert "hunter2secret" not in str(failed.value)


def test_a_damaged_ledger_is_to_be_restored(tmp_path: Path) -> None:
    (tmp_path / "ledger.sqlite").write_bytes(b"no database at all")
    with pytest.raises(StorageError, match="file is not a database") as raised:
        Ledger(f"sqlite:///{tmp_path / 'ledger.sqlite'}")
    assert "restore it from a backup" in raised.value.fix and "nothing is lost" not in raised.value.fix


def test_a_call_that_is_sent_again_has_no_answer_of_its_former_attempt(ledger: Ledger) -> None:
    begin(ledger, new_call("a"))
    end(ledger, EndedCall("a", "failed", response="half an answer"))
    begin(ledger, new_call("a"))
    call = ledger.read_call("a")
    assert call is not None and call.state == "pending" and call.request and call.response is None


def test_a_ledger_of_the_former_layout_is_migrated_and_what_was_paid_is_still_there(url: str) -> None:
    with Ledger(url) as ledger:
        begin(ledger, new_call("paid"), new_call("cut off"))
        end(ledger, done("paid"))
        before = ledger.account("loop").spent_tokens
    engine = create_engine(url)
    with engine.begin() as connection:  # as layout 1 was
        for name in ("cached_tokens", "reasoning_tokens", "replies"):
            connection.execute(text(f"ALTER TABLE calls DROP COLUMN {name}"))
        connection.execute(text("DROP TABLE batches"))
        connection.execute(text("UPDATE about SET value = '1' WHERE name = 'schema'"))
    engine.dispose()
    for _ in range(2):  # and opened again
        with Ledger(url) as ledger:
            call = ledger.read_call("paid")
            assert call is not None and call.state == "done" and (call.cached_tokens, call.reasoning_tokens) == (0, 0)
            assert begin(ledger, new_call("paid")) == [Answered("paid")]
            assert ledger.account("loop").spent_tokens >= before
    with Ledger(url) as ledger:
        begin(ledger, new_call("new"))
        end(ledger, replace(done("new"), cached_tokens=4, reasoning_tokens=2))
        call = ledger.read_call("new")
        assert call is not None and (call.cached_tokens, call.reasoning_tokens) == (4, 2)


def test_a_ledger_of_another_layout_is_refused_and_left_as_it_is(url: str) -> None:
    with Ledger(url):
        pass
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(text("UPDATE about SET value = '99' WHERE name = 'schema'"))
    engine.dispose()
    with pytest.raises(StorageError, match="schema version 99"):
        Ledger(url)


class LosesAcknowledgements:
    """A proxy before PostgreSQL: where it is armed, the next commit arrives, and its acknowledgement does not."""

    def __init__(self, folder: Path, target: Path) -> None:
        self.armed = 0
        self.lost = 0
        self._target = str(target / ".s.PGSQL.5432")
        self._server = socket.socket(socket.AF_UNIX)
        self._server.bind(str(folder / ".s.PGSQL.5432"))
        self._server.listen()
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._server.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._server.accept()
            except OSError:
                return
            upstream = socket.socket(socket.AF_UNIX)
            upstream.connect(self._target)
            threading.Thread(target=self._carry, args=(client, upstream), daemon=True).start()

    def _carry(self, client: socket.socket, upstream: socket.socket) -> None:
        is_cut = False
        with client, upstream:
            while not is_cut:
                for ready in select.select([client, upstream], [], [])[0]:
                    data = ready.recv(65536)
                    if not data:
                        return
                    if ready is client and self.armed and data.startswith(b"Q") and b"COMMIT" in data:
                        self.armed -= 1
                        self.lost += 1
                        upstream.sendall(data)
                        upstream.recv(65536)  # it is committed, and nobody is told
                        is_cut = True
                        break
                    (upstream if ready is client else client).sendall(data)


@pytest.fixture
def losing(postgres_ledger: str) -> Iterator[tuple[LosesAcknowledgements, str]]:
    target = postgres_ledger.partition("host=")[2]
    with tempfile.TemporaryDirectory() as folder:
        proxy = LosesAcknowledgements(Path(folder), Path(target))
        yield proxy, postgres_ledger.replace(target, folder)
        proxy.close()


def test_a_commit_whose_acknowledgement_is_lost_is_neither_refused_nor_charged_twice(
    losing: tuple[LosesAcknowledgements, str],
) -> None:
    proxy, url = losing
    with Ledger(url) as ledger:
        proxy.armed = 1
        assert begin(ledger, new_call("a", 100)) == [Reserved("a")]
        assert proxy.lost == 1 and ledger.account("loop").reserved_tokens == 100
        proxy.armed = 1
        end(ledger, done("a", 10, 5))
        account = ledger.account("loop")
        assert proxy.lost == 2 and (account.spent_tokens, account.reserved_tokens) == (15, 0)
        proxy.armed = 1
        begin(ledger, new_call("b", 100))
        proxy.armed = 1
        end(ledger, EndedCall("b", "failed", error="reset", lost=True))
        account = ledger.account("loop")
        assert proxy.lost == 4 and (account.spent_tokens, account.reserved_tokens) == (115, 0)
        assert begin(ledger, new_call("a")) == [Answered("a")] and begin(ledger, new_call("b")) == [Reserved("b")]


def test_on_a_full_disk_answers_are_stored_in_the_space_set_aside_and_no_call_is_begun(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, reserve = f"sqlite:///{tmp_path / 'ledger.sqlite'}", tmp_path / "ledger.sqlite-reserve"
    with Ledger(url) as ledger:
        begin(ledger, new_call("a"), new_call("b"))
        assert reserve.stat().st_size == BYTES

        def limit(pages: str) -> None:
            with ledger._writer.connect() as connection:
                connection.exec_driver_sql(f"PRAGMA max_page_count={pages}")

        def release_space(self: DiskReserve) -> None:
            release(self)
            limit("1000000")

        release = DiskReserve.release
        monkeypatch.setattr(DiskReserve, "release", release_space)
        limit("1")  # no page more than there are
        end(ledger, replace(done("a"), response="x" * 100_000))
        assert not reserve.exists()
        with pytest.raises(StorageFull, match=r"disk is full.*\n.*Free some space"):
            begin(ledger, new_call("c"))
        end(ledger, done("b"))
        assert set(ledger.read_answered(["a", "b", "c"])) == {"a", "b"}
        monkeypatch.undo()
    with Ledger(url) as ledger:
        assert begin(ledger, new_call("c")) == [Reserved("c")] and reserve.exists()
        end(ledger, done("c"))
    assert not reserve.exists()


def test_without_space_to_set_aside_no_call_is_begun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_space(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(DiskReserve, "ensure", no_space)
    with Ledger(f"sqlite:///{tmp_path / 'ledger.sqlite'}") as ledger, pytest.raises(StorageFull, match="No space left"):
        begin(ledger, new_call("a"))
