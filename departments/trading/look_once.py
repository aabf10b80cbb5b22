"""One look at the account by itself, part after part, for commands that ask once; the daemon's looks are `reads.py`.

Reads only: whoever calls can hand in nothing that places or cancels.
"""

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any

from departments.trading.broker import BrokerUnavailable, Listing, OrdersQuery, Reader, next_page
from departments.trading.histories import Histories
from departments.trading.looks import ASSETS_ONE_BY_ONE, joined, live_orders
from messages.snapshots import AssetFacts, ClockFacts, History, HistoryPart, OrderFacts, Snapshot

MOST_PAGES = 40
"""Of open orders."""


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


def history_once(
    reader: Reader,
    parts: Iterable[HistoryPart],
    symbols: Iterable[str],
    now: Callable[[], datetime],
    *,
    clock: ClockFacts | None = None,
) -> History | None:
    """Read the asked parts of a history, as the daemon does; a part that can't be read fails it whole.

    Args:
        reader: The broker.
        parts: What is wanted; nothing wanted is None, and no request.
        symbols: Whose bars are wanted: the plan's and those held.
        now: Store's clock.
        clock: The broker's, where a look has just read it; else it is asked for.

    Raises:
        BrokerError: A part could not be read.
    """
    wanted = set(parts)
    if not wanted:
        return None
    read_at, histories, named = now(), Histories(), tuple(symbols)
    today = histories.turn_to((clock or reader.clock()).at)
    found: dict[str, Any] = {}
    for part in HistoryPart:
        if part in wanted:
            found |= histories.read(part, today, named, lambda call: call(reader))
    return History(read_at=read_at, **found)


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
