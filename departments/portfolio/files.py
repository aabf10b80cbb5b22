"""The portfolio database as files in FIRM_HOME: opened, locked while one process writes, put in another's place."""

import fcntl
import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from departments.portfolio.records import BooksError

FILE = "portfolio.db"
"""In FIRM_HOME."""
BUSY_S = 5.0
"""How long a reader and the writer wait for each other."""
LOCK_LOOK_S = 0.05


class NoBooks(BooksError):
    """There is none that can be used."""


class BooksBusy(BooksError):
    """Another process is writing."""


@contextmanager
def one_writer(path: Path, patience_s: float = 0.0) -> Iterator[None]:
    """Keep every other process from writing to a portfolio database meanwhile.

    Args:
        path: The database.
        patience_s: How long to wait for another process to be done.

    Raises:
        BooksBusy: One is at it.
        BooksError: The lock can't be had.
    """
    lock_path = path.with_suffix(".lock")
    try:
        lock = os.open(lock_path, os.O_CREAT | os.O_RDWR, 0o600)
    except OSError as error:
        raise BooksError(f"{lock_path}: {error.strerror}") from error
    try:
        ends_s = time.monotonic() + patience_s
        while not _locked(lock):
            if time.monotonic() >= ends_s:
                raise BooksBusy(f"{path}: another process is writing it")
            time.sleep(LOCK_LOOK_S)
        yield
    finally:
        os.close(lock)


def _locked(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def put_in_place(made: Path, path: Path) -> None:
    """Let a finished database, closed, take the place of the one before; readers see the one or the other.

    What an interrupted writer left beside the old one goes with it: SQLite would roll it back into the new one.

    Raises:
        BooksError: It can't be moved.
    """
    journal = path.with_name(f"{path.name}-journal")
    try:
        if journal.exists():
            path.unlink(missing_ok=True)
            journal.unlink()
        made.replace(path)
    except OSError as error:
        raise BooksError(f"{path}: {error.strerror}") from error


def connected(path: Path) -> sqlite3.Connection:
    """Open a file that is there.

    Raises:
        NoBooks: It isn't.
    """
    if not path.is_file():
        raise NoBooks(f"{path}: no such file")
    try:
        return sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", uri=True, isolation_level=None, timeout=BUSY_S)
    except sqlite3.Error as error:
        raise NoBooks(f"{path}: {error}") from error
