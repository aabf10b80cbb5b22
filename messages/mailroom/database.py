"""One connection and the statements by name. Thread-safe; nobody above this line ever sees "database is locked".

The drivers are spoken to directly (DB-API): SQLAlchemy Core wrote the statements, once. `connect.py` opens databases.
"""

import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from messages.mailroom.port import StoreUnavailable

T = TypeVar("T")
Parameters = Mapping[str, Any]

FIRST_PAUSE_S = 0.0005
LONGEST_PAUSE_S = 0.005


def one_line(error: Exception) -> str:
    """What a driver says, on one line."""
    return " ".join(str(error).split())


class Cursor(Protocol):
    """The part of a DB-API cursor that is used."""

    @property
    def rowcount(self) -> int:
        """Rows the last statement touched."""

    def execute(self, sql: str, parameters: Any = ..., /) -> Any:
        """Run one statement."""

    def executemany(self, sql: str, parameters: Iterable[Any], /) -> Any:
        """Run one statement for each set of parameters."""

    def fetchall(self) -> list[Any]:
        """Give all rows."""


class Connection(Protocol):
    """The part of a DB-API connection that is used. Transactions are begun and ended by statements of ours."""

    def cursor(self) -> Any:
        """Open a cursor."""

    def close(self) -> Any:
        """Close the connection."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """How one kind of database is spoken to.

    Attributes:
        statements: name -> text with named parameters.
        migrations: Steps of data definition; see `schema.MIGRATIONS`.
        begin: Begins a transaction that may write.
        lock_founding: Makes others wait while tables are made; None: `begin` does.
        has_store: Asks how many tables are called `store` (0 or 1).
        change_mark: Cheap; its answer differs after another process has committed.
        error: The driver's base error.
        is_busy: Whether an error only means that somebody else is writing.
    """

    statements: Mapping[str, str]
    migrations: tuple[tuple[str, ...], ...]
    begin: str
    lock_founding: str | None
    has_store: str
    change_mark: str
    error: type[Exception]
    is_busy: Callable[[Exception], bool]


class Database:
    """An open database: reads by name, and transactions that are retried while others write.

    Attributes:
        lock: Held while the connection is used; hold it to keep several reads and a transaction together.
    """

    def __init__(self, connection: Connection, dialect: Dialect, *, where: str, patience_s: float) -> None:
        self.lock = threading.RLock()
        self.dialect = dialect
        self._connection = connection
        self._cursor: Cursor = connection.cursor()
        self._where = where
        self._patience_s = patience_s
        self._closed = False

    def read(self, name: str, parameters: Parameters | None = None) -> list[Any]:
        """Run a query and fetch all of it, so that no lock stays behind.

        Raises:
            StoreUnavailable: It failed, or the store stayed busy longer than our patience.
        """
        return self.query(self.dialect.statements[name], parameters)

    def query(self, sql: str, parameters: Parameters | None = None) -> list[Any]:
        """As `read`, for a statement given as text."""

        def fetch() -> list[Any]:
            self._cursor.execute(sql, parameters or {})
            return self._cursor.fetchall()

        with self.lock:
            return self._patiently(fetch, time.monotonic() + self._patience_s)

    def transact(self, work: Callable[["Database"], T]) -> T:
        """Run `work` in one transaction and commit it; durable on return. `work` may run again after a conflict.

        Raises:
            StoreUnavailable: It failed; nothing of it is there, or the commit's own outcome could not be learnt.
        """
        with self.lock:
            deadline = time.monotonic() + self._patience_s
            return self._patiently(lambda: self._attempt(work, deadline), deadline)

    def run(self, name: str, parameters: Parameters) -> int:
        """Inside `transact`: run one statement; returns the rows it touched."""
        self._cursor.execute(self.dialect.statements[name], parameters)
        return self._cursor.rowcount

    def run_many(self, name: str, parameters: Sequence[Parameters]) -> None:
        """Inside `transact`: run one statement for each set of parameters."""
        if parameters:
            self._cursor.executemany(self.dialect.statements[name], parameters)

    def define(self, sql: str) -> None:
        """Inside `transact`: run a statement given as text."""
        self._cursor.execute(sql)

    def change_mark(self) -> Any:
        """A value that differs after another process has committed; None when it can't be had just now."""
        with self.lock:
            if self._closed:
                return None
            try:
                self._cursor.execute(self.dialect.change_mark)
                return self._cursor.fetchall()[0][0]
            except self.dialect.error:
                return None

    def close(self) -> None:
        """Close the connection; a second time does nothing."""
        with self.lock:
            if not self._closed:
                self._closed = True
                self._connection.close()

    def _attempt(self, work: Callable[["Database"], T], deadline: float) -> T:
        self._cursor.execute(self.dialect.begin)
        try:
            result = work(self)
            self._patiently(lambda: self._cursor.execute("COMMIT"), deadline)
        except BaseException:
            self._roll_back()
            raise
        return result

    def _roll_back(self) -> None:
        """Leave no transaction open; the failure that led here is the one to report."""
        try:
            self._cursor.execute("ROLLBACK")
        except self.dialect.error:
            return  # the database has rolled back by itself (disk full, I/O error), or the connection is gone

    def _patiently(self, attempt: Callable[[], T], deadline: float) -> T:
        pause_s = FIRST_PAUSE_S
        while True:
            if self._closed:
                raise StoreUnavailable(f"{self._where}: the store is closed")
            try:
                return attempt()
            except self.dialect.error as error:
                if not self.dialect.is_busy(error):
                    raise StoreUnavailable(f"{self._where}: {one_line(error)}") from error
                if time.monotonic() >= deadline:
                    raise StoreUnavailable(
                        f"{self._where}: another process has kept the store busy for {self._patience_s:g} s"
                    ) from error
            time.sleep(pause_s)
            pause_s = min(pause_s * 2, LONGEST_PAUSE_S)
