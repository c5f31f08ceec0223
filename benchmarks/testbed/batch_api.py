"""The batch API, in memory: files, batches, results, and what goes wrong with them.

A batch goes on by one step each time that it is looked at, so tests need no clock.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Answer = Callable[[str, str, bytes], tuple[int, bytes]]
"""`answer(custom_id, path, body)`: status and body of the response to one call."""

BatchFault = Literal["", "none", "expired", "failed", "lost_reply", "no_error_file"]
"""none: there is no batch API. expired: half of each batch is answered. failed: no batch is taken. lost_reply: a batch
is made, and the connection cut before the reply. no_error_file: what failed is in no file."""


@dataclass
class _Batch:
    id: str
    input_file: str
    metadata: Mapping[str, str]
    status: str = "validating"
    output_file: str | None = None
    error_file: str | None = None
    counts: dict[str, int] = field(default_factory=lambda: {"total": 0, "completed": 0, "failed": 0})
    errors: list[str] = field(default_factory=list)
    created_at: int = field(default_factory=lambda: int(time.time()))


class BatchApi:
    """Files and batches in memory. `answer` works a call out and bills it."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self.files: dict[str, bytes] = {}
        self.batches: dict[str, _Batch] = {}
        self.made = 0

    def respond(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes, fault: BatchFault
    ) -> tuple[int, bytes] | None:
        """Status and body; None: cut the connection."""
        found = re.fullmatch(r"/v1/(files|batches)(?:/([\w-]+)(/content|/cancel)?)?", path)
        if found is None or fault == "none":
            return 404, _error("Not found")
        kind, name, more = found.groups()
        if kind == "files":
            if method == "POST":
                return 200, self._upload(headers, body)
            content = self.files.get(name or "")
            return (404, _error("No such file")) if content is None or not more else (200, content)
        if name is None:
            return self._make(body, fault) if method == "POST" else (200, self._list())
        batch = self.batches.get(name)
        if batch is None:
            return 404, _error("No such batch")
        if more:
            batch.status = "cancelled"
        self._step(batch, fault)
        return 200, json.dumps(_as_dict(batch)).encode()

    def _upload(self, headers: Mapping[str, str], body: bytes) -> bytes:
        boundary = re.search(r'boundary="?([^";]+)', headers.get("content-type", ""))
        assert boundary is not None
        for part in body.split(b"--" + boundary[1].encode()):
            head, _, content = part.partition(b"\r\n\r\n")
            if b'name="file"' in head:
                name = f"file-{len(self.files) + 1}"
                self.files[name] = content.removesuffix(b"\r\n")
                return json.dumps(
                    {"id": name, "object": "file", "bytes": len(content), "created_at": 0, "filename": "calls.jsonl",
                     "purpose": "batch", "status": "processed"}
                ).encode()  # fmt: skip
        return _error("No file")

    def _make(self, body: bytes, fault: BatchFault) -> tuple[int, bytes] | None:
        asked = json.loads(body)
        if asked["input_file_id"] not in self.files:
            return 400, _error("No such input file")
        self.made += 1
        batch = _Batch(f"batch_{self.made}", asked["input_file_id"], asked.get("metadata") or {})
        self.batches[batch.id] = batch
        return None if fault == "lost_reply" else (200, json.dumps(_as_dict(batch)).encode())

    def _list(self) -> bytes:
        data = [_as_dict(batch) for batch in reversed(self.batches.values())]
        return json.dumps({"object": "list", "data": data, "has_more": False}).encode()

    def _step(self, batch: _Batch, fault: BatchFault) -> None:
        """validating, then in progress, then ended."""
        if batch.status == "validating":
            batch.status = "failed" if fault == "failed" else "in_progress"
            batch.errors = ["The file is not valid"] if fault == "failed" else []
        elif batch.status == "in_progress":
            batch.counts["total"] += 1  # looks, until the work is done
            if batch.counts["total"] > 1:
                self._work(batch, fault)

    def _work(self, batch: _Batch, fault: BatchFault) -> None:
        calls = [json.loads(line) for line in self.files[batch.input_file].splitlines() if line.strip()]
        good: list[dict[str, Any]] = []
        bad: list[dict[str, Any]] = []
        for number, call in enumerate(calls):
            if fault == "expired" and number % 2:
                error = {"code": "batch_expired", "message": "not executed before the completion window expired"}
                bad.append({"custom_id": call["custom_id"], "response": None, "error": error})
                continue
            status, body = self._answer(call["custom_id"], call["url"], json.dumps(call["body"]).encode())
            line = {
                "custom_id": call["custom_id"],
                "response": {"status_code": status, "request_id": "r", "body": json.loads(body)},
                "error": None,
            }
            (good if status == 200 else bad).append(line)
        batch.counts = {"total": len(calls), "completed": len(good), "failed": len(bad)}
        batch.output_file = self._write(good[::-1])  # in no certain order
        batch.error_file = None if fault == "no_error_file" else self._write(bad)
        batch.status = "expired" if fault == "expired" else "completed"

    def _write(self, lines: list[dict[str, Any]]) -> str | None:
        if not lines:
            return None
        name = f"file-{len(self.files) + 1}"
        self.files[name] = "\n".join(json.dumps(line) for line in lines).encode()
        return name


def _as_dict(batch: _Batch) -> dict[str, Any]:
    return {
        "id": batch.id,
        "object": "batch",
        "endpoint": "/v1/chat/completions",
        "errors": {"object": "list", "data": [{"message": m} for m in batch.errors]} if batch.errors else None,
        "input_file_id": batch.input_file,
        "completion_window": "24h",
        "status": batch.status,
        "output_file_id": batch.output_file,
        "error_file_id": batch.error_file,
        "created_at": batch.created_at,
        "request_counts": batch.counts,
        "metadata": dict(batch.metadata),
    }


def _error(message: str) -> bytes:
    return json.dumps({"error": {"message": message, "type": "invalid_request_error", "code": None}}).encode()
