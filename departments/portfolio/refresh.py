"""Brings the portfolio database up to date, or makes it anew, out of the journal's runs and Alpaca's activities.

A refresh reads only executions after the newest known one, with some overlap; what comes again changes nothing. The
newest known one must be in the overlap: if it isn't, Alpaca's history is another (a paper account that was reset), and
all is read anew, as it is where there is no database or none that can be used. Either way gives the same content.

Everything is read before anything is written, and written all or nothing.
"""

from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Protocol

from departments.portfolio.entries import Entry, distinct, entry_of, told, trading_day_of
from departments.portfolio.files import NoBooks, one_writer, put_in_place
from departments.portfolio.records import BooksError, RunBooked
from departments.portfolio.store import Books
from messages.snapshots import AccountFacts, ClockFacts, EquityDay, FillFacts, PositionFacts, TradingDay

OVERLAP = timedelta(minutes=15)
"""So much of what is known is read again."""
DAYS_BEFORE = timedelta(days=7)
"""The calendar is read from so long before the first execution: no market is closed longer."""
DAYS_AHEAD = timedelta(days=10)
EQUITY_AGAIN = timedelta(days=7)
"""Closes may be corrected for so long."""
MOST_LOOKS = 4


class Reader(Protocol):
    """What is asked of Alpaca."""

    def account(self) -> AccountFacts:
        """Read the account."""

    def clock(self) -> ClockFacts:
        """Read the broker's clock."""

    def positions(self) -> tuple[PositionFacts, ...]:
        """List every position."""

    def fills_after(self, after: datetime | None) -> tuple[FillFacts, ...]:
        """List every execution after a broker's time, exclusive; None: since the account began."""

    def trading_days(self, first: date, last: date) -> tuple[TradingDay, ...]:
        """List trading days, both ends included, oldest first."""

    def equity_days(self, first: date, last: date) -> tuple[EquityDay, ...]:
        """List daily closes, both ends included; the day under way bears the equity of the moment."""


class Register(Protocol):
    """The journal's runs."""

    def runs(self) -> Mapping[str, bool]:
        """Every run that was accepted, and whether it has ended."""

    def booked(self, run_id: str) -> RunBooked:
        """All that is kept of one."""


class Restless(BooksError):
    """The account traded all the while: fills and positions could not be had for one moment."""


class HistoryChanged(BooksError):
    """Alpaca or the journal doesn't know any more what is in the database."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refreshed:
    """What a refresh found.

    Attributes:
        made_anew_because: None where the database was there and went on.
        unknown: Symbols whose entry is not known, and why.
    """

    fills: int
    new_fills: int
    positions: int
    runs: int
    equity_days: int
    unknown: Mapping[str, str]
    made_anew_because: str | None


def refresh(
    path: Path, *, account: str, reader: Reader, register: Register, anew: bool = False, patience_s: float = 0.0
) -> Refreshed:
    """Bring the database up to date.

    Args:
        path: Where it is, or is to be.
        account: Its name in `firm.yaml`.
        reader: Alpaca.
        register: The journal.
        anew: Read everything again, whatever is there.
        patience_s: How long to wait for another process that writes it.

    Raises:
        BooksError: It can't be written, another process writes it, or what Alpaca told contradicts itself.
        Whatever reader and register raise: then nothing was changed.
    """
    with one_writer(path, patience_s):
        number = reader.account().account_number
        why = "it was asked for"
        if not anew:
            try:
                with closing(Books.open(path, account=account, account_number=number)) as books:
                    return _bring_up(books, reader, register, made_anew_because=None)
            except (NoBooks, HistoryChanged) as error:
                why = str(error)
        made = path.with_name(f"{path.name}.new")
        for leftover in (made, made.with_name(f"{made.name}-journal")):
            leftover.unlink(missing_ok=True)
        with closing(Books.create(made, account=account, account_number=number)) as books:
            done = _bring_up(books, reader, register, made_anew_because=why)
        put_in_place(made, path)
        return done


def explained(
    path: Path, *, account: str, account_number: str, reader: Reader, positions: tuple[PositionFacts, ...]
) -> tuple[Entry, ...]:
    """Say of positions just read when they were opened, by the database and what was executed since; writes nothing.

    Raises:
        BooksError: There is no database that can be used, or Alpaca's history is another.
        Whatever the reader raises.
    """
    with closing(Books.open(path, account=account, account_number=account_number)) as books:
        return _entries(books, positions, _later(books, reader, books.newest_fill()))


def _bring_up(books: Books, reader: Reader, register: Register, *, made_anew_because: str | None) -> Refreshed:
    known_runs, runs = books.runs(), register.runs()
    if not known_runs.keys() <= runs.keys():
        raise HistoryChanged("the journal doesn't know every run of it")
    clock = reader.clock()
    fills, positions = _fills_and_positions(books, reader)
    booked = [register.booked(run_id) for run_id in runs if not known_runs.get(run_id, False)]
    first = min((*fills, *filter(None, [books.first_fill()])), key=lambda fill: fill.at, default=None)
    days = _days(books, reader, clock, first)
    equity = _equity(books, reader, clock, first, days)
    with books.writing():
        books.add_fills(fills)
        books.put_days(days)
        books.put_equity(equity)
        for one in booked:
            books.put_run(one)
        entries = _entries(books, positions)
        books.put_positions(entries, days)
    return Refreshed(
        fills=books.count("fills"),
        new_fills=len(fills),
        positions=len(entries),
        runs=len(runs),
        equity_days=books.count("equity"),
        unknown={entry.position.symbol: entry.unknown_because for entry in entries if entry.unknown_because},
        made_anew_because=made_anew_because,
    )


def _fills_and_positions(books: Books, reader: Reader) -> tuple[tuple[FillFacts, ...], tuple[PositionFacts, ...]]:
    """New fills, and positions of a moment at which there were these fills and no others.

    Raises:
        Restless: There was no such moment.
    """
    newest = books.newest_fill()
    fills = _later(books, reader, newest)
    for _ in range(MOST_LOOKS):
        positions = reader.positions()
        latest = max((*fills, *([newest] if newest else [])), key=lambda fill: fill.at, default=None)
        joined = distinct((*fills, *_later(books, reader, latest)))
        if len(joined) == len(fills):
            return fills, positions
        fills = joined
    raise Restless(f"the account traded during each of {MOST_LOOKS} looks")


def _later(books: Books, reader: Reader, newest: FillFacts | None) -> tuple[FillFacts, ...]:
    """Executions that the database doesn't have.

    Args:
        books: The database.
        reader: Alpaca.
        newest: The newest that is known by now; None: none is.

    Raises:
        FillsContradict: One is told in two ways.
        HistoryChanged: The newest is not told any more, or one in another way than before.
    """
    found = distinct(reader.fills_after(None if newest is None else newest.at - OVERLAP))
    if newest is None:
        return found
    if newest.activity_id not in {fill.activity_id for fill in found}:
        raise HistoryChanged(f"Alpaca doesn't know fill {newest.activity_id} any more")
    fresh = []
    for fill in found:
        before = books.fill(fill.activity_id)
        if before is None:
            fresh.append(fill)
        elif told(before) != told(fill):
            raise HistoryChanged(f"fill {fill.activity_id}: expected {told(before)}, was {told(fill)}")
    return tuple(fresh)


def _entries(
    books: Books, positions: tuple[PositionFacts, ...], later: tuple[FillFacts, ...] = ()
) -> tuple[Entry, ...]:
    """The entry of each position, by symbol.

    Args:
        books: Where fills and looks are.
        positions: As Alpaca shows them.
        later: Executions that the database doesn't have.
    """
    return tuple(
        entry_of(
            position,
            (*books.fills_of(position.symbol), *(fill for fill in later if fill.symbol == position.symbol)),
            books.flat_at(position.symbol),
        )
        for position in sorted(positions, key=lambda position: position.symbol)
        if position.qty
    )


def _days(books: Books, reader: Reader, clock: ClockFacts, first: FillFacts | None) -> tuple[TradingDay, ...]:
    """Trading days from before the first fill until some days ahead; Alpaca is asked when they run out."""
    known = books.days()
    if first is None:
        return known
    begins = first.at - DAYS_BEFORE
    if known and known[0].opens_at <= begins + DAYS_BEFORE and known[-1].opens_at > clock.at:
        return known
    return reader.trading_days(begins.date(), (clock.at + DAYS_AHEAD).date())


def _equity(
    books: Books, reader: Reader, clock: ClockFacts, first: FillFacts | None, days: tuple[TradingDay, ...]
) -> tuple[EquityDay, ...]:
    """Daily closes since the day of the first fill, of days that are over."""
    over = [day.day for day in days if day.closes_at <= clock.at]
    begins = None if first is None else trading_day_of(first.at, days)
    if begins is None or not over or over[-1] < begins:
        return ()
    last = books.last_equity_day()
    since = begins if last is None else max(begins, last - EQUITY_AGAIN)
    wanted = set(over)
    return tuple(one for one in reader.equity_days(since, over[-1]) if one.day in wanted and one.day >= begins)
