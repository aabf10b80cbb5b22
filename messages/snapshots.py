"""One consistent look at the account through the broker. Every judgement names the snapshot it was made on."""

from collections.abc import Callable
from enum import StrEnum
from functools import cached_property
from typing import Annotated, Any

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


class Snapshot(Record):
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

    @cached_property
    def document(self) -> str:
        """The snapshot's JSON, made once."""
        return self.model_dump_json()

    @cached_property
    def snapshot_id(self) -> str:
        """SHA-256 of the document: a snapshot is named by what it says."""
        return sha256_hex(self.document.encode())


LOAD = "load"
DOCUMENTS = "documents"


def _by_reference(snapshot: Snapshot, info: SerializationInfo) -> Any:
    """Write a snapshot as its id where the codec collects documents, whole elsewhere."""
    context = info.context
    if not isinstance(context, dict) or DOCUMENTS not in context:
        return snapshot.model_dump(mode="json")
    context[DOCUMENTS][snapshot.snapshot_id] = snapshot.document
    return snapshot.snapshot_id


def _resolve(value: Any, info: ValidationInfo) -> Any:
    """Read a snapshot back from its id through the codec's loader."""
    if not isinstance(value, str):
        return value
    context = info.context
    if not isinstance(context, dict) or LOAD not in context:
        raise ValueError("expected a snapshot, was a reference and no loader")
    load: Callable[[str], str] = context[LOAD]
    return Snapshot.model_validate_json(load(value))


SnapshotRef = Annotated[Snapshot, PlainSerializer(_by_reference), BeforeValidator(_resolve)]
"""A snapshot inside a message: whole in memory, stored once and referred to by its hash in the journal."""
