"""Open a store by its URL, and make or renew its tables.

`sqlite:////path` goes straight to the standard library's driver: a command must not pay for importing SQLAlchemy.
Every other URL goes through SQLAlchemy (`sqlite+pysqlite:////path` too), with the same statements, compiled then.
"""

import os
import sqlite3
from dataclasses import replace
from pathlib import Path
from typing import cast

from messages.mailroom import sqlite_text
from messages.mailroom.chain import FIRST_LINK
from messages.mailroom.database import Connection, Database, Dialect, one_line
from messages.mailroom.port import StoreUnavailable
from messages.values import AccountName

WAL_SAFE_SINCE = (3, 51, 3)
"""Before, a WAL reset with several connections could corrupt the file. Source: SQLite's release notes of 3.51.3."""

_SQLITE_PREFIX = "sqlite:///"
_SQLITE_BUSY = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL)
_HAS_STORE = (
    "SELECT count(*) FROM information_schema.tables WHERE table_schema = current_schema() AND table_name = 'store'"
)
_TRANSIENT_SQLSTATES = ("40001", "40P01", "55P03")  # serialization failure, deadlock, lock not available


def open_store(url: str, *, account: AccountName, patience_s: float) -> Database:
    """Open the store, found it where it is new, and renew its schema where it is old.

    Args:
        url: SQLAlchemy URL.
        account: Whose store it must be.
        patience_s: How long to go on while other processes keep the store busy.

    Raises:
        StoreUnavailable: It can't be opened, belongs to another account, or was made by a newer program.
    """
    if url.startswith(_SQLITE_PREFIX):
        database = _open_sqlite(url.removeprefix(_SQLITE_PREFIX), patience_s)
    else:
        database = _open_by_sqlalchemy(url, patience_s)
    try:
        found(database, account)
    except BaseException:
        database.close()
        raise
    return database


def found(database: Database, account: AccountName) -> None:
    """Make the tables if there are none, bring them to the current version if they are old. Others wait meanwhile.

    Raises:
        StoreUnavailable: The store belongs to another account, or was made by a newer program.
    """
    newest = len(database.dialect.migrations)
    if _version(database, account) == newest:
        return

    def work(database: Database) -> None:
        if database.dialect.lock_founding is not None:
            database.query(database.dialect.lock_founding)
        version = _version(database, account)
        for step in database.dialect.migrations[version:]:
            for ddl in step:
                database.define(ddl)
        if version == 0:
            row = {"id": 1, "schema_version": newest, "account": account, "epoch": 0, "last_seq": 0, "handled_seq": 0}
            database.run("create_store", row | {"chain": FIRST_LINK})
        else:
            database.run("set_schema_version", {"arg_schema_version": newest})

    database.transact(work)


def _version(database: Database, account: AccountName) -> int:
    """The schema's version, 0 for an empty database; refuses a store that isn't ours to use."""
    if database.query(database.dialect.has_store)[0][0] == 0:
        return 0
    rows = database.read("store")
    if len(rows) != 1:
        raise StoreUnavailable(f"expected one row in the table store, were {len(rows)}")
    version, owner = int(rows[0][0]), rows[0][1]
    if owner != account:
        raise StoreUnavailable(f"expected a store of the account {account!r}, was one of {owner!r}")
    newest = len(database.dialect.migrations)
    if version > newest:
        raise StoreUnavailable(f"expected a schema version up to {newest}, was {version}: use a newer program")
    return version


def _sqlite_busy(error: Exception) -> bool:
    return (getattr(error, "sqlite_errorcode", 0) & 0xFF) in _SQLITE_BUSY


SQLITE = Dialect(
    statements=sqlite_text.STATEMENTS,
    migrations=sqlite_text.MIGRATIONS,
    begin="BEGIN IMMEDIATE",
    lock_founding=None,
    has_store="SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = 'store'",
    change_mark="PRAGMA data_version",
    error=sqlite3.Error,
    is_busy=_sqlite_busy,
)


def _open_sqlite(path_text: str, patience_s: float) -> Database:
    path = _sqlite_path(path_text)
    try:
        connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=0)
    except sqlite3.Error as error:
        raise StoreUnavailable(f"{path}: {one_line(error)}") from error
    return _prepare_sqlite(Database(connection, SQLITE, where=str(path), patience_s=patience_s))


def _sqlite_path(path_text: str) -> Path:
    """Check the path of a SQLite URL and make its folder; a new folder's own name is synced too."""
    if path_text in {"", ":memory:"} or "?" in path_text or path_text.startswith("file:"):
        raise StoreUnavailable(f"expected sqlite:////path/to/firm.db, was {_SQLITE_PREFIX}{path_text}")
    path = Path(path_text)
    make_folder(path.parent)
    return path


def make_folder(folder: Path) -> None:
    """Make a folder that survives a power loss.

    Raises:
        StoreUnavailable: It can't be made.
    """
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    try:
        for path in reversed(missing):
            path.mkdir(exist_ok=True, mode=0o700)
            above = os.open(path.parent, os.O_RDONLY)
            try:
                os.fsync(above)
            finally:
                os.close(above)
    except OSError as error:
        raise StoreUnavailable(f"{folder}: {error.strerror}") from error


def _prepare_sqlite(database: Database) -> Database:
    """Ask for full durability: each commit is on the disk when it returns, whatever the journal mode."""
    mode, synchronous = ("wal", "FULL") if sqlite3.sqlite_version_info >= WAL_SAFE_SINCE else ("delete", "EXTRA")
    try:
        answer = database.query(f"PRAGMA journal_mode={mode}")[0][0]
        database.query(f"PRAGMA synchronous={synchronous}")
    except BaseException:
        database.close()
        raise
    if answer != mode:
        database.close()
        raise StoreUnavailable(f"expected journal mode {mode}, was {answer}: another process holds the store open")
    return database


def _open_by_sqlalchemy(url: str, patience_s: float) -> Database:
    import sqlalchemy as sa
    from sqlalchemy.pool import NullPool

    from messages.mailroom.statements import compile_for

    try:
        address = sa.make_url(url)
        is_sqlite = address.get_backend_name() == "sqlite"
        if is_sqlite:
            _sqlite_path(address.database or "")
            options = {"isolation_level": None, "check_same_thread": False, "timeout": 0}
            engine = sa.create_engine(url, poolclass=NullPool, connect_args=options, paramstyle="named")
        else:
            engine = sa.create_engine(url, poolclass=NullPool, isolation_level="AUTOCOMMIT")
    except (sa.exc.SQLAlchemyError, ImportError) as error:
        raise StoreUnavailable(f"{_kind(url)}: {one_line(error)}") from error
    driver_error = engine.dialect.loaded_dbapi.Error
    try:
        pooled = engine.raw_connection()
        connection = cast("Connection", pooled.driver_connection)
        pooled.detach()
    except (sa.exc.SQLAlchemyError, driver_error) as error:
        raise StoreUnavailable(f"{_kind(url)}: {one_line(error)}") from error
    statements, migrations = compile_for(engine.dialect)
    where = address.render_as_string(hide_password=True)
    if is_sqlite:
        dialect = replace(SQLITE, statements=statements, migrations=migrations)
        return _prepare_sqlite(Database(connection, dialect, where=where, patience_s=patience_s))
    dialect = Dialect(
        statements=statements,
        migrations=migrations,
        begin="BEGIN",
        lock_founding="SELECT pg_advisory_xact_lock(7461)",
        has_store=_HAS_STORE,
        change_mark="SELECT max(number) FROM letters",
        error=driver_error,
        is_busy=lambda error: getattr(error, "sqlstate", None) in _TRANSIENT_SQLSTATES,
    )
    return Database(connection, dialect, where=where, patience_s=patience_s)


def _kind(url: str) -> str:
    """The kind of store only: the rest of the URL may hold a password."""
    return url.partition(":")[0]
