"""What happens to orders although nobody asked for it: the control API's way to play exchange."""

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

from paper_alpaca.desk import Desk
from paper_alpaca.figures import ZERO
from paper_alpaca.matching import part_of
from paper_alpaca.orders import Order


def force(desk: Desk, order: Order, event: str, qty: Decimal | None, price: Decimal | None, reason: str | None) -> None:
    """Make something happen to an order that its client did not ask for.

    Args:
        desk: The account's desk.
        order: The order.
        event: Alpaca's name of it: done_for_day, replaced, trade_bust, ...
        qty: Shares of a forced execution; all or half of the rest unless given.
        price: Its price, USD per share; the last one unless given.
        reason: Why, for endings.

    Raises:
        BrokenBookError: More than the rest of the order would execute.
    """
    now = desk.now()
    plan = desk.plans[order.order_id]
    if event in {"fill", "partial_fill"}:
        at = price or desk.market.last.get(order.symbol) or ZERO
        left = order.remaining(at)
        share = qty or (left if event == "fill" else part_of(left, Decimal("0.5")))
        desk.execute(order, share, at, now)
    elif event == "replaced":
        ticket = replace(order.ticket, client_order_id=None)
        order.status = "new"  # whatever it was: the stranger's replace succeeds
        new = desk.exchange.begin_replace(order, ticket, order.qty, now, received_at=datetime.now(UTC))
        if isinstance(new, Order):
            new.stranger = True
            desk.plan_fill(new).held_back = True
            desk.exchange.finish_replace(order, new, now)
    elif event == "trade_bust":
        desk.exchange.bust(order, now)
    elif event in {"canceled", "expired", "rejected"}:
        desk.exchange.end(order, event, now, reason)
    elif event in {"restated", "trade_correct", "order_cancel_rejected", "order_replace_rejected"}:
        desk.exchange.announce(order, event, now)
    else:
        plan.held_back = event != "new"
        plan.stuck_cancel = event == "pending_cancel"
        desk.exchange.force(order, event, now)
