"""The environment as people have it: paths, proxies, certificates, keys."""

from __future__ import annotations

import json
import os
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from click.testing import CliRunner
from replay import make, message, refusal, served

from sedi_dagster.cli import main
from sedi_dagster.errors import SediError, SettingsError, StorageError, TeacherError
from sedi_dagster.orchestration.home import ensure_dagster_home
from sedi_dagster.settings import PROJECT_ROOT, Settings, TeacherSettings, load_settings
from sedi_dagster.storage.store import Store
from sedi_dagster.teacher.budget import known_price
from sedi_dagster.teacher.ledger import Ledger
from sedi_dagster.teacher.open import make_endpoint

NAMES = ["a folder", "Übung 数据 🐦", "it's [a] b=c&d;e+f", "a%b"]


@pytest.mark.parametrize("name", NAMES)
def test_records_data_and_ledger_lie_in_the_folder_that_is_named(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / name
    monkeypatch.setenv("DAGSTER_HOME", str(folder / "home"))
    settings = Settings(data=str(folder / "data"))
    home = ensure_dagster_home("local")
    with dg.DagsterInstance.get() as instance:
        instance.add_dynamic_partitions("rounds", ["round-0001"])
    Store(settings.data_root).write_text("x", "a.txt")
    with Ledger(settings.ledger_url):
        pass
    assert home == folder / "home" and list(home.rglob("*.db"))
    assert (folder / "data" / "ledger.sqlite").exists() and (folder / "data" / "a.txt").exists()
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("below", ["ledger.sqlite", "data/ledger.sqlite"])
def test_a_file_where_the_data_folder_should_be_is_one_error(below: str, tmp_path: Path) -> None:
    (tmp_path / "data.txt").touch()
    with pytest.raises(StorageError, match=r"data\.txt.*cannot be used.*\n.*SEDI_DATA"):
        Ledger(f"sqlite:///{tmp_path}/data.txt/{below}")


@pytest.mark.parametrize("name", ["a%20b", "a#b", "a?b", "$HOME/data", "${HOME}/data"])
def test_a_folder_that_libraries_read_in_two_ways_is_one_error(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / name))
    with pytest.raises(StorageError, match="DAGSTER_HOME"):
        ensure_dagster_home("local")
    with pytest.raises(SettingsError, match="SEDI_DATA"):
        load_settings({"data": str(tmp_path / name)})
    assert not list(tmp_path.iterdir())


def test_a_tilde_is_the_home_folder_and_a_relative_path_is_the_project_s(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DAGSTER_HOME", "~/home of dagster")
    assert ensure_dagster_home("local") == tmp_path / "home of dagster"
    assert Settings(data="~/data").data_root == str(tmp_path / "data")
    assert Settings(data='"~/data" ').data_root == str(tmp_path / "data")
    assert Settings(data="file:///srv/my%20data").data_root == "/srv/my data"
    assert Settings(data="data").data_root == str(PROJECT_ROOT / "data")
    monkeypatch.setattr("sedi_dagster.orchestration.home.PROJECT_ROOT", _with_config(tmp_path / "project"))
    monkeypatch.setenv("DAGSTER_HOME", "records")
    assert ensure_dagster_home("local") == tmp_path / "project" / "records"


def _with_config(folder: Path) -> Path:
    folder.mkdir()
    (folder / "dagster.yaml").write_text("")
    return folder


def test_a_user_without_a_home_folder_is_one_error() -> None:
    with pytest.raises(SediError, match="no home folder"):
        _ = Settings(data="~nobody-of-that-name/data").data_root


@dataclass
class Proxy:
    """What a proxy was asked for."""

    address: str = ""
    seen: list[str] = field(default_factory=list)


@contextmanager
def proxy(status: int = 502) -> Iterator[Proxy]:
    """A proxy that lets nothing through; it notes what it is asked for."""
    noted = Proxy()

    class Handler(BaseHTTPRequestHandler):
        def _refuse(self) -> None:
            noted.seen.append(f"{self.command} {self.path}")
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_GET = do_POST = do_CONNECT = _refuse

        def log_message(self, *arguments: object) -> None:
            """Quiet."""

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        noted.address = f"http://127.0.0.1:{server.server_address[1]}"
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        yield noted
        server.shutdown()


PROXIES = ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"]


@pytest.fixture
def behind(monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    """A corporate network: every variable names a proxy."""
    with proxy() as noted:
        for name in PROXIES:
            monkeypatch.setenv(name, noted.address)
        monkeypatch.delenv("NO_PROXY", raising=False)
        monkeypatch.delenv("no_proxy", raising=False)
        yield noted


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_a_server_on_loopback_is_not_asked_through_the_proxy(behind: Proxy, host: str, tmp_path: Path) -> None:
    with served(lambda r, t, n: message(t)) as replay:
        replay.base_url = replay.base_url.replace("127.0.0.1", host)
        assert make(replay, tmp_path, candidates=2, check=True).kept
    assert not behind.seen


def test_a_server_elsewhere_is_asked_through_the_proxy_and_the_error_says_so(behind: Proxy, tmp_path: Path) -> None:
    with served(lambda r, t, n: message(t)) as replay:
        replay.base_url = "http://teacher.example/v1"
        with pytest.raises(TeacherError):
            make(replay, tmp_path, candidates=2, check=True)
        assert behind.seen and "teacher.example" in behind.seen[0]
        replay.base_url = "https://teacher.example/v1"
        with pytest.raises(TeacherError, match="proxy"):
            make(replay, tmp_path, candidates=2, check=True)
        assert behind.seen[-1] == "CONNECT teacher.example:443"


def test_a_gateway_s_error_from_behind_a_proxy_names_the_proxy(behind: Proxy, tmp_path: Path) -> None:
    with served(lambda r, t, n: message(t)) as replay:
        replay.base_url = "http://teacher.example/v1"
        with pytest.raises(TeacherError, match="502 through the proxy named by HTTP_PROXY"):
            make(replay, tmp_path, candidates=2, check=True)
    assert behind.seen


def test_hosts_of_no_proxy_are_asked_directly(behind: Proxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "intranet.invalid,.example")
    with served(lambda r, t, n: message(t)) as replay:
        replay.base_url = "http://intranet.invalid/v1"
        with pytest.raises(TeacherError, match="cannot be reached"):
            make(replay, tmp_path, candidates=2, check=True)
    assert not behind.seen


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("SSL_CERT_FILE", "/nowhere/ca.pem", "certificates"),
        ("HTTPS_PROXY", "socks5://127.0.0.1:1", "proxy"),
        ("ALL_PROXY", "socks://127.0.0.1:1", "proxy"),
        ("HTTPS_PROXY", "http://127.0.0.1:1", "proxy"),
        ("HTTPS_PROXY", "http://proxy:port", "proxy"),
    ],
)
def test_what_cannot_be_used_is_named(
    name: str, value: str, text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for other in PROXIES:
        monkeypatch.delenv(other, raising=False)
    monkeypatch.setenv(name, value)
    with served(lambda r, t, n: message(t)) as replay:
        assert make(replay, tmp_path, candidates=2, check=True).kept or name.startswith("SSL")
        for host in ("teacher.example", "localhost") if name.startswith("SSL") else ("teacher.example",):
            replay.base_url = f"https://{host}/v1"
            with pytest.raises(TeacherError) as stopped:
                make(replay, tmp_path, candidates=2, check=True)
            assert text in str(stopped.value).lower(), stopped.value


KEYS = [
    "`k-1`",
    "k-1\\n",
    "OPENAI_API_KEY=k-1",
    'export MY_TOKEN="k-1"',
    "x-api-key: k-1",
    "k-1\u200b",
    "bearer k-1",
    "Bearer Bearer k-1",
    "Authorization: Bearer k-1",
    "<k-1>",
    "k-1,",
    " k-1 ",
    "k-1\n",
    '"k-1"',
    "'k-1'",
    "Bearer k-1",
    "k-1\r\n",
    "\tk-1",
]


@pytest.mark.parametrize("key", KEYS)
def test_a_key_is_sent_as_it_was_meant(key: str, tmp_path: Path) -> None:
    with served(lambda r, t, n: message(t)) as replay:
        make(replay, tmp_path, candidates=1, settings={"api_key": key})
    assert all(headers["authorization"] == "Bearer k-1" for headers in replay.headers)


@pytest.mark.parametrize("key", ["k 1", "k\n1", "schlüssel", "k\x001", "“k-1”", "$MY_KEY", "${MY_KEY}"])
def test_a_key_that_cannot_be_sent_is_one_error_without_the_key(key: str) -> None:
    with pytest.raises(SettingsError, match="SEDI_TEACHER_API_KEY") as stopped:
        load_settings({"teacher": {"api_key": key}})
    assert key not in str(stopped.value)
    with pytest.raises(SettingsError, match="SEDI_EVALUATION_JUDGE_API_KEY"):
        load_settings({"evaluation": {"judge_api_key": key}})


ADDRESSES = {
    "http://h:1/v1/": ("http://h:1/v1/", {}),
    "http://h/v1/chat/completions": ("http://h/v1", {}),
    "http://h/openai/deployments/x/chat/completions?api-version=2024-10-21": (
        "http://h/openai/deployments/x",
        {"api-version": "2024-10-21"},
    ),
    "http://h/v1/models": ("http://h/v1", {}),
    "http://h/v1/responses": ("http://h/v1", {}),
    ' "http://h/v1" ': ("http://h/v1", {}),
    "<http://h/v1>\n": ("http://h/v1", {}),
    "`http://h/v1`": ("http://h/v1", {}),
    "http://h/v1,": ("http://h/v1", {}),
    "http://h/v1/\u200b": ("http://h/v1/", {}),
    "http://h/v1/embeddings": ("http://h/v1", {}),
    "http://[::1]:8000/v1": ("http://[::1]:8000/v1", {}),
}


@pytest.mark.parametrize("given", ADDRESSES)
def test_an_address_is_used_as_it_was_meant(given: str) -> None:
    endpoint = make_endpoint(load_settings({"teacher": {"base_url": given}}))
    assert (endpoint.base_url, endpoint.query) == ADDRESSES[given]


@pytest.mark.parametrize(
    "given",
    ["h:8000/v1", "localhost:8000/v1", "http:/h/v1", "htps://h", "ftp://h", "https://", "http://h:x/v1", "http://h:99999",
     "http://h /v1", "http://me:s3cret@h:x/v1", "https://https://h/v1", "http://${HOST}/v1", "http://<host>/v1",
     "http://h\\v1", "[http://h/v1](http://h/v1)"],
)  # fmt: skip
def test_what_is_no_address_is_one_error(given: str) -> None:
    with pytest.raises(SettingsError, match="SEDI_TEACHER_BASE_URL") as stopped:
        load_settings({"teacher": {"base_url": given}})
    assert "http://127.0.0.1:8000/v1" in str(stopped.value) and "s3cret" not in str(stopped.value)


@pytest.mark.parametrize("given", [" m/a:8b ", '"m/a:8b"', "m/a:8b\n", "'m/a:8b'"])
def test_the_name_of_a_model_is_sent_as_it_was_meant(given: str) -> None:
    assert load_settings({"teacher": {"model": given}}).teacher.model == "m/a:8b"


@pytest.mark.parametrize("given", ["a\nb", "a\tb", "  "])
def test_what_is_no_name_of_a_model_is_one_error(given: str) -> None:
    with pytest.raises(SettingsError, match="SEDI_TEACHER_MODEL"):
        load_settings({"teacher": {"model": given}})


@pytest.mark.parametrize(
    "name",
    ["gpt-4o-2024-05-13", "openai/gpt-4o", "azure/gpt-4o", "ft:gpt-4o-mini-2024-07-18:me::x", "GPT-4o", "gpt-4o-mini:free",
     "us.maker.model-v1:0", "accounts/x/models/y-8b", "Maker/Model-8B-FP8", "model:8b-q4_K_M", "my-deployment"],
)  # fmt: skip
def test_a_name_that_is_not_listed_has_no_price_and_a_budget_does_not_guess_one(name: str) -> None:
    given = {"teacher": {"base_url": "http://h/v1", "model": name}}
    assert known_price(load_settings(given)) is None
    with pytest.raises(SettingsError, match="no price is known") as stopped:
        known_price(load_settings({**given, "budget": {"max_usd": 5}}))
    assert ("The list has gpt-4o" in stopped.value.problem) == ("gpt-4o" in name.lower())
    prices = {name: {"input": 1.0, "output": 2.0, "as_of": "2026-11"}}
    priced = known_price(load_settings({**given, "budget": {"max_usd": 5, "prices": prices}}))
    assert priced is not None and priced.output == 2.0


def test_a_file_of_variables_in_another_encoding_is_one_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / ".env"
    monkeypatch.setattr("sedi_dagster.settings.loading.ENV_FILE", file)
    file.write_bytes("SEDI_PROFILE=local\n".encode("utf-16"))
    with pytest.raises(SettingsError, match="UTF-8"):
        load_settings()
    assert os.environ.get("SEDI_PROFILE") != "local"


@pytest.mark.parametrize(
    "line",
    ["SEDI_PROFILE openai", "SEDI_PROFILE: openai", "set SEDI_PROFILE=openai", '$env:SEDI_PROFILE="openai"', "SEDI_PROFILE",
     "=openai"],
)  # fmt: skip
def test_a_line_that_begins_no_variable_is_one_error(
    line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / ".env"
    monkeypatch.setattr("sedi_dagster.settings.loading.ENV_FILE", file)
    file.write_text(f"# mine\nOTHER=1\n{line}\n")
    with pytest.raises(SettingsError, match=r"\.env, line 3"):
        load_settings()


@pytest.mark.parametrize(
    "line", ["export SEDI_PROFILE=openai", "sedi_profile = openai", "SEDI_PROFILE='openai' # mine"]
)
def test_a_line_in_another_form_is_one(line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / ".env"
    monkeypatch.setattr("sedi_dagster.settings.loading.ENV_FILE", file)
    monkeypatch.setitem(Settings.model_config, "env_file", file)
    file.write_bytes(b"\xef\xbb\xbf" + line.encode() + b"\r\nOTHER\r\n")
    assert load_settings().profile == "openai"


def test_utf_16_without_a_mark_is_one_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / ".env"
    monkeypatch.setattr("sedi_dagster.settings.loading.ENV_FILE", file)
    file.write_bytes("SEDI_PROFILE=openai\n".encode("utf-16-le"))
    with pytest.raises(SettingsError, match="UTF-8"):
        load_settings()


@pytest.mark.parametrize("data", ["s3:/bucket/x", "s3//bucket", "C:\\data", "gs:/b", "https//h/data"])
def test_half_a_url_is_no_folder(data: str) -> None:
    with pytest.raises(SettingsError, match="SEDI_DATA"):
        load_settings({"data": data})


SECRETS = ("s3cret-in-a-header", "s3cret-in-the-query", "s3cret-in-the-body", "s3cret-further-in", "s3cret-password")


def test_what_may_be_secret_is_in_no_error_file_log_or_manifest(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    header, query, body, inner, password = SECRETS
    settings = {
        "headers": {"api-key": header},
        "query": {"code": query},
        "extra_body": {"gateway_token": body, "options": {"password": inner, "top_k": 5}},
    }
    caplog.set_level("DEBUG")

    def echo(request: Any, good: str, number: int) -> Any:
        sent = f"{json.dumps(request)} {replay.headers[-1]} {replay.paths[-1]} {password}"
        return refusal(400, {"error": {"message": f"No such route: {sent}"[:3000]}})

    with served(echo) as replay:
        replay.base_url = replay.base_url.replace("http://", f"http://me:{password}@")
        with pytest.raises(TeacherError) as stopped:
            make(replay, tmp_path, candidates=40, settings=settings)
    assert "***" in stopped.value.problem
    lines = [str(stopped.value), repr(stopped.value), caplog.text]
    lines.append(json.dumps(Settings(teacher=TeacherSettings(base_url=replay.base_url, **settings)).public()))
    lines += [path.read_bytes().decode("latin-1") for path in tmp_path.rglob("*") if path.is_file()]
    found = [
        (secret, text[max(0, text.find(secret) - 60) :][:160]) for secret in SECRETS for text in lines if secret in text
    ]
    assert not found
    assert '"top_k": 5' in lines[3]


@pytest.mark.parametrize(
    ("variable", "value", "text"),
    [
        ("SEDI_TEACHER_API_KEY", "s3cret with blanks", "SEDI_TEACHER_API_KEY: It contains a space"),
        ("SEDI_TEACHER_EXTRA_BODY", '{"token": "s3cret"', "SEDI_TEACHER_EXTRA_BODY: not JSON"),
        ("SEDI_TEACHER_HEADERS", '["s3cret"]', "SEDI_TEACHER_HEADERS"),
        ("SEDI_TEACHER_QUERY", '{"code": ["s3cret"]}', "SEDI_TEACHER_QUERY"),
        ("SEDI_LEDGER", "postgresql+psycopg://me:s3cret@127.0.0.1:9/db", "cannot be used"),
        ("SEDI_DATA", "/nowhere/a%20b", "SEDI_DATA"),
    ],
)
def test_what_a_person_can_mend_is_one_message_and_exit_status_2(
    variable: str, value: str, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, value)
    ended = CliRunner().invoke(main, ["calls", "sum"])
    assert ended.exit_code == 2 and ended.stderr.startswith("Error: ") and "Fix: " in ended.stderr
    assert text in ended.stderr and "s3cret" not in ended.stderr and "Traceback" not in ended.output
