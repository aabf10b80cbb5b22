"""CEO <-> Trading: orders to place and to cancel, what became of them, and looks at the account."""

from enum import StrEnum

from messages.message import AccountMessage, RunMessage
from messages.snapshots import HistoryPart, HistoryRef, SnapshotPart, SnapshotRef
from messages.values import (
    ClientOrderId,
    LegId,
    OrderId,
    OrderType,
    Price,
    Qty,
    QtyOrZero,
    Record,
    Side,
    Symbol,
    TimeInForce,
    Usd,
    Utc,
)


class OrderStatus(StrEnum):
    """Where one attempt at a leg stands, in our words.

    `INTENDED` is committed and not yet answered; `UNKNOWN` may or may not have reached the broker; `ABSENT` was
    looked up again and again and never found; `REFUSED` was declined at the POST and never became an order;
    `REPLACED` was superseded by an order that somebody else placed.
    """

    INTENDED = "intended"
    UNKNOWN = "unknown"
    ABSENT = "absent"
    OPEN = "open"
    PARTIALLY_FILLED = "partially_filled"
    FILLED = "filled"
    CANCELED = "canceled"
    EXPIRED = "expired"
    REJECTED = "rejected"
    REFUSED = "refused"
    REPLACED = "replaced"


TERMINAL = frozenset(
    {
        OrderStatus.FILLED,
        OrderStatus.CANCELED,
        OrderStatus.EXPIRED,
        OrderStatus.REJECTED,
        OrderStatus.REFUSED,
        OrderStatus.REPLACED,
    }
)
"""Nothing more can fill. `ABSENT` is not among them: an absence is never proof."""


class Evidence(StrEnum):
    """How we know. Only `REST` opens a gate."""

    NONE = "none"
    STREAM = "stream"
    REST = "rest"


class OrderIntent(Record):
    """One order to be placed: what the plan says, at the quantity the reviews left."""

    leg: LegId
    client_order_id: ClientOrderId
    symbol: Symbol
    side: Side
    qty: Qty
    order_type: OrderType = OrderType.MARKET
    limit_price_usd: Price | None = None
    time_in_force: TimeInForce = TimeInForce.DAY
    stop_loss_usd: Price | None = None
    take_profit_usd: Price | None = None


class PlaceOrders(RunMessage):
    """Place these orders, in this order. A client_order_id seen before is a resend of the same order."""

    side: Side
    intents: tuple[OrderIntent, ...]


class CancelOrders(RunMessage):
    """Cancel what is live of these legs; unknown orders among them are cancelled on sight."""

    legs: tuple[LegId, ...]
    reason: str


class OrderUpdated(RunMessage):
    """The broker's view of one order, cumulative; sent whenever it changes or its evidence improves.

    Attributes:
        filled_qty: Shares filled so far, >= 0, never more than ordered, never falling.
        filled_avg_price_usd: USD per share over the filled part; None while nothing is filled.
        order_id: Alpaca's id; None until known.
        as_of: Broker's time of this view, UTC; store's clock where the broker has said nothing.
        reason: The broker's words for a refusal or rejection, our own for an unknown; None otherwise.
        cancel_pending: A cancel was asked for and is not yet confirmed.
    """

    leg: LegId
    client_order_id: ClientOrderId
    order_id: OrderId | None
    status: OrderStatus
    evidence: Evidence
    filled_qty: QtyOrZero
    filled_avg_price_usd: Price | None
    submitted_at: Utc | None
    filled_at: Utc | None
    as_of: Utc
    reason: str | None = None
    cancel_pending: bool = False


class NotSentReason(StrEnum):
    """Why the last door let an order not pass. Nothing left the house."""

    HALTED = "halted"
    REDUCING = "reducing"
    INTENT_STALE = "intent_stale"
    APPROVAL_EXPIRED = "approval_expired"
    NOT_APPROVED = "not_approved"
    GATE_CLOSED = "gate_closed"
    RUN_ENDED = "run_ended"


class OrderNotSent(RunMessage):
    """The last door stayed shut for one order; the leg may be intended again with the same client_order_id."""

    leg: LegId
    client_order_id: ClientOrderId
    reason: NotSentReason
    detail: str


class SnapshotPurpose(StrEnum):
    """What the CEO needs a look for. `OPEN` is brought once the broker's clock says that the market can be used."""

    RECEIVED = "received"
    OPEN = "open"
    GATE = "gate"
    VERIFY = "verify"


class RequestSnapshot(RunMessage):
    """Look at the account. `ask` counts the run's asks and comes back with the answer.

    Attributes:
        history: What is wanted of what went before; empty: nothing.
        once_terminal: Look once the orders of these legs are terminal as far as anybody told; empty: look now.
    """

    ask: int
    purpose: SnapshotPurpose
    parts: tuple[SnapshotPart, ...]
    symbols: tuple[Symbol, ...]
    history: tuple[HistoryPart, ...] = ()
    once_terminal: tuple[LegId, ...] = ()


class SnapshotReady(RunMessage):
    """The look that was asked for.

    Attributes:
        updates: What it shows of the run's orders that is news; to be taken in before the look is judged.
        history: None where none was asked for.
    """

    ask: int
    purpose: SnapshotPurpose
    snapshot: SnapshotRef
    history: HistoryRef | None = None
    updates: tuple["OrderUpdated", ...] = ()


class SnapshotUnavailable(RunMessage):
    """The look could not be had; Trading goes on trying while the run waits, this says what it waits for."""

    ask: int
    purpose: SnapshotPurpose
    reason: str


class StrangerSeen(RunMessage):
    """An order that the firm did not place, live or filled on a leg's symbol since the run began."""

    symbol: Symbol
    order_id: OrderId
    client_order_id: str
    side: Side
    what: str


class FillBusted(RunMessage):
    """The broker took back or corrected an execution of ours."""

    leg: LegId
    client_order_id: ClientOrderId
    event: str
    qty: QtyOrZero | None
    price_usd: Price | None


class SellEvidence(Record):
    """One SELL as the broker confirmed it by REST; `qty` is what was ordered."""

    leg: LegId
    client_order_id: ClientOrderId
    status: OrderStatus
    qty: QtyOrZero
    filled_qty: QtyOrZero
    filled_avg_price_usd: Price | None


class ShortfallDecision(StrEnum):
    """Who let the BUYs go although not every SELL filled."""

    POLICY = "policy"
    OPERATOR = "operator"


class GateOpened(RunMessage):
    """Recorded before any BUY is intended; the last door reads it and checks it against the snapshot itself.

    Attributes:
        snapshot: The REST evidence: its `run_orders` show every SELL terminal.
        sells: Every SELL of the run that was to be sent.
        shortfall_decision: None when every SELL filled whole.
    """

    snapshot: SnapshotRef
    sells: tuple[SellEvidence, ...]
    shortfall_decision: ShortfallDecision | None
    proceeds_usd: Usd
    cash_before_usd: Usd
    cash_at_gate_usd: Usd


class RunEnded(RunMessage):
    """The CEO ended the run; departments forget it."""

    outcome: str
    reason: str | None


class StreamHealth(StrEnum):
    """How the trade_updates stream does. `MUTE`: connected, and REST knew what it didn't tell."""

    UP = "up"
    DOWN = "down"
    MUTE = "mute"


class BrokerHealthChanged(AccountMessage):
    """Trading tells how Alpaca can be reached."""

    stream: StreamHealth
    rest_ok: bool
    detail: str
