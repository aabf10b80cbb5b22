"""Orders that were looked up and never found: watched to the day's end, cancelled on sight after their run. Pure.

The watch belongs to the account: it outlives the run, whose entry and mail are gone after `RunEnded`.
"""

from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from typing import Final

from departments.office.department import Note
from departments.trading.reconcile import why_not_ours
from departments.trading.state import AccountPart, Watch
from messages.broker import CancelOrder, FetchOrder, OrderAnswered, OrderStreamed, WatchOrder
from messages.control import AccountDeadlinePassed, Deadline
from messages.envelope import Outgoing
from messages.snapshots import TERMINAL_BROKER_STATUSES, BrokerStatus, OrderFacts
from messages.values import Recipient, TimeInForce

WATCH_INTERVAL: Final = timedelta(seconds=60)
AT_LEAST: Final = timedelta(hours=12)
"""A watch ends with the first UTC midnight after so long: past the close of the day's market in every season."""

Came = tuple[AccountPart, tuple[Outgoing, ...], tuple[Note, ...]]


def watch_order(account: AccountPart, message: WatchOrder, now: datetime) -> Came:
    """Begin to watch, learn that it was seen, or stop."""
    name = message.intent.client_order_id
    others = {one: watch for one, watch in account.watched.items() if one != name}
    if message.over:
        return replace(account, watched=others), (), ()
    known = account.watched.get(name)
    watch = known or Watch(
        run_id=message.watched_run_id, intent=message.intent, not_before=message.not_before, until=_end_of_watch(now)
    )
    watch = replace(watch, order_id=message.order_id or watch.order_id)
    account = replace(account, watched={**others, name: watch})
    return _with_timer(account, now, ())


def look_at_watched(account: AccountPart, token: int, now: datetime) -> Came:
    """Take a watch timer: look every watched order up; forget those whose day is over."""
    if token != account.watch_token:
        return account, (), ()
    watched = {name: watch for name, watch in account.watched.items() if now < watch.until}
    calls = tuple(
        Outgoing(Recipient.BROKER, FetchOrder(run_id=watch.run_id, leg=watch.intent.leg, client_order_id=name))
        for name, watch in watched.items()
    )
    return _with_timer(replace(account, watched=watched, watch_token=None), now, calls)


def seen_after_the_end(
    account: AccountPart, message: OrderAnswered | OrderStreamed
) -> tuple[tuple[Outgoing, ...], tuple[Note, ...]]:
    """Take a look at an order whose run is over. What is watched and lives is cancelled; nothing is changed here."""
    facts = message.order
    over = _is_over(account, facts)
    watch = account.watched.get(facts.client_order_id)
    if watch is None:
        return (), () if over else (_note("order.live_after_end", message),)
    why = why_not_ours(watch.intent, watch.not_before, facts)
    if why is not None:
        return (), (_note("order.foreign", message, "error", reason=why),)
    if over:
        again = _about(watch, over=True)
        level = "error" if facts.filled_qty > 0 else "warning"
        return (again,), (_note("order.late_unknown_ended", message, level),)
    told_before = watch.order_id is not None and isinstance(message, OrderStreamed)
    if told_before or facts.status is BrokerStatus.PENDING_CANCEL:
        return (), ()
    cancel = CancelOrder(
        run_id=watch.run_id,
        leg=watch.intent.leg,
        client_order_id=watch.intent.client_order_id,
        order_id=facts.order_id,
    )
    seen = () if watch.order_id is not None else (_about(replace(watch, order_id=facts.order_id)),)
    return (Outgoing(Recipient.BROKER, cancel), *seen), (_note("order.late_unknown_cancelled", message),)


def _about(watch: Watch, *, over: bool = False) -> Outgoing:
    message = WatchOrder(
        watched_run_id=watch.run_id,
        intent=watch.intent,
        not_before=watch.not_before,
        order_id=watch.order_id,
        over=over,
    )
    return Outgoing(Recipient.TRADING, message)


def _with_timer(account: AccountPart, now: datetime, sent: tuple[Outgoing, ...]) -> Came:
    if account.watch_token is not None or not account.watched:
        return account, sent, ()
    token, due_at = account.last_token + 1, now + WATCH_INTERVAL
    timer = AccountDeadlinePassed(deadline=Deadline.WATCH, token=token, due_at=due_at)
    account = replace(account, watch_token=token, last_token=token)
    return account, (*sent, Outgoing(Recipient.TRADING, timer, due_at)), ()


def _is_over(account: AccountPart, facts: OrderFacts) -> bool:
    if facts.status is BrokerStatus.DONE_FOR_DAY:
        watch = account.watched.get(facts.client_order_id)
        return watch is None or watch.intent.time_in_force is TimeInForce.DAY
    return facts.status in TERMINAL_BROKER_STATUSES


def _end_of_watch(now: datetime) -> datetime:
    day = (now + AT_LEAST).astimezone(UTC).date() + timedelta(days=1)
    return datetime.combine(day, time(), UTC)


def _note(event: str, message: OrderAnswered | OrderStreamed, level: str = "warning", **fields: object) -> Note:
    facts = message.order
    named = {
        "run_id": message.run_id,
        "symbol": facts.symbol,
        "client_order_id": facts.client_order_id,
        "order_id": facts.order_id,
        "side": facts.side.value,
        "qty": str(facts.qty),
        "filled_qty": str(facts.filled_qty),
        "status": facts.raw_status,
    }
    return Note(event, {**named, **fields}, level)
