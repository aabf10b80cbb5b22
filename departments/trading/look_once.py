"""One look at the account by itself, part after part, for commands that ask once; the daemon's looks are `reads.py`.

Reads only: whoever calls can hand in nothing that places or cancels.
"""

from collections.abc import Callable, Iterable
from datetime import date, datetime
from typing import Protocol

from departments.trading.broker import (
    BrokerUnavailable,
    FillsPage,
    FillsQuery,
    Listing,
    OrdersPage,
    OrdersQuery,
    next_page,
)
from departments.trading.looks import ASSETS_ONE_BY_ONE, joined, live_orders
from messages.snapshots import (
    AccountFacts,
    AssetFacts,
    BarFacts,
    ClockFacts,
    EquityDay,
    OrderFacts,
    PositionFacts,
    QuoteFacts,
    Snapshot,
    TradingDay,
)

MOST_PAGES = 40
"""Of open orders."""


class Reader(Protocol):
    """The part of `Broker` that changes nothing."""

    def orders(self, query: OrdersQuery) -> OrdersPage:
        """As `Broker.orders`."""

    def account(self) -> AccountFacts:
        """As `Broker.account`."""

    def positions(self) -> tuple[PositionFacts, ...]:
        """As `Broker.positions`."""

    def clock(self) -> ClockFacts:
        """As `Broker.clock`."""

    def assets(self) -> tuple[AssetFacts, ...]:
        """As `Broker.assets`."""

    def asset(self, symbol: str) -> AssetFacts | None:
        """As `Broker.asset`."""

    def quotes(self, symbols: tuple[str, ...]) -> tuple[QuoteFacts, ...]:
        """As `Broker.quotes`."""

    def trading_days(self, first: date, last: date) -> tuple[TradingDay, ...]:
        """As `Broker.trading_days`."""

    def fills(self, query: FillsQuery) -> FillsPage:
        """As `Broker.fills`."""

    def equity_days(self, first: date, last: date) -> tuple[EquityDay, ...]:
        """As `Broker.equity_days`."""

    def daily_bars(self, symbols: tuple[str, ...], first: date, last: date) -> tuple[BarFacts, ...]:
        """As `Broker.daily_bars`."""


def look_once(reader: Reader, *, symbols: Iterable[str], now: Callable[[], datetime]) -> Snapshot:
    """Read every part of a snapshot; a part that can't be read fails it whole.

    Args:
        reader: The broker.
        symbols: Whose assets and quotes are wanted.
        now: Store's clock.

    Raises:
        BrokerError: A part could not be read.
    """
    wanted = tuple(dict.fromkeys(symbols))
    begun_at = now()
    return Snapshot(
        begun_at=begun_at,
        account=reader.account(),
        positions=reader.positions(),
        open_orders=open_orders(reader),
        run_orders=(),
        clock=reader.clock(),
        assets=_assets(reader, wanted),
        quotes=reader.quotes(wanted) if wanted else (),
    )


def open_orders(reader: Reader) -> tuple[OrderFacts, ...]:
    """Every live order of the account, all pages.

    Raises:
        BrokerError: They could not be read whole.
    """
    pages: list[tuple[OrderFacts, ...]] = []
    query: OrdersQuery | None = OrdersQuery(listing=Listing.OPEN)
    while query is not None:
        if len(pages) >= MOST_PAGES:
            raise BrokerUnavailable(f"orders: expected at most {MOST_PAGES} pages of open ones, were more")
        page = reader.orders(query)
        pages.append(page.orders)
        query = next_page(query, page)
    return live_orders(joined(pages))


def _assets(reader: Reader, symbols: tuple[str, ...]) -> tuple[AssetFacts, ...]:
    """What the broker says of these symbols; many are asked for with one list, and only then one by one."""
    known: dict[str, AssetFacts] = {}
    if len(symbols) > ASSETS_ONE_BY_ONE:
        known = {asset.symbol: asset for asset in reader.assets() if asset.symbol in symbols}
    for symbol in symbols:
        if symbol not in known and (asset := reader.asset(symbol)) is not None:
            known[symbol] = asset
    return tuple(known[symbol] for symbol in symbols if symbol in known)
