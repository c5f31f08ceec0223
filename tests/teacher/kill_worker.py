"""A small generation in two stages, to be killed at any moment: `kill_worker.py LEDGER_URL BASE_URL OUTPUT CALLS`."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

from sedi_dagster.records import Message, TeacherRequest
from sedi_dagster.settings import TeacherSettings
from sedi_dagster.teacher.client import Teacher
from sedi_dagster.teacher.endpoint import RemoteEndpoint
from sedi_dagster.teacher.ledger import Ledger
from sedi_dagster.testing.simulated_teacher import MODEL


def request(text: str) -> TeacherRequest:
    return TeacherRequest("test", "round-0001", "math", 16, messages=(Message("user", text),))


async def generate(ledger: Ledger, base_url: str, calls: int) -> list[str]:
    """The second stage asks about the answers of the first, so a wrong or lost one would show."""
    settings = TeacherSettings(base_url=base_url, model=MODEL, max_concurrency=8, timeout_s=10)
    async with Teacher(settings, ledger, endpoint=RemoteEndpoint(base_url, "key")) as teacher:
        first = await teacher.ask([request(f"instruction {n}") for n in range(calls)])
        second = await teacher.ask([request(f"answer to {a.text}") for a in first])
    return [f"{a.text} -> {b.text}" for a, b in zip(first, second, strict=True)]


def main() -> None:
    url, base_url, output, calls = sys.argv[1:]
    print("started", flush=True)
    with Ledger(url) as ledger:
        candidates = asyncio.run(generate(ledger, base_url, int(calls)))
    part = Path(f"{output}.part")
    part.write_text(json.dumps(candidates))
    part.rename(output)


if __name__ == "__main__":
    main()
