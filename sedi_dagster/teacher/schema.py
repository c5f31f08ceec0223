"""The ledger's tables, and how a database is opened so that SQLite and PostgreSQL behave alike.

Every writing transaction locks the ledger: with `BEGIN IMMEDIATE` in SQLite; in PostgreSQL with a row lock on the
account of the whole loop, which every writing transaction takes first.
"""

import re
import time
from collections.abc import Iterable
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Engine,
    Executable,
    Float,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    create_engine,
    event,
    select,
    text,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection, make_url
from sqlalchemy.exc import ArgumentError, InterfaceError, NoSuchModuleError, OperationalError, SQLAlchemyError
from sqlalchemy.schema import CreateIndex, CreateTable

from sedi_dagster.errors import SettingsError, StorageError, StorageFull, StorageUnavailable
from sedi_dagster.teacher.budget import LOOP_ACCOUNT, Account

SCHEMA_VERSION = "2"
BUSY_TIMEOUT_S = 60.0
_CREATE_ATTEMPTS = 5
_FIX = "Set SEDI_LEDGER to a SQLAlchemy URL such as sqlite:////path/ledger.sqlite or postgresql+psycopg://host/db."

metadata = MetaData()

calls = Table(
    "calls",
    metadata,
    Column("key", String(32), primary_key=True),
    Column("state", String(8), nullable=False),
    Column("endpoint", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("purpose", Text, nullable=False),
    Column("round", Text, nullable=False),
    Column("category", Text, nullable=False),
    Column("run", Text, nullable=False),
    Column("day", String(10), nullable=False),
    Column("owner", Text, nullable=False),
    Column("begun_at", Float, nullable=False),
    Column("ended_at", Float),
    Column("attempts", Integer, nullable=False),
    Column("reserved_tokens", BigInteger, nullable=False),
    Column("reserved_nanousd", BigInteger, nullable=False),
    Column("prompt_tokens", BigInteger, nullable=False),
    Column("completion_tokens", BigInteger, nullable=False),
    Column("nanousd", BigInteger),
    Column("estimated", Boolean, nullable=False),
    Column("lost_tokens", BigInteger, nullable=False),
    Column("lost_nanousd", BigInteger, nullable=False),
    Column("latency_s", Float, nullable=False),
    Column("finish_reason", Text, nullable=False),
    Column("error", Text, nullable=False),
    Column("cached_tokens", BigInteger, nullable=False, server_default="0"),
    Column("reasoning_tokens", BigInteger, nullable=False, server_default="0"),
    Column("replies", Integer, nullable=False, server_default="0"),
)
"""One row per request key. `lost_*` was charged for the key without an answer that is still stored. `cached_tokens` are
part of the prompt tokens, `reasoning_tokens` part of the completion tokens. `replies` counts responses that were not
answers. The owner of a call in flight is an open ledger or a batch."""

texts = Table(
    "texts",
    metadata,
    Column("key", String(32), primary_key=True),
    Column("kind", String(8), primary_key=True),
    Column("body", Text, nullable=False),
)
"""The rendered request and the raw response of a call, in a table of their own so that they can be pruned."""

accounts = Table(
    "accounts",
    metadata,
    Column("name", String(200), primary_key=True),
    Column("spent_tokens", BigInteger, nullable=False),
    Column("reserved_tokens", BigInteger, nullable=False),
    Column("spent_nanousd", BigInteger, nullable=False),
    Column("reserved_nanousd", BigInteger, nullable=False),
)

owners = Table(
    "owners",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("host", Text, nullable=False),
    Column("pid", Integer, nullable=False),
    Column("pid_started", BigInteger, nullable=False),
    Column("heartbeat", Float, nullable=False),
)
"""The open ledgers, each of which owns its calls in flight. The calls of a dead owner are taken over."""

batches = Table(
    "batches",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("endpoint", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("state", String(8), nullable=False),
    Column("remote_file", Text, nullable=False, server_default=""),
    Column("remote_batch", Text, nullable=False, server_default=""),
    Column("carrier", String(32), nullable=False),
    Column("begun_at", Float, nullable=False),
    Column("ended_at", Float),
    Column("requests", Integer, nullable=False),
    Column("error", Text, nullable=False, server_default=""),
)
"""Files of calls for an endpoint's batch API, see `batch`. The carrier is the open ledger that handles the batch."""

leases = Table(
    "leases",
    metadata,
    Column("name", Text, primary_key=True),
    Column("id", Text, nullable=False),
    Column("host", Text, nullable=False),
    Column("pid", Integer, nullable=False),
    Column("pid_started", BigInteger, nullable=False),
    Column("heartbeat", Float, nullable=False),
)
"""The holder of each lease, identified like an owner; see `lease`."""

about = Table("about", metadata, Column("name", String(32), primary_key=True), Column("value", Text, nullable=False))

_indexes = (Index("calls_by_state", calls.c.state), Index("calls_by_begun", calls.c.begun_at))


def safe_url(url: str) -> str:
    """Return the URL without its password."""
    try:
        return make_url(url).render_as_string(hide_password=True)
    except ArgumentError:
        return "the ledger"


def open_engines(url: str) -> tuple[Engine, Engine]:
    """Open an engine for writing and one for reading; create tables that are missing.

    Raises:
        SettingsError: the URL is not one of SQLite or PostgreSQL, or its driver is not installed.
        StorageError: the database cannot be opened or was written by another version.
    """
    try:
        parsed = make_url(url)
        dialect = parsed.get_backend_name()
        if dialect not in ("sqlite", "postgresql"):
            raise SettingsError(f"The ledger cannot be stored in {dialect}.", _FIX)
        if dialect == "sqlite":
            return _open_sqlite(url, parsed.database or ":memory:")
        engine = create_engine(url, pool_pre_ping=True)
        _create(engine)
        return engine, engine
    except ModuleNotFoundError as error:
        raise SettingsError(
            f"The ledger's database needs the Python package {error.name}, which is not installed.",
            "Run `pip install 'sedi-dagster[postgres]'` and write the URL as postgresql+psycopg://...",
        ) from None
    except (ArgumentError, NoSuchModuleError) as error:
        raise SettingsError(f"The ledger's URL cannot be used: {type(error).__name__}.", _FIX) from None
    except SQLAlchemyError as error:
        raise storage_error(url, error) from None


def storage_error(url: str, error: SQLAlchemyError) -> StorageError:
    """Return a `StorageError` for an error of the database, without statement, parameters or password."""
    cause = str(getattr(error, "orig", None) or type(error).__name__).strip().splitlines()[0]
    password = make_url(url).password
    if password:
        cause = cause.replace(str(password), "***")
    if _FULL.search(cause):
        return full_error(url, cause)
    kind = StorageUnavailable if is_unavailable(error) else StorageError
    fix = (
        "Check that the folder exists and has space, or that the database is running; then run again: nothing is lost."
    )
    if _DAMAGED.search(cause):
        fix = "It is damaged: restore it from a backup. Without it, answers that were paid for would be paid for again."
    return kind(f"The ledger {safe_url(url)} cannot be used: {cause}.", fix)


def full_error(url: str, cause: str) -> StorageFull:
    """Return the error for a ledger that cannot be written because its disk is full."""
    return StorageFull(
        f"The ledger {safe_url(url)} cannot be used: {cause}.",
        "Free some space, then run again: it goes on where it stopped, and answers that came are kept.",
    )


_FULL = re.compile("disk is full|disk I/O error")
"""How SQLite says that it cannot write."""
_DAMAGED = re.compile("malformed|not a database|no such table")
"""How SQLite says that a file is not, or no longer, the database that was written."""


_STARTING_OR_ENDING = {"57P01", "57P02", "57P03"}
_PASSING = re.compile(
    r"starting up|shutting down|terminating|recovery|accepting connections|too many|connection slots|no more conn"
)
"""How PostgreSQL and its poolers refuse connections temporarily. (A refused connection has no SQLSTATE.)"""


def is_unavailable(error: SQLAlchemyError) -> bool:
    """Return whether the database server is temporarily unreachable: it restarts, or the network is down."""
    cause: Any = getattr(error, "orig", None)
    if not isinstance(error, OperationalError | InterfaceError) or not hasattr(cause, "sqlstate"):
        return False
    state, text = cause.sqlstate, str(cause)
    if state is None:  # no connection, a broken one, or one that was refused with a message
        return "FATAL:" not in text or _PASSING.search(text) is not None
    return state in _STARTING_OR_ENDING or state.startswith("08")


def _open_sqlite(url: str, database: str) -> tuple[Engine, Engine]:
    if ":memory:" in database:
        raise SettingsError("A ledger in memory would lose every answer that was paid for.", _FIX)
    folder = Path(database).parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(
            f"The folder {folder} of the ledger cannot be used: {error.strerror}.",
            "Set SEDI_DATA (or SEDI_LEDGER, if it is set) to a folder that this user can write to.",
        ) from None
    writer = _sqlite_engine(url, "BEGIN IMMEDIATE")
    _create(writer)
    return writer, _sqlite_engine(url, "BEGIN")


def _sqlite_engine(url: str, begin: str) -> Engine:
    engine = create_engine(url, connect_args={"timeout": BUSY_TIMEOUT_S, "check_same_thread": False})

    @event.listens_for(engine, "connect")
    def _configure(connection: Any, record: Any) -> None:
        connection.isolation_level = None
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("PRAGMA journal_size_limit=67108864")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        connection.exec_driver_sql(begin)

    return engine


def _create(engine: Engine) -> None:
    """Create what is missing. It is retried, as processes that start together may collide in PostgreSQL."""
    for attempt in range(_CREATE_ATTEMPTS):
        try:
            with engine.begin() as connection:
                for table in metadata.sorted_tables:
                    connection.execute(CreateTable(table, if_not_exists=True))
                for index in _indexes:
                    connection.execute(CreateIndex(index, if_not_exists=True))
                insert_missing(connection, accounts, [asdict(Account(LOOP_ACCOUNT))])
                insert_missing(connection, about, [{"name": "schema", "value": SCHEMA_VERSION}])
                found = connection.scalar(select(about.c.value).where(about.c.name == "schema"))
        except SQLAlchemyError:
            if attempt == _CREATE_ATTEMPTS - 1:
                raise
            time.sleep(0.1 * (attempt + 1))
        else:
            if found == "1":
                _migrate(engine)
            elif found != SCHEMA_VERSION:
                raise StorageError(
                    f"The ledger was written with schema version {found}, but this version reads {SCHEMA_VERSION}.",
                    "Use the version of sedi-dagster that wrote it, or set SEDI_LEDGER to a new database.",
                )
            return


def _migrate(engine: Engine) -> None:
    """Migrate from version 1, which did not count cached and reasoning tokens separately."""
    with engine.begin() as connection:
        found = connection.scalar(select(about.c.value).where(about.c.name == "schema").with_for_update())
        if found == "1":  # another process may have migrated it
            for name in ("cached_tokens", "reasoning_tokens", "replies"):
                connection.execute(text(f"ALTER TABLE calls ADD COLUMN {name} BIGINT NOT NULL DEFAULT 0"))
            connection.execute(about.update().where(about.c.name == "schema").values(value=SCHEMA_VERSION))


def upsert(connection: Connection, table: Table, rows: Iterable[dict[str, Any]]) -> None:
    """Insert rows; a row with the same key is overwritten."""
    rows = list(rows)
    if rows:
        connection.execute(_upsert(connection.dialect.name, table), rows)


@cache
def _upsert(dialect: str, table: Table) -> Executable:
    insert = (sqlite.insert if dialect == "sqlite" else postgresql.insert)(table)
    values = {column.name: insert.excluded[column.name] for column in table.c if not column.primary_key}
    return insert.on_conflict_do_update(index_elements=list(table.primary_key), set_=values)


def insert_missing(connection: Connection, table: Table, rows: Iterable[dict[str, Any]]) -> None:
    """Insert rows; those whose key exists are skipped."""
    rows = list(rows)
    if rows:
        insert = sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert
        connection.execute(insert(table).on_conflict_do_nothing(), rows)
