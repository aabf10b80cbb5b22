"""The orders that come with another: bracket, one-cancels-other, one-triggers-other. Pure."""

from dataclasses import replace

from paper_alpaca.orders import Order, Ticket


def leg_tickets(ticket: Ticket) -> list[Ticket]:
    """Return what the legs of an order ask for: nothing for a simple one.

    A bracket and an OTO bring exits on the other side; an OCO is an exit itself and brings the stop beside it.
    """
    kind = ticket.order_class
    if not kind:
        return []
    side = ticket.side if kind == "oco" else "sell" if ticket.side == "buy" else "buy"
    base = replace(
        ticket,
        side=side,
        client_order_id=None,
        limit_price=None,
        stop_price=None,
        trail_price=None,
        trail_percent=None,
        take_profit=None,
        stop_loss=None,
        stop_loss_limit=None,
        extended_hours=False,
    )
    legs = []
    if ticket.take_profit is not None and kind != "oco":
        legs.append(replace(base, type="limit", limit_price=ticket.take_profit))
    if ticket.stop_loss is not None:
        kind_of_stop = "stop" if ticket.stop_loss_limit is None else "stop_limit"
        legs.append(replace(base, type=kind_of_stop, stop_price=ticket.stop_loss, limit_price=ticket.stop_loss_limit))
    return legs


def siblings(order: Order) -> list[Order]:
    """Return the orders that cancel each other with this one: the other exits of the same bracket or OCO."""
    if order.ticket.order_class == "oco" and order.parent is None:
        return list(order.legs)
    if order.parent is None:
        return []
    others = [leg for leg in order.parent.legs if leg is not order]
    return [order.parent, *others] if order.ticket.order_class == "oco" else others
