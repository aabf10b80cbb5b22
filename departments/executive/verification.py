"""After a run: what should be at Alpaca against what is, leg by leg, position by position, and the cash. Pure."""

from collections.abc import Iterator
from decimal import Decimal

from departments.executive.proof import is_terminal
from departments.executive.run import ZERO, Difference, Leg, Run
from messages.orders import OrderStatus
from messages.snapshots import OrderFacts, Snapshot
from messages.values import Side

STOPS = frozenset({"stop", "stop_limit", "trailing_stop"})
TARGETS = frozenset({"limit"})
CASH_TOLERANCE_USD = Decimal(5)
CASH_TOLERANCE_FRACTION = Decimal("0.0005")
"""Five basis points of the turnover: regulatory fees, and the rounding of average prices."""


def verify(run: Run, snapshot: Snapshot) -> tuple[Difference, ...]:
    """Compare a finished run with the account.

    Returns:
        What differs; empty when all is as expected. A part that could not be read is a difference.
    """
    return (*_orders(run, snapshot), *_positions(run, snapshot), *_cash(run, snapshot), *unprotected(run, snapshot))


def unprotected(run: Run, snapshot: Snapshot) -> tuple[Difference, ...]:
    """Shares that were bought under a stop or a target which doesn't stand at Alpaca; see docs/adr/0007."""
    return tuple(_protections(run, snapshot))


def _protections(run: Run, snapshot: Snapshot) -> Iterator[Difference]:
    seen = {order.client_order_id: order for order in snapshot.run_orders or ()}
    for leg in run.buys:
        trade, order = leg.trade, seen.get(run.client_order_id(leg))
        wanted = {"stop": (trade.stop_loss_usd, STOPS), "target": (trade.take_profit_usd, TARGETS)}
        for name, (price_usd, types) in wanted.items():
            if price_usd is None or not leg.filled_qty:
                continue
            children = () if order is None else order.legs
            covered = max((_standing_qty(child) for child in children if child.order_type in types), default=ZERO)
            if covered < leg.filled_qty:
                expected = f"a {name} at ${price_usd} for {leg.filled_qty} {trade.symbol}"
                yield Difference(what=f"protection {leg.leg}", expected=expected, seen=f"one for {covered}")


def _standing_qty(child: OrderFacts) -> Decimal:
    """The shares that an exit order has sold or still may."""
    return child.filled_qty if is_terminal(child) or child.qty is None else child.qty


def _orders(run: Run, snapshot: Snapshot) -> Iterator[Difference]:
    if snapshot.run_orders is None:
        yield Difference(what="orders", expected="a list", seen="could not be read")
        return
    seen = {order.client_order_id: order for order in snapshot.run_orders}
    for leg in run.legs:
        if leg.order is None or leg.order.status is OrderStatus.REFUSED or leg.absent:
            continue
        order = seen.pop(run.client_order_id(leg), None)
        if order is None:
            yield Difference(what=f"order {leg.leg}", expected=leg.order.status, seen="not listed")
        elif not is_terminal(order):
            yield Difference(what=f"order {leg.leg}", expected="terminal", seen=order.raw_status)
        elif order.filled_qty != leg.filled_qty:
            yield Difference(what=f"filled {leg.leg}", expected=f"{leg.filled_qty}", seen=f"{order.filled_qty}")
    for order in seen.values():
        yield Difference(what=f"order {order.client_order_id}", expected="none", seen=f"{order.side} {order.symbol}")


def _positions(run: Run, snapshot: Snapshot) -> Iterator[Difference]:
    before = None if run.before is None else run.before.positions
    if snapshot.positions is None or before is None:
        yield Difference(what="positions", expected="a list before and after", seen="could not be read")
        return
    had = {position.symbol: position.qty for position in before}
    has = {position.symbol: position.qty for position in snapshot.positions}
    for symbol in run.symbols:
        expected = had.get(symbol, ZERO) + sum((_signed(leg) for leg in run.legs if leg.trade.symbol == symbol), ZERO)
        if has.get(symbol, ZERO) != expected:
            yield Difference(what=f"position {symbol}", expected=f"{expected}", seen=f"{has.get(symbol, ZERO)}")


def _cash(run: Run, snapshot: Snapshot) -> Iterator[Difference]:
    cash_before = run.cash_before_usd
    if snapshot.account is None or cash_before is None:
        yield Difference(what="cash", expected="a figure before and after", seen="could not be read")
        return
    expected = cash_before + run.proceeds_usd - run.spent_usd
    turnover = run.proceeds_usd + run.spent_usd
    tolerance = max(CASH_TOLERANCE_USD, CASH_TOLERANCE_FRACTION * turnover)
    if abs(snapshot.account.cash_usd - expected) > tolerance:
        yield Difference(what="cash", expected=f"{expected:.2f}", seen=f"{snapshot.account.cash_usd:.2f}")


def _signed(leg: Leg) -> Decimal:
    return leg.filled_qty if leg.trade.side is Side.BUY else -leg.filled_qty
