"""Reports beside the UI, on the same address, and nothing else; the form for partitions takes rounds only."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import MagicMock

import dagster._cli.dev
import dagster_dg_cli.cli.dev
import pytest
from dagster._utils.interrupts import setup_interrupt_handlers
from dagster_graphql.schema import create_schema
from starlette.applications import Starlette
from starlette.routing import Mount, Route
from starlette.testclient import TestClient

from sedi_dagster.orchestration.webserver import Webserver, develop, reject_invalid_partition
from sedi_dagster.storage.store import Store

ADD = """mutation($key: String!) { addDynamicPartition(partitionsDefName: "rounds", partitionKey: $key,
  repositorySelector: {repositoryName: "r", repositoryLocationName: "l"}) {
  __typename ... on PythonError { message } } }"""


@pytest.fixture
def browser(project: Path) -> Iterator[TestClient]:
    """What a browser gets from the webserver, Dagster's own pages left out."""
    store = Store(str(project / "data"))
    store.write_text("<p>the report</p>", "reports", "round-0001.html")
    store.write_bytes(b"\x89PNG", "plots", "sft_checkpoint", "round-0001", "loss.png")
    store.write_text("secret", "ledger.sqlite")
    store.write_text("secret", "plans", "round-0001.json")
    routes = Webserver(MagicMock()).build_routes()[:2]
    yield TestClient(Starlette(routes=[Mount("", routes=routes)]))


def test_the_webserver_has_the_pages_before_its_own_routes_which_take_every_path(project: Path) -> None:
    routes = [route.path for route in Webserver(MagicMock()).build_routes() if isinstance(route, Route)]
    assert routes[:2] == ["/sedi", "/sedi/{path:path}"] and "/{path:path}" in routes[2:]


def test_reports_and_plots_are_shown_and_can_do_nothing_in_the_uis_name(browser: TestClient) -> None:
    page = browser.get("/sedi/reports/round-0001.html")
    assert page.text == "<p>the report</p>" and page.headers["content-type"].startswith("text/html")
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert "no-cache" in page.headers["cache-control"], "a page that was made again is seen"
    plot = browser.get("/sedi/plots/sft_checkpoint/round-0001/loss.png")
    assert plot.content == b"\x89PNG" and plot.headers["content-type"] == "image/png"


@pytest.mark.parametrize(
    "path",
    ["ledger.sqlite", "plans/round-0001.json", "reports/%2e%2e/ledger.sqlite", "reports", "reports/", "plots/../plans"],
)
def test_nothing_else_of_the_data_folder_is_shown(browser: TestClient, path: str) -> None:
    answer = browser.get(f"/sedi/{path}")
    assert answer.status_code == 404 and "secret" not in answer.text


def test_a_report_that_is_not_there_yet_says_what_to_press(
    browser: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    missing = browser.get("/sedi/reports/round-0009.html")
    assert missing.status_code == 404 and "open_round" in missing.text and "SIMULATED" not in missing.text
    monkeypatch.setenv("SEDI_TEACHER_BASE_URL", "simulated:")
    assert "SIMULATED" in browser.get("/sedi").text, "leads to the index"


@pytest.mark.parametrize("key", ["banana", "round-0007", "round-1", "math|round-0001"])
def test_a_partition_that_is_no_round_is_refused_with_what_to_press(project: Path, key: str) -> None:
    text = create_schema().execute(ADD, variables={"key": key}, middleware=[reject_invalid_partition])
    assert text.errors is None and text.data["addDynamicPartition"]["__typename"] == "PythonError"
    message = text.data["addDynamicPartition"]["message"]
    assert key in message and "open_round" in message and "round-0001" in message


def test_the_next_round_may_be_added(project: Path) -> None:
    class Info:
        field_name = "addDynamicPartition"

    def resolve(root: object, info: object, **arguments: object) -> str:
        return f"added {arguments['partitionKey']}"

    text = reject_invalid_partition(resolve, None, Info(), partitionsDefName="rounds", partitionKey="round-0001")
    assert text == "added round-0001"


def test_sigterm_ends_the_ui_also_when_it_was_started_with_sigint_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    """As under nohup, or with `&` in a script: Dagster's handler of SIGTERM is a copy of that of SIGINT."""
    started = SimpleNamespace(main=lambda *arguments, **options: setup_interrupt_handlers())
    monkeypatch.setattr(dagster_dg_cli.cli.dev, "dev_command", started)
    monkeypatch.setattr(dagster._cli.dev, "open_ipc_subprocess", dagster._cli.dev.open_ipc_subprocess)
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        develop("127.0.0.1", 3000, "workspace.yaml")
        assert callable(signal.getsignal(signal.SIGTERM))
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
