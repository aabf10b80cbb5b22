"""Snapshots that the CEO asks for: fetched whole, tried again while they are wanted. Pure."""

from dataclasses import replace
from datetime import timedelta
from typing import Final

from departments.trading.reconcile import see
from departments.trading.rounds import take_list
from departments.trading.sheet import Sheet
from departments.trading.state import LIST_SLACK, SnapshotAsk, earlier
from departments.trading.strangers import look_for_strangers, take_baseline
from messages.broker import FetchFailed, FetchSnapshot, SnapshotFetched
from messages.control import Deadline
from messages.orders import Evidence, RequestSnapshot, SnapshotPurpose, SnapshotReady, SnapshotUnavailable
from messages.snapshots import ClockFacts, OrderFacts, Snapshot
from messages.values import Recipient, run_of_client_order_id

MAX_RETRY_AFTER_S: Final = 300
"""What the broker asks for is honoured up to here; everything has a bound."""


def asked(sheet: Sheet, message: RequestSnapshot) -> None:
    """Take the CEO's ask; the newest one counts."""
    newest = sheet.run.ask
    if newest is not None and message.ask <= newest.ask:
        return
    ask = SnapshotAsk(
        ask=message.ask,
        purpose=message.purpose,
        parts=message.parts,
        symbols=message.symbols,
        history=message.history,
        waits_for=message.once_terminal,
    )
    sheet.run = replace(sheet.run, ask=ask, symbols=sheet.run.symbols | frozenset(message.symbols))
    if not ask.waits_for:
        _fetch(sheet, ask)


def fetch_when_due(sheet: Sheet) -> None:
    """Fetch what was asked for ahead, once the last order it waits for is terminal: no hop to the CEO and back."""
    ask = sheet.run.ask
    if ask is None or not ask.waits_for:
        return
    over = {record.leg: record.is_terminal for record in sheet.run.records.values()}  # of a leg, the last attempt
    if all(over.get(leg) for leg in ask.waits_for):
        ask = replace(ask, waits_for=())
        sheet.run = replace(sheet.run, ask=ask)
        _fetch(sheet, ask)


def fetched(sheet: Sheet, message: SnapshotFetched) -> None:
    """Take a snapshot: first what it shows of orders, then the answer. An old one still shows orders."""
    snapshot = message.snapshot
    _read_clock(sheet, snapshot)
    if snapshot.run_orders is not None:
        take_list(sheet, snapshot.run_orders)
    if snapshot.open_orders is not None:
        _take_open_orders(sheet, snapshot.open_orders, snapshot.clock, message.purpose)
    ask = sheet.run.ask
    if ask is not None and ask.ask == message.ask and not ask.answered:
        sheet.run = replace(sheet.run, ask=replace(ask, answered=True, retry_token=None))
        ready = SnapshotReady(
            run_id=sheet.run.run_id,
            ask=ask.ask,
            purpose=ask.purpose,
            snapshot=snapshot,
            history=message.history,
            updates=sheet.take_updates(),
        )
        sheet.send(Recipient.EXECUTIVE, ready)


def failed(sheet: Sheet, message: FetchFailed) -> None:
    """Take that a snapshot could not be had: say so once a reason, and try again later."""
    ask = sheet.run.ask
    if ask is None or ask.ask != message.ask or ask.answered or ask.retry_token is not None:
        return
    if ask.told != message.why:
        run_id, reason = sheet.run.run_id, message.why
        sheet.send(
            Recipient.EXECUTIVE,
            SnapshotUnavailable(run_id=run_id, ask=ask.ask, purpose=ask.purpose, reason=reason),
        )
        sheet.note("snapshot.unavailable", level="warning", purpose=ask.purpose.value, reason=reason)
    after_s = max(sheet.settings.snapshot_retry_s, min(message.retry_after_s or 0, MAX_RETRY_AFTER_S))
    token = sheet.set_timer(Deadline.SNAPSHOT_RETRY, timedelta(seconds=after_s))
    sheet.run = replace(sheet.run, ask=replace(ask, told=message.why, retry_token=token))


def try_again(sheet: Sheet, token: int) -> None:
    """Take a retry timer, if its ask is still the newest."""
    ask = sheet.run.ask
    if ask is not None and ask.retry_token == token:
        ask = replace(ask, retry_token=None)
        sheet.run = replace(sheet.run, ask=ask)
        _fetch(sheet, ask)


def waits_for_the_open(sheet: Sheet) -> bool:
    """Whether the desk watches the broker's clock for the run."""
    ask = sheet.run.ask
    return ask is not None and ask.purpose is SnapshotPurpose.OPEN and not ask.answered


def _fetch(sheet: Sheet, ask: SnapshotAsk) -> None:
    sheet.send(
        Recipient.BROKER,
        FetchSnapshot(
            run_id=sheet.run.run_id,
            ask=ask.ask,
            purpose=ask.purpose,
            parts=ask.parts,
            symbols=ask.symbols,
            run_orders_after=sheet.run.orders_after,
            history=ask.history,
        ),
    )


def _read_clock(sheet: Sheet, snapshot: Snapshot) -> None:
    """Keep the broker's clock: orders are judged old or new by it, and lists begin with it."""
    if snapshot.clock is None:
        return
    run, at = sheet.run, snapshot.clock.at
    first = run.broker_clock_at is None and not run.records
    after = earlier(at, LIST_SLACK)
    sheet.run = replace(run, broker_clock_at=at, orders_after=after if first else min(run.orders_after, after))


def _take_open_orders(
    sheet: Sheet, open_orders: tuple[OrderFacts, ...], clock: ClockFacts | None, purpose: SnapshotPurpose
) -> None:
    for facts in open_orders:
        if run_of_client_order_id(facts.client_order_id) == sheet.run.run_id:
            see(sheet, facts, Evidence.REST)
    if purpose is SnapshotPurpose.RECEIVED and not sheet.run.records:
        take_baseline(sheet, open_orders, clock.at if clock is not None else None)
    look_for_strangers(sheet, open_orders)
