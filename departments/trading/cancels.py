"""Cancelling: what is live now, what is unknown on sight; the order's own status alone tells what came of it. Pure."""

from dataclasses import replace
from datetime import timedelta
from typing import Final

from departments.trading.orders import OrderRecord, Seen
from departments.trading.sheet import Sheet
from departments.trading.unknowns import look_up
from messages.broker import CancelAnswered, CancelOrder, CancelOutcome
from messages.orders import CancelOrders
from messages.values import Recipient

CANCEL_AGAIN: Final = timedelta(seconds=10)
"""A cancel of which nothing came for so long is asked again."""


def cancel(sheet: Sheet, message: CancelOrders) -> None:
    """Cancel what is live of these legs, and mark what may still appear."""
    for before in tuple(sheet.run.records.values()):
        if before.leg in message.legs and _may_live(before):
            after = with_cancel(sheet, replace(before, cancel_wanted=True))
            sheet.put_and_tell(before, after)
            if not before.cancel_wanted:
                sheet.note_order("order.cancel_asked", before, reason=message.reason)


def _may_live(record: OrderRecord) -> bool:
    return not (record.is_settled or record.is_terminal)


def with_cancel(sheet: Sheet, record: OrderRecord) -> OrderRecord:
    """Send the cancel that is wanted, if the order is live and none is on its way; give the record that knows it."""
    standing = record.standing
    if not record.cancel_wanted or not isinstance(standing, Seen) or standing.view.end is not None:
        return record
    asked_at = record.cancel_asked_at
    if standing.view.cancel_pending or (asked_at is not None and sheet.now - asked_at < CANCEL_AGAIN):
        return record
    sheet.send(
        Recipient.BROKER,
        CancelOrder(
            run_id=sheet.run.run_id,
            leg=record.leg,
            client_order_id=record.client_order_id,
            order_id=standing.order_id,
        ),
    )
    return replace(record, cancel_asked_at=sheet.now)


def answered(sheet: Sheet, record: OrderRecord, message: CancelAnswered) -> None:
    """Take the answer of a cancel: an order that can't be cancelled has moved on, so look."""
    if message.outcome is not CancelOutcome.ACCEPTED:
        look_up(sheet, record)
