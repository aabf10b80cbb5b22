"""The broker as Trading sees it: a handful of calls and the few ways in which each can fail.

An adapter translates whatever its library, the network or the broker does into these errors and nothing else. For calls
that change something the difference between "certainly not taken" and "nobody knows" is the whole point:

| call              | certainly not taken                                   | nobody knows     |
|-------------------|-------------------------------------------------------|------------------|
| `submit`/`cancel` | `BrokerUnavailable`, `KeysRefused`, `BrokerRefused`   | `OutcomeUnknown` |
| all others        | `BrokerUnavailable`, `KeysRefused`, `BrokerRefused`   | -                |
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import NamedTuple, Protocol

from messages.broker import CancelOutcome
from messages.orders import OrderIntent
from messages.snapshots import (
    AccountFacts,
    AssetFacts,
    BarFacts,
    ClockFacts,
    EquityDay,
    FillFacts,
    OrderFacts,
    PositionFacts,
    QuoteFacts,
    TradingDay,
)
from messages.values import ClientOrderId, OrderId

ORDERS_PAGE_LIMIT = 500
"""Orders on one page at most. Source: Alpaca, GET /v2/orders, `limit`."""
FILLS_PAGE_LIMIT = 100
"""Executions on one page at most. Source: Alpaca, GET /v2/account/activities/FILL, `page_size`."""


class BrokerError(Exception):
    """Something went wrong between us and the broker; the text is one line."""


class BrokerUnavailable(BrokerError):
    """A read failed, or a changing call never left. Try again later."""


class RateLimited(BrokerUnavailable):
    """429: the call was not taken.

    Attributes:
        retry_after_s: What the broker asked for; None where it didn't.
    """

    def __init__(self, why: str, retry_after_s: float | None) -> None:
        super().__init__(why)
        self.retry_after_s = retry_after_s


class KeysRefused(BrokerError):
    """401, or a 403 that is not about an order: the key pair is wrong or not allowed. Nothing was taken."""

    def __init__(self, status_code: int, message: str) -> None:
        super().__init__(f"keys refused: http {status_code} {message}".rstrip())
        self.status_code = status_code
        self.message = message


class BrokerRefused(BrokerError):
    """The broker declined, in its own words: a fact about this call.

    Attributes:
        code: The broker's error code; None where the body had none.
        message: Cut to 500 characters.
    """

    def __init__(self, status_code: int, code: int | None, message: str) -> None:
        super().__init__(f"http {status_code} {code or ''} {message}".replace("  ", " "))
        self.status_code = status_code
        self.code = code
        self.message = message

    @property
    def says_id_is_taken(self) -> bool:
        """An order with this client_order_id is there already. Only the words tell: its code differs by endpoint."""
        return "client_order_id" in self.message and "unique" in self.message


class OutcomeUnknown(BrokerError):
    """A changing call left, or may have left, and no answer can be trusted. `why` is one line."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


@dataclass(frozen=True, slots=True, kw_only=True)
class RateSeen:
    """What an answer said about the limit on requests.

    Attributes:
        limit: Requests a minute.
        remaining: Requests left in the broker's window.
        reset_in_s: Seconds until that window ends, >= 0; None where it wasn't told.
    """

    limit: int
    remaining: int
    reset_in_s: float | None


class Listing(StrEnum):
    """Which orders to list."""

    OPEN = "open"
    ALL = "all"


@dataclass(frozen=True, slots=True, kw_only=True)
class OrdersQuery:
    """One page of orders, oldest first.

    Attributes:
        after: Submitted after this, exclusive, broker's time; None: from the first.
        symbols: Only these; empty: all.
    """

    listing: Listing
    after: datetime | None = None
    symbols: tuple[str, ...] = ()


class OrdersPage(NamedTuple):
    """A page of orders. `rows` counts what the broker sent: a full page has a successor."""

    orders: tuple[OrderFacts, ...]
    rows: int


def next_page(query: OrdersQuery, page: OrdersPage) -> OrdersQuery | None:
    """Ask for the page after this one; None when this was the last.

    The broker counts nanoseconds and we microseconds, so the next page starts one microsecond early and repeats
    orders: whoever joins pages drops orders seen before.

    Raises:
        BrokerUnavailable: More orders bear one instant than fit on a page: the list can't be had whole.
    """
    if page.rows < ORDERS_PAGE_LIMIT or not page.orders:
        return None
    last = max(order.submitted_at for order in page.orders) - timedelta(microseconds=1)
    if query.after is not None and last <= query.after:
        raise BrokerUnavailable(f"orders: a page of {page.rows} does not lead past {query.after.isoformat()}")
    return OrdersQuery(listing=query.listing, after=last, symbols=query.symbols)


@dataclass(frozen=True, slots=True, kw_only=True)
class FillsQuery:
    """One page of executions, oldest first.

    Attributes:
        after: Executed after this, exclusive, broker's time, cut to the second; None: from the account's first.
        page_token: The activity id that ended the page before; None for the first page.
    """

    after: datetime | None
    page_token: str | None = None


class FillsPage(NamedTuple):
    """A page of executions, their `order_type` not told yet. `rows` counts what the broker sent."""

    fills: tuple[FillFacts, ...]
    rows: int


def next_fills(query: FillsQuery, page: FillsPage) -> FillsQuery | None:
    """Ask for the page after this one; None when this was the last.

    Raises:
        BrokerUnavailable: The page ends where it began: the list can't be had whole.
    """
    if page.rows < FILLS_PAGE_LIMIT or not page.fills:
        return None
    token = page.fills[-1].activity_id
    if token == query.page_token:
        raise BrokerUnavailable(f"fills: a page of {page.rows} does not lead past {token}")
    return FillsQuery(after=query.after, page_token=token)


class CancelReply(NamedTuple):
    """The answer to a cancel; only the order's own status tells what came of it."""

    outcome: CancelOutcome
    message: str


class Reader(Protocol):
    """The calls that change nothing. Each is one request; `daily_bars` is more where one page won't do."""

    def orders(self, query: OrdersQuery) -> OrdersPage:
        """List one page of orders, bracket legs under their parents."""

    def account(self) -> AccountFacts:
        """Read the account's money."""

    def positions(self) -> tuple[PositionFacts, ...]:
        """List every position."""

    def clock(self) -> ClockFacts:
        """Read the broker's clock."""

    def assets(self) -> tuple[AssetFacts, ...]:
        """List every active asset; thousands at Alpaca."""

    def asset(self, symbol: str) -> AssetFacts | None:
        """Look one asset up, active or not; None if the broker doesn't know it."""

    def quotes(self, symbols: tuple[str, ...]) -> tuple[QuoteFacts, ...]:
        """Read latest quotes and trades, one market data request; symbols without a price are absent."""

    def trading_days(self, first: date, last: date) -> tuple[TradingDay, ...]:
        """List the days on which the market opens, both ends included, oldest first."""

    def fills(self, query: FillsQuery) -> FillsPage:
        """List one page of the account's executions, whoever ordered them; each one's `order_type` is `unknown`."""

    def equity_days(self, first: date, last: date) -> tuple[EquityDay, ...]:
        """List the account's daily closes, both ends included, oldest first; days before it was funded are absent.

        The day that is not over yet, where the broker lists one, bears the equity of the moment.
        """

    def daily_bars(self, symbols: tuple[str, ...], first: date, last: date) -> tuple[BarFacts, ...]:
        """List daily bars, both ends included, market data: by symbol, oldest first; one without bars is absent."""


class Broker(Reader, Protocol):
    """One client, used by one thread."""

    @property
    def rate_seen(self) -> RateSeen | None:
        """What the last answer said about the limit; None where it said nothing or there was none."""

    def warm(self) -> None:
        """Open the connection, so that the first order needn't wait for it. Sends nothing.

        Raises:
            BrokerUnavailable: There is nobody.
        """

    def submit(self, intent: OrderIntent, departed: Callable[[], None]) -> OrderFacts:
        """POST one order.

        Args:
            intent: The order.
            departed: Called once the request has left whole, before its answer is waited for. May not raise.

        Raises:
            BrokerUnavailable: Not taken, and nothing said about the order (429, no connection).
            BrokerRefused: Declined. Proves nothing if the same id left before.
            KeysRefused: Declined at the door.
            OutcomeUnknown: Everything else.
        """

    def cancel(self, order_id: OrderId) -> CancelReply:
        """Ask to cancel one order. Raises as `submit`."""

    def order_by_client_id(self, client_order_id: ClientOrderId) -> OrderFacts | None:
        """Look an order up; None on a 404, which is no proof of absence."""

    def close(self) -> None:
        """Close the connections."""
