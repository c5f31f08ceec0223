"""The bundled model's real server: started when needed, ended with its parent, and survived when it crashes."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from sedi_dagster.errors import ModelError, SettingsError
from sedi_dagster.records import Message, TeacherRequest
from sedi_dagster.settings import Settings
from sedi_dagster.teacher import local_server
from sedi_dagster.teacher.client import Teacher
from sedi_dagster.teacher.local_server import BundledEndpoint, LocalServer
from sedi_dagster.teacher.open import open_teacher


def settings(folder: Path, **teacher: Any) -> Settings:
    chosen = {"max_concurrency": 2, "local_threads": 1, "local_context": 512} | teacher
    return Settings(_env_file=None, data=str(folder / "data"), cache=folder / "cache", teacher=chosen)  # type: ignore[arg-type]


def completions(count: int) -> list[TeacherRequest]:
    return [
        TeacherRequest("test", "round-0001", "math", 8, prompt=f"Task {n}:", seed=n, temperature=0.5)
        for n in range(count)
    ]


def test_it_answers_completions_and_chat_survives_a_crash_and_is_the_same_teacher_next_time(tmp_path: Path) -> None:
    async def first(teacher: Teacher) -> list[str]:
        await teacher.check()
        chat = TeacherRequest("test", "round-0001", "math", 8, messages=(Message("user", "Say hello."),))
        answers = await teacher.ask([*completions(2), chat])
        assert isinstance(teacher.endpoint, BundledEndpoint)
        os.kill(teacher.endpoint.server.pid or 0, 9)
        answers += await teacher.ask(completions(4))
        too_long = TeacherRequest("test", "round-0001", "math", 8, prompt="long " * 900)
        (refused,) = await teacher.ask([too_long])
        assert refused.error.startswith("too_long")
        assert not any(a.error for a in answers) and all(a.total_tokens > 8 for a in answers)
        return [a.text for a in answers]

    async def run(work: Any) -> Any:
        async with open_teacher(settings(tmp_path)) as teacher:
            return await work(teacher)

    async def again(teacher: Teacher) -> list[bool]:
        return [a.cached for a in await teacher.ask(completions(4))]

    asyncio.run(run(first))
    assert asyncio.run(run(again)) == [True] * 4


def test_it_ends_with_its_parent_also_after_kill_9(tmp_path: Path) -> None:
    script = (
        "import sys, time; from pathlib import Path; from sedi_dagster.teacher.local_server import LocalServer\n"
        "s = LocalServer(Path(sys.argv[1]), slots=1, context=256, threads=1); s.start()\n"
        "print(s.pid, flush=True); time.sleep(60)"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    parent = subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path)], stdout=subprocess.PIPE, text=True, env=environment
    )
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    assert Path(f"/proc/{child}").exists()
    parent.kill()
    parent.wait()
    deadline = time.monotonic() + 60
    while _runs(child) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not _runs(child)


def _runs(pid: int) -> bool:
    try:
        return ") Z" not in Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False


def test_a_missing_model_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sedi_dagster.models._GGUF_PACKAGE", "no_such_package")
    with pytest.raises(ModelError) as missing:
        LocalServer(tmp_path).start()
    assert "requirements/models.txt" in missing.value.fix


def test_a_server_that_does_not_start_says_what_its_log_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(b"GGUF nothing")
    monkeypatch.setattr(local_server, "bundled_gguf", lambda: broken)
    monkeypatch.setattr(local_server, "_START_ATTEMPTS", 1)
    with pytest.raises(local_server.TeacherError, match="does not start"):
        LocalServer(tmp_path / "logs").start()


def test_the_ledger_of_data_at_a_url_must_be_named(tmp_path: Path) -> None:
    assert settings(tmp_path).ledger_url == f"sqlite:///{tmp_path}/data/ledger.sqlite"
    remote = Settings(_env_file=None, data="s3://bucket/data")
    with pytest.raises(SettingsError) as refused:
        _ = remote.ledger_url
    assert "SEDI_LEDGER" in refused.value.fix
