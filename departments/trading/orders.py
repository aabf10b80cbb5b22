"""The order table: one record an attempt at a leg, and where it stands. Pure.

standing   entered by                                  left by
---------  ------------------------------------------  ---------------------------------------------------------
Intended   PlaceOrders (from NotSent or Absent, too)   any answer
NotSent    the last door stayed shut, nothing left     PlaceOrders
Unknown    no answer that can be trusted; a refusal    Seen; or Absent after `unknown_quiet_s` AND three look-ups
of a resend; an id that is taken            that found nothing
Absent     see above; never proof, never terminal      Seen; PlaceOrders of the same id
Refused    the first POST was declined                 Seen: what the broker shows exists, whatever it said before
Seen       the broker showed it, stream or REST        never: from here on `views.py` joins what is shown
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Final

from departments.trading.views import View
from messages.orders import TERMINAL, Evidence, OrderIntent, OrderStatus, OrderUpdated
from messages.values import ClientOrderId, LegId, OrderId, RunId

_NOTHING: Final = Decimal(0)


@dataclass(frozen=True, slots=True)
class NotSent:
    """Nothing of it ever left the house."""


@dataclass(frozen=True, slots=True)
class Absent:
    """Looked up again and again, never found. `why` is the sentence for people."""

    why: str


@dataclass(frozen=True, slots=True)
class Intended:
    """Handed to the broker desk, not yet answered.

    Attributes:
        since: Store's clock.
        before: Where it stood when it was placed again; None the first time.
    """

    since: datetime
    before: NotSent | Absent | None = None


@dataclass(frozen=True, slots=True)
class Unknown:
    """It may have reached the broker.

    Attributes:
        since: Store's clock.
        misses: Look-ups since then that found nothing.
    """

    since: datetime
    why: str
    misses: int = 0


@dataclass(frozen=True, slots=True)
class Refused:
    """Declined at the POST; `why` are the broker's words."""

    at: datetime
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """The broker showed it.

    Attributes:
        submitted_at: Broker's time.
        view: The join of every look.
        rest: The join of the looks by REST; None while there was none.
        told: What the stream told, or could not have told because it was down; None while nothing.
        checked_at: When REST showed it last, store's clock; None while it never did.
        ahead_since: Since when REST knows more than the stream told, store's clock; None when it doesn't.
    """

    order_id: OrderId
    submitted_at: datetime
    view: View
    rest: View | None
    told: View | None
    checked_at: datetime | None = None
    ahead_since: datetime | None = None

    @property
    def evidence(self) -> Evidence:
        """REST only where looks by REST alone show this status and these fills."""
        rest, view = self.rest, self.view
        proved = rest is not None and rest.status is view.status and rest.fill.qty == view.fill.qty
        return Evidence.REST if proved else Evidence.STREAM


Standing = Intended | NotSent | Unknown | Absent | Refused | Seen


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderRecord:
    """One attempt at one leg.

    Attributes:
        placed_at: Store's clock when it was intended last.
        not_before: Broker's clock when it was intended first; None where no snapshot had told it. An order that was
            submitted before is not ours.
        cancel_wanted: To be cancelled on sight.
        cancel_asked_at: When a cancel was handed to the desk last, store's clock.
        looked_up_at: When the look-up was asked that is not answered yet, store's clock.
        look_up_token: Its look-up timer; None while none runs.
        foreign: The broker shows an order by this id that is not ours; people must decide.
        executions: execution_id -> shares, each counted once.
        busted: Executions that the broker took back or corrected.
    """

    run_id: RunId
    intent: OrderIntent
    standing: Standing
    placed_at: datetime
    not_before: datetime | None
    cancel_wanted: bool = False
    cancel_asked_at: datetime | None = None
    looked_up_at: datetime | None = None
    look_up_token: int | None = None
    foreign: bool = False
    executions: Mapping[str, Decimal] = field(default_factory=dict)
    busted: frozenset[str] = frozenset()

    @property
    def leg(self) -> LegId:
        """The leg it is an attempt at."""
        return self.intent.leg

    @property
    def client_order_id(self) -> ClientOrderId:
        """Its name at the broker."""
        return self.intent.client_order_id

    @property
    def status(self) -> OrderStatus | None:
        """The status in the words of the conversation with the CEO; None while nothing was sent."""
        match self.standing:
            case NotSent():
                return None
            case Intended():
                return OrderStatus.INTENDED
            case Unknown():
                return OrderStatus.UNKNOWN
            case Absent():
                return OrderStatus.ABSENT
            case Refused():
                return OrderStatus.REFUSED
            case Seen(view=view):
                return view.status

    @property
    def is_terminal(self) -> bool:
        """Nothing more can fill, as far as anybody told."""
        return self.status in TERMINAL

    @property
    def is_settled(self) -> bool:
        """Nothing is left to find out: it never left, was refused, or is terminal by REST evidence."""
        match self.standing:
            case NotSent() | Refused():
                return True
            case Seen() as seen:
                return seen.view.end is not None and seen.evidence is Evidence.REST
            case _:
                return False


def update_of(record: OrderRecord, now: datetime) -> OrderUpdated | None:
    """Say what the CEO is to know of a record; None while there is nothing to say (nothing left the house)."""
    match record.standing:
        case NotSent():
            return None
        case Seen() as seen:
            return _update_of_seen(record, seen)
        case Intended():
            status, evidence, reason = OrderStatus.INTENDED, Evidence.NONE, None
        case Unknown(why=why):
            status, evidence, reason = OrderStatus.UNKNOWN, Evidence.NONE, why
        case Absent(why=why):
            status, evidence, reason = OrderStatus.ABSENT, Evidence.NONE, why
        case Refused(why=why):
            status, evidence, reason = OrderStatus.REFUSED, Evidence.REST, why
    return OrderUpdated(
        run_id=record.run_id,
        leg=record.leg,
        client_order_id=record.client_order_id,
        order_id=None,
        status=status,
        evidence=evidence,
        filled_qty=_NOTHING,
        filled_avg_price_usd=None,
        submitted_at=None,
        filled_at=None,
        as_of=now,
        reason=reason,
    )


def is_news(before: OrderRecord, after: OrderRecord) -> bool:
    """Whether the CEO must be told: the facts changed, or an end is proved now that was only told before."""
    return _facts(before) != _facts(after)


def _facts(record: OrderRecord) -> tuple[object, ...]:
    standing = record.standing
    if not isinstance(standing, Seen):
        return (record.status,)
    view = standing.view
    cancel_pending = _cancel_pending(record, view)
    proof = view.end is not None and standing.evidence
    return (view.status, view.fill.qty, view.avg_usd, standing.order_id, cancel_pending, proof)


def _cancel_pending(record: OrderRecord, view: View) -> bool:
    return view.end is None and (record.cancel_asked_at is not None or view.cancel_pending)


def _update_of_seen(record: OrderRecord, seen: Seen) -> OrderUpdated:
    view = seen.view
    rejected = view.status is OrderStatus.REJECTED
    return OrderUpdated(
        run_id=record.run_id,
        leg=record.leg,
        client_order_id=record.client_order_id,
        order_id=seen.order_id,
        status=view.status,
        evidence=seen.evidence,
        filled_qty=view.fill.qty,
        filled_avg_price_usd=view.avg_usd,
        submitted_at=seen.submitted_at,
        filled_at=view.filled_at,
        as_of=view.as_of,
        reason="the broker took the order and rejected it" if rejected else None,
        cancel_pending=_cancel_pending(record, view),
    )
