"""One consistent look at the account through the broker. Every judgement names the snapshot it was made on."""

from collections.abc import Callable, Mapping, MutableMapping
from datetime import date
from enum import StrEnum
from functools import cached_property
from typing import Annotated, Any, Self

from pydantic import BeforeValidator, PlainSerializer, SerializationInfo, ValidationInfo

from messages.values import (
    ClientOrderId,
    Exact,
    OrderId,
    Price,
    Qty,
    QtyOrZero,
    Record,
    Side,
    Usd,
    Utc,
    sha256_hex,
)


class BrokerStatus(StrEnum):
    """An order's status at Alpaca. What Alpaca may add later is `UNKNOWN`: kept, logged, never terminal."""

    NEW = "new"
    PARTIALLY_FILLED = "partially_filled"
    FILLED = "filled"
    DONE_FOR_DAY = "done_for_day"
    CANCELED = "canceled"
    EXPIRED = "expired"
    REPLACED = "replaced"
    PENDING_CANCEL = "pending_cancel"
    PENDING_REPLACE = "pending_replace"
    PENDING_REVIEW = "pending_review"
    ACCEPTED = "accepted"
    PENDING_NEW = "pending_new"
    ACCEPTED_FOR_BIDDING = "accepted_for_bidding"
    STOPPED = "stopped"
    REJECTED = "rejected"
    SUSPENDED = "suspended"
    CALCULATED = "calculated"
    HELD = "held"
    UNKNOWN = "unknown"


TERMINAL_BROKER_STATUSES = frozenset(
    {
        BrokerStatus.FILLED,
        BrokerStatus.CANCELED,
        BrokerStatus.EXPIRED,
        BrokerStatus.REJECTED,
        BrokerStatus.REPLACED,
    }
)


class OrderFacts(Record):
    """The broker's view of one order, cumulative.

    Attributes:
        qty: Shares ordered; None for an order by notional value (not ours).
        filled_qty: Shares filled so far.
        filled_avg_price_usd: USD per share over the filled part; None while nothing is filled.
        raw_status: The word as the broker sent it.
        as_of: The broker's `updated_at` of this view.
        replaced_by: The id that took its place, where somebody replaced it.
    """

    order_id: OrderId
    client_order_id: ClientOrderId
    symbol: str
    side: Side
    qty: Qty | None
    filled_qty: QtyOrZero
    filled_avg_price_usd: Price | None
    status: BrokerStatus
    raw_status: str
    order_type: str
    time_in_force: str
    limit_price_usd: Price | None = None
    submitted_at: Utc
    filled_at: Utc | None = None
    as_of: Utc
    replaced_by: OrderId | None = None
    legs: tuple["OrderFacts", ...] = ()


class AccountFacts(Record):
    """The account's money, USD. `status` is Alpaca's word, `ACTIVE` when it may trade."""

    account_number: str
    status: str
    cash_usd: Usd
    equity_usd: Usd
    last_equity_usd: Usd
    buying_power_usd: Usd
    regt_buying_power_usd: Usd | None = None
    multiplier: Exact
    long_market_value_usd: Usd
    short_market_value_usd: Usd
    trading_blocked: bool
    account_blocked: bool
    trade_suspended_by_user: bool = False


class PositionFacts(Record):
    """A position. Shares are negative when short; `qty_available` is what no open order holds.

    Attributes:
        current_price_usd: USD per share; None when the broker gave none.
    """

    symbol: str
    qty: Exact
    qty_available: Exact
    avg_entry_price_usd: Usd
    current_price_usd: Usd | None
    market_value_usd: Usd | None


class ClockFacts(Record):
    """The broker's clock. Only ever compared with the broker's other times."""

    at: Utc
    is_open: bool
    next_open: Utc
    next_close: Utc


class AssetFacts(Record):
    """What the broker says of a symbol. `status` is `active` when it may trade."""

    symbol: str
    status: str
    tradable: bool
    fractionable: bool


class QuoteFacts(Record):
    """Latest prices of a symbol, USD per share; None where the broker gave none or a zero."""

    symbol: str
    bid_usd: Price | None
    ask_usd: Price | None
    last_usd: Price | None
    at: Utc | None


class SnapshotPart(StrEnum):
    """The pieces a snapshot may be asked for."""

    ACCOUNT = "account"
    POSITIONS = "positions"
    ORDERS = "orders"
    CLOCK = "clock"
    ASSETS = "assets"
    QUOTES = "quotes"


class Document(Record):
    """A record that is stored once, named by what it says, and referred to by that name."""

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """As pydantic's, and named anew: a copy that says something else is another document."""
        copied = super().model_copy(update=update, deep=deep)
        for name in ("document", "document_id"):
            copied.__dict__.pop(name, None)
        return copied

    @cached_property
    def document(self) -> str:
        """Its JSON, made once."""
        return self.model_dump_json()

    @cached_property
    def document_id(self) -> str:
        """SHA-256 of the document."""
        return sha256_hex(self.document.encode())


class Snapshot(Document):
    """One look at the account.

    A part that was asked for and could not be read fails the whole snapshot; a part that was not asked for is None.
    None is never an empty list.

    Attributes:
        open_orders: Every live order of the account, whoever placed it.
        run_orders: Orders of the run (by the prefix of their client_order_id), whatever their status.
        assets: The symbols asked for that the broker knows; one it doesn't know is absent.
        quotes: The symbols asked for that have a price; one without is absent.
        begun_at: When the first request left, store's clock.
    """

    begun_at: Utc
    account: AccountFacts | None = None
    positions: tuple[PositionFacts, ...] | None = None
    open_orders: tuple[OrderFacts, ...] | None = None
    run_orders: tuple[OrderFacts, ...] | None = None
    clock: ClockFacts | None = None
    assets: tuple[AssetFacts, ...] | None = None
    quotes: tuple[QuoteFacts, ...] | None = None

    @property
    def snapshot_id(self) -> str:
        """Its name: SHA-256 of what it says."""
        return self.document_id


class TradingDay(Record):
    """A day on which the market opens, with its hours: half days close early. Source: Alpaca's calendar."""

    day: date
    opens_at: Utc
    closes_at: Utc


class FillFacts(Record):
    """One execution, as the account's FILL activities tell it.

    Attributes:
        activity_id: Alpaca's, unique; begins with New York's local time, so it is no order of UTC.
        qty: Shares of this execution.
        price_usd: USD per share.
        at: Broker's time.
        order_type: `market`, `limit`, `stop` ... as the list of orders tells; `unknown` where it doesn't.
    """

    activity_id: str
    order_id: OrderId
    symbol: str
    side: Side
    qty: Qty
    price_usd: Price
    at: Utc
    order_type: str


class EquityDay(Record):
    """What the account was worth at the close of one trading day, USD. Source: Alpaca's portfolio history."""

    day: date
    equity_usd: Usd


class EquityFacts(Record):
    """What the account was worth at the close of the trading days before today, USD. Source: Alpaca, portfolio history.

    Today is New York's day by the broker's clock, also after its close: a loss of today is one until midnight.

    Attributes:
        since: The first day looked at, a year ago.
        highest_close_usd: The highest close since; closes of zero before the account was funded don't count.
        highest_close_day: Its day; of several the first.
        last_close_usd: Of the last trading day before today.
    """

    since: date
    highest_close_usd: Usd
    highest_close_day: date
    last_close_usd: Usd


class BarFacts(Record):
    """A symbol's daily bar, of a day before today. USD per share and shares, both in today's after splits."""

    symbol: str
    day: date
    open_usd: Price
    high_usd: Price
    low_usd: Price
    close_usd: Price
    volume: QtyOrZero


class HistoryPart(StrEnum):
    """The pieces a history may be asked for."""

    DAYS = "days"
    FILLS = "fills"
    EQUITY = "equity"
    BARS = "bars"


class History(Document):
    """What went before: read when a run is received, kept beside its snapshot, judged on to the run's end.

    As in a snapshot, a part that was asked for and can't be read fails the whole; one not asked for is None.

    Attributes:
        trading_days: The last `HISTORY_DAYS` trading days, today among them when it is one; oldest first.
        fills: Every execution since the first of those days began, oldest first.
        equity: None as well where the account has no closed day yet.
        bars: Up to `BAR_DAYS` daily bars a symbol, oldest first; a symbol without any is absent.
    """

    read_at: Utc
    trading_days: tuple[TradingDay, ...] | None = None
    fills: tuple[FillFacts, ...] | None = None
    equity: EquityFacts | None = None
    bars: tuple[BarFacts, ...] | None = None


HISTORY_DAYS = 10
"""Trading days that a history reaches back; every rule that looks back must do with less."""
BAR_DAYS = 60
"""Daily bars of a symbol."""

LOAD = "load"
READ = "read"
DOCUMENTS = "documents"


def _by_reference(record: Document, info: SerializationInfo) -> Any:
    """Write a document as its id where the codec collects documents, whole elsewhere."""
    context = info.context
    if not isinstance(context, dict) or DOCUMENTS not in context:
        return record.model_dump(mode="json")
    context[DOCUMENTS][record.document_id] = record.document
    return record.document_id


def _resolver(kind: type[Document]) -> Callable[[Any, ValidationInfo], Any]:
    def resolve(value: Any, info: ValidationInfo) -> Any:
        """Read a document back from its id through the codec's loader; one that was read before is the same object."""
        if not isinstance(value, str):
            return value
        context = info.context
        if not isinstance(context, dict) or LOAD not in context:
            raise ValueError(f"expected a {kind.__name__}, was a reference and no loader")
        before: MutableMapping[str, Document] = context[READ]
        found = before.get(value)
        if not isinstance(found, kind):
            load: Callable[[str], str] = context[LOAD]
            found = before[value] = kind.model_validate_json(load(value))
        return found

    return resolve


SnapshotRef = Annotated[Snapshot, PlainSerializer(_by_reference), BeforeValidator(_resolver(Snapshot))]
"""A snapshot inside a message: whole in memory, stored once and referred to by its hash in the journal."""
HistoryRef = Annotated[History, PlainSerializer(_by_reference), BeforeValidator(_resolver(History))]
"""A history inside a message, as `SnapshotRef`."""


class EntryFacts(Record):
    """How a position came to be. Source: the account's executions.

    Attributes:
        qty: Shares that this explains.
        entered_on: The trading day on which the position was opened.
        entered_at: Broker's time of that.
        avg_entry_price_usd: USD per share, over the shares held; None: the broker's counts.
        highest_close_usd: The highest daily close since, where it is known from elsewhere than `BarFacts`.
    """

    symbol: str
    qty: Exact
    entered_on: date
    entered_at: Utc
    avg_entry_price_usd: Price | None = None
    highest_close_usd: Price | None = None


class HoldingFacts(Record):
    """What exits are judged by, of one position. Each is None where it isn't known, and is not made up then.

    Attributes:
        entered_at: Broker's time at which the position was opened.
        trading_days: Trading days begun since the day of the entry, which doesn't count itself.
        avg_entry_price_usd: USD per share.
        highest_close_usd: The highest daily close since the entry, the entry's own day included.
        atr_usd: Wilder's average true range over 14 days up to the last day that is over, USD per share.
    """

    symbol: str
    entered_at: Utc | None = None
    trading_days: int | None = None
    avg_entry_price_usd: Price | None = None
    highest_close_usd: Price | None = None
    atr_usd: Price | None = None


class PlannedLevels(Record):
    """What the plan that bought a symbol said of leaving it.

    Attributes:
        bought_at: The broker's time of the BUY's last update: levels of a position that was opened later are not these.
    """

    symbol: str
    bought_at: Utc
    stop_loss_usd: Price | None = None
    take_profit_usd: Price | None = None
    score: Usd | None = None
