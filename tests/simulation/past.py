"""What the simulated Alpaca tells of the past: every weekday trades, and all closed at what the account began with."""

from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import cast

from departments.trading.broker import FillsPage, FillsQuery, OrdersPage, OrdersQuery, Reader
from departments.trading.look_once import history_once
from messages.new_york import from_new_york
from messages.snapshots import BarFacts, ClockFacts, EquityDay, History, HistoryPart, TradingDay
from tests.simulation.exchange import Exchange

SATURDAY = 5


class Past:
    """The calls of `Reader` that a history makes; each list fits on a page."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange

    def clock(self) -> ClockFacts:
        """GET /v2/clock."""
        return self._exchange.clock()

    def trading_days(self, first: date, last: date) -> tuple[TradingDay, ...]:
        """GET /v2/calendar."""
        days = (first + timedelta(days=n) for n in range((last - first).days + 1))
        return tuple(
            TradingDay(day=day, opens_at=from_new_york(day, time(9, 30)), closes_at=from_new_york(day, time(16)))
            for day in days
            if day.weekday() < SATURDAY
        )

    def fills(self, query: FillsQuery) -> FillsPage:
        """GET /v2/account/activities/FILL."""
        found = tuple(one for one in self._exchange.fills if query.after is None or one.at > query.after)
        return FillsPage(found, 0)

    def orders(self, query: OrdersQuery) -> OrdersPage:
        """GET /v2/orders."""
        found = tuple(
            order.facts()
            for order in self._exchange.visible()
            if (query.after is None or order.submitted_at > query.after)
            and (not query.symbols or order.symbol in query.symbols)
        )
        return OrdersPage(found, 0)

    def equity_days(self, first: date, last: date) -> tuple[EquityDay, ...]:
        """GET /v2/account/portfolio/history."""
        begun_with: Decimal = self._exchange.begun_with_usd
        return tuple(EquityDay(day=one.day, equity_usd=begun_with) for one in self.trading_days(first, last))

    def daily_bars(self, symbols: tuple[str, ...], first: date, last: date) -> tuple[BarFacts, ...]:
        """GET /v2/stocks/bars: a price that never moved."""
        return tuple(
            BarFacts(
                symbol=symbol,
                day=one.day,
                open_usd=self._exchange.prices_usd[symbol],
                high_usd=self._exchange.prices_usd[symbol],
                low_usd=self._exchange.prices_usd[symbol],
                close_usd=self._exchange.prices_usd[symbol],
                volume=Decimal(1_000_000),
            )
            for symbol in sorted(set(symbols) & self._exchange.prices_usd.keys())
            for one in self.trading_days(first, last)
        )


def past_of(
    exchange: Exchange, parts: tuple[HistoryPart, ...], symbols: tuple[str, ...], now: datetime
) -> History | None:
    """The history of this moment, read as the desk reads it; draws no luck."""
    return history_once(cast("Reader", Past(exchange)), parts, symbols, lambda: now)
