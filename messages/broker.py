"""Trading <-> the broker desk: calls to Alpaca as rows (asked, answered), and what Alpaca tells by itself.

A call is a row before it is a request. `SubmitOrder` and `CancelOrder` change something at the broker: they leave only
after their row is durable, and one that was asked and never answered (a crash in between) is answered on start with
`OutcomeUnknown`. The others are reads: they leave at once and are simply asked again. Replaying mail calls nobody.
"""

from enum import StrEnum

from messages.message import AccountMessage, RunMessage
from messages.orders import NotSentReason, OrderIntent, SnapshotPurpose, StreamHealth
from messages.snapshots import (
    HistoryPart,
    HistoryRef,
    HoldingFacts,
    OrderFacts,
    SnapshotPart,
    SnapshotRef,
    TradingDay,
)
from messages.values import ClientOrderId, LegId, OrderId, Price, QtyOrZero, RunId, Symbol, Utc


class SubmitOrder(RunMessage):
    """POST one order.

    Attributes:
        intended_at: When it was intended; the last door refuses intents older than `intent_ttl_s`.
        resend: The same client_order_id left before; a refusal then proves nothing.
    """

    intent: OrderIntent
    intended_at: Utc
    resend: bool = False


class CancelOrder(RunMessage):
    """DELETE one order."""

    leg: LegId
    client_order_id: ClientOrderId
    order_id: OrderId


class FetchOrder(RunMessage):
    """Look one order up by its client_order_id."""

    leg: LegId
    client_order_id: ClientOrderId


class FetchOrders(RunMessage):
    """List every order of the run, and every live order on its symbols, in one call where it fits on a page.

    Attributes:
        after: Orders submitted before this are of no interest (broker's time; some slack is taken off by the desk).
    """

    after: Utc
    symbols: tuple[Symbol, ...]


class FetchSnapshot(RunMessage):
    """Read the parts in parallel and answer once.

    One of purpose `open` asks for the clock alone, and is answered when it says that the market can be used; however
    long that takes, it stays one row.

    Attributes:
        run_orders_after: As `FetchOrders.after`.
        history: As `RequestSnapshot.history`.
    """

    ask: int
    purpose: SnapshotPurpose
    parts: tuple[SnapshotPart, ...]
    symbols: tuple[Symbol, ...]
    run_orders_after: Utc
    history: tuple[HistoryPart, ...] = ()


class FetchAccount(AccountMessage):
    """As `AskAccountLook`. A later one makes this one moot; reads that fail are made again until then."""

    ask: int
    not_before: Utc | None = None
    positions: bool = False


class AccountFetched(AccountMessage):
    """As `AccountLook`."""

    ask: int
    snapshot: SnapshotRef
    days: tuple[TradingDay, ...]
    holdings: tuple[HoldingFacts, ...] | None = None


class StopWatching(RunMessage):
    """The run waits for the market no longer: forget its `FetchSnapshot` of purpose `open`, if it is unanswered."""


class OrderAnswered(RunMessage):
    """The broker shows an order (answer of a POST or of a look-up): REST evidence."""

    leg: LegId
    order: OrderFacts


class OrderRefused(RunMessage):
    """The POST was declined. `resend` is copied from the call: then it proves nothing.

    Attributes:
        status_code: HTTP status, 4xx.
        code: Alpaca's error code; None where the body had none.
        message: Alpaca's words, cut to 500 characters.
    """

    leg: LegId
    client_order_id: ClientOrderId
    resend: bool
    status_code: int
    code: int | None
    message: str


class OutcomeUnknown(RunMessage):
    """A changing call left, or may have left, and no answer can be trusted: timeout, reset, 5xx, crash, HTML.

    Attributes:
        call: `submit` or `cancel`.
        why: `timeout`, `http 504`, `interrupted` ...
    """

    leg: LegId
    client_order_id: ClientOrderId
    call: str
    why: str


class DoorClosed(RunMessage):
    """The last door refused the POST; nothing left. For a resend the order may still be at the broker."""

    leg: LegId
    client_order_id: ClientOrderId
    resend: bool
    reason: NotSentReason
    detail: str


class OrderMissing(RunMessage):
    """A look-up by client_order_id answered 404. No proof of absence."""

    leg: LegId
    client_order_id: ClientOrderId


class CancelOutcome(StrEnum):
    """What a cancel was answered with."""

    ACCEPTED = "accepted"
    NOT_CANCELABLE = "not_cancelable"
    MISSING = "missing"


class CancelAnswered(RunMessage):
    """The DELETE was answered. Only the order's own status tells what came of it."""

    leg: LegId
    client_order_id: ClientOrderId
    outcome: CancelOutcome
    message: str = ""


class OrdersFetched(RunMessage):
    """All pages: the run's orders, and live orders of others on its symbols."""

    run_orders: tuple[OrderFacts, ...]
    other_orders: tuple[OrderFacts, ...]


class SnapshotFetched(RunMessage):
    """The snapshot that was asked for, whole, and the history with it."""

    ask: int
    purpose: SnapshotPurpose
    snapshot: SnapshotRef
    history: HistoryRef | None = None


class FetchFailed(RunMessage):
    """A read failed: an error, never an empty answer.

    Attributes:
        call: `order`, `orders` or `snapshot`.
        leg: For `order`.
        ask: For `snapshot`.
        why: One line.
        retry_after_s: What the broker asked for, seconds; None where it didn't.
    """

    call: str
    leg: LegId | None = None
    ask: int | None = None
    purpose: SnapshotPurpose | None = None
    why: str
    retry_after_s: int | None = None


class OrderStreamed(RunMessage):
    """One trade_updates frame about an order with one of our client_order_ids.

    Attributes:
        event: Alpaca's word, `fill`, `partial_fill`, `new`, `trade_bust` ...; unknown words are kept.
        qty: Of that execution; None where the event is none.
        price_usd: Of that execution.
        at: Broker's time of the event.
    """

    event: str
    order: OrderFacts
    execution_id: str | None
    qty: QtyOrZero | None
    price_usd: Price | None
    at: Utc


class StrangerStreamed(AccountMessage):
    """One trade_updates frame about an order that is not ours."""

    event: str
    order: OrderFacts
    at: Utc


class StreamConnected(AccountMessage):
    """The stream listens (again). Whatever happened before is not replayed: reconcile."""


class StreamLost(AccountMessage):
    """The stream is down; it reconnects by itself. `detail` is one line."""

    detail: str


class WatchOrder(AccountMessage):
    """An order that may still appear, perhaps after its run has ended. Trading writes this to itself.

    Attributes:
        not_before: Broker's clock before it was intended; None where unknown.
        order_id: It was seen, and its cancel sent.
        over: It can't fill any more: watch no longer.
    """

    watched_run_id: RunId
    intent: OrderIntent
    not_before: Utc | None
    order_id: OrderId | None = None
    over: bool = False


class BrokerJudged(AccountMessage):
    """What a run's mail showed of the broker's health. Trading writes this to itself.

    Attributes:
        stream: `MUTE`, or `UP` again; None: nothing new.
        rest_ok: None: nothing new.
    """

    stream: StreamHealth | None
    rest_ok: bool | None
    detail: str


class RunTrades(AccountMessage):
    """Which symbols an open run trades. Trading writes this to itself.

    Attributes:
        over: The run has ended.
    """

    named_run_id: RunId
    symbols: tuple[Symbol, ...]
    over: bool = False


class StreamResumed(RunMessage):
    """The stream listens again: look at the run's orders. Trading writes this to itself."""


class StrangerNoticed(RunMessage):
    """`StrangerStreamed` on a symbol of this run. Trading writes this to itself."""

    order: OrderFacts
