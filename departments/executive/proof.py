"""What must be seen at Alpaca by REST before a BUY may be thought of. Pure; fails closed."""

from departments.executive.run import Leg, Run
from messages.orders import OrderStatus
from messages.snapshots import TERMINAL_BROKER_STATUSES, BrokerStatus, OrderFacts, Snapshot
from messages.values import TimeInForce


def missing_proof(run: Run, snapshot: Snapshot) -> str | None:
    """Name the first thing that is not proved; None when every SELL is terminal in the snapshot itself.

    A SELL that the broker refused at the POST never became an order: its refusal is the proof.
    """
    if snapshot.run_orders is None:
        return "the run's orders could not be read"
    seen = {order.client_order_id: order for order in snapshot.run_orders}
    for leg in run.sells:
        if leg.order is None or not leg.confirmed:
            return f"{leg.trade.symbol} is not confirmed terminal"
        if leg.order.status is OrderStatus.REFUSED:
            continue
        missing = _differs(leg, seen.get(run.client_order_id(leg)))
        if missing is not None:
            return missing
    return None


def _differs(leg: Leg, order: OrderFacts | None) -> str | None:
    symbol = leg.trade.symbol
    if order is None:
        return f"{symbol} is not among the orders that Alpaca lists"
    if not is_terminal(order):
        return f"{symbol} is {order.raw_status} at Alpaca"
    if (order.symbol, order.side, order.qty) != (symbol, leg.trade.side, leg.qty):
        return f"{symbol} is another order at Alpaca: {order.side} {order.qty} {order.symbol}"
    if order.filled_qty != leg.filled_qty:
        return f"{symbol} filled {order.filled_qty} at Alpaca, {leg.filled_qty} in our records"
    return None


def is_terminal(order: OrderFacts) -> bool:
    """True if nothing more of an order can fill. `done_for_day` ends a DAY order, not a GTC one."""
    if order.status is BrokerStatus.DONE_FOR_DAY:
        return order.time_in_force == TimeInForce.DAY
    return order.status in TERMINAL_BROKER_STATUSES
