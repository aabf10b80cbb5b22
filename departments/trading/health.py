"""How Alpaca can be reached: whether the stream tells what REST knows, and whether REST answers. Pure.

A socket can be alive and mute for hours. So every look by REST is compared with what the stream told of the same order:
what REST knew and the stream had not told some seconds later makes it `MUTE`, until its next frame. Changes that fell
into a time without stream are not held against it: it doesn't replay.
"""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from departments.trading.orders import OrderRecord, Seen
from departments.trading.sheet import Sheet
from departments.trading.views import View, join
from messages.broker import BrokerJudged
from messages.orders import Evidence, StreamHealth
from messages.values import Recipient

MUTE_AFTER: Final = timedelta(seconds=3)
"""The stream tells a fill 150 to 250 ms after it, REST may be faster. Checked at every reconcile tick."""
STREAM_SETTLES: Final = timedelta(seconds=1)
"""A list that was on its way while the stream connected may show less than the stream missed."""
FAILURES_TO_TELL: Final = 2
"""Reads that fail in a row before REST counts as gone; one alone is everyday."""


def could_have_told(sheet: Sheet, record: OrderRecord, seen: Seen | None) -> bool:
    """Whether a change that REST shows now must have come through the stream: it was up since the look before."""
    up_since = sheet.account.up_since
    if up_since is None:
        return False
    if record.placed_at >= up_since:
        return True
    checked_at = seen.checked_at if seen is not None else None
    return checked_at is not None and checked_at >= up_since + STREAM_SETTLES


def compared(seen: Seen, view: View, evidence: Evidence, *, expected: bool, now: datetime) -> Seen:
    """Enter a look into the comparison of stream and REST.

    Args:
        seen: The order with the look already joined.
        view: The look.
        evidence: Where it came from.
        expected: As `could_have_told`.
        now: Store's clock.
    """
    told = seen.told if evidence is Evidence.REST and expected else join(seen.told, view)
    ahead = seen.rest is not None and not _tells(told, seen.rest)
    return replace(seen, told=told, ahead_since=(seen.ahead_since or now) if ahead else None)


def check_stream(sheet: Sheet) -> None:
    """At a reconcile tick: judge the stream by what it left untold. Each omission counts once.

    What was left untold before the stream connected last (a restart of ours, too) is forgiven.
    """
    up = sheet.account.stream is StreamHealth.UP
    for record in tuple(sheet.run.records.values()):
        seen = record.standing
        if not isinstance(seen, Seen) or seen.ahead_since is None or seen.rest is None:
            continue
        up_since = sheet.account.up_since
        tellable = up and up_since is not None and seen.ahead_since >= up_since + STREAM_SETTLES
        if tellable and sheet.now - seen.ahead_since < MUTE_AFTER:
            continue
        sheet.put(replace(record, standing=replace(seen, told=join(seen.told, seen.rest), ahead_since=None)))
        if tellable:
            detail = f"{record.client_order_id}: REST shows {seen.view.status}, the stream did not tell"
            sheet.send(Recipient.TRADING, BrokerJudged(stream=StreamHealth.MUTE, rest_ok=None, detail=detail))


def heard(sheet: Sheet) -> None:
    """A frame came: the stream is not mute."""
    if sheet.account.stream is StreamHealth.MUTE:
        judged = BrokerJudged(stream=StreamHealth.UP, rest_ok=None, detail="the stream tells again")
        sheet.send(Recipient.TRADING, judged)


def read_worked(sheet: Sheet) -> None:
    """A read was answered."""
    if sheet.run.failed_reads:
        sheet.run = replace(sheet.run, failed_reads=0)
    if not sheet.account.rest_ok:
        sheet.send(Recipient.TRADING, BrokerJudged(stream=None, rest_ok=True, detail="REST answers again"))


def read_failed(sheet: Sheet, why: str) -> None:
    """A read failed."""
    sheet.run = replace(sheet.run, failed_reads=sheet.run.failed_reads + 1)
    if sheet.account.rest_ok and sheet.run.failed_reads >= FAILURES_TO_TELL:
        sheet.send(Recipient.TRADING, BrokerJudged(stream=None, rest_ok=False, detail=why))


def _tells(told: View | None, rest: View) -> bool:
    if told is None:
        return rest.fill.qty == 0 and rest.end is None
    return told.tells_of(rest)
