"""Random tampering with a data folder: one byte, one deletion or one swap at a time; and with rows of the ledger."""

from __future__ import annotations

import random
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

LEDGER = "ledger.sqlite"


def data_files(root: Path) -> list[str]:
    """All files but the ledger, as paths under the root."""
    files = (file.relative_to(root).as_posix() for file in root.rglob("*") if file.is_file())
    return sorted(path for path in files if not path.startswith(LEDGER))


@contextmanager
def tampered(root: Path, rng: random.Random) -> Iterator[list[str]]:
    """Tamper at one place; gives what must be named, and repairs it afterwards."""
    kind = rng.choice(["byte", "deletion", "swap", "ledger"])
    if kind == "ledger":
        with _tampered_ledger(root, rng) as named:
            yield named
        return
    files = data_files(root)
    one, other = rng.sample(files, 2)
    while kind == "swap" and (root / one).read_bytes() == (root / other).read_bytes():
        one, other = rng.sample(files, 2)
    before = {path: (root / path).read_bytes() for path in (one, other)}
    if kind == "byte":
        content = bytearray(before[one])
        content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
        (root / one).write_bytes(content)
    elif kind == "deletion":
        (root / one).unlink()
    else:
        (root / one).write_bytes(before[other])
        (root / other).write_bytes(before[one])
    try:
        yield [one, other] if kind == "swap" else [one]
    finally:
        for path, content in before.items():
            (root / path).write_bytes(content)


@contextmanager
def _tampered_ledger(root: Path, rng: random.Random) -> Iterator[list[str]]:
    """One character of a text, one token more, one deleted call, or two answers swapped."""
    for suffix in ("", "-wal", "-shm"):
        if (root / f"{LEDGER}{suffix}").exists():
            shutil.copy(root / f"{LEDGER}{suffix}", root.parent / f"saved{suffix}")
    with sqlite3.connect(root / LEDGER) as database:
        keys = [row[0] for row in database.execute("SELECT key FROM calls ORDER BY key")]
        one, other = rng.sample(keys, 2)
        kind = rng.choice(["text", "tokens", "deletion", "swap"])
        if kind == "text":
            body = database.execute("SELECT body FROM texts WHERE key = ? AND kind = 'response'", (one,)).fetchone()[0]
            at = rng.randrange(len(body))
            body = body[:at] + chr(ord(body[at]) ^ 1) + body[at + 1 :]
            database.execute("UPDATE texts SET body = ? WHERE key = ? AND kind = 'response'", (body, one))
        elif kind == "tokens":
            database.execute("UPDATE calls SET completion_tokens = completion_tokens + 1 WHERE key = ?", (one,))
        elif kind == "deletion":
            database.execute("DELETE FROM calls WHERE key = ?", (one,))
        else:
            for old, new in ((one, "x"), (other, one), ("x", other)):
                database.execute("UPDATE texts SET key = ? WHERE key = ?", (new, old))
    database.close()
    try:
        yield [one, other] if kind == "swap" else [one]
    finally:
        for suffix in ("", "-wal", "-shm"):
            (root / f"{LEDGER}{suffix}").unlink(missing_ok=True)
            if (root.parent / f"saved{suffix}").exists():
                shutil.move(root.parent / f"saved{suffix}", root / f"{LEDGER}{suffix}")
