"""A planted key is looked for everywhere: ledger, logs, errors, metadata, process list."""

from __future__ import annotations

import asyncio
import logging
import traceback
from pathlib import Path

import pytest
from teacher_bench import Bench, chats

from sedi_dagster.errors import TeacherError
from sedi_dagster.settings import Settings
from sedi_dagster.teacher.local_server import LocalServer
from sedi_dagster.teacher.rendering import endpoint_identity

SECRET = "sk-planted-7f3a9c-secret"


def test_a_planted_key_is_found_nowhere(bench: Bench, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    bench.api_key = SECRET
    lines: list[str] = []
    bench.ask(chats(5))
    bench.server.configure(api_key="another", echo_key=True)
    for work in (lambda teacher: teacher.check(), lambda teacher: teacher.ask(chats(50))):
        with pytest.raises(TeacherError) as stopped:
            bench.run(work)
        lines += [str(stopped.value), repr(stopped.value), *traceback.format_exception(stopped.value)]
    assert bench.teacher is not None
    lines += [str(bench.teacher.usage.metadata()), repr(bench.teacher.ledger), caplog.text]
    assert "Incorrect API key provided: ***" in "".join(lines)
    assert SECRET not in "".join(lines)
    bench.ledger.close()
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert files and not any(SECRET.encode() in path.read_bytes() for path in files)
    assert SECRET not in _process_list()


def test_a_key_in_settings_or_in_the_address_is_not_shown() -> None:
    settings = Settings(_env_file=None, teacher={"api_key": SECRET, "base_url": "http://x/v1"})  # type: ignore[arg-type]
    assert SECRET not in str(settings) + repr(settings) + str(settings.public())
    assert endpoint_identity(f"https://me:{SECRET}@Host:8443/v1/?key={SECRET}") == "https://host:8443/v1"


def test_the_local_server_s_key_is_in_no_argument_environment_or_log(tmp_path: Path) -> None:
    with LocalServer(tmp_path, slots=1, context=256, threads=1) as server:
        assert server.api_key not in _process_list()
        assert server.api_key.encode() not in Path(f"/proc/{server.pid}/environ").read_bytes()
        asyncio.run(asyncio.sleep(0))
    assert server.api_key not in server.log.read_text(errors="replace")


def _process_list() -> str:
    lines = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            lines.append(path.read_bytes().decode("utf-8", "replace"))
        except OSError:
            continue
    return "\n".join(lines)
