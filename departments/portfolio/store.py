"""The portfolio database: a SQLite file in FIRM_HOME that one process writes at a time and everybody may read.

A projection, no memory: it may be deleted whenever one likes, and the next refresh makes it again. So there are no
migrations: a file of another version, of another account or beyond reading is made anew. Written with the standard
library's driver, for commands that must answer quickly. The file is its owner's alone.
"""

import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import astuple, fields
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Self

from departments.portfolio.entries import Entry, trading_day_of
from departments.portfolio.files import NoBooks, connected
from departments.portfolio.records import (
    BooksError,
    HeldSince,
    LookRecord,
    OrderRecord,
    RunBooked,
    RunRecord,
    figure_text,
    instant_text,
)
from departments.portfolio.schema import EXPORTS, SCHEMA, SCHEMA_VERSION
from messages.snapshots import EquityDay, FillFacts, TradingDay


class Books:
    """An open portfolio database."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    @classmethod
    def create(cls, path: Path, *, account: str, account_number: str) -> Self:
        """Make an empty one.

        Args:
            path: Must not be there.
            account: Its name in `firm.yaml`.
            account_number: Alpaca's.

        Raises:
            BooksError: It can't be made.
        """
        try:
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        except OSError as error:
            raise BooksError(f"{path}: {error.strerror}") from error
        books = cls(connected(path))
        try:
            with books.writing():
                books._found(account, account_number)
        except BaseException:
            books.close()
            raise
        return books

    @classmethod
    def open(cls, path: Path, *, account: str, account_number: str | None = None) -> Self:
        """Open one that is there.

        Args:
            path: Where.
            account: Whose it must be.
            account_number: Whose it must be at Alpaca; None: whosever.

        Raises:
            NoBooks: It isn't there, can't be read, or is another account's or version's.
        """
        books = cls(connected(path))
        try:
            books._check(path, account, account_number)
        except BaseException:
            books.close()
            raise
        return books

    def close(self) -> None:
        """Close it."""
        self._connection.close()

    @contextmanager
    def writing(self) -> Iterator[None]:
        """All or nothing of what is written meanwhile.

        Raises:
            BooksError: The file can't be written.
        """
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")
        except sqlite3.Error as error:
            raise BooksError(f"the portfolio database can't be written: {error}") from error

    def _found(self, account: str, account_number: str) -> None:
        for statement in filter(str.strip, SCHEMA.split(";")):
            self._connection.execute(statement)
        self._connection.execute("INSERT INTO identity VALUES (?, ?)", (account, account_number))

    def _check(self, path: Path, account: str, account_number: str | None) -> None:
        (version,) = self._query("PRAGMA user_version")[0]
        if version != SCHEMA_VERSION:
            raise NoBooks(f"{path}: expected version {SCHEMA_VERSION}, was {version}")
        found = self._query("SELECT account, account_number FROM identity")
        owner, number = found[0] if found else ("nobody", "none")
        if owner != account or account_number not in {None, number}:
            raise NoBooks(f"{path}: expected the account {account} ({account_number or 'any'}), was {owner} ({number})")

    # What is known

    def count(self, table: str) -> int:
        """Rows of a table."""
        return int(self._query(f"SELECT count(*) FROM {table}")[0][0])  # noqa: S608 - our own names

    def rows(self, kind: str) -> tuple[tuple[str, ...], list[tuple[Any, ...]]]:
        """The columns and rows of one of `EXPORTS`."""
        try:
            cursor = self._connection.execute(EXPORTS[kind])
            return tuple(column[0] for column in cursor.description), cursor.fetchall()
        except sqlite3.Error as error:
            raise NoBooks(f"the portfolio database can't be read: {error}") from error

    def newest_fill(self) -> FillFacts | None:
        """The youngest execution; of one instant any, but always the same."""
        return next(iter(self._fills("ORDER BY at DESC, activity_id DESC LIMIT 1")), None)

    def first_fill(self) -> FillFacts | None:
        """The oldest execution."""
        return next(iter(self._fills("ORDER BY at, activity_id LIMIT 1")), None)

    def fills_of(self, symbol: str) -> tuple[FillFacts, ...]:
        """Every execution in a symbol."""
        return self._fills("WHERE symbol = ?", symbol)

    def fill(self, activity_id: str) -> FillFacts | None:
        """One execution."""
        return next(iter(self._fills("WHERE activity_id = ?", activity_id)), None)

    def days(self) -> tuple[TradingDay, ...]:
        """Trading days, oldest first."""
        rows = self._query("SELECT day, opens_at, closes_at FROM days ORDER BY day")
        return tuple(
            TradingDay.model_validate({"day": day, "opens_at": opens, "closes_at": closes})
            for day, opens, closes in rows
        )

    def last_equity_day(self) -> date | None:
        """The youngest day whose close is known."""
        (day,) = self._query("SELECT max(day) FROM equity")[0]
        return None if day is None else date.fromisoformat(day)

    def runs(self) -> dict[str, bool]:
        """The runs that are known, and whether they have ended."""
        return {run_id: outcome is not None for run_id, outcome in self._query("SELECT run_id, outcome FROM runs")}

    def flat_at(self, symbol: str) -> datetime | None:
        """The latest look in which a symbol was not held, broker's time; None: there was none."""
        (at,) = self._query("SELECT max(at) FROM looks WHERE instr(held, ?) = 0", f" {symbol} ")[0]
        return None if at is None else datetime.fromisoformat(at)

    def held_since(self) -> tuple[HeldSince, ...]:
        """Every position with its entry, by symbol."""
        rows = self._query("SELECT symbol, qty, entered_at, entry_day, unknown_because FROM positions ORDER BY symbol")
        return tuple(
            HeldSince(
                symbol=symbol,
                qty=Decimal(qty),
                entered_at=None if entered_at is None else datetime.fromisoformat(entered_at),
                entry_day=None if entry_day is None else date.fromisoformat(entry_day),
                unknown_because=why,
            )
            for symbol, qty, entered_at, entry_day, why in rows
        )

    # What is learnt; inside `writing`

    def add_fills(self, fills: Iterable[FillFacts]) -> None:
        """Keep executions that are new."""
        self._many("INSERT INTO fills VALUES (?, ?, ?, ?, ?, ?, ?)", map(_fill_row, fills))

    def put_days(self, days: Iterable[TradingDay]) -> None:
        """Keep trading days."""
        rows = ((one.day.isoformat(), instant_text(one.opens_at), instant_text(one.closes_at)) for one in days)
        self._many("INSERT OR REPLACE INTO days VALUES (?, ?, ?)", rows)

    def put_equity(self, days: Iterable[EquityDay]) -> None:
        """Keep daily closes."""
        rows = ((one.day.isoformat(), figure_text(one.equity_usd)) for one in days)
        self._many("INSERT OR REPLACE INTO equity VALUES (?, ?)", rows)

    def put_run(self, booked: RunBooked) -> None:
        """Keep a run, instead of what was known of it."""
        run_id = booked.run.run_id
        for table in ("runs", "orders", "looks"):
            self._many(f"DELETE FROM {table} WHERE run_id = ?", [(run_id,)])  # noqa: S608 - our own names
        self._many(f"INSERT INTO runs VALUES ({_marks(RunRecord)})", [astuple(booked.run)])  # noqa: S608 - as above
        self._many(f"INSERT INTO orders VALUES ({_marks(OrderRecord)})", map(astuple, booked.orders))  # noqa: S608 - as above
        self._many(f"INSERT INTO looks VALUES ({_marks(LookRecord)})", map(astuple, booked.looks))  # noqa: S608 - as above

    def put_positions(self, entries: Iterable[Entry], days: Sequence[TradingDay]) -> None:
        """Keep the positions as they are now, instead of those known before."""
        self._connection.execute("DELETE FROM positions")
        self._connection.execute("DELETE FROM lots")
        for entry in entries:
            position, opened = entry.position, entry.opened
            day = None if opened is None else trading_day_of(opened.at, days)
            row = (
                position.symbol,
                figure_text(position.qty),
                figure_text(position.avg_entry_price_usd),
                None if opened is None else instant_text(opened.at),
                None if day is None else day.isoformat(),
                None if opened is None else opened.order_id,
                entry.unknown_because,
            )
            self._connection.execute("INSERT INTO positions VALUES (?, ?, ?, ?, ?, ?, ?)", row)
            lots = (
                (position.symbol, number, lot.fill.activity_id, figure_text(lot.qty))
                for number, lot in enumerate(entry.lots, start=1)
            )
            self._many("INSERT INTO lots VALUES (?, ?, ?, ?)", lots)

    def _fills(self, rest: str, *arguments: str) -> tuple[FillFacts, ...]:
        rows = self._query(f"SELECT * FROM fills {rest}", *arguments)  # noqa: S608 - our own words
        return tuple(
            FillFacts.model_validate(
                {
                    "activity_id": activity_id,
                    "order_id": order_id,
                    "symbol": symbol,
                    "side": side,
                    "qty": qty,
                    "price_usd": price,
                    "at": at,
                    "order_type": "unknown",
                }
            )
            for activity_id, order_id, symbol, side, qty, price, at in rows
        )

    def _query(self, sql: str, *arguments: str) -> list[Any]:
        try:
            return self._connection.execute(sql, arguments).fetchall()
        except sqlite3.Error as error:
            raise NoBooks(f"the portfolio database can't be read: {error}") from error

    def _many(self, sql: str, rows: Iterable[tuple[Any, ...]]) -> None:
        self._connection.executemany(sql, rows)


def _marks(record: type[Any]) -> str:
    return ", ".join("?" * len(fields(record)))


def _fill_row(fill: FillFacts) -> tuple[str, ...]:
    return (
        fill.activity_id,
        fill.order_id,
        fill.symbol,
        fill.side.value,
        figure_text(fill.qty),
        figure_text(fill.price_usd),
        instant_text(fill.at),
    )
