"""Read-only access to the ledger of teacher calls: neither an owner is registered nor a database created."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

_CHUNK = 500


def ledger_rows(url: str, keys: Iterable[str]) -> Iterator[dict[str, Any]]:
    """Yield the calls with these keys, each with `request` and `response` (None if pruned), in no particular order.

    Args:
        url: of the ledger (`Settings.ledger_url`). A SQLite file that does not exist yields nothing.

    Raises:
        StorageError: the database cannot be read.
    """
    from sqlalchemy import create_engine, select
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import SQLAlchemyError

    from sedi_dagster.teacher.schema import calls, storage_error, texts

    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite":
        if not Path(parsed.database or "").exists():
            return
        parsed = parsed.set(database=f"file:{parsed.database}", query={"mode": "ro", "uri": "true"})
    engine = create_engine(parsed)
    keys = list(keys)
    try:
        with engine.connect() as connection:
            for start in range(0, len(keys), _CHUNK):
                chunk = keys[start : start + _CHUNK]
                bodies: dict[str, dict[str, str]] = {}
                for row in connection.execute(select(texts).where(texts.c.key.in_(chunk))):
                    bodies.setdefault(row.key, {})[row.kind] = row.body
                for call in connection.execute(select(calls).where(calls.c.key.in_(chunk))):
                    body = bodies.get(call.key, {})
                    yield {**call._mapping, "request": body.get("request"), "response": body.get("response")}
    except SQLAlchemyError as error:
        raise storage_error(url, error) from None
    finally:
        engine.dispose()
