"""Orders as the exchange keeps them, and what it says when one moves. Pure."""

from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Final, Literal

from paper_alpaca.figures import AVERAGE_STEP, SHARE_STEP, ZERO, nanos, seconds, text, text_or_none
from paper_alpaca.market import asset_id

Side = Literal["buy", "sell"]

TERMINAL: Final = frozenset({"filled", "canceled", "expired", "rejected", "replaced"})
# Nothing executes in these: the exchange has not armed the order yet, or someone stopped it.
DORMANT: Final = frozenset(
    {
        "accepted",
        "pending_new",
        "held",
        "suspended",
        "done_for_day",
        "calculated",
        "accepted_for_bidding",
        "pending_review",
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticket:
    """What a client asks for, checked for form but not yet against the account.

    Attributes:
        qty: Shares, > 0; None when `notional` is given.
        notional: USD to spend or to raise, > 0; None when `qty` is given.
        order_class: "" (simple), "bracket", "oco" or "oto".
        take_profit: Limit price of the take-profit leg.
        stop_loss: Stop price of the stop-loss leg; `stop_loss_limit` makes it a stop-limit.
    """

    symbol: str
    side: Side
    type: str
    time_in_force: str
    qty: Decimal | None = None
    notional: Decimal | None = None
    limit_price: Decimal | None = None
    stop_price: Decimal | None = None
    trail_price: Decimal | None = None
    trail_percent: Decimal | None = None
    extended_hours: bool = False
    client_order_id: str | None = None
    order_class: str = ""
    take_profit: Decimal | None = None
    stop_loss: Decimal | None = None
    stop_loss_limit: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Execution:
    """One trade of an order.

    Attributes:
        qty: Shares, > 0.
        price: USD per share.
        cum_qty: Shares of the order executed up to and with this one.
        busted: Whether the exchange took it back.
    """

    execution_id: str
    activity_id: str
    qty: Decimal
    price: Decimal
    cum_qty: Decimal
    leaves_qty: Decimal
    at: datetime
    busted: bool = False


@dataclass(slots=True, kw_only=True, eq=False)
class Order:
    """An order in the book; `status` and figures change, the rest stays as it was placed.

    Attributes:
        most_qty: Shares that a notional order which closes a position may trade: those it was admitted for. Should the
            price fall, its dollars would ask for more than there are.
        filled_value: USD over all executions that stand: sum of qty x price.
        parent: The entry of a bracket or OTO, or the first order of an OCO; None for that one itself.
        legs: The orders that depend on this one.
        group: Names the orders of which only one can execute: exits of one bracket, an order and its replacement.
            They hold shares and reserve money once.
        received_at: When the request came in, real time.
        stranger: Whether the control API placed it, not a client of the account.
    """

    n: int
    order_id: str
    group: str
    client_order_id: str
    ticket: Ticket
    position_intent: str
    created_at: datetime
    received_at: datetime
    expires_at: datetime | None
    status: str
    qty: Decimal | None
    limit_price: Decimal | None
    stop_price: Decimal | None
    hwm: Decimal | None = None
    triggered: bool = False
    most_qty: Decimal | None = None
    filled_qty: Decimal = ZERO
    filled_value: Decimal = ZERO
    submitted_at: datetime
    updated_at: datetime
    filled_at: datetime | None = None
    expired_at: datetime | None = None
    canceled_at: datetime | None = None
    failed_at: datetime | None = None
    replaced_at: datetime | None = None
    replaced_by: str | None = None
    replaces: str | None = None
    parent: "Order | None" = None
    legs: "list[Order]" = field(default_factory=list)
    executions: list[Execution] = field(default_factory=list)
    stranger: bool = False
    _fixed: dict[str, object] | None = field(default=None, repr=False)

    @property
    def symbol(self) -> str:
        """The symbol it trades."""
        return self.ticket.symbol

    @property
    def side(self) -> Side:
        """Which side it is on."""
        return self.ticket.side

    @property
    def is_live(self) -> bool:
        """Whether something can still happen to it."""
        return self.status not in TERMINAL

    @property
    def awaits_entry(self) -> bool:
        """Whether it is an exit whose entry has not been filled: it neither executes nor holds anything."""
        return (
            self.parent is not None and self.ticket.order_class in {"bracket", "oto"} and self.parent.status != "filled"
        )

    def remaining(self, price: Decimal | None) -> Decimal:
        """Return the shares still to execute; for a notional order, those its dollars pay for at `price`."""
        if self.qty is not None:
            return self.qty - self.filled_qty
        if not price or self.ticket.notional is None:
            return ZERO
        left = ((self.ticket.notional - self.filled_value) / price).quantize(SHARE_STEP, rounding="ROUND_DOWN")
        return left if self.most_qty is None else min(left, self.most_qty - self.filled_qty)

    def held(self) -> Decimal:
        """Return the shares of a position that the order keeps from others."""
        if self.qty is not None:
            return self.qty - self.filled_qty
        return ZERO if self.most_qty is None else self.most_qty - self.filled_qty

    def average(self) -> Decimal | None:
        """Return USD per share over what is filled, None while nothing is."""
        if not self.filled_qty:
            return None
        return (self.filled_value / self.filled_qty).quantize(AVERAGE_STEP)

    def view(self, *, nested: bool = True) -> dict[str, object]:
        """Return the order as REST and stream show it; its legs below it when `nested`."""
        if self._fixed is None:
            self._fixed = self._fixed_view()
        view = self._fixed.copy()
        view["canceled_at"] = _time(self.canceled_at)
        view["expired_at"] = _time(self.expired_at)
        view["failed_at"] = _time(self.failed_at)
        view["filled_at"] = _time(self.filled_at)
        view["filled_avg_price"] = text_or_none(self.average())
        view["filled_qty"] = text(self.filled_qty)
        view["hwm"] = text_or_none(self.hwm)
        view["legs"] = [leg.view(nested=False) for leg in self.legs] if nested and self.legs else None
        view["limit_price"] = text_or_none(self.limit_price)
        view["qty"] = text_or_none(self.qty)
        view["replaced_at"] = _time(self.replaced_at)
        view["replaced_by"] = self.replaced_by
        view["replaces"] = self.replaces
        view["status"] = self.status
        view["stop_price"] = text_or_none(self.stop_price)
        view["updated_at"] = nanos(self.updated_at)
        return view

    def _fixed_view(self) -> dict[str, object]:
        """Return what never changes about it."""
        ticket = self.ticket
        return {
            "asset_class": "us_equity",
            "asset_id": asset_id(ticket.symbol),
            "client_order_id": self.client_order_id,
            "created_at": nanos(self.created_at),
            "expires_at": None if self.expires_at is None else seconds(self.expires_at),
            "extended_hours": ticket.extended_hours,
            "id": self.order_id,
            "notional": text_or_none(ticket.notional),
            "order_class": ticket.order_class,
            "order_type": ticket.type,
            "position_intent": self.position_intent,
            "side": ticket.side,
            "source": None,
            "submitted_at": nanos(self.submitted_at),
            "subtag": None,
            "symbol": ticket.symbol,
            "time_in_force": ticket.time_in_force,
            "trail_percent": text_or_none(ticket.trail_percent),
            "trail_price": text_or_none(ticket.trail_price),
            "type": ticket.type,
        }


@dataclass(frozen=True, slots=True)
class Happening:
    """Something that happened to an order, told at that moment: the order moves on afterwards.

    Attributes:
        event: Alpaca's name of it: new, fill, partial_fill, canceled, ...
        at: Market time.
        execution: The trade, for fills and busts.
        position_qty: Shares held after the trade, signed; None unless there was one.
        reason: Why, for rejections; Alpaca itself says no more than the event.
    """

    event: str
    order: Order
    at: datetime
    execution_id: str
    execution: Execution | None = None
    position_qty: Decimal | None = None
    reason: str | None = None


def _time(moment: datetime | None) -> str | None:
    return None if moment is None else nanos(moment)
