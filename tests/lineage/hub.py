"""A hub on loopback, as far as uploading a dataset needs one. It keeps what was committed."""

from __future__ import annotations

import base64
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

TOKEN = "hf_a_token_for_tests"


class Hub:
    """`files`: content by path of the last commit; `made`: bodies of the requests to make a repository."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.made: list[dict[str, Any]] = []
        hub = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self._read()
                if self.headers.get("Authorization") != f"Bearer {TOKEN}":
                    self._answer({"error": "Invalid credentials"}, 401)
                elif self.path == "/api/repos/create":
                    hub.made.append(json.loads(body))
                    self._answer({"url": f"{hub.url}/datasets/{hub.made[-1].get('organization', 'me')}/made"})
                elif self.path == "/api/validate-yaml":
                    self._answer({"errors": [], "warnings": []})
                elif "/preupload/" in self.path:
                    paths = [file["path"] for file in json.loads(body)["files"]]
                    self._answer(
                        {"files": [{"path": p, "uploadMode": "regular", "shouldIgnore": False} for p in paths]}
                    )
                elif "/commit/" in self.path:
                    hub.commit(body)
                    self._answer(
                        {
                            "commitUrl": f"{hub.url}/datasets/me/made/commit/0",
                            "commitOid": "0" * 40,
                            "hookOutput": "",
                            "success": True,
                        }
                    )
                else:
                    self._answer({"error": f"not here: {self.path}"}, 404)

            def do_GET(self) -> None:
                if self.path.endswith("/revision/main"):
                    repository = {"id": "me/made", "sha": "0" * 40, "siblings": []}
                    self._answer(repository)
                else:
                    self._answer({"error": f"not here: {self.path}"}, 404)

            def _read(self) -> bytes:
                if self.headers.get("Transfer-Encoding") == "chunked":
                    body = b""
                    while size := int(self.rfile.readline(), 16):
                        body += self.rfile.read(size)
                        self.rfile.readline()
                    self.rfile.readline()
                    return body
                return self.rfile.read(int(self.headers.get("Content-Length", 0)))

            def _answer(self, value: Any, status: int = 200) -> None:
                body = json.dumps(value).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                """Nothing on stderr."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def commit(self, body: bytes) -> None:
        """Keep the files of a commit: one JSON object a line."""
        for line in map(json.loads, body.splitlines()):
            if line["key"] == "file":
                self.files[line["value"]["path"]] = base64.b64decode(line["value"]["content"])

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
