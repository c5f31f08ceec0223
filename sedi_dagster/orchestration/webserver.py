"""Dagster's webserver, plus the reports and plots of the data folder under /sedi.

Browsers do not open `file://` links from a page, so metadata links to `/sedi/reports/round-0001.html`, which also works
through a tunnel. Invalid round partitions are rejected in the form.

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

from sedi_dagster.orchestration.opening import not_a_round
from sedi_dagster.orchestration.outputs import PAGES
from sedi_dagster.orchestration.partitions import ROUNDS
from sedi_dagster.orchestration.resources import SediResource
from sedi_dagster.reporting.page import fill
from sedi_dagster.settings import load_settings
from sedi_dagster.storage.store import Store

MODULE = "sedi_dagster.orchestration.webserver"
SERVED = {"reports": "text/html; charset=utf-8", "plots": "image/png"}
"""Folders of the data folder that are shown, and what their files are. Nothing else is."""
HEADERS = {
    "Cache-Control": "no-cache",  # a page that is made again is shown
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; img-src 'self' data:",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


class Webserver(DagsterWebserver[Any, Any]):
    """The one of Dagster, with pages."""

    def build_routes(self) -> list[Any]:
        dagsters: Any = super()
        return [
            Route(PAGES, lambda _: RedirectResponse(f"{PAGES}/reports/index.html")),
            Route(f"{PAGES}/{{path:path}}", page),
            *dagsters.build_routes(),
        ]

    def build_graphql_middleware(self) -> list[Any]:
        return [refuse_partitions_that_are_no_round]


def page(request: Request) -> Response:
    """A file of the data folder, if it is one that people look at."""
    parts = PurePosixPath(request.path_params["path"]).parts
    kind = SERVED.get(parts[0]) if len(parts) > 1 and ".." not in parts else None
    file = Store(load_settings().data_root).path(*parts) if kind else None
    if file is None or not file.is_file():
        missing = fill("missing.html.j2", path="/".join(parts), simulated=load_settings().teacher.is_simulated)
        return Response(missing, 404, HEADERS, SERVED["reports"])
    return Response(file.read_bytes(), 200, HEADERS, kind)


def refuse_partitions_that_are_no_round(resolve: Callable[..., Any], root: Any, info: Any, **arguments: Any) -> Any:
    """Middleware of the API: "Add a partition" takes no name that can never be made."""
    if info.field_name == "addDynamicPartition" and arguments.get("partitionsDefName") == ROUNDS.name:
        why = not_a_round(SediResource(), str(arguments.get("partitionKey")))
        if why:
            from dagster_graphql.schema.errors import GraphenePythonError
            from dagster_shared.error import SerializableErrorInfo

            error_type: Any = GraphenePythonError
            return error_type(SerializableErrorInfo(why, [], "NotARound"))
    return resolve(root, info, **arguments)


def serve() -> None:
    """`dagster-webserver`, with pages. It has no hook for another application: the maker of its own is replaced."""
    cli: Any = import_module("dagster_webserver.cli")

    def application(context: Any, path_prefix: str, live_data_poll_rate: int | None, **options: Any) -> Any:
        return Webserver(context, path_prefix, live_data_poll_rate).create_asgi_app(**options)

    cli.create_app_from_workspace_process_context = application
    cli.main()


def develop(host: str, port: int, workspace: str) -> None:
    """Webserver, daemon and code location until Ctrl-C, as `dg dev` starts them, with this webserver."""
    dev: Any = import_module("dagster._cli.dev")
    start = dev.open_ipc_subprocess

    def start_ours(parts: list[str], **options: Any) -> Any:
        return start([MODULE if part == "dagster_webserver" else part for part in parts], **options)

    dev.open_ipc_subprocess = start_ours
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as under nohup; Dagster would then ignore SIGTERM too
        signal.signal(signal.SIGINT, signal.default_int_handler)
    # The project's dagster.yaml lies in the working folder and is copied to DAGSTER_HOME: nothing to warn of.
    logging.getLogger("dagster").addFilter(lambda record: "instance configuration value" not in record.getMessage())
    import_module("dagster_dg_cli.cli.dev").dev_command.main(
        ["--host", host, "--port", str(port), "--workspace", workspace, "--log-level", "warning"], prog_name="sedi ui"
    )


if __name__ == "__main__":
    serve()
