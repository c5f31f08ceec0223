"""Rows of the ledger of teacher calls, read and never written: no owner signs on, and no database is made."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

_AT_ONCE = 500


def ledger_rows(url: str, keys: Iterable[str]) -> Iterator[dict[str, Any]]:
    """The calls with these keys, each with `request` and `response` (None where pruned), in no certain order.

    Args:
        url: of the ledger (`Settings.ledger_url`). Of a SQLite file that is not there, nothing comes.

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
    wanted = list(keys)
    try:
        with engine.connect() as connection:
            for start in range(0, len(wanted), _AT_ONCE):
                part = wanted[start : start + _AT_ONCE]
                bodies: dict[str, dict[str, str]] = {}
                for row in connection.execute(select(texts).where(texts.c.key.in_(part))):
                    bodies.setdefault(row.key, {})[row.kind] = row.body
                for call in connection.execute(select(calls).where(calls.c.key.in_(part))):
                    body = bodies.get(call.key, {})
                    yield {**call._mapping, "request": body.get("request"), "response": body.get("response")}
    except SQLAlchemyError as error:
        raise storage_error(url, error) from None
    finally:
        engine.dispose()
