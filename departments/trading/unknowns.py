"""Orders that may or may not have reached the broker: look them up, again and again, and never guess. Pure.

A timeout is no rejection, a refusal of a resend proves nothing, a 404 proves nothing. An order counts as absent after
`unknown_quiet_s` and three look-ups that found nothing; even then it is watched to the day's end (`watch.py`).
"""

from dataclasses import replace
from datetime import timedelta
from typing import Final

from departments.trading.orders import Absent, Intended, NotSent, OrderRecord, Refused, Seen, Unknown
from departments.trading.sheet import Sheet
from messages.broker import DoorClosed, FetchOrder, OrderMissing, OrderRefused, OutcomeUnknown, WatchOrder
from messages.control import Deadline
from messages.orders import OrderNotSent
from messages.values import ClientOrderId, Recipient

MISSES_FOR_ABSENCE: Final = 3
ANSWER_BOUND: Final = timedelta(seconds=30)
"""A look-up that was not answered for so long is asked again; until then asking twice only costs requests."""
LOOK_UPS_PER_INTERVAL: Final = 2
"""Of one run, so that many unknown orders at once leave requests for the rest: past it the interval grows."""


def look_up(sheet: Sheet, record: OrderRecord) -> None:
    """Ask for one order by its id, unless the last look-up is still on its way."""
    asked_at = record.looked_up_at
    if asked_at is not None and sheet.now - asked_at < ANSWER_BOUND:
        return
    sheet.put(replace(record, looked_up_at=sheet.now))
    sheet.send(
        Recipient.BROKER,
        FetchOrder(run_id=sheet.run.run_id, leg=record.leg, client_order_id=record.client_order_id),
    )


def look_up_again(sheet: Sheet, token: int) -> None:
    """Take a look-up timer: go on while the order is unknown."""
    record = next((one for one in sheet.run.records.values() if one.look_up_token == token), None)
    if record is None:
        return
    record = replace(record, look_up_token=None)
    sheet.put(record)
    if isinstance(record.standing, Unknown) and not record.foreign:
        look_up(sheet, record)
        _set_timer(sheet, sheet.run.records[record.client_order_id])


def answered(sheet: Sheet, client_order_id: ClientOrderId) -> None:
    """Note that a look-up came back, with whatever it brought."""
    record = sheet.run.records.get(client_order_id)
    if record is not None and record.looked_up_at is not None:
        sheet.put(replace(record, looked_up_at=None))


def outcome_unknown(sheet: Sheet, record: OrderRecord, message: OutcomeUnknown) -> None:
    """Take that a call may have left and no answer can be trusted."""
    if message.call != "submit":
        look_up(sheet, record)
        return
    match record.standing:
        case Intended() | NotSent() | Absent():
            _become_unknown(sheet, record, f"no answer that can be trusted: {message.why}")
        case Refused():
            look_up(sheet, record)
        case Unknown() | Seen():
            pass


def refused(sheet: Sheet, record: OrderRecord, message: OrderRefused) -> None:
    """Take a refusal: a fact about the leg when it answers the first POST, no proof of anything when a resend."""
    if not isinstance(record.standing, Intended):
        sheet.note_order("order.refusal_ignored", record, level="warning", reason=message.message)
        return
    code = "" if message.code is None else f", code {message.code}"
    words = f"{message.message} (HTTP {message.status_code}{code})"
    if message.resend or isinstance(record.standing.before, Absent):
        _become_unknown(sheet, record, f"the resend was refused, which proves nothing: {words}")
    elif _is_taken(message):
        _become_unknown(sheet, record, f"the broker has an order by this id: {words}")
    elif message.status_code < 400 or message.status_code == 408 or message.status_code >= 500:
        _become_unknown(sheet, record, f"no refusal by its status: {words}")
    else:
        sheet.put_and_tell(record, replace(record, standing=Refused(sheet.now, words)))
        sheet.note_order("order.refused", record, level="warning", reason=words)


def door_closed(sheet: Sheet, record: OrderRecord, message: DoorClosed) -> None:
    """Take that the last door stayed shut: nothing left now, but a resend's first POST may have."""
    if not isinstance(record.standing, Intended):
        sheet.note_order("order.door_ignored", record, level="warning", reason=message.reason.value)
        return
    before = record.standing.before
    sheet.send(
        Recipient.EXECUTIVE,
        OrderNotSent(
            run_id=sheet.run.run_id,
            leg=record.leg,
            client_order_id=record.client_order_id,
            reason=message.reason,
            detail=message.detail,
        ),
    )
    sheet.note_order("order.not_sent", record, level="warning", reason=message.reason.value, detail=message.detail)
    if isinstance(before, Absent):
        sheet.put_and_tell(record, replace(record, standing=before))
    elif message.resend:
        _become_unknown(sheet, record, "the door stayed shut for a resend")
    else:
        sheet.put(replace(record, standing=NotSent()))


def missing(sheet: Sheet, record: OrderRecord, message: OrderMissing, quiet: timedelta) -> None:
    """Take a look-up that found nothing; absent only after enough of them and enough time."""
    asked_at = record.looked_up_at
    record = replace(record, looked_up_at=None)
    sheet.put(record)
    match record.standing:
        case Unknown(since=since) if asked_at is not None and asked_at >= since:
            _count_miss(sheet, record, record.standing, quiet)
        case Seen() if sheet.first_time(f"vanished {message.client_order_id}"):
            sheet.note_order("order.vanished", record, level="warning")
        case _:
            pass


def _count_miss(sheet: Sheet, record: OrderRecord, unknown: Unknown, quiet: timedelta) -> None:
    misses = unknown.misses + 1
    if misses < MISSES_FOR_ABSENCE or sheet.now - unknown.since < quiet:
        sheet.put(replace(record, standing=replace(unknown, misses=misses)))
        return
    waited_s = int((sheet.now - unknown.since).total_seconds())
    why = f"looked up {misses} times in {waited_s} s and not found; {unknown.why}"
    absent = replace(record, standing=Absent(why))
    sheet.put_and_tell(record, absent)
    sheet.note_order("order.absent", record, level="warning", reason=why)
    watch(sheet, absent)


def watch(sheet: Sheet, record: OrderRecord, *, over: bool = False) -> None:
    """Have the account part watch an order that may still appear, whatever becomes of the run; or no longer."""
    intent, not_before = record.intent, record.not_before
    message = WatchOrder(watched_run_id=sheet.run.run_id, intent=intent, not_before=not_before, over=over)
    sheet.send(Recipient.TRADING, message)


def _become_unknown(sheet: Sheet, record: OrderRecord, why: str) -> None:
    after = replace(record, standing=Unknown(sheet.now, why), looked_up_at=None)
    sheet.put_and_tell(record, after)
    sheet.note_order("order.unknown", record, level="warning", reason=why)
    look_up(sheet, after)
    if record.look_up_token is None:
        _set_timer(sheet, sheet.run.records[record.client_order_id])


def _set_timer(sheet: Sheet, record: OrderRecord) -> None:
    unknown = sum(isinstance(one.standing, Unknown) for one in sheet.run.records.values())
    intervals = max(1, -(-unknown // LOOK_UPS_PER_INTERVAL))
    after = timedelta(seconds=sheet.settings.look_up_interval_s * intervals)
    token = sheet.set_timer(Deadline.LOOK_UP, after, record.leg)
    sheet.put(replace(record, look_up_token=token))


def _is_taken(message: OrderRefused) -> bool:
    """`client_order_id must be unique` comes with 40010001 or 42210000: the text tells. Source: alpaca.markets API."""
    text = message.message.lower()
    return message.status_code == 422 and "client_order_id" in text and "unique" in text
