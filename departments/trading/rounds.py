"""Rounds: while anything of a run is not settled, look at all its orders every `reconcile_interval_s`. Pure.

One list call shows them all. An order that a list should hold and doesn't is no proof of anything: it is looked up by
its id.
"""

from dataclasses import replace
from datetime import timedelta
from typing import Final

from departments.trading.health import MUTE_AFTER, check_stream
from departments.trading.orders import Intended, Seen
from departments.trading.reconcile import see
from departments.trading.sheet import Sheet
from departments.trading.state import RunOrders
from departments.trading.strangers import look_for_strangers
from departments.trading.unknowns import ANSWER_BOUND, look_up
from messages.broker import FetchOrders, OrdersFetched
from messages.control import Deadline
from messages.orders import Evidence
from messages.snapshots import OrderFacts
from messages.values import Recipient, run_of_client_order_id

_INTENT_SLACK: Final = timedelta(seconds=60)
"""A POST is answered, or known as unknown, long before; past it the order is looked up as well."""


def make_round(sheet: Sheet, token: int) -> None:
    """Take a reconcile timer."""
    if token != sheet.run.tick_token:
        return
    sheet.run = replace(sheet.run, tick_token=None, hurried=False)
    check_stream(sheet)
    if sheet.run.is_settled:
        return
    run, fresh = sheet.run, timedelta(seconds=sheet.settings.reconcile_interval_s) / 2
    on_its_way = run.list_asked_at is not None and sheet.now - run.list_asked_at < ANSWER_BOUND
    if not on_its_way and (run.listed_at is None or sheet.now - run.listed_at >= fresh):
        sheet.run = replace(run, list_asked_at=sheet.now)
        sheet.send(Recipient.BROKER, list_of(run))
    overdue = timedelta(seconds=sheet.settings.intent_ttl_s) + _INTENT_SLACK
    for record in tuple(sheet.run.records.values()):
        if isinstance(record.standing, Intended) and sheet.now - record.standing.since > overdue:
            look_up(sheet, record)


def resumed(sheet: Sheet) -> None:
    """The stream listens again: what it missed is on the list. A list on its way may be older than the connect."""
    if not sheet.run.is_settled:
        sheet.run = replace(sheet.run, list_asked_at=sheet.now)
        sheet.send(Recipient.BROKER, list_of(sheet.run))


def keep_rounds(sheet: Sheet) -> None:
    """Have a reconcile timer running while there is something to find out; sooner where the stream is to be judged.

    A fill may come just after a round and show in the next one only; a third round to judge by would be too late.
    """
    run = sheet.run
    untold = any(isinstance(one.standing, Seen) and one.standing.ahead_since for one in run.records.values())
    if run.is_settled and not untold:
        return
    if run.tick_token is not None and (run.hurried or not untold):
        return
    interval = timedelta(seconds=sheet.settings.reconcile_interval_s)
    token = sheet.set_timer(Deadline.RECONCILE, min(interval, MUTE_AFTER) if untold else interval)
    sheet.run = replace(sheet.run, tick_token=token, hurried=untold)


def list_of(run: RunOrders) -> FetchOrders:
    """The call that shows every order of the run."""
    return FetchOrders(run_id=run.run_id, after=run.orders_after, symbols=tuple(sorted(run.symbols)))


def listed(sheet: Sheet, message: OrdersFetched) -> None:
    """Take a list that was asked for."""
    sheet.run = replace(sheet.run, list_asked_at=None)
    take_list(sheet, message.run_orders)
    look_for_strangers(sheet, message.other_orders)


def take_list(sheet: Sheet, orders: tuple[OrderFacts, ...]) -> None:
    """Enter every order of the run that a list by REST shows; look up what it should show and doesn't."""
    shown = set()
    for facts in orders:
        if run_of_client_order_id(facts.client_order_id) == sheet.run.run_id:
            shown.add(facts.client_order_id)
            see(sheet, facts, Evidence.REST)
    sheet.run = replace(sheet.run, listed_at=sheet.now)
    for record in tuple(sheet.run.records.values()):
        if record.client_order_id not in shown and isinstance(record.standing, Seen) and not record.is_settled:
            look_up(sheet, record)
