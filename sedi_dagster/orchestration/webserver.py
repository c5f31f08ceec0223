"""Dagster's webserver, plus the reports and plots of the data folder under /sedi.

Browsers do not open `file://` links from a page, so metadata links to `/sedi/reports/round-0001.html`, which also works
through a tunnel. The form "Add a partition" rejects invalid rounds.

    python -m sedi_dagster.orchestration.webserver     same options as dagster-webserver
"""

import logging
import signal
from collections.abc import Callable
from importlib import import_module
from pathlib import PurePosixPath
from typing import Any

from dagster_webserver.webserver import DagsterWebserver
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from sedi_dagster.orchestration.opening import invalid_partition
from sedi_dagster.orchestration.outputs import PAGES
from sedi_dagster.orchestration.partitions import ROUNDS
from sedi_dagster.orchestration.resources import SediResource
from sedi_dagster.reporting.page import render_page
from sedi_dagster.settings import load_settings
from sedi_dagster.storage.store import Store

MODULE = "sedi_dagster.orchestration.webserver"
SERVED = {"reports": "text/html; charset=utf-8", "plots": "image/png"}
"""The only folders of the data folder that are served, with the type of their files."""
HEADERS = {
    "Cache-Control": "no-cache",  # pages may be rebuilt
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; img-src 'self' data:",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


class Webserver(DagsterWebserver[Any, Any]):
    """Dagster's webserver with the reports and plots."""

    def build_routes(self) -> list[Any]:
        dagster: Any = super()
        return [
            Route(PAGES, lambda _: RedirectResponse(f"{PAGES}/reports/index.html")),
            Route(f"{PAGES}/{{path:path}}", page),
            *dagster.build_routes(),
        ]

    def build_graphql_middleware(self) -> list[Any]:
        return [reject_invalid_partition]


def page(request: Request) -> Response:
    """Serve a file of one of the `SERVED` folders; 404 for anything else."""
    parts = PurePosixPath(request.path_params["path"]).parts
    kind = SERVED.get(parts[0]) if len(parts) > 1 and ".." not in parts else None
    file = Store(load_settings().data_root).path(*parts) if kind else None
    if file is None or not file.is_file():
        missing = render_page("missing.html.j2", path="/".join(parts), simulated=load_settings().teacher.is_simulated)
        return Response(missing, 404, HEADERS, SERVED["reports"])
    return Response(file.read_bytes(), 200, HEADERS, kind)


def reject_invalid_partition(resolve: Callable[..., Any], root: Any, info: Any, **arguments: Any) -> Any:
    """GraphQL middleware that lets users add only round partitions that can be materialized."""
    if info.field_name == "addDynamicPartition" and arguments.get("partitionsDefName") == ROUNDS.name:
        problem = invalid_partition(SediResource(), str(arguments.get("partitionKey")))
        if problem:
            from dagster_graphql.schema.errors import GraphenePythonError
            from dagster_shared.error import SerializableErrorInfo

            error_type: Any = GraphenePythonError
            return error_type(SerializableErrorInfo(problem, [], "NotARound"))
    return resolve(root, info, **arguments)


def serve() -> None:
    """Run `dagster-webserver` with this application. There is no hook for that, so its factory is replaced."""
    cli: Any = import_module("dagster_webserver.cli")

    def application(context: Any, path_prefix: str, live_data_poll_rate: int | None, **options: Any) -> Any:
        return Webserver(context, path_prefix, live_data_poll_rate).create_asgi_app(**options)

    cli.create_app_from_workspace_process_context = application
    cli.main()


def develop(host: str, port: int, workspace: str) -> None:
    """Run `dg dev` (webserver, daemon and code location) with this webserver, until Ctrl-C."""
    dev: Any = import_module("dagster._cli.dev")
    start = dev.open_ipc_subprocess

    def start_with_our_webserver(parts: list[str], **options: Any) -> Any:
        return start([MODULE if part == "dagster_webserver" else part for part in parts], **options)

    dev.open_ipc_subprocess = start_with_our_webserver
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as under nohup; Dagster would then ignore SIGTERM, too
        signal.signal(signal.SIGINT, signal.default_int_handler)
    # Dagster warns that the dagster.yaml in the working folder is not used, but it was copied to DAGSTER_HOME.
    logging.getLogger("dagster").addFilter(lambda record: "instance configuration value" not in record.getMessage())
    import_module("dagster_dg_cli.cli.dev").dev_command.main(
        ["--host", host, "--port", str(port), "--workspace", workspace, "--log-level", "warning"], prog_name="sedi ui"
    )


if __name__ == "__main__":
    serve()
