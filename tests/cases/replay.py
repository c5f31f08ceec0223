"""An endpoint that answers as a case says, and a small generation that asks it: what comes out is the outcome."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import polars as pl

from sedi_dagster.filtering.answer_rules import AnswerForm, answer_rules, with_special_tokens
from sedi_dagster.filtering.rules import first_broken
from sedi_dagster.generation.generate import generate
from sedi_dagster.generation.method import GenerationJob
from sedi_dagster.records import Category, Rejection, Tables
from sedi_dagster.settings import GenerationSettings, TeacherSettings, secrets_in
from sedi_dagster.teacher.client import Teacher
from sedi_dagster.teacher.endpoint import RemoteEndpoint
from sedi_dagster.teacher.ledger import Ledger
from sedi_dagster.teacher.usage import TeacherUsage

MODEL = "model-a"
TASKS = """Task 9: Name a {0} bird of the northern coast.
Input: <noinput>
Task 10: Say what this sign is for.
Input: Mind the {0} step.
"""
ANSWER = "A grey heron stands in the shallow water."
SPECIAL_TOKENS = ("<|im_start|>", "<|im_end|>", "<|endoftext|>")
CATEGORY = Category("brainstorming", "Brainstorming", "Ideas.", "Short.", 1.0, 0.5, 64, ("match",), False)

Body = Mapping[str, Any]
Reply = tuple[int, Mapping[str, str], bytes]
Respond = Callable[[Body, str, int], Reply | Any]
"""`respond(request, good_text, number)`: status, headers and body; or a body for a success."""


def message(content: Any, finish: Any = "stop", usage: Any = None, **more: Any) -> dict[str, Any]:
    """A chat completion; `more`: fields of the message."""
    usage = {"prompt_tokens": 50, "completion_tokens": 40, "total_tokens": 90} if usage is None else usage
    choice = {"index": 0, "message": {"role": "assistant", "content": content, **more}, "finish_reason": finish}
    return {"id": "x", "object": "chat.completion", "choices": [choice], "usage": usage}


def refusal(status: int, body: Any, **headers: str) -> Reply:
    raw = body.encode() if isinstance(body, str) else json.dumps(body).encode()
    return status, {name.replace("_", "-"): value for name, value in headers.items()}, raw


def is_task(request: Body) -> bool:
    """Whether the call asks for new instructions."""
    return "more tasks" in json.dumps(request)


@dataclass
class Replay:
    """The server. `respond` may be set at any time."""

    respond: Respond
    models: list[str] = field(default_factory=lambda: [MODEL])
    listing: Reply | Any = None
    """What `/models` answers, where it is no plain list of `models`."""
    requests: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    base_url: str = ""

    def reply(self, path: str, body: bytes) -> Reply:
        if path.partition("?")[0].endswith("/models"):
            listed = {"object": "list", "data": [{"id": m, "object": "model"} for m in self.models]}
            came = listed if self.listing is None else self.listing
            return came if isinstance(came, tuple) else (200, {}, json.dumps(came).encode())
        request = json.loads(body)
        self.requests.append(request)
        number = len(self.requests)
        good = TASKS.format(f"number {number}") if is_task(request) else f"{ANSWER} ({number})"
        came = self.respond(request, good, number)
        return came if isinstance(came, tuple) else (200, {}, json.dumps(came).encode())


@contextmanager
def served(respond: Respond, **more: Any) -> Iterator[Replay]:
    replay = Replay(respond, **more)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            self._answer(self.rfile.read(int(self.headers.get("content-length", 0))))

        def do_GET(self) -> None:
            self._answer(b"")

        def _answer(self, body: bytes) -> None:
            replay.paths.append(self.path)
            replay.headers.append({name.lower(): value for name, value in self.headers.items()})
            status, headers, content = replay.reply(self.path, body)
            self.send_response(status)
            for name, value in {"Content-Type": "application/json", **headers}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *arguments: object) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    replay.base_url = f"http://127.0.0.1:{server.server_port}/v1"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield replay
    finally:
        server.shutdown()
        server.server_close()


class EverythingPasses:
    def task(self, candidate_id: str, instruction: str, text_input: str) -> Rejection | None:
        return None

    def instance(self, instruction: str, text_input: str, output: str) -> str | None:
        return AnswerForm().problem(output)


@dataclass
class Made:
    """What came of a generation: candidates with the rule that rejects each, if one does."""

    candidates: pl.DataFrame
    usage: TeacherUsage
    teacher: Teacher

    @property
    def problems(self) -> list[str]:
        return self.candidates["problem"].drop_nulls().to_list()

    @property
    def kept(self) -> list[str]:
        good = self.candidates.filter(pl.col("problem").is_null() & pl.col("rejection_rule").is_null())
        return good.join(self.rejected, on="candidate_id", how="anti")["output"].to_list()

    @property
    def rejected(self) -> pl.DataFrame:
        """`candidate_id`, `rule` and `neighbour` of what the rules for answers reject."""
        rows = self.candidates.filter(pl.col("problem").is_null() & pl.col("output").is_not_null()).with_row_index(
            "row"
        )
        found = pl.concat([first_broken(rows, answer_rules(AnswerForm())), with_special_tokens(rows, SPECIAL_TOKENS)])
        return rows.select("row", "candidate_id").join(found, on="row").select("candidate_id", "rule", "neighbour")


def make(
    replay: Replay, folder: Path, candidates: int = 6, settings: Mapping[str, Any] | None = None, check: bool = False
) -> Made:
    """Generate a few candidates by asking the endpoint, with a ledger in the folder.

    Raises:
        SediError: as the run would end.
    """
    given = TeacherSettings(
        **{"base_url": replay.base_url, "model": MODEL, "max_concurrency": 4, "timeout_s": 60.0, **(settings or {})}
    )
    seeds = [
        {"seed_id": f"seed-{i}", "instruction": f"Name a bird number {i}.", "input": "", "output": "A gull.",
         "origin": "human", "is_classification": False}
        for i in range(10)
    ]  # fmt: skip
    job = GenerationJob(
        round="round-0001",
        category=CATEGORY,
        wanted=None,
        candidates=candidates,
        seeds=pl.DataFrame(seeds),
        kept=pl.DataFrame(schema=dict.fromkeys(("example_id", "instruction", "input", "output"), pl.String)),
        teacher=given.model,
        chat=True,
        settings=GenerationSettings(instances="answer", max_instruction_tokens=120),
    )

    async def work() -> Made:
        with Ledger(f"sqlite:///{folder / 'ledger.sqlite'}") as ledger:
            endpoint = RemoteEndpoint(
                given.base_url or "",
                given.api_key.get_secret_value(),
                headers=given.headers,
                query=given.query,
                secrets=secrets_in(given.extra_body),
            )
            async with Teacher(given, ledger, endpoint=endpoint) as teacher:
                if check:
                    await teacher.check()
                tables: Tables = await generate(job, {"self_instruct": 1.0}, teacher.ask, EverythingPasses())
                return Made(tables["candidates"], teacher.usage, teacher)

    return asyncio.run(work())
