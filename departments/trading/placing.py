"""Placing: each intent becomes a record and one call. The same id goes again only where that is safe. Pure."""

from dataclasses import replace

from departments.trading.orders import Absent, Intended, NotSent, OrderRecord
from departments.trading.sheet import Sheet
from departments.trading.strangers import begin_to_watch
from messages.broker import SubmitOrder
from messages.orders import OrderIntent, PlaceOrders
from messages.values import Recipient


def place(sheet: Sheet, message: PlaceOrders) -> None:
    """Take orders from the CEO, in the given order."""
    symbols = frozenset(intent.symbol for intent in message.intents)
    sheet.run = replace(sheet.run, symbols=sheet.run.symbols | symbols)
    begin_to_watch(sheet)
    for intent in message.intents:
        known = sheet.run.records.get(intent.client_order_id)
        why = _first_attempt_forbidden(sheet, intent) if known is None else _resend_forbidden(known, intent)
        if why is not None:
            sheet.note("order.place_ignored", level="error", client_order_id=intent.client_order_id, reason=why)
        else:
            _submit(sheet, intent, known)


def _submit(sheet: Sheet, intent: OrderIntent, known: OrderRecord | None) -> None:
    before = known.standing if known is not None else None
    resend = isinstance(before, Absent)
    standing = Intended(sheet.now, before if isinstance(before, Absent | NotSent) else None)
    if known is None:
        record = OrderRecord(
            run_id=sheet.run.run_id,
            intent=intent,
            standing=standing,
            placed_at=sheet.now,
            not_before=sheet.run.broker_clock_at,
        )
    else:
        record = replace(known, intent=intent, standing=standing, placed_at=sheet.now, cancel_wanted=False)
    sheet.put(record)
    sheet.send(
        Recipient.BROKER,
        SubmitOrder(run_id=sheet.run.run_id, intent=intent, intended_at=sheet.now, resend=resend),
    )
    sheet.note_order("order.resent" if resend else "order.intended", record)


def _first_attempt_forbidden(sheet: Sheet, intent: OrderIntent) -> str | None:
    """A new attempt at a leg may only follow attempts that are proved to be over."""
    for other in sheet.run.records.values():
        if other.leg == intent.leg and not other.is_settled:
            return f"{other.client_order_id} of the same leg is {other.status}"
    return None


def _resend_forbidden(known: OrderRecord, intent: OrderIntent) -> str | None:
    """The same id goes again where nothing left, or where it was looked for and not found; else it may fill twice."""
    match known.standing:
        case NotSent():
            return None if intent.leg == known.leg else f"expected leg {known.leg}, was {intent.leg}"
        case Absent():
            return None if intent == known.intent else "a resend must be the same order"
        case _:
            return f"it is {known.status} already"
