"""How to see much with few requests: which orders to list, which assets to ask for. Pure.

The broker's answers about orders are told apart here, too: the run's, by the prefix of their client_order_id, and live
orders of others.
"""

from collections.abc import Iterable, Mapping
from datetime import date, datetime, timedelta

from departments.trading.broker import Listing, OrdersQuery
from messages.snapshots import TERMINAL_BROKER_STATUSES, AssetFacts, OrderFacts, QuoteFacts
from messages.values import RunId

ORDERS_SLACK = timedelta(seconds=5)
"""Taken off every `after`: an order's submission time may be a little older than the reading we go by."""
FARTHEST_HORIZON = timedelta(days=1)
"""Beyond it, two lists (all of the run, all open) are cheaper than one that goes back so far."""
CLOCK_TURNED_BACK = timedelta(minutes=1)
ASSETS_ONE_BY_ONE = 4
"""From more missing symbols than this on, the list of all active assets is one request instead of many."""


class OrdersHorizon:
    """The earliest submission time that a list must reach back to, so that it shows every live order.

    A live order was live when we last saw the whole account, or was submitted after that look. So the horizon is the
    submission time of the oldest order that was live then, or the broker's time of the look. With it one list of *all*
    orders serves for the run's own (terminal ones, too) and for everybody's live ones. All times are the broker's.
    """

    def __init__(self) -> None:
        self._horizon: datetime | None = None
        self._latest: datetime | None = None

    @property
    def broker_time(self) -> datetime | None:
        """The latest time of the broker's that was seen: now or earlier. None while none was seen."""
        return self._latest

    def saw_clock(self, at: datetime) -> None:
        """Note a reading of the broker's clock; one turned back (a local Alpaca's may be) forgets all."""
        if self._latest is not None and at < self._latest - CLOCK_TURNED_BACK:
            self._horizon = None
            self._latest = at
        else:
            self._latest = at if self._latest is None else max(self._latest, at)

    def saw_account(self, orders: Iterable[OrderFacts], *, asked_at: datetime | None) -> None:
        """Note a look that showed every live order.

        Args:
            orders: All that was listed.
            asked_at: `broker_time` as it was before the first request of the look.
        """
        listed = tuple(orders)
        if asked_at is not None:
            live = (order.submitted_at for order in listed if alive(order))
            self._horizon = min((asked_at, *live))
        for order in listed:
            self._latest = order.as_of if self._latest is None else max(self._latest, order.as_of)

    def queries(self, after: datetime, symbols: tuple[str, ...] = ()) -> tuple[OrdersQuery, ...]:
        """Tell which lists together show all orders submitted after `after`, and every live one.

        An `after` that lies ahead of the broker's clock is of no use (who asked had not read it): now counts instead.
        """
        if self._latest is not None:
            after = min(after, self._latest)
        if self._horizon is None or self._horizon < after - FARTHEST_HORIZON:
            return (
                OrdersQuery(listing=Listing.ALL, after=after - ORDERS_SLACK, symbols=symbols),
                OrdersQuery(listing=Listing.OPEN, symbols=symbols),
            )
        since = min(after, self._horizon) - ORDERS_SLACK
        return (OrdersQuery(listing=Listing.ALL, after=since, symbols=symbols),)


class AssetCache:
    """What was learnt about assets today; symbols the broker doesn't know are learnt, too."""

    def __init__(self) -> None:
        self._day: date | None = None
        self._known: dict[str, AssetFacts | None] = {}
        self._listed = False

    def turn_to(self, day: date) -> None:
        """Forget everything on a new day."""
        if day != self._day:
            self._day, self._known, self._listed = day, {}, False

    def missing(self, symbols: Iterable[str]) -> tuple[str, ...]:
        """Which of these are not known yet, neither as an asset nor as unknown to the broker."""
        return tuple(symbol for symbol in symbols if symbol not in self._known)

    def wants_list(self, missing: tuple[str, ...]) -> bool:
        """Whether to list all active assets rather than ask for each; at most once a day."""
        return not self._listed and len(missing) > ASSETS_ONE_BY_ONE

    def learn_list(self, assets: Iterable[AssetFacts]) -> None:
        """Take in the list of active assets. A symbol that isn't on it is still missing: it may be inactive."""
        self._known.update((asset.symbol, asset) for asset in assets)
        self._listed = True

    def learn(self, symbol: str, asset: AssetFacts | None) -> None:
        """Take in one look-up."""
        self._known[symbol] = asset

    def known(self, symbols: Iterable[str]) -> tuple[AssetFacts, ...]:
        """The assets among these that the broker knows."""
        found: Mapping[str, AssetFacts | None] = self._known
        return tuple(asset for symbol in symbols if (asset := found.get(symbol)) is not None)


class QuoteCache:
    """The quotes that were read last, for whoever asks again at once: the gate, a moment after the run began."""

    def __init__(self) -> None:
        self._read_at: datetime | None = None
        self._asked: frozenset[str] = frozenset()
        self._quotes: tuple[QuoteFacts, ...] = ()

    def learn(self, at: datetime, symbols: Iterable[str], quotes: tuple[QuoteFacts, ...]) -> None:
        """Take in what was read.

        Args:
            at: Just before the request left, store's clock.
            symbols: What was asked for; one without a price has no quote.
            quotes: The answer.
        """
        self._read_at, self._asked, self._quotes = at, frozenset(symbols), quotes

    def recent(self, now: datetime, symbols: Iterable[str], max_age: timedelta) -> tuple[QuoteFacts, ...] | None:
        """The quotes of these symbols if all were asked for less than `max_age` ago; else None."""
        wanted = set(symbols)
        if self._read_at is None or not timedelta(0) <= now - self._read_at < max_age or not wanted <= self._asked:
            return None
        return tuple(quote for quote in self._quotes if quote.symbol in wanted)


def alive(order: OrderFacts) -> bool:
    """Whether more may come of an order or of one of its legs."""
    return order.status not in TERMINAL_BROKER_STATUSES or any(alive(leg) for leg in order.legs)


def joined(pages: Iterable[Iterable[OrderFacts]]) -> tuple[OrderFacts, ...]:
    """Join lists that overlap: each order once, the newest view of it."""
    found: dict[str, OrderFacts] = {}
    for page in pages:
        for order in page:
            before = found.get(order.order_id)
            if before is None or before.as_of <= order.as_of:
                found[order.order_id] = order
    return tuple(found.values())


def orders_of_run(orders: Iterable[OrderFacts], run_id: RunId) -> tuple[OrderFacts, ...]:
    """The run's orders, whatever their status."""
    return tuple(order for order in orders if order.client_order_id.startswith(f"{run_id}-"))


def live_orders(orders: Iterable[OrderFacts]) -> tuple[OrderFacts, ...]:
    """Every live order; of a parent that is over, the legs that live on."""
    found: list[OrderFacts] = []
    for order in orders:
        if order.status not in TERMINAL_BROKER_STATUSES:
            found.append(order)
        else:
            found.extend(live_orders(order.legs))
    return tuple(found)


def live_orders_of_others(
    orders: Iterable[OrderFacts], run_id: RunId, symbols: tuple[str, ...]
) -> tuple[OrderFacts, ...]:
    """Live orders on these symbols that are neither the run's nor legs of the run's."""
    others = (order for order in orders if not order.client_order_id.startswith(f"{run_id}-"))
    return tuple(order for order in live_orders(others) if order.symbol in symbols)
