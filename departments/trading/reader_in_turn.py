"""A `Reader` that waits for its turn before each request: what was written for commands then serves the desk, too."""

from datetime import date

from departments.trading.broker import FillsPage, FillsQuery, OrdersPage, OrdersQuery
from departments.trading.histories import Ask
from messages.snapshots import (
    AccountFacts,
    AssetFacts,
    BarFacts,
    ClockFacts,
    EquityDay,
    PositionFacts,
    QuoteFacts,
    TradingDay,
)


class ReaderInTurn:
    """Every call of `Reader`, each when `ask` lets it."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask

    def orders(self, query: OrdersQuery) -> OrdersPage:
        """As `Reader.orders`."""
        return self._ask(lambda reader: reader.orders(query))

    def account(self) -> AccountFacts:
        """As `Reader.account`."""
        return self._ask(lambda reader: reader.account())

    def positions(self) -> tuple[PositionFacts, ...]:
        """As `Reader.positions`."""
        return self._ask(lambda reader: reader.positions())

    def clock(self) -> ClockFacts:
        """As `Reader.clock`."""
        return self._ask(lambda reader: reader.clock())

    def assets(self) -> tuple[AssetFacts, ...]:
        """As `Reader.assets`."""
        return self._ask(lambda reader: reader.assets())

    def asset(self, symbol: str) -> AssetFacts | None:
        """As `Reader.asset`."""
        return self._ask(lambda reader: reader.asset(symbol))

    def quotes(self, symbols: tuple[str, ...]) -> tuple[QuoteFacts, ...]:
        """As `Reader.quotes`."""
        return self._ask(lambda reader: reader.quotes(symbols))

    def trading_days(self, first: date, last: date) -> tuple[TradingDay, ...]:
        """As `Reader.trading_days`."""
        return self._ask(lambda reader: reader.trading_days(first, last))

    def fills(self, query: FillsQuery) -> FillsPage:
        """As `Reader.fills`."""
        return self._ask(lambda reader: reader.fills(query))

    def equity_days(self, first: date, last: date) -> tuple[EquityDay, ...]:
        """As `Reader.equity_days`."""
        return self._ask(lambda reader: reader.equity_days(first, last))

    def daily_bars(self, symbols: tuple[str, ...], first: date, last: date) -> tuple[BarFacts, ...]:
        """As `Reader.daily_bars`."""
        return self._ask(lambda reader: reader.daily_bars(symbols, first, last))
