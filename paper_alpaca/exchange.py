"""The life of one account's orders: placed, acknowledged, executed, ended. Pure: time and randomness are passed in.

Every way an order moves is a method here, and each tells what happened through `sink` at the moment it happens. Who
calls them when - at once, after a delay, when a price moves - is the desk's business.

    placed      -> pending_new (market open) | accepted (closed)
    pending_new -> new | rejected
    accepted    -> new, when the market opens
    new         -> partially_filled | filled | pending_cancel | pending_replace | expired | done_for_day | ...
    pending_*   -> canceled, replaced - or filled, when the fill is faster
    held        -> new, when the entry of the bracket is fully filled; canceled with it
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from random import Random

from paper_alpaca.accounts import Account, BrokenBookError, Totals
from paper_alpaca.admission import admit, holders, reserved_value, wanted_qty
from paper_alpaca.figures import ZERO
from paper_alpaca.hours import new_york
from paper_alpaca.legs import leg_tickets, siblings
from paper_alpaca.market import Market
from paper_alpaca.orders import DORMANT, Execution, Happening, Order, Side, Ticket
from paper_alpaca.past import PastFill
from paper_alpaca.refusals import DUPLICATE_ID, Refusal, not_cancelable, unprocessable


class Exchange:
    """One account's book."""

    def __init__(self, account: Account, market: Market, rng: Random, sink: Callable[[Happening], None]) -> None:
        self.account = account
        self.market = market
        self.orders: dict[str, Order] = {}
        self.by_client_id: dict[str, Order] = {}
        self.live: dict[str, Order] = {}
        self.past: dict[str, Order] = {}
        self.fills: list[tuple[Order, Execution, str]] = []
        self._rng = rng
        self._sink = sink

    # Looking

    def find(self, order_id: str) -> Order | None:
        """Return an order by its id or its client's id."""
        return self.orders.get(order_id) or self.by_client_id.get(order_id)

    def shown(self, order_id: str) -> Order | None:
        """Return an order by its id, one of before among them."""
        return self.orders.get(order_id) or self.past.get(order_id)

    def totals(self) -> Totals:
        """Add up the account, open orders reserved."""
        return self.account.totals(self.market, reserved_value(self.live.values(), self.market))

    def held_qty(self, symbol: str) -> Decimal:
        """Return the shares of a position that open orders hold, >= 0."""
        side = "sell" if self.account.qty(symbol) > 0 else "buy"
        return sum(holders(self.live.values(), symbol, side).values(), ZERO)

    def remember(self, fills: Sequence[PastFill]) -> None:
        """Take in executions of before, and the orders behind them; nothing moves by it."""
        whole: dict[str, Decimal] = {}
        for fill in fills:
            whole[fill.order] = whole.get(fill.order, ZERO) + fill.qty
        orders: dict[str, Order] = {}
        for fill in fills:
            order = orders.get(fill.order)
            if order is None:
                order = orders[fill.order] = past_order(fill, whole[fill.order], self._new_id(), self._new_id())
                self.past[order.order_id] = self.by_client_id[order.client_order_id] = order
            order.filled_qty += fill.qty
            order.filled_value += fill.qty * fill.price
            order.filled_at = order.updated_at = fill.at
            left = whole[fill.order] - order.filled_qty
            ids = self._new_id(), self._activity_id(fill.at)
            execution = Execution(*ids, fill.qty, fill.price, order.filled_qty, left, fill.at)
            order.executions.append(execution)
            self.fills.append((order, execution, "partially_filled" if left else "filled"))

    # Placing

    def place(
        self,
        ticket: Ticket,
        now: datetime,
        *,
        received_at: datetime,
        is_open: bool,
        expires_at: datetime | None,
        stranger: bool = False,
    ) -> Order | Refusal:
        """Take an order, with the legs it brings, or refuse it.

        Args:
            ticket: What is asked for.
            now: Market time.
            received_at: Real time of the request.
            is_open: Whether the market trades now.
            expires_at: End of the order's time in force.
            stranger: Whether someone else than the account's client places it.
        """
        if ticket.client_order_id is not None and ticket.client_order_id in self.by_client_id:
            return DUPLICATE_ID
        intent = admit(ticket, self.account, self.market, list(self.live.values()), is_open=is_open)
        if isinstance(intent, Refusal):
            return intent
        waits = ticket.time_in_force == "opg" or not (is_open or ticket.extended_hours)
        status = "accepted" if waits else "pending_new"
        if ticket.order_class == "oco":
            limit = ticket.take_profit if ticket.take_profit is not None else ticket.limit_price
        else:
            limit = ticket.limit_price
        order = self._enter(ticket, intent, now, received_at, expires_at, status, limit, ticket.stop_price)
        order.stranger = stranger
        if ticket.qty is None and intent.endswith("_to_close"):
            order.most_qty = wanted_qty(ticket, self.market)
        for leg_ticket in leg_tickets(ticket):
            leg = self._enter(
                leg_ticket,
                "sell_to_close" if leg_ticket.side == "sell" else "buy_to_close",
                now,
                received_at,
                expires_at,
                "held",
                leg_ticket.limit_price,
                leg_ticket.stop_price,
            )
            leg.parent, leg.stranger, leg.group = order, stranger, order.order_id
            order.legs.append(leg)
        self._tell(status, order, now)
        return order

    def acknowledge(self, order: Order, now: datetime) -> None:
        """Let an order that is pending or queued become `new`; with it the stop of an OCO."""
        if order.status not in {"pending_new", "accepted"}:
            return
        self._move(order, "new", now)
        if order.ticket.order_class == "oco" and order.parent is None:
            self._arm_legs(order, now)

    # Executing

    def execute(self, order: Order, qty: Decimal, price: Decimal, now: datetime) -> Execution:
        """Execute shares of an order.

        Args:
            order: A live order.
            qty: Shares, > 0 and at most what remains.
            price: USD per share.
            now: Market time.

        Raises:
            BrokenBookError: The order is over, or more than the rest would execute.
        """
        left = order.remaining(price)
        if not order.is_live or qty <= 0 or qty > left:
            raise BrokenBookError(f"expected 0 < qty <= {left} on a live order, was {qty} on a {order.status} one")
        order.filled_qty += qty
        order.filled_value += qty * price
        position = self.account.execute(order.side, order.symbol, qty, price)
        done = qty == left
        execution = Execution(
            self._new_id(),
            self._activity_id(now),
            qty,
            price,
            order.filled_qty,
            ZERO if done else left - qty,
            now,
        )
        order.executions.append(execution)
        self.fills.append((order, execution, "filled" if done else "partially_filled"))
        if done:
            order.status, order.filled_at = "filled", now
            self.live.pop(order.order_id, None)
        elif order.status not in {"pending_cancel", "pending_replace"}:
            order.status, order.filled_at = "partially_filled", now
        order.updated_at = now
        self._sink(
            Happening("fill" if done else "partial_fill", order, now, execution.execution_id, execution, position)
        )
        self._after_execution(order, now, done=done)
        return execution

    def bust(self, order: Order, now: datetime, execution_id: str | None = None) -> Execution | None:
        """Take back an execution, the last one unless named; None when there is none."""
        for place in range(len(order.executions) - 1, -1, -1):
            execution = order.executions[place]
            if not execution.busted and execution_id in {None, execution.execution_id}:
                break
        else:
            return None
        order.executions[place] = replace(execution, busted=True)
        order.filled_qty -= execution.qty
        order.filled_value -= execution.qty * execution.price
        order.updated_at = now
        back: Side = "sell" if order.side == "buy" else "buy"
        position = self.account.execute(back, order.symbol, execution.qty, execution.price)
        self._sink(Happening("trade_bust", order, now, self._new_id(), execution, position))
        return execution

    # Ending

    def request_cancel(self, order: Order, now: datetime) -> Refusal | None:
        """Take a cancel: the order is `pending_cancel` from here on, and may still fill."""
        if not order.is_live or order.status == "pending_cancel":
            return not_cancelable(order.status)
        self._move(order, "pending_cancel", now)
        return None

    def end(self, order: Order, status: str, now: datetime, reason: str | None = None) -> None:
        """End a live order as canceled, expired, rejected or replaced; what hangs on it ends with it."""
        if not order.is_live:
            return
        if status == "canceled":
            order.canceled_at = now
        elif status == "expired":
            order.expired_at = now
        elif status == "rejected":
            order.failed_at = now
        elif status == "replaced":
            order.replaced_at = now
        self.live.pop(order.order_id, None)
        self._move(order, status, now, reason)
        if status != "replaced":
            for other in [*order.legs, *siblings(order)]:
                if other.is_live:
                    self.end(other, "canceled", now)

    def force(self, order: Order, event: str, now: datetime) -> None:
        """Put a live order into any status, telling the event of that name."""
        self._move(order, event, now)

    def announce(self, order: Order, event: str, now: datetime) -> None:
        """Tell an event that changes nothing about the order."""
        self._tell(event, order, now)

    # Replacing

    def begin_replace(
        self, order: Order, ticket: Ticket, qty: Decimal | None, now: datetime, *, received_at: datetime
    ) -> Order | Refusal:
        """Enter the order that is to replace another; `finish_replace` decides between them.

        The replacement asks for `qty` in full, whatever the old one has filled.
        """
        if order.status not in {"new", "partially_filled"}:
            return unprocessable(f"cannot replace order in {order.status} status")
        if ticket.client_order_id is not None and ticket.client_order_id in self.by_client_id:
            return DUPLICATE_ID
        others = [other for other in self.live.values() if other is not order]
        refusal = self._check_replacement(order, ticket, others)
        if refusal is not None:
            return refusal
        self._move(order, "pending_replace", now)
        new = self._enter(
            ticket,
            order.position_intent,
            now,
            received_at,
            order.expires_at,
            "accepted",
            ticket.limit_price,
            ticket.stop_price,
        )
        new.qty, new.replaces, new.parent, new.group = qty, order.order_id, order.parent, order.group
        return new

    def finish_replace(self, old: Order, new: Order, now: datetime) -> bool:
        """Let the new order take over, unless the old one is over or there is no room any more; tell which it was."""
        if old.status != "pending_replace":
            self.end(new, "rejected", now, "the order to replace is over")
            return False
        others = [other for other in self.live.values() if other is not old and other is not new]
        if self._check_replacement(old, new.ticket, others) is not None:
            old.status = "partially_filled" if old.filled_qty else "new"
            self._tell("order_replace_rejected", old, now)
            self.end(new, "rejected", now, "no room for the replacement")
            return False
        old.replaced_by = new.order_id
        self.end(old, "replaced", now)
        if old.parent is not None:
            old.parent.legs = [new if leg is old else leg for leg in old.parent.legs]
        new.legs = old.legs
        for leg in new.legs:
            leg.parent = new
        if new.status == "accepted":
            self._move(new, "new", now)
        return True

    # Inside

    def _check_replacement(self, order: Order, ticket: Ticket, others: list[Order]) -> Refusal | None:
        if order.parent is not None:
            return None  # exits share what their position has
        checked = replace(ticket, client_order_id=None, order_class="")
        intent = admit(checked, self.account, self.market, others, is_open=True)
        return intent if isinstance(intent, Refusal) else None

    def _enter(
        self,
        ticket: Ticket,
        intent: str,
        now: datetime,
        received_at: datetime,
        expires_at: datetime | None,
        status: str,
        limit_price: Decimal | None,
        stop_price: Decimal | None,
    ) -> Order:
        order_id = self._new_id()
        order = Order(
            n=len(self.orders) + 1,
            order_id=order_id,
            group=order_id,
            client_order_id=ticket.client_order_id or self._new_id(),
            ticket=ticket,
            position_intent=intent,
            created_at=now,
            received_at=received_at,
            expires_at=expires_at,
            status=status,
            qty=ticket.qty,
            limit_price=limit_price,
            stop_price=stop_price,
            submitted_at=now,
            updated_at=now,
        )
        self.orders[order_id] = self.live[order_id] = order
        self.by_client_id[order.client_order_id] = order
        return order

    def _after_execution(self, order: Order, now: datetime, *, done: bool) -> None:
        if done and order.ticket.order_class in {"bracket", "oto"} and order.parent is None:
            self._arm_legs(order, now)
        for other in siblings(order):
            if not other.is_live:
                continue
            if done:
                self.end(other, "canceled", now)
            elif order.qty is not None:
                other.qty = other.filled_qty + order.qty - order.filled_qty

    def _arm_legs(self, order: Order, now: datetime) -> None:
        for leg in order.legs:
            if leg.status == "held":
                self._move(leg, "new", now)

    def _move(self, order: Order, status: str, now: datetime, reason: str | None = None) -> None:
        order.status, order.updated_at = status, now
        self._tell(status, order, now, reason)

    def _tell(self, event: str, order: Order, now: datetime, reason: str | None = None) -> None:
        self._sink(Happening(event, order, now, self._new_id(), reason=reason))

    def _new_id(self) -> str:
        digits = f"{self._rng.getrandbits(128):032x}"
        variant = "89ab"[int(digits[16], 16) & 3]
        return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-{variant}{digits[17:20]}-{digits[20:]}"

    def _activity_id(self, now: datetime) -> str:
        local = new_york(now)
        return f"{local:%Y%m%d%H%M%S}{local.microsecond // 1000:03d}::{self._new_id()}"


def may_execute(order: Order) -> bool:
    """Tell whether an order is armed: live, and in none of the statuses in which nothing executes."""
    return order.is_live and order.status not in DORMANT and not order.awaits_entry


def past_order(fill: PastFill, qty: Decimal, order_id: str, client_order_id: str) -> Order:
    """Return the filled order behind an execution of before, nothing booked on it yet."""
    has_limit, has_stop = "limit" in fill.order_type, "stop" in fill.order_type
    ticket = Ticket(
        symbol=fill.symbol,
        side=fill.side,
        type=fill.order_type,
        time_in_force="gtc" if has_stop else "day",
        qty=qty,
        limit_price=fill.price if has_limit else None,
        stop_price=fill.price if has_stop else None,
    )
    return Order(
        n=0,
        order_id=order_id,
        group=order_id,
        client_order_id=client_order_id,
        ticket=ticket,
        position_intent="buy_to_open" if fill.side == "buy" else "sell_to_close",
        created_at=fill.submitted_at,
        received_at=fill.submitted_at,
        expires_at=None,
        status="filled",
        qty=qty,
        limit_price=ticket.limit_price,
        stop_price=ticket.stop_price,
        submitted_at=fill.submitted_at,
        updated_at=fill.at,
    )
