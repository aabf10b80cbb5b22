"""The account part's own mail: the stream's comings and goings, judgements of health, the watch, account looks. Pure.

Nothing here reads or writes a run's entry, so that state and outgoing mail come out the same when closed runs' mail is
left out of the fold. Which run a reconnect or a stranger concerns is known from `RunTrades`.
"""

from dataclasses import replace
from datetime import datetime

from departments.office.department import Note
from departments.trading.state import AccountPart
from departments.trading.watch import Came, look_at_watched, watch_order
from messages.broker import (
    AccountFetched,
    BrokerJudged,
    FetchAccount,
    RunTrades,
    StrangerNoticed,
    StrangerStreamed,
    StreamConnected,
    StreamLost,
    StreamResumed,
    WatchOrder,
)
from messages.control import AccountDeadlinePassed, Deadline
from messages.envelope import Outgoing
from messages.message import AccountMessage
from messages.orders import BrokerHealthChanged, StreamHealth
from messages.proposals import AccountLook, AskAccountLook
from messages.snapshots import OrderFacts
from messages.values import Recipient


def account_mail(account: AccountPart, message: AccountMessage, now: datetime) -> Came:
    """Fold one piece of account mail into the account part."""
    match message:
        case StreamConnected():
            return _connected(account, now)
        case StreamLost(detail=detail):
            down = replace(account, stream=StreamHealth.DOWN, up_since=None, down_because=detail)
            return _health(account, down, detail)
        case StrangerStreamed(order=facts):
            return _stranger(account, facts)
        case BrokerJudged():
            return _judged(account, message)
        case RunTrades():
            return _run_trades(account, message), (), ()
        case AskAccountLook(ask=ask, not_before=not_before, positions=positions):
            fetch = FetchAccount(ask=ask, not_before=not_before, positions=positions)
            return account, (Outgoing(Recipient.BROKER, fetch),), ()
        case AccountFetched():
            seen = AccountLook(ask=message.ask, snapshot=message.snapshot, days=message.days, holdings=message.holdings)
            return account, (Outgoing(Recipient.OPERATIONS, seen),), ()
        case WatchOrder():
            return watch_order(account, message, now)
        case AccountDeadlinePassed(deadline=Deadline.WATCH, token=token):
            return look_at_watched(account, token, now)
        case _:
            return account, (), ()


def _connected(account: AccountPart, now: datetime) -> Came:
    """Listen again: whatever happened meanwhile is lost to the stream, so every open run looks at its orders."""
    after = replace(account, stream=StreamHealth.UP, up_since=now, down_because=None)
    after, sent, notes = _health(account, after, "the stream listens")
    resumed = (Outgoing(Recipient.TRADING, StreamResumed(run_id=run_id)) for run_id in account.open_runs)
    return after, (*sent, *resumed), notes


def _stranger(account: AccountPart, facts: OrderFacts) -> Came:
    """Pass a stranger on to the runs that trade its symbol. It is a frame as well: the stream is not mute."""
    heard = replace(account, stream=StreamHealth.UP) if account.stream is StreamHealth.MUTE else account
    after, sent, notes = _health(account, heard, "the stream tells again")
    noticed = (
        Outgoing(Recipient.TRADING, StrangerNoticed(run_id=run_id, order=facts))
        for run_id, symbols in account.open_runs.items()
        if facts.symbol in symbols
    )
    return after, (*sent, *noticed), notes


def _run_trades(account: AccountPart, message: RunTrades) -> AccountPart:
    others = {run_id: symbols for run_id, symbols in account.open_runs.items() if run_id != message.named_run_id}
    if message.over:
        return replace(account, open_runs=others)
    return replace(account, open_runs={**others, message.named_run_id: frozenset(message.symbols)})


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
    if after.stream is not before.stream or after.down_because != before.down_because:
        level = "info" if after.stream is StreamHealth.UP else "warning"
        notes = (Note(f"stream.{after.stream.value}", {"detail": detail}, level),)
    if after.rest_ok is not before.rest_ok:
        event, level = ("broker.rest_up", "info") if after.rest_ok else ("broker.rest_down", "warning")
        notes = (*notes, Note(event, {"detail": detail}, level))
    if not notes:
        return after, (), ()
    changed = BrokerHealthChanged(stream=after.stream, rest_ok=after.rest_ok, detail=detail)
    return after, (Outgoing(Recipient.EXECUTIVE, changed),), notes
