"""Our view against Alpaca's: what a look at an order changes in the table, and who must hear of it. Pure.

An order is ours if it carries an id that we sent, if symbol, side and quantity are those of the intent, and if it is
not older than the intent. Age is judged by the broker's clock alone: the clock of the newest snapshot before the intent
against `submitted_at`. Our own clock is not asked, it may run apart from the broker's by any amount. What carries our
id and is not ours holds the run: people must look (a journal that was lost, somebody else's program).
"""

from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final

from departments.trading import health
from departments.trading.cancels import with_cancel
from departments.trading.orders import Absent, NotSent, OrderRecord, Refused, Seen
from departments.trading.sheet import Sheet
from departments.trading.state import LIST_SLACK, earlier
from departments.trading.unknowns import look_up, watch
from departments.trading.views import contradicts_itself, join, view_of
from messages.broker import OrderStreamed
from messages.orders import Evidence, FillBusted, OrderIntent, OrderStatus, OrderUpdated
from messages.snapshots import BrokerStatus, OrderFacts
from messages.values import Recipient

AGE_SLACK: Final = timedelta(minutes=2)
"""How far the times of Alpaca's servers may lie apart."""

_NOTE_OF: Final = {
    OrderStatus.PARTIALLY_FILLED: ("order.partially_filled", "info"),
    OrderStatus.FILLED: ("order.filled", "info"),
    OrderStatus.CANCELED: ("order.canceled", "info"),
    OrderStatus.EXPIRED: ("order.expired", "warning"),
    OrderStatus.REJECTED: ("order.rejected", "warning"),
    OrderStatus.REPLACED: ("order.replaced", "warning"),
}
_FILLS: Final = frozenset({"fill", "partial_fill"})
_BUSTS: Final = frozenset({"trade_bust", "trade_correct"})
_ASK: Final = frozenset({"order_cancel_rejected", "order_replace_rejected", "replaced"})
"""Events whose frame doesn't say where the order stands now."""


def see(sheet: Sheet, facts: OrderFacts, evidence: Evidence) -> OrderRecord | None:
    """Enter a look at an order that carries an id of the run.

    Returns:
        The record as it stands now; None if the order isn't ours.
    """
    before = sheet.run.records.get(facts.client_order_id)
    if before is None or isinstance(before.standing, NotSent):
        sheet.hold("foreign_order", f"{facts.client_order_id}: order {facts.order_id} was never sent from here")
        return None
    why = why_not_ours(before.intent, before.not_before, facts)
    if why is None and isinstance(before.standing, Seen) and facts.order_id != before.standing.order_id:
        why = f"expected order {before.standing.order_id}"
    if why is not None:
        sheet.put(replace(before, foreign=True))
        sheet.hold("foreign_order", f"{facts.client_order_id}: order {facts.order_id} is not ours: {why}")
        return None
    if facts.filled_qty > before.intent.qty:
        sheet.hold("overfilled", f"{facts.client_order_id}: expected at most {before.intent.qty} filled")
        return None
    seen = _joined(sheet, before, facts, evidence)
    after = with_cancel(sheet, replace(before, standing=seen))
    update = sheet.put_and_tell(before, after)
    if update is not None:
        _note_change(sheet, before, after, update)
    _note_oddities(sheet, after, facts)
    _remember(sheet, facts)
    if before.is_settled and not after.is_settled:
        look_up(sheet, after)
    if after.is_settled and after.client_order_id in sheet.account.watched:
        watch(sheet, after, over=True)
    return sheet.run.records[after.client_order_id]


def why_not_ours(intent: OrderIntent, not_before: datetime | None, facts: OrderFacts) -> str | None:
    """Say what keeps an order by our id from being ours; None if it is.

    Args:
        intent: What was sent by that id.
        not_before: Broker's clock before it was intended; None where no snapshot had told it: age isn't judged then.
        facts: What the broker shows.
    """
    if facts.symbol != intent.symbol or facts.side is not intent.side:
        return f"expected {intent.side} {intent.symbol}, was {facts.side} {facts.symbol}"
    if facts.qty != intent.qty:
        return f"expected qty {intent.qty}, was {facts.qty}"
    if not_before is not None and facts.submitted_at < earlier(not_before, AGE_SLACK):
        return f"expected it submitted after {not_before.isoformat()}, was {facts.submitted_at.isoformat()}"
    return None


def streamed(sheet: Sheet, message: OrderStreamed) -> None:
    """Take one frame of the stream. An execution counts once, however often it is told."""
    health.heard(sheet)
    record = see(sheet, message.order, Evidence.STREAM)
    if record is None:
        return
    execution = message.execution_id
    if message.event in _FILLS and execution is not None and message.qty is not None:
        record = replace(record, executions={**record.executions, execution: message.qty})
        sheet.put(record)
        if record.is_settled:
            note_executions(sheet, record, over=False)
    elif message.event in _BUSTS:
        _bust(sheet, record, message)
    elif message.event in _ASK and not record.is_settled:
        look_up(sheet, record)


def note_executions(sheet: Sheet, record: OrderRecord, *, over: bool) -> None:
    """Note where the executions that the stream told don't add up to what is filled.

    Args:
        sheet: The run's sheet.
        record: The order.
        over: No frame comes any more: fewer is news as well. Before, only more than REST proved is.
    """
    told = sum(record.executions.values(), Decimal(0))
    standing = record.standing
    if not isinstance(standing, Seen) or told == standing.view.fill.qty:
        return
    if told < standing.view.fill.qty and not over:
        return
    if record.executions and sheet.first_time(f"executions {record.client_order_id}"):
        sheet.note_order(
            "order.executions_differ",
            record,
            level="warning",
            filled_qty=str(standing.view.fill.qty),
            executions_qty=str(told),
        )


def _joined(sheet: Sheet, record: OrderRecord, facts: OrderFacts, evidence: Evidence) -> Seen:
    view = view_of(facts, record.intent, evidence)
    old = record.standing if isinstance(record.standing, Seen) else None
    by_rest = evidence is Evidence.REST
    seen = Seen(
        order_id=facts.order_id,
        submitted_at=old.submitted_at if old else facts.submitted_at,
        view=join(old.view if old else None, view),
        rest=join(old.rest if old else None, view) if by_rest else (old.rest if old else None),
        told=old.told if old else None,
        checked_at=sheet.now if by_rest else (old.checked_at if old else None),
        ahead_since=old.ahead_since if old else None,
    )
    expected = health.could_have_told(sheet, record, old)
    return health.compared(seen, view, evidence, expected=expected, now=sheet.now)


def _bust(sheet: Sheet, record: OrderRecord, message: OrderStreamed) -> None:
    name = f"{message.event} {message.execution_id or message.at.isoformat()}"
    if name in record.busted:
        return
    sheet.put(replace(record, busted=record.busted | {name}))
    sheet.send(
        Recipient.EXECUTIVE,
        FillBusted(
            run_id=sheet.run.run_id,
            leg=record.leg,
            client_order_id=record.client_order_id,
            event=message.event,
            qty=message.qty,
            price_usd=message.price_usd,
        ),
    )
    sheet.note_order("order.fill_busted", record, level="error", what=message.event, fill_qty=str(message.qty))


def _note_change(sheet: Sheet, before: OrderRecord, after: OrderRecord, update: OrderUpdated) -> None:
    if not isinstance(before.standing, Seen):
        late = isinstance(before.standing, Absent | Refused)
        event, level = ("order.appeared", "warning") if late else ("order.submitted", "info")
        sheet.note_order(event, after, level=level, order_id=update.order_id)
    old = before.standing
    same = isinstance(old, Seen) and (old.view.status, old.view.fill.qty) == (update.status, update.filled_qty)
    if update.status in _NOTE_OF and not same:
        event, level = _NOTE_OF[update.status]
        sheet.note_order(
            event,
            after,
            level=level,
            order_id=update.order_id,
            filled_qty=str(update.filled_qty),
            price=None if update.filled_avg_price_usd is None else str(update.filled_avg_price_usd),
            evidence=update.evidence.value,
        )


def _note_oddities(sheet: Sheet, record: OrderRecord, facts: OrderFacts) -> None:
    name = record.client_order_id
    if facts.status is BrokerStatus.UNKNOWN and sheet.first_time(f"status {facts.raw_status} {name}"):
        sheet.note_order("order.status_unknown", record, level="warning", raw_status=facts.raw_status)
    if contradicts_itself(facts) and sheet.first_time(f"contradiction {name}"):
        sheet.note_order("order.contradictory", record, level="warning", filled_qty=str(facts.filled_qty))


def _remember(sheet: Sheet, facts: OrderFacts) -> None:
    """Keep what lists and the eye for strangers go by."""
    run = sheet.run
    children = frozenset(child.order_id for child in facts.legs)
    after = min(run.orders_after, earlier(facts.submitted_at, LIST_SLACK))
    if after != run.orders_after or not children <= run.known_orders:
        sheet.run = replace(run, orders_after=after, known_orders=run.known_orders | children)
