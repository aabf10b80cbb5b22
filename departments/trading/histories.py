"""What went before, read once a trading day and kept: trading days, executions, daily closes, daily bars.

"Today" is New York's day by the broker's clock. Days, closes and bars of past days don't change before it is over, so
each is asked for once; of executions only those after the newest known one are asked for again, with a small overlap.
The desk's `Reads` and a command's `look_once` read through the same methods; each takes an `Ask`, which makes one
request when its turn comes.
"""

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import date, datetime, time, timedelta
from typing import Any, Protocol, TypeVar

from departments.trading.broker import (
    BrokerUnavailable,
    FillsPage,
    FillsQuery,
    Listing,
    OrdersPage,
    OrdersQuery,
    Reader,
    next_fills,
    next_page,
)
from departments.trading.looks import CLOCK_TURNED_BACK
from messages.new_york import day_in_new_york, from_new_york
from messages.snapshots import (
    BAR_DAYS,
    HISTORY_DAYS,
    BarFacts,
    EquityDay,
    EquityFacts,
    FillFacts,
    HistoryPart,
    OrderFacts,
    TradingDay,
)
from messages.values import OrderId, Side

AnswerT = TypeVar("AnswerT")

CALENDAR_REACH = timedelta(days=30)
"""`HISTORY_DAYS` trading days lie within it, whatever the holidays."""
EQUITY_REACH = timedelta(days=365)
"""How far the highest close is looked for."""
BARS_REACH = timedelta(days=100)
"""`BAR_DAYS` trading days lie within it."""
FILLS_OVERLAP = timedelta(minutes=5)
"""Asked for again: Alpaca may list an execution a little after one that came later."""
QUEUED_ORDERS = timedelta(days=5)
"""An order for the next opening may wait so long, over a weekend with a holiday."""
OLDEST_ORDERS = timedelta(days=95)
"""Alpaca ends a GTC order after 90 days. Source: Alpaca, "Aged order policy"."""
SYMBOLS_AT_ONCE = 100
"""Of bars: as many times `BAR_DAYS` bars fit on one page."""
MOST_PAGES = 60
"""Of executions or of orders; 6,000 executions in ten days are no account of ours."""
UNTOLD = "unknown"


class Ask(Protocol):
    """Makes one request."""

    def __call__(self, call: Callable[[Reader], AnswerT], /) -> AnswerT:
        """Wait for its turn and make it.

        Raises:
            BrokerError: As the call does.
        """


class Histories:
    """What is known of the past. Thread-safe; nothing is locked while a request is out."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._at: datetime | None = None
        self._today: date | None = None
        self._forget()

    def _forget(self) -> None:
        self._days: tuple[TradingDay, ...] | None = None
        self._fills: dict[str, FillFacts] | None = None
        self._looked_up: frozenset[OrderId] = frozenset()
        self._equity: EquityFacts | None = None
        self._has_equity = False
        self._bars: dict[str, tuple[BarFacts, ...]] = {}

    def turn_to(self, at: datetime) -> date:
        """Take a reading of the broker's clock. A new day forgets everything, as does a clock that was turned back.

        Returns:
            Today, in New York.
        """
        today = day_in_new_york(at)
        with self._lock:
            turned_back = self._at is not None and at < self._at - CLOCK_TURNED_BACK
            if today != self._today or turned_back:
                self._forget()
                self._today, self._at = today, at
            self._at = at if self._at is None else max(at, self._at)
        return today

    def read(self, part: HistoryPart, today: date, symbols: Iterable[str], ask: Ask) -> dict[str, Any]:
        """Read one part; the field of `History` that it fills.

        Raises:
            BrokerError: It could not be read.
        """
        match part:
            case HistoryPart.DAYS:
                return {"trading_days": self.days(today, ask)}
            case HistoryPart.FILLS:
                return {"fills": self.fills(today, ask)}
            case HistoryPart.EQUITY:
                return {"equity": self.equity(today, ask)}
            case HistoryPart.BARS:
                return {"bars": self.bars(today, symbols, ask)}

    def days(self, today: date, ask: Ask) -> tuple[TradingDay, ...]:
        """The last `HISTORY_DAYS` trading days up to today; one request a day.

        Raises:
            BrokerError: They could not be read, or are too few.
        """
        with self._lock:
            if self._days is not None and self._today == today:
                return self._days
        first = today - CALENDAR_REACH
        listed = ask(lambda reader: reader.trading_days(first, today))
        found = tuple(sorted((one for one in listed if one.day <= today), key=lambda one: one.day))[-HISTORY_DAYS:]
        if len(found) < HISTORY_DAYS:
            raise BrokerUnavailable(f"calendar: expected {HISTORY_DAYS} trading days since {first}, were {len(found)}")
        with self._lock:
            if self._today == today:
                self._days = found
        return found

    def fills(self, today: date, ask: Ask) -> tuple[FillFacts, ...]:
        """Every execution since the first of `days` began, oldest first.

        A page of those that are new, and the list of orders where one of them is new; the first time of a day, all.

        Raises:
            BrokerError: They could not be read whole.
        """
        since = from_new_york(self.days(today, ask)[0].day, time())
        with self._lock:
            known = dict(self._fills or {}) if self._today == today else {}
            looked_up = self._looked_up
        newest = max((fill.at for fill in known.values()), default=None)
        after = since - timedelta(seconds=1) if newest is None else max(since, newest - FILLS_OVERLAP)
        for fill in _pages_of_fills(after, ask):
            if fill.at >= since:
                known.setdefault(fill.activity_id, fill)
        untold = [fill for fill in known.values() if fill.order_type == UNTOLD and fill.order_id not in looked_up]
        types = _order_types(untold, ask) if untold else {}
        for fill in untold:
            order_type = types.get(fill.order_id, UNTOLD)
            known[fill.activity_id] = fill.model_copy(update={"order_type": order_type})
        with self._lock:
            if self._today == today:
                self._fills = {**(self._fills or {}), **known}
                self._looked_up |= {fill.order_id for fill in untold}
        return tuple(sorted(known.values(), key=lambda fill: (fill.at, fill.activity_id)))

    def equity(self, today: date, ask: Ask) -> EquityFacts | None:
        """The closes of the trading days before today; one request a day. None where there is none yet.

        Raises:
            BrokerError: They could not be read, or the newest is missing among them.
        """
        with self._lock:
            if self._has_equity and self._today == today:
                return self._equity
        days, first, last = self.days(today, ask), today - EQUITY_REACH, today - timedelta(days=1)
        listed = ask(lambda reader: reader.equity_days(first, last))
        found = equity_facts(listed, first=first, today=today, days=days)
        with self._lock:
            if self._today == today:
                self._equity, self._has_equity = found, True
        return found

    def bars(self, today: date, symbols: Iterable[str], ask: Ask) -> tuple[BarFacts, ...]:
        """Up to `BAR_DAYS` daily bars of each symbol before today; one request a day for 100 new symbols.

        Raises:
            BrokerError: They could not be read.
        """
        wanted = tuple(dict.fromkeys(symbols))
        with self._lock:
            known = dict(self._bars) if self._today == today else {}
        missing = tuple(symbol for symbol in wanted if symbol not in known)
        first, last = today - BARS_REACH, today - timedelta(days=1)
        for start in range(0, len(missing), SYMBOLS_AT_ONCE):
            some = missing[start : start + SYMBOLS_AT_ONCE]
            listed = ask(_bars_of(some, first, last))
            for symbol in some:
                of_symbol = sorted((bar for bar in listed if bar.symbol == symbol), key=lambda bar: bar.day)
                known[symbol] = tuple(of_symbol[-BAR_DAYS:])
        with self._lock:
            if self._today == today:
                self._bars.update(known)
        return tuple(bar for symbol in wanted for bar in known[symbol])


def equity_facts(
    listed: Iterable[EquityDay], *, first: date, today: date, days: Sequence[TradingDay]
) -> EquityFacts | None:
    """Sum up the closes before today.

    Raises:
        BrokerUnavailable: The close of the trading day before today is missing among others: what a loss is measured
            by would be too old.
    """
    closes = sorted((one for one in listed if one.day < today), key=lambda one: one.day)
    if not closes:
        return None
    newest, expected = closes[-1], max(one.day for one in days if one.day < today)
    if newest.day != expected:
        raise BrokerUnavailable(f"portfolio history: expected the close of {expected} as the newest, was {newest.day}")
    highest = max(closes, key=lambda one: one.equity_usd)
    return EquityFacts(
        since=first,
        highest_close_usd=highest.equity_usd,
        highest_close_day=highest.day,
        last_close_usd=newest.equity_usd,
    )


def _pages_of_fills(after: datetime, ask: Ask) -> Iterator[FillFacts]:
    query: FillsQuery | None = FillsQuery(after=after)
    for _ in range(MOST_PAGES):
        if query is None:
            return
        page = ask(_fills(query))
        yield from page.fills
        query = next_fills(query, page)
    if query is not None:
        raise BrokerUnavailable(f"fills: expected at most {MOST_PAGES} pages, were more")


def _order_types(untold: Sequence[FillFacts], ask: Ask) -> dict[OrderId, str]:
    """Types of the orders behind executions: from one list, and another that reaches back for old ones that sold."""
    types = _listed_types(untold, QUEUED_ORDERS, ask)
    old = [fill for fill in untold if fill.side is Side.SELL and fill.order_id not in types]
    if old:  # a stop that stood for weeks, or a leg of an entry that did
        types |= _listed_types(old, OLDEST_ORDERS, ask)
    return types


def _listed_types(fills: Sequence[FillFacts], reach: timedelta, ask: Ask) -> dict[OrderId, str]:
    symbols = tuple(sorted({fill.symbol for fill in fills}))
    after = min(fill.at for fill in fills) - reach
    query: OrdersQuery | None = OrdersQuery(listing=Listing.ALL, after=after, symbols=symbols)
    found: dict[OrderId, str] = {}
    for _ in range(MOST_PAGES):
        if query is None:
            return found
        page = ask(_orders(query))
        found |= {order.order_id: order.order_type or UNTOLD for order in _with_legs(page.orders)}
        query = next_page(query, page)
    if query is not None:
        raise BrokerUnavailable(f"orders: expected at most {MOST_PAGES} pages, were more")
    return found


def _with_legs(orders: Iterable[OrderFacts]) -> Iterator[OrderFacts]:
    for order in orders:
        yield order
        yield from _with_legs(order.legs)


def _fills(query: FillsQuery) -> Callable[[Reader], FillsPage]:
    return lambda reader: reader.fills(query)


def _orders(query: OrdersQuery) -> Callable[[Reader], OrdersPage]:
    return lambda reader: reader.orders(query)


def _bars_of(symbols: tuple[str, ...], first: date, last: date) -> Callable[[Reader], tuple[BarFacts, ...]]:
    return lambda reader: reader.daily_bars(symbols, first, last)
