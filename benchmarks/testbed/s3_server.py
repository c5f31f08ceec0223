"""An S3 server on loopback as a process of its own: moto's, counting its requests and failing when told to.

    with S3Server(bucket="sedi") as server:
        os.environ.update(server.environment)

By hand: `python benchmarks/testbed/s3_server.py 5555`.
"""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Any, Self

CONTROL = "/_control"
SECONDS_TO_START = 60.0


class S3Server:
    """A running server with one empty bucket; a context manager."""

    def __init__(self, bucket: str = "sedi") -> None:
        listener = socket.create_server(("127.0.0.1", 0), backlog=128)  # handed on: nobody takes the port in between
        port, fd = listener.getsockname()[1], listener.fileno()
        self.bucket = bucket
        self.url = f"http://127.0.0.1:{port}"
        self.environment = {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": "loopback",
            "AWS_SECRET_ACCESS_KEY": "loopback",
            "AWS_DEFAULT_REGION": "us-east-1",
        }
        with listener:
            self._process = subprocess.Popen(
                [sys.executable, __file__, str(port), str(fd)],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=(fd,),
            )

    def __enter__(self) -> Self:
        end = time.monotonic() + SECONDS_TO_START
        while True:
            try:
                self.requests()
                break
            except OSError:
                if time.monotonic() > end:
                    raise
                time.sleep(0.1)
        self._send(f"/{self.bucket}", b"")
        self.forget()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.wait()

    def requests(self) -> dict[str, int]:
        """How many requests of each method were answered, and under `refused` those that were not."""
        with urllib.request.urlopen(f"{self.url}{CONTROL}", timeout=10) as response:
            reply: dict[str, int] = json.load(response)
        return reply

    def forget(self) -> None:
        """Begin counting anew."""
        self._control({"forget": True})

    def refuse(self, share: float) -> None:
        """Answer so much of what comes with 503 (1: all of it)."""
        self._control({"refuse": share})

    def lose_answers(self, method: str, number: int) -> None:
        """Do what the next requests of the method ask, and answer 503 as if it had failed."""
        self._control({"lose": [method, number]})

    def _control(self, message: dict[str, Any]) -> None:
        self._send(CONTROL, json.dumps(message).encode())

    def _send(self, path: str, body: bytes) -> None:
        with urllib.request.urlopen(
            urllib.request.Request(f"{self.url}{path}", body, method="PUT"), timeout=10
        ) as response:
            response.read()


class _Faults:
    """The WSGI layer before moto's server."""

    def __init__(self, server: Callable[..., Iterable[bytes]]) -> None:
        self._server = server
        self._count: Counter[str] = Counter()
        self._refuse = 0.0
        self._owed = 0.0
        self._lose: dict[str, int] = {}

    def __call__(self, environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        method = str(environ["REQUEST_METHOD"])
        if environ["PATH_INFO"] == CONTROL:
            return self._control(method, environ, start)
        self._owed += self._refuse
        if self._owed >= 1:
            self._owed -= 1
            self._count["refused"] += 1
            return _unavailable(start)
        self._count[method] += 1
        if self._lose.get(method, 0):
            self._lose[method] -= 1
            for _ in self._server(environ, lambda *_: None):
                pass
            return _unavailable(start)
        return self._server(environ, start)

    def _control(self, method: str, environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        if method == "PUT":
            reply = json.loads(environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0)))
            self._refuse = float(reply.get("refuse", self._refuse))
            if reply.get("forget"):
                self._count.clear()
            if "lose" in reply:
                self._lose[reply["lose"][0]] = int(reply["lose"][1])
        start("200 OK", [("Content-Type", "application/json")])
        return [json.dumps(self._count).encode()]


def _unavailable(start: Callable[..., Any]) -> list[bytes]:
    start("503 Service Unavailable", [("Content-Type", "application/xml")])
    return [b"<Error><Code>ServiceUnavailable</Code><Message>Please try again</Message></Error>"]


def serve(port: int, fd: int | None = None) -> None:
    """Serve until the process ends. `fd`: a socket that listens at the port already."""
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import WSGIRequestHandler, make_server

    WSGIRequestHandler.protocol_version = "HTTP/1.1"  # connections are kept: a request in a tenth of the time
    moto = DomainDispatcherApplication(create_backend_app)
    make_server("127.0.0.1", port, _Faults(moto), threaded=True, fd=fd).serve_forever()


if __name__ == "__main__":
    serve(*map(int, sys.argv[1:]))
