"""OpenLineage events: off by default, a receiver on loopback gets them, each as the specification has it."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from loops import Loop

from sedi_dagster.errors import SettingsError
from sedi_dagster.orchestration.open_lineage import dataset
from sedi_dagster.settings import load_settings
from sedi_dagster.storage.store import MARKER

pytestmark = pytest.mark.usefixtures("undrawn")


def _things(required: dict[str, Any], **optional: Any) -> dict[str, Any]:
    return {"type": "object", "required": list(required), "properties": required | optional}


_URI = {"type": "string", "pattern": "^[a-z][a-z0-9+.-]*:."}
_TIME = {"type": "string", "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$"}
_NAME = {"type": "string", "minLength": 1}
_FACETS = {"type": "object", "additionalProperties": _things({"_producer": _URI, "_schemaURL": _URI})}
_DATASETS = {
    "type": "array",
    "items": _things(
        {"namespace": _NAME, "name": _NAME}, facets=_FACETS, inputFacets=_FACETS, outputFacets=_FACETS
    ),
}  # fmt: skip
RUN_EVENT = _things(
    {
        "eventTime": _TIME,
        "producer": _URI,
        "schemaURL": {"const": "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent"},
        "run": _things({"runId": {"type": "string", "format": "uuid"}}, facets=_FACETS),
        "job": _things({"namespace": _NAME, "name": _NAME}, facets=_FACETS),
    },
    eventType={"enum": ["START", "RUNNING", "COMPLETE", "ABORT", "FAIL", "OTHER"]},
    inputs=_DATASETS,
    outputs=_DATASETS,
)
"""What version 2-0-2 of the specification asks of a run event (https://openlineage.io/spec/2-0-2/OpenLineage.json)."""


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[dict[str, Any]]]:
    """A server that keeps the events it gets; the client's own variable names it."""
    events: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            assert self.path == "/api/v1/lineage"
            events.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(201)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Nothing on stderr."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("OPENLINEAGE_URL", f"http://127.0.0.1:{server.server_port}")
        yield events
        server.shutdown()


def test_a_round_is_told_whole(loop: Loop, receiver: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch) -> None:
    """A START and a COMPLETE for every partition that lies there, with its version and those of what it is made of."""
    assert loop.materialize("seed_pool").success
    assert receiver == [], "off by default"
    monkeypatch.setenv("SEDI_OPENLINEAGE", "true")
    loop.run(1)
    validator = Draft202012Validator(RUN_EVENT, format_checker=Draft202012Validator.FORMAT_CHECKER)
    for event in receiver:
        validator.validate(event)
    assert not validator.is_valid({**receiver[0], "run": {"runId": "no uuid"}}), "it does look"

    root, store = str(loop.project / "data"), loop.sedi.store()
    made = {e["outputs"][0]["name"]: e for e in receiver if e["eventType"] == "COMPLETE"}
    begun = {e["run"]["runId"]: e for e in receiver if e["eventType"] == "START"}
    there = {Path(path).parent for path in store.files("assets") if path.endswith(MARKER)}
    assert set(made) == {f"{root}/{folder}" for folder in there} - {f"{root}/assets/seed_pool"}
    for name, event in made.items():
        parts = name.removeprefix(f"{root}/assets/").split("/")
        assert event["job"] == {**event["job"], "namespace": "sedi-dagster", "name": parts[0]}
        marker = store.tables_marker(*parts) or {}
        assert event["outputs"][0]["facets"]["version"]["datasetVersion"] == marker["data_version"]
        rows = event["outputs"][0]["outputFacets"]["outputStatistics"]["rowCount"]
        assert rows == sum(table["rows"] for table in marker["tables"].values())
        for source in event["inputs"]:
            version = (store.tables_marker(*source["name"].removeprefix(f"{root}/assets/").split("/")) or {})[
                "data_version"
            ]
            assert source["facets"]["version"]["datasetVersion"] == version
        start = begun.pop(event["run"]["runId"])
        assert start["eventTime"] <= event["eventTime"] and start["job"] == event["job"]
    assert not begun
    trained = made[f"{root}/assets/sft_checkpoint/round-0001"]
    assert f"{root}/assets/filtered_batches/round-0001" in [source["name"] for source in trained["inputs"]]


def test_a_receiver_that_is_not_there_stops_nothing(loop: Loop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENLINEAGE__TRANSPORT", json.dumps(
        {"type": "http", "url": "http://127.0.0.1:9", "retry": {"total": 0}}
    ))  # fmt: skip
    done = loop.materialize("seed_pool", openlineage=True)
    assert done.success
    lines = [log.message for log in loop.instance.all_logs(done.run_id) if "could not be sent" in log.message]
    assert len(lines) == 1 and "seed_pool" in lines[0]


def test_without_the_package_the_setting_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sedi_dagster.settings.schema.find_spec", lambda name: None)
    with pytest.raises(SettingsError, match=r"pip install 'sedi-dagster\[openlineage\]'"):
        load_settings({"openlineage": True})


@pytest.mark.parametrize(
    ("root", "named"),
    [("/data", ("file", "/data/assets/a/b")), ("s3://bucket/x/", ("s3://bucket", "x/assets/a/b")),
     ("file:///data", ("file", "/data/assets/a/b"))],
)  # fmt: skip
def test_datasets_are_named_as_openlineage_names_files_and_objects(root: str, named: tuple[str, str]) -> None:
    assert dataset(root, "a/b") == named
