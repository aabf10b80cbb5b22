"""What the broker has shown of one order, joined from every look at it. Pure.

Each look is cumulative, and looks arrive late, doubled and out of order. So a `View` is a handful of maxima: joining is
commutative, associative and idempotent, and the order of arrival can't matter. What follows from that:

- `filled_qty` never falls;
- what has ended has ended; a full fill beats a cancel that it overtook, and more fills than the end first showed are
  taken (the table of real-world transitions of NautilusTrader knows the same pair);
- where two looks disagree about how it ended or what was paid, REST beats the stream, then the later view wins.
"""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Final, NamedTuple, TypeVar

from messages.orders import Evidence, OrderIntent, OrderStatus
from messages.snapshots import BrokerStatus, OrderFacts
from messages.values import TimeInForce

_ENDS: Final = {
    BrokerStatus.CANCELED: OrderStatus.CANCELED,
    BrokerStatus.EXPIRED: OrderStatus.EXPIRED,
    BrokerStatus.REJECTED: OrderStatus.REJECTED,
    BrokerStatus.REPLACED: OrderStatus.REPLACED,
}


class End(NamedTuple):
    """How it ended; compared field by field, the greater one counts."""

    whole: bool
    by_rest: bool
    as_of: datetime
    status: OrderStatus


class Fill(NamedTuple):
    """What is filled; `avg_usd` is USD per share, 0 while nothing is filled or told."""

    qty: Decimal
    by_rest: bool
    as_of: datetime
    avg_usd: Decimal


class CancelSign(NamedTuple):
    """Whether the newest live view was `pending_cancel`."""

    as_of: datetime
    by_rest: bool
    pending: bool


_Comparable = TypeVar("_Comparable", End, CancelSign, datetime)


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """The join of looks at one order.

    Attributes:
        end: None while it lives.
        cancel: None while no look told, and after the end.
        as_of: Broker's time of the newest look.
    """

    end: End | None
    fill: Fill
    cancel: CancelSign | None
    as_of: datetime
    filled_at: datetime | None

    @property
    def status(self) -> OrderStatus:
        """The order's status in our words."""
        if self.end is not None:
            return self.end.status
        return OrderStatus.PARTIALLY_FILLED if self.fill.qty > 0 else OrderStatus.OPEN

    @property
    def avg_usd(self) -> Decimal | None:
        """USD per share over the filled part; None while nothing is filled, or the broker didn't say."""
        return (self.fill.avg_usd or None) if self.fill.qty else None

    @property
    def cancel_pending(self) -> bool:
        """The broker says that a cancel is on its way."""
        return self.end is None and self.cancel is not None and self.cancel.pending

    def tells_of(self, other: "View") -> bool:
        """Whether this view knows of every fill and of the end that the other one knows."""
        return self.fill.qty >= other.fill.qty and (self.end is not None or other.end is None)


def view_of(facts: OrderFacts, intent: OrderIntent, evidence: Evidence) -> View:
    """Read one look.

    `done_for_day` ends a DAY order and no other. A status that Alpaca added later tells nothing but the fills. `filled`
    with fewer shares than ordered contradicts itself and ends nothing.
    """
    by_rest = evidence is Evidence.REST
    status = _end_of(facts, intent)
    known_live = status is None and facts.status is not BrokerStatus.UNKNOWN
    return View(
        end=None if status is None else End(status is OrderStatus.FILLED, by_rest, facts.as_of, status),
        fill=Fill(facts.filled_qty, by_rest, facts.as_of, facts.filled_avg_price_usd or Decimal(0)),
        cancel=CancelSign(facts.as_of, by_rest, facts.status is BrokerStatus.PENDING_CANCEL) if known_live else None,
        as_of=facts.as_of,
        filled_at=facts.filled_at,
    )


def join(one: View | None, other: View) -> View:
    """Join two views; the order of arrival doesn't matter."""
    if one is None or one == other:
        return other
    end = _greater(one.end, other.end)
    return View(
        end=end,
        fill=max(one.fill, other.fill),
        cancel=_greater(one.cancel, other.cancel) if end is None else None,
        as_of=max(one.as_of, other.as_of),
        filled_at=_greater(one.filled_at, other.filled_at),
    )


def contradicts_itself(facts: OrderFacts) -> bool:
    """`filled`, yet not all of it."""
    return facts.status is BrokerStatus.FILLED and facts.filled_qty != facts.qty


def _end_of(facts: OrderFacts, intent: OrderIntent) -> OrderStatus | None:
    if facts.status is BrokerStatus.FILLED:
        return None if contradicts_itself(facts) else OrderStatus.FILLED
    if facts.status is BrokerStatus.DONE_FOR_DAY:
        return OrderStatus.EXPIRED if intent.time_in_force is TimeInForce.DAY else None
    return _ENDS.get(facts.status)


def _greater(one: _Comparable | None, other: _Comparable | None) -> _Comparable | None:
    if one is None:
        return other
    return one if other is None else max(one, other)
