"""The account part's own mail: the stream's comings and goings, judgements of health, the watch. Pure.

Nothing here reads or writes a run's entry, so the fold comes out the same when closed runs' mail is left out. What
account mail means for the runs is sent by `fan_out`, which reads them and changes nothing.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

from departments.office.department import Note
from departments.trading.rounds import list_of
from departments.trading.state import AccountPart, RunOrders
from departments.trading.watch import Came, look_at_watched, watch_order
from messages.broker import BrokerJudged, StrangerNoticed, StrangerStreamed, StreamConnected, StreamLost, WatchOrder
from messages.control import AccountDeadlinePassed, Deadline
from messages.envelope import Outgoing
from messages.message import AccountMessage
from messages.orders import BrokerHealthChanged, StreamHealth
from messages.values import Recipient, RunId


def account_mail(account: AccountPart, message: AccountMessage, now: datetime) -> Came:
    """Fold one piece of account mail into the account part."""
    match message:
        case StreamConnected():
            return _health(account, replace(account, stream=StreamHealth.UP, up_since=now), "the stream listens")
        case StreamLost(detail=detail):
            return _health(account, replace(account, stream=StreamHealth.DOWN, up_since=None), detail)
        case StrangerStreamed() if account.stream is StreamHealth.MUTE:
            return _health(account, replace(account, stream=StreamHealth.UP), "the stream tells again")
        case BrokerJudged():
            return _judged(account, message)
        case WatchOrder():
            return watch_order(account, message, now)
        case AccountDeadlinePassed(deadline=Deadline.WATCH, token=token):
            return look_at_watched(account, token, now)
        case _:
            return account, (), ()


def fan_out(runs: Mapping[RunId, RunOrders], message: AccountMessage) -> tuple[Outgoing, ...]:
    """Say what account mail means for the open runs: after a reconnect list their orders, pass strangers on."""
    match message:
        case StreamConnected():
            return tuple(Outgoing(Recipient.BROKER, list_of(run)) for run in runs.values() if not run.is_settled)
        case StrangerStreamed(order=order):
            return tuple(
                Outgoing(Recipient.TRADING, StrangerNoticed(run_id=run.run_id, order=order))
                for run in runs.values()
                if order.symbol in run.symbols
            )
        case _:
            return ()


def _judged(account: AccountPart, message: BrokerJudged) -> Came:
    after = account
    if message.stream is StreamHealth.MUTE and account.stream is StreamHealth.UP:
        after = replace(after, stream=StreamHealth.MUTE)
    if message.stream is StreamHealth.UP and account.stream is StreamHealth.MUTE:
        after = replace(after, stream=StreamHealth.UP)
    if message.rest_ok is not None:
        after = replace(after, rest_ok=message.rest_ok)
    return _health(account, after, message.detail)


def _health(before: AccountPart, after: AccountPart, detail: str) -> Came:
    """Tell the CEO if anything changed that he knows of."""
    notes: tuple[Note, ...] = ()
    if after.stream is not before.stream:
        level = "info" if after.stream is StreamHealth.UP else "warning"
        notes = (Note(f"stream.{after.stream.value}", {"detail": detail}, level),)
    if after.rest_ok is not before.rest_ok:
        event, level = ("broker.rest_up", "info") if after.rest_ok else ("broker.rest_down", "warning")
        notes = (*notes, Note(event, {"detail": detail}, level))
    if not notes:
        return after, (), ()
    changed = BrokerHealthChanged(stream=after.stream, rest_ok=after.rest_ok, detail=detail)
    return after, (Outgoing(Recipient.EXECUTIVE, changed),), notes
