"""Orders that the firm did not place on a leg's symbol: seen and named, never adopted. Pure.

What was open in the last snapshot before the run's first order is Compliance's matter: it judged the same snapshot. The
legs of our own brackets carry ids that Alpaca made up; they are known by their parent.
"""

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime
from typing import Final

from departments.trading.sheet import Sheet
from departments.trading.state import RunOrders
from messages.orders import StrangerSeen
from messages.snapshots import TERMINAL_BROKER_STATUSES, BrokerStatus, OrderFacts
from messages.values import Recipient, run_of_client_order_id

_CHILD_TYPES = frozenset({"limit", "stop", "stop_limit", "trailing_stop"})


EARLY_AT_MOST: Final = 100


def take_baseline(sheet: Sheet, open_orders: Iterable[OrderFacts], at: datetime | None) -> None:
    """Remember whose orders were open when the CEO looked, before the run placed any: they are no news.

    Args:
        sheet: The run's sheet.
        open_orders: What the snapshot shows.
        at: The broker's clock in it; None where it wasn't asked for.
    """
    run = sheet.run
    known = run.known_orders | {facts.order_id for facts in open_orders}
    early = tuple(facts for facts in run.early if at is not None and facts.as_of >= at)
    sheet.run = replace(run, known_orders=known, early=early)


def begin_to_watch(sheet: Sheet) -> None:
    """With the first order of the run: from now on a stranger is news, and so is what came since the baseline."""
    early = sheet.run.early
    sheet.run = replace(sheet.run, watches_strangers=True, early=())
    look_for_strangers(sheet, early)


def noticed(sheet: Sheet, facts: OrderFacts) -> None:
    """Take a frame about an order that is not ours."""
    run = sheet.run
    if run.watches_strangers:
        look_for_strangers(sheet, (facts,))
    elif facts.symbol in run.symbols:
        sheet.run = replace(run, early=(*run.early, facts)[-EARLY_AT_MOST:])


def look_for_strangers(sheet: Sheet, orders: Iterable[OrderFacts]) -> None:
    """Name each stranger among these orders, once."""
    for facts in orders:
        if is_stranger(sheet.run, facts):
            sheet.run = replace(sheet.run, strangers=sheet.run.strangers | {facts.order_id})
            what = f"{facts.side} {facts.qty} {facts.symbol} {facts.raw_status}, filled {facts.filled_qty}"
            sheet.send(
                Recipient.EXECUTIVE,
                StrangerSeen(
                    run_id=sheet.run.run_id,
                    symbol=facts.symbol,
                    order_id=facts.order_id,
                    client_order_id=facts.client_order_id,
                    side=facts.side,
                    what=what,
                ),
            )
            sheet.note("order.stranger", level="warning", symbol=facts.symbol, order_id=facts.order_id, what=what)


def is_stranger(run: RunOrders, facts: OrderFacts) -> bool:
    """Whether it is news, on a leg's symbol, not ours, and live or filled."""
    if not run.watches_strangers or facts.symbol not in run.symbols:
        return False
    if run_of_client_order_id(facts.client_order_id) == run.run_id:
        return False
    if facts.order_id in run.known_orders or facts.order_id in run.strangers:
        return False
    over = facts.status in TERMINAL_BROKER_STATUSES or facts.status is BrokerStatus.DONE_FOR_DAY
    return (not over or facts.filled_qty > 0) and not _may_be_a_child(run, facts)


def _may_be_a_child(run: RunOrders, facts: OrderFacts) -> bool:
    """A leg of a bracket of ours whose parent has not been shown with its legs yet."""
    return facts.order_type in _CHILD_TYPES and any(
        (record.intent.stop_loss_usd is not None or record.intent.take_profit_usd is not None)
        and record.intent.symbol == facts.symbol
        and record.intent.side is not facts.side
        for record in run.records.values()
    )
